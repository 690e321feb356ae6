"""When a variable is read: whether the code alone says which of its bindings a read finds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.evidence.program import Module
from unbloat.evidence.scopes import Binding, Scope

_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def is_read_at_one_time(module: Module, holder: Scope, node: ast.Name) -> bool:
    """Whether a variable has one value wherever this read happens.

    Not so if a function inside of its own reads it and it is bound more than once, or if an earlier pass of a loop may have
    bound it: data may decide when, or in which pass, the read happens.
    """
    bindings = holder.bindings[node.id]
    if len(bindings) == 1 or _are_one_constant(bindings) or not holder.is_function:
        return True
    reader = module.scope_of_name(node)
    while reader.is_comprehension and reader.parent is not None and reader is not holder:
        reader = reader.parent
    if reader is not holder:
        return False
    around = list(_loops_around(module, node))
    for binding in bindings:
        if binding.kind == "parameter":
            continue
        shared = [loop for loop in _loops_around(module, binding.node) if loop in around]
        if any(not _is_bound_anew(module, loop, bindings, node) for loop in shared):
            return False
    return True


def varies(module: Module, holder: Scope, node: ast.Name) -> bool:
    """Whether a variable may have another value in the next pass of a loop around a read."""
    return any(_varies_in(module, holder, node.id, loop, set()) for loop in _loops_around(module, node))


def _varies_in(module: Module, holder: Scope, name: str, loop: ast.AST, seen: set[str]) -> bool:
    if name in seen or name not in holder.bindings:
        return False
    seen.add(name)
    for binding in holder.bindings[name]:
        if binding.node is loop:
            return True
        if binding.kind == "parameter" or loop not in _loops_around(module, binding.node):
            continue
        if binding.value is None:
            return True
        inside = (part.id for part in ast.walk(binding.value) if isinstance(part, ast.Name))
        if any(_varies_in(module, holder, one, loop, seen) for one in inside):
            return True
    return len(holder.bindings[name]) > 1 and not _are_one_constant(holder.bindings[name])


def _loops_around(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    outer = module.parents.get(node)
    while outer is not None and not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        if isinstance(outer, _LOOPS):
            yield outer
        outer = module.parents.get(outer)


def _is_bound_anew(module: Module, loop: ast.AST, bindings: list[Binding], read: ast.Name) -> bool:
    """Whether each pass of a loop binds the variable, before it reads it, whatever else happens in it."""
    fresh = {binding.node for binding in bindings}
    if loop in fresh:
        return True  # the loop's own variable
    inner: ast.AST = read
    while inner is not loop:
        outer = module.parents[inner]
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(outer, block, None)
            if isinstance(statements, list) and inner in statements:
                before = statements[: statements.index(inner)]
                if any(statement in fresh for statement in before):
                    return True
        inner = outer
    return False


def _are_one_constant(bindings: list[Binding]) -> bool:
    values = {ast.dump(one.value) if isinstance(one.value, ast.Constant) else None for one in bindings}
    return len(values) == 1 and None not in values
