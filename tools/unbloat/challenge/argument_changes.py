"""Changes of what a user's code passes to the package, and of what it leaves at its default.

In a package without a config these are the pins. Where the legacy takes any keyword, every keyword is tried that the code
around it gives a meaning to: parameters in the same module, and those of constructors behind a prefix of the module's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unbloat.challenge.change import ABSENT, Change
from unbloat.challenge.hints import Hints
from unbloat.challenge.perturb import literal, others
from unbloat.challenge.schedule import Reader, runs_for_any

_PREFIX = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*_")


@dataclass
class Called:
    """A class, function or method of the package that a user's code calls, in one or more workloads."""

    name: str
    file: str
    sites: list[list[Any]]
    variadic: bool
    parameters: dict[str, Mapping[str, Any]]
    workloads: list[str] = field(default_factory=list)


def called(baselines: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Called]:
    """Join what the workloads were seen to call."""
    found: dict[str, Called] = {}
    for workload, calls in baselines.items():
        for call in calls:
            one = found.setdefault(call["name"], Called(call["name"], call["file"], [], False, {}))
            one.sites += [site for site in call["sites"] if site not in one.sites]
            one.variadic |= call["variadic"]
            one.workloads.append(workload)
            for name, parameter in call["parameters"].items():
                one.parameters.setdefault(name, parameter)
    return [found[name] for name in sorted(found)]


def argument_changes(
    calls: Sequence[Called], readers: Sequence[Reader], trees: Mapping[str, ast.Module], hints: Hints
) -> Iterator[Change]:
    """By callee and parameter; keywords that a signature does not name come after those that it does."""
    for call in calls:
        runs = runs_for_any([reader for reader in readers if reader.workload in call.workloads])
        for name, parameter in call.parameters.items():
            if parameter["value"] is None:
                continue
            for other in others(ast.literal_eval(parameter["value"]), hints.texts(name)):
                injected = _injected(call, name, parameter["index"], other)
                target, old = f"{call.name}({name})", parameter["value"]
                yield Change("argument", target, old, repr(other), injected, runs.always, runs.deep)
        if call.variadic and call.file in trees:  # An extension module has no source to look into.
            for name, (origin, default) in _keywords(trees[call.file]).items():
                if name not in call.parameters:
                    for other in others(default, hints.texts(origin))[:1]:
                        injected = _injected(call, name, None, other)
                        target = f"{call.name}({name})"
                        yield Change("keyword", target, ABSENT, repr(other), injected, runs.always, runs.deep, likely=False)


def objects_left_alone(calls: Sequence[Called]) -> list[str]:
    """Parameters whose values cannot be written down, so that there is no other to try."""
    return [
        f"{call.name}({name})" for call in calls for name, parameter in call.parameters.items() if parameter["value"] is None
    ]


def _injected(call: Called, name: str, index: int | None, value: Any) -> dict[str, Any]:
    callee = call.name.rpartition(".")[2]
    return {
        "kind": "argument",
        "sites": call.sites,
        "callee": callee,
        "name": name,
        "index": index,
        "value": repr(value),
    }


def _keywords(tree: ast.Module) -> dict[str, tuple[str, Any]]:
    """Names that something in a module accepts, with a prefix or without: the bare name, and the default that it has."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    everywhere = _plain_defaults(functions)
    constructed = _plain_defaults(node for node in functions if node.name == "__init__")
    prefixes = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _PREFIX.fullmatch(node.value)
    }
    prefixed = {prefix + name: (name, default) for prefix in sorted(prefixes) for name, default in constructed.items()}
    return prefixed | {name: (name, default) for name, default in everywhere.items()}


def _plain_defaults(functions: Iterable[ast.FunctionDef | ast.AsyncFunctionDef]) -> dict[str, Any]:
    """Parameters by name with their defaults, where these are written as plain values."""
    found = {
        name: ast.literal_eval(default) for node in functions for name, default in _defaults(node.args) if _is_plain(default)
    }
    return dict(sorted(found.items()))


def _is_plain(node: ast.expr) -> bool:
    """Whether a default is written as a plain value."""
    try:
        return literal(ast.literal_eval(node)) is not None
    except (ValueError, TypeError):
        return False


def _defaults(arguments: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    yield from (
        (parameter.arg, default)
        for parameter, default in zip(reversed(positional), reversed(arguments.defaults), strict=False)
        if parameter.arg != "self"
    )
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield parameter.arg, default
