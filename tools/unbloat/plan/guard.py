"""The guard: what was folded away, listed once, and checked wherever a config or an option comes in.

A stripped package may be smaller than the legacy, never quietly different. So every key that a fold rests on is written,
with its pinned value and the legacy lines that went on its account, into a generated module `pinned.py`; functions that
take a config from outside check it, and options whose other values were stripped check themselves.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from unbloat.edit import Edit, InsertImport, InsertInFunction, Span
from unbloat.evidence import Facts, Module, PinnedArgument
from unbloat.evidence.config_reads import TYPE_PART
from unbloat.evidence.functions import is_guarded
from unbloat.evidence.names import HALT, UNSEEN
from unbloat.evidence.support import type_of
from unbloat.plan.guard_text import TEMPLATE, only
from unbloat.plan.removal import Removal
from unbloat.plan.view import View

_MODULE = "pinned"
_ALIAS = "unbloat_pinned"
FORBID, REQUIRE = "unbloat_forbid", "unbloat_require"
STRIPPED = "unbloat_stripped"
"""The name under which modules import the error that is no `Exception`."""
_PARTS = {UNSEEN: "unseen", HALT: "halt", STRIPPED: "Stripped", FORBID: "forbid", REQUIRE: "require"}


def guard_module(package: str, files: Iterable[str]) -> str:
    """The name of the generated module: `pinned`, unless the package has one of its own."""
    taken = set(files)
    return _ALIAS if {f"{package}/{_MODULE}.py", f"{package}/{_MODULE}/__init__.py"} & taken else _MODULE


def guard_edits(view: View, removals: Sequence[Removal]) -> dict[str, list[Edit]]:
    """The checks to insert, by file: where a config comes in from outside, and where an option was pinned."""
    edits: dict[str, list[Edit]] = {}
    package = next(iter(view.program.modules)).partition("/")[0]
    guard = guard_module(package, view.program.modules.keys() | view.program.strangers.keys())
    pinned_config = any(removal.support.keys or removal.support.types for removal in removals)
    pinned: dict[tuple[str, Span], dict[PinnedArgument, list[Removal]]] = {}
    on_environment: dict[str, list[Span]] = {}
    for removal in removals:
        for pin in removal.support.arguments:
            pinned.setdefault((pin.file, pin.function), {}).setdefault(pin, []).append(removal)
        if removal.support.environment:
            on_environment.setdefault(removal.file, []).append(removal.place)
    for file in sorted(view.files):
        module = view.program.modules[file]
        name = _ALIAS if any(guard in scope.bindings for scope in module.scopes.by_node.values()) else guard
        found: list[Edit] = []
        for function, _ in module.scopes.functions():
            if pinned_config:
                found += _config_checks(view.facts, module, function, name)
            found += _argument_checks(function, name, pinned.get((file, Span.of(function)), {}))
            if any(Span.of(function).holds(place) for place in on_environment.get(file, ())):
                found.append(InsertInFunction(Span.of(function), f"{name}.check_environment()"))
        named = {node.id for node in module.nodes if isinstance(node, ast.Name)}
        wires = [alias for alias in _PARTS if alias in named]
        if wires:
            parts = ", ".join(f"{_PARTS[alias]} as {alias}" for alias in wires)
            edits[file] = [InsertImport(f"from {package}.{guard} import {parts}")]
        if found or file in on_environment:  # importing the module checks the environment
            alias = f" as {name}" if name != guard else ""
            edits.setdefault(file, []).extend([InsertImport(f"from {package} import {guard}{alias}"), *found])
    return edits


def _config_checks(facts: Facts, module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> list[Edit]:
    if not is_guarded(facts, module, function):
        return []
    checks: list[Edit] = []
    for parameter, paths in facts.config_paths.get((module.file, Span.of(function)), {}).items():
        if len(paths) == 1 and paths[0] is not None:
            check = "check_object" if facts.is_object(paths[0]) else "check"
            prefix = f", {paths[0]!r}" if paths[0] else ""
            checks.append(InsertInFunction(Span.of(function), f"{name}.{check}({parameter}{prefix})"))
    return checks


def _argument_checks(
    function: ast.FunctionDef | ast.AsyncFunctionDef, name: str, gone: Mapping[PinnedArgument, Sequence[Removal]]
) -> list[Edit]:
    there = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    others = function.args.kwarg
    lost = sorted({pin.name for pin in gone} - there)
    refusals: list[Edit] = []
    if others is not None and lost:
        refusals.append(InsertInFunction(Span.of(function), f"{name}.refuse_options({others.arg}, {lost!r})"))
    checks: list[Edit] = [
        InsertInFunction(Span.of(function), f"{name}.{_check_of(pin)}{_shown(gone[pin])!r})")
        for pin in sorted(gone, key=lambda pin: pin.name)
        if pin.name in there  # one that is gone cannot be passed, unless among `**`
    ]
    return refusals + checks


def _check_of(pin: PinnedArgument) -> str:
    if not pin.values:
        return f"check_given({pin.name!r}, {pin.name}, "
    return f"check_argument({pin.name!r}, {pin.name}, {pin.values!r}, "


def guard_source(facts: Facts, removals: Sequence[Removal], checks: Iterable[Edit]) -> str:
    """The text of `pinned.py`: the tables, and of the functions those that `checks` call."""
    keys: dict[str, list[Removal]] = {}
    types: dict[str, list[Removal]] = {}
    variables: dict[str, list[Removal]] = {}
    for removal in removals:
        for key in removal.support.types:
            types.setdefault(key, []).append(removal)
        for key in removal.support.keys:
            # Of a mapping, all that a read of it alone can tell is that it is there.
            (types if facts.values[key][0][0] == "mapping" else keys).setdefault(key, []).append(removal)
        for variable in removal.support.environment:
            variables.setdefault(variable, []).append(removal)
    config = {key: (_pin(facts, key), _shown(keys[key])) for key in sorted(keys)}
    kinds = {key: (type_of(facts.values[key][0]), _shown(types[key])) for key in sorted(types.keys() - keys.keys())}
    environment = {name: (os.environ.get(name), _shown(variables[name])) for name in sorted(variables)}
    objects = {key: row for key, row in config.items() if facts.is_object(key)}
    objects |= {f"{key}.{TYPE_PART}": row for key, row in kinds.items() if facts.is_object(key)}
    config = {key: row for key, row in config.items() if not facts.is_object(key)}
    kinds = {key: row for key, row in kinds.items() if not facts.is_object(key)}
    text = TEMPLATE.format(
        config=_literal(config), types=_literal(kinds), objects=_literal(objects), environment=_literal(environment)
    )
    called = {word for edit in checks for word in re.findall(r"\w+", getattr(edit, "source", ""))}
    needed = {"check"} if config or kinds else set()
    needed |= {"check_object"} if objects else set()
    return only(text, called | needed | ({"check_environment"} if environment else set()))


def _pin(facts: Facts, key: str) -> object:
    kind, value = facts.values[key][0]
    if kind == "absent":
        return "<absent>"
    return value


def _shown(removals: Iterable[Removal]) -> str:
    """The legacy lines of some removals, joined, the longest stretches first; a few say enough.

    Where no line went as a whole, those on which something was rewritten.
    """
    removals = [*removals]
    lines: dict[str, set[int]] = {}
    for removal in removals:
        for first, last in removal.gone:
            lines.setdefault(removal.file, set()).update(range(first, last + 1))
    if not lines:
        for removal in removals:
            lines.setdefault(removal.file, set()).add(removal.place.line)
    stretches = [(file, first, last) for file, numbers in lines.items() for first, last in _stretches(numbers)]
    stretches.sort(key=lambda stretch: (stretch[1] - stretch[2], stretch))
    shown = ", ".join(f"{file}:{first}-{last}" if last > first else f"{file}:{first}" for file, first, last in stretches[:3])
    return shown + (f" and {len(stretches) - 3} more" if len(stretches) > 3 else "")


def _stretches(numbers: set[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive line numbers."""
    first = last = None
    for number in sorted(numbers):
        if last is not None and first is not None and number > last + 1:
            yield first, last
            first = number
        first = number if first is None else first
        last = number
    if first is not None and last is not None:
        yield first, last


def _literal(table: Mapping[str, tuple[object, str]]) -> str:
    if not table:
        return "{}"
    rows = "".join(f"    {key!r}: ({_value(value)}, {lines!r}),\n" for key, (value, lines) in table.items())
    return "{\n" + rows + "}"


def _value(value: object) -> str:
    return f"float({str(value)!r})" if isinstance(value, float) and value != value else repr(value)
