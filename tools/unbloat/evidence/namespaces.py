"""What code learns that asks `"name" in locals()`: whether its function has a variable at all."""

from __future__ import annotations

import ast

from unbloat.evidence.program import Module

# What can put a name into a function's namespace that none of its statements binds, or hand the namespace to who can.
_WRITERS = frozenset("eval exec locals vars _getframe currentframe".split())


def asks_for_no_variable(module: Module, node: ast.Compare) -> bool:
    """Whether `node` asks a function's namespace for a name that no function around it binds."""
    match node:
        case ast.Compare(left=ast.Constant(value=str(name)), comparators=[ast.Call() as call]):
            scope = module.scope_of(node)
            return asks_for_variables(module, call) and scope.resolve(name) in (None, scope.module())
    return False


def asks_for_variables(module: Module, node: ast.Call) -> bool:
    """Whether `node` is `locals()` in a function that does nothing with it but ask whether a name is in it.

    Where somebody holds the namespace, one more call changes it until Python 3.12, and what is written into it stays there.
    """
    scope = module.scope_of(node)
    if not scope.is_function or scope.resolve("locals") is not None:
        return False
    parts = list(ast.walk(scope.node))
    asked = [function for part in parts if (function := _asked(part)) is not None]
    return node.func in asked and not any(_named(part) in _WRITERS and part not in asked for part in parts)


def _asked(node: ast.AST) -> ast.Name | None:
    """The `locals` of a comparison `"name" in locals()` or `"name" not in locals()`; None if it is something else."""
    match node:
        case ast.Compare(
            left=ast.Constant(value=str()),
            ops=[ast.In() | ast.NotIn()],
            comparators=[ast.Call(func=ast.Name(id="locals") as function, args=[], keywords=[])],
        ):
            return function
    return None


def _named(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None
