"""Context managers that may swallow an error."""

from __future__ import annotations

import ast

from unbloat.evidence.flow.calls import Calls, Definition
from unbloat.evidence.functions import own_nodes
from unbloat.evidence.program import Module

_SWALLOWING = ("suppress", "ExitStack", "raises")


def may_swallow(calls: Calls, module: Module, node: ast.With | ast.AsyncWith) -> bool:
    """Whether a `with` may go on behind an error: by its name, or by what the runs saw of the subject enter and leave it."""
    if any(word in ast.unparse(item.context_expr) for item in node.items for word in _SWALLOWING):
        return True
    return _is_by_subject(calls, module, node)


def suppressed(calls: Calls, module: Module, node: ast.With | ast.AsyncWith) -> list[ast.expr] | None:
    """The classes of errors behind which a `with` that may swallow goes on; None if that is not plain to see."""
    found: list[ast.expr] = []
    for item in node.items:
        match item.context_expr:
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=types, keywords=[]):
                found += types
            case other if any(word in ast.unparse(other) for word in _SWALLOWING):
                return None
    return None if _is_by_subject(calls, module, node) else found


def _is_by_subject(calls: Calls, module: Module, node: ast.With | ast.AsyncWith) -> bool:
    around = [item.context_expr for item in node.items]
    return any(_swallows(function) for part in [*around, node] for _, function in calls.beneath(module, part))


def _swallows(function: Definition) -> bool:
    nodes = own_nodes(function)
    if function.name in ("__exit__", "__aexit__"):
        returned = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
        return not all(isinstance(value, ast.Constant) and not value.value for value in returned)
    if not any(isinstance(node, ast.Yield) for node in nodes):
        return False
    # `@contextmanager`: the error comes up at the `yield`.
    return any(
        (node.handlers or any(isinstance(part, ast.Return) for part in node.finalbody))
        and any(isinstance(part, ast.Yield) for one in node.body for part in ast.walk(one))
        for node in nodes
        if isinstance(node, ast.Try | ast.TryStar)
    )
