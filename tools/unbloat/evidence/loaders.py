"""Calls that load modules of the package by their names, or look for them."""

from __future__ import annotations

import ast
from collections.abc import Collection

from unbloat.evidence.kept import kept
from unbloat.evidence.program import Module

LOADERS = frozenset("import_module __import__".split())
# A module that is missing is no error to these.
_FINDERS = frozenset("iter_modules walk_packages find_spec find_loader all_objects".split())
# Nor to these, which list files: those of the package, where a module knows its own place.
_LISTERS = frozenset("glob iglob rglob iterdir listdir scandir walk".split())
_OWN_PLACE = frozenset("__file__ __path__".split())


@kept
def loading_calls(module: Module) -> tuple[ast.Call, ...]:
    """The calls in a module that may load or find one of its package, as far as their texts tell."""
    knows_its_place = any(isinstance(node, ast.Name) and node.id in _OWN_PLACE for node in module.nodes)
    names = LOADERS | _FINDERS | (_LISTERS if knows_its_place else frozenset())
    calls = (node for node in module.nodes if isinstance(node, ast.Call) and called(node) in names)
    return tuple(call for call in calls if not _names_another_package(call, module.name.partition(".")[0]))


def called(node: ast.Call) -> str:
    """The last part of what a call names."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def looks_elsewhere(module: Module, call: ast.Call, modules: Collection[Module]) -> bool:
    """Whether the name that a call is given is what all calls of the function around it pass: another package's."""
    function = module.enclosing(call, (ast.FunctionDef, ast.AsyncFunctionDef))
    if called(call) in _LISTERS or not isinstance(function, ast.FunctionDef):
        return False
    if module.parents[function] is not module.tree:
        return False
    match function.args, call.args:
        case ast.arguments(posonlyargs=[], args=[ast.arg() as first, *_]), [ast.Name(id=name), *_] if name == first.arg:
            is_given = [one.node for one in module.scopes.by_node[function].bindings[name]] == [first]
            package = module.name.partition(".")[0]
            return is_given and all(_is_called_for_others(one, function.name, package) for one in modules)
    return False


@kept
def _is_called_for_others(module: Module, function: str, package: str) -> bool:
    """Whether a module only calls a function, with the name of another package each time."""
    for node in module.nodes:
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name == function:
                parent = module.parents[node]
                is_called = isinstance(parent, ast.Call) and parent.func is node
                if not is_called or not _names_another_package(parent, package):
                    return False
            case ast.alias(name=name, asname=str()) if name == function:
                return False
    return True


def _names_another_package(call: ast.AST, package: str) -> bool:
    match call:
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if called(call) not in _LISTERS:
            return name.partition(".")[0] not in ("", package)
    return False
