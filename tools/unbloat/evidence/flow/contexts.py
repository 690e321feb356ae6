"""Context managers that may swallow an error."""

from __future__ import annotations

import ast
import builtins

from unbloat.evidence.flow.calls import Calls, Definition
from unbloat.evidence.functions import own_nodes
from unbloat.evidence.names import last_name
from unbloat.evidence.program import Module

_SWALLOWING = ("suppress", "ExitStack", "raises")
_STACKS = ("ExitStack", "AsyncExitStack")
# What is entered on a stack is left with it, and may swallow as if it stood in the `with`; a callback cannot.
_ENTERING = ("enter_context", "enter_async_context")
_HARMLESS = ("callback", "push_async_callback", "close", "aclose")


def may_swallow(calls: Calls, module: Module, node: ast.With | ast.AsyncWith) -> bool:
    """Whether a `with` may go on behind an error: by its name, or by what the runs saw of the subject enter and leave it."""
    managers = _managers(calls, module, node)
    if managers is None or any(word in ast.unparse(one) for one in managers for word in _SWALLOWING):
        return True
    return _is_by_subject(calls, module, node, managers)


def suppressed(calls: Calls, module: Module, node: ast.With | ast.AsyncWith) -> list[ast.expr] | None:
    """The classes of errors behind which a `with` that may swallow goes on; None if that is not plain to see."""
    found: list[ast.expr] = []
    managers = _managers(calls, module, node)
    if managers is None:
        return None
    for one in managers:
        match one:
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=types, keywords=[]):
                found += types
            case other if any(word in ast.unparse(other) for word in _SWALLOWING):
                return None
    return None if _is_by_subject(calls, module, node, managers) else found


def _managers(calls: Calls, module: Module, node: ast.With | ast.AsyncWith) -> list[ast.expr] | None:
    """What a `with` enters, itself or on an `ExitStack`; None if somebody else may enter more."""
    found: list[ast.expr] = []
    for item in node.items:
        match item:
            case ast.withitem(ast.Call(func=function, args=[], keywords=[]), ast.Name() as stack) if (
                last_name(function) in _STACKS
            ):
                entered = _entered(module, item, stack)
                if entered is None or not all(_is_known(calls, module, one) for one in entered):
                    return None
                found += [one.args[0] for one in entered]
            case _:
                found.append(item.context_expr)
    return found


def _entered(module: Module, item: ast.withitem, stack: ast.Name) -> list[ast.Call] | None:
    """The calls that enter something on a stack; None if something else is done with it."""
    scope = module.scope_of_name(stack)
    if not scope.is_function or [one.node for one in scope.bindings[stack.id]] != [item]:
        return None
    found: list[ast.Call] = []
    for inner in module.scopes.by_node.values():
        for name in inner.reads.get(stack.id, ()) if inner.resolve(stack.id) is scope else ():
            match module.parents[name]:
                case ast.Attribute(attr=method) as attribute if method in (*_ENTERING, *_HARMLESS):
                    call = module.parents[attribute]
                    if not isinstance(call, ast.Call) or call.func is not attribute:
                        return None
                    if method in _ENTERING and not call.args:
                        return None
                    found += [call] if method in _ENTERING else []
                case _:
                    return None
    return found


def _is_known(calls: Calls, module: Module, entering: ast.Call) -> bool:
    """Whether what is entered is another package's, or the runs saw who of the package it was."""
    if calls.beneath(module, entering):
        return True
    root = entering.args[0]
    while isinstance(root, ast.Call | ast.Attribute):
        root = root.func if isinstance(root, ast.Call) else root.value
    if not isinstance(root, ast.Name):
        return False
    holder = module.scope_of_name(root).resolve(root.id)
    package = module.name.partition(".")[0]
    if holder is None:
        return hasattr(builtins, root.id)
    return all(
        one.kind == "import" and module.imported_name(one.node).partition(".")[0] != package for one in holder.bindings[root.id]
    )


def _is_by_subject(calls: Calls, module: Module, node: ast.With | ast.AsyncWith, managers: list[ast.expr]) -> bool:
    return any(_swallows(function) for part in [*managers, node] for _, function in calls.beneath(module, part))


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
