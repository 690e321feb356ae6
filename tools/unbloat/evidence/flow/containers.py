"""Containers that somebody may change after they were made: what is in them is settled only if nobody does."""

from __future__ import annotations

import ast

from unbloat.evidence.program import Module, Program
from unbloat.evidence.scopes import Scope

_LOOKING_FUNCTIONS = frozenset(
    "all any bool dict enumerate frozenset isinstance len list max min set sorted str sum tuple zip".split()
)
_LOOKING_METHODS = frozenset("copy count get index items keys values".split())
_MAKERS = frozenset("bytearray dict globals iter list locals set sorted vars".split())
_MAKING_METHODS = frozenset("copy deepcopy items keys split to_container values".split())


def may_change(value: ast.expr) -> bool:
    """Whether an expression makes, or hands on, a container that somebody may change."""
    match value:
        case ast.List() | ast.Set() | ast.Dict() | ast.ListComp() | ast.SetComp() | ast.DictComp():
            return True
        case ast.Tuple(elts=parts):
            return any(may_change(one) for one in parts)
        case ast.Call(func=ast.Name(id=name)):
            return name in _MAKERS
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in _MAKING_METHODS
        case ast.IfExp(body=body, orelse=orelse):
            return may_change(body) or may_change(orelse)
        case ast.BoolOp(values=values):
            return any(may_change(one) for one in values)
        case ast.NamedExpr(value=held) | ast.Starred(value=held):
            return may_change(held)
    return False


def makes_empty(value: ast.expr) -> bool:
    """Whether an expression makes a container with nothing in it."""
    match value:
        case ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=ast.Name(id="dict" | "frozenset" | "list" | "set" | "tuple"), args=[], keywords=[]):
            return True
    return False


def is_changed(program: Program, module: Module, scope: Scope, name: str, value: ast.expr) -> bool:
    """Whether a container with a name is changed, or handed to somebody who may change it or what is in it."""
    flat = _is_flat(value)
    for other in module.scopes.by_node.values():
        for read in other.reads.get(name, ()):
            if other.resolve(name) is scope and not _only_looked_at(module, read, flat):
                return True
    if scope.is_function or scope.is_comprehension:
        return False
    if not isinstance(scope.node, ast.Module):
        return True
    # A module's container may be reached from any other module.
    return any(
        not _only_looked_at(where, node, flat)
        for where, node in program.walk()
        if (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) and where is not module)
        or (isinstance(node, ast.Attribute) and node.attr == name)
    )


def _is_flat(value: ast.expr) -> bool:
    """Whether nothing in a container can be changed itself."""
    match value:
        case ast.List(elts=parts) | ast.Set(elts=parts) | ast.Tuple(elts=parts):
            return all(isinstance(one, ast.Constant) or (isinstance(one, ast.Tuple) and _is_flat(one)) for one in parts)
        case ast.Dict(values=parts):
            return all(isinstance(one, ast.Constant) or (isinstance(one, ast.Tuple) and _is_flat(one)) for one in parts)
        case ast.Call(func=ast.Attribute(attr="split")):
            return True
    return makes_empty(value)


def _only_looked_at(module: Module, read: ast.expr, flat: bool) -> bool:
    """Whether a place where a container is mentioned leaves it as it is; with `flat`, what it holds needs no care."""
    parent = module.parents[read]
    match parent:
        case ast.Subscript(value=value, ctx=ast.Load()):
            return value is read and (flat or _only_looked_at(module, parent, flat))
        case ast.Compare() | ast.If() | ast.While() | ast.FormattedValue() | ast.UnaryOp():
            return True
        case ast.For(iter=source) | ast.comprehension(iter=source):
            return source is read and flat
        case ast.Call(func=ast.Name(id=name)):
            return name in _LOOKING_FUNCTIONS and (flat or name in ("len", "isinstance", "bool", "str"))
        case ast.Attribute(attr=name):
            call = module.parents[parent]
            if name not in _LOOKING_METHODS or not isinstance(call, ast.Call) or call.func is not parent:
                return False
            return flat or name in ("count", "index", "keys") or _only_looked_at(module, call, flat)
    return False
