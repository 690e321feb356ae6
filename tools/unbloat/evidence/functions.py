"""Parts of functions and expressions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Facts
from unbloat.evidence.program import FUNCTIONS, Module
from unbloat.evidence.scopes import Function, ModuleScopes

# Trees are never changed in place, so what was found out about a function holds as long as it is in use.
_OWN_NODES: WeakKeyDictionary[ast.AST, tuple[ast.AST, ...]] = WeakKeyDictionary()


def own_nodes(function: ast.AST) -> tuple[ast.AST, ...]:
    """The nodes of a function, without those of functions and classes nested in it."""
    if (known := _OWN_NODES.get(function)) is not None:
        return known
    found: list[ast.AST] = []
    pending = list(ast.iter_child_nodes(function))
    while pending:
        node = pending.pop()
        found.append(node)
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(node))
    return _OWN_NODES.setdefault(function, tuple(found))


def lost_generators(before: ModuleScopes, after: ModuleScopes) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of `after` that were generators in `before` and are none any more, nor a mere error."""
    legacy = {Span.of(node): node for node, _ in before.functions()}
    for node, _ in after.functions():
        origin = legacy.get(Span.of(node))
        if origin is not None and _is_generator(origin) and not _is_generator(node) and not _is_wire(node):
            yield node


def _is_generator(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function))


def _is_wire(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether all that is left of a function is an error, which comes no later than a generator's would."""
    first = function.body[1 if ast.get_docstring(function, clean=False) is not None and function.body[1:] else 0]
    return isinstance(first, ast.Raise) and getattr(first, "inserted", False)


def default_of(function: Function, name: str) -> ast.expr | None:
    positional = [*function.args.posonlyargs, *function.args.args]
    optional = positional[len(positional) - len(function.args.defaults) :]
    defaults: dict[str, ast.expr | None] = {}
    for argument, default in zip(optional, function.args.defaults, strict=True):
        defaults[argument.arg] = default
    for argument, keyword_default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        defaults[argument.arg] = keyword_default
    return defaults.get(name)


def children(node: ast.expr) -> Iterable[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.comprehension):
            yield child.iter
            yield from child.ifs


def is_guarded(facts: Facts, module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function checks the config that it gets: whoever is not of the subject may call it."""
    is_called_from_outside = (module.file, Span.of(function)) in facts.external
    return is_called_from_outside or not function.name.startswith("_") or function.name == "__init__"
