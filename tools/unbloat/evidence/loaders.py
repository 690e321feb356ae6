"""Who loads modules of the package by their names, or looks for them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

from unbloat.evidence.kept import kept
from unbloat.evidence.names import last_name
from unbloat.evidence.program import Module

_LOADERS = frozenset("import_module __import__".split())
# A module that is missing is no error to these.
_FINDERS = frozenset("iter_modules walk_packages find_spec find_loader all_objects".split())
# Nor to these, which list files: those of the package, where a module knows its own place.
_LISTERS = frozenset("glob iglob rglob iterdir listdir scandir walk".split())
_OWN_PLACE = frozenset("__file__ __path__".split())


def loads(modules: Collection[Module]) -> Iterator[tuple[Module, ast.expr]]:
    """The calls that may load or find a module of the package, and where what does so is handed on without being called."""
    for module in modules:
        for node in _loading(module):
            if not (isinstance(node, ast.Call) and _looks_elsewhere(module, node, modules)):
                yield module, node


def is_heard(module: Module, load: ast.expr) -> bool:
    """Whether a load raises an error there if it misses a module; nobody knows where one that is handed on will do so."""
    return isinstance(load, ast.Call) and _called(module, load) in _LOADERS


@kept
def _loading(module: Module) -> tuple[ast.expr, ...]:
    """What may load or find a module of the package, as far as a module's text tells."""
    knows_its_place = any(isinstance(node, ast.Name) and node.id in _OWN_PLACE for node in module.nodes)
    package = module.name.partition(".")[0]
    found: list[ast.expr] = []
    for node in module.nodes:
        match node:
            case ast.Call():
                name = _called(module, node)
                if name in _LOADERS | _FINDERS:
                    found += [] if _names_another_package(node, package) else [node]
                elif name in _LISTERS and knows_its_place:
                    found.append(node)
            case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()) if _original(module, node) in _LOADERS | _FINDERS:
                parent = module.parents[node]
                if not (isinstance(parent, ast.Call) and parent.func is node):
                    found.append(node)
    return tuple(found)


def _called(module: Module, call: ast.Call) -> str:
    return _original(module, call.func)


def _original(module: Module, node: ast.expr) -> str:
    """The last part of a name as the module that it was imported from has it."""
    name = last_name(node)
    return _renamed(module).get(name, name)


@kept
def _renamed(module: Module) -> Mapping[str, str]:
    aliases = (node for node in module.nodes if isinstance(node, ast.alias))
    return {one.asname: one.name.rpartition(".")[2] for one in aliases if one.asname}


def _looks_elsewhere(module: Module, call: ast.Call, modules: Collection[Module]) -> bool:
    """Whether the name that a call is given is what all calls of the function around it pass: another package's."""
    function = module.enclosing(call, (ast.FunctionDef, ast.AsyncFunctionDef))
    if _called(module, call) in _LISTERS or not isinstance(function, ast.FunctionDef):
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
        case ast.Call(args=[ast.Constant(value=str(name)), *_]):
            return name.partition(".")[0] not in ("", package)
    return False
