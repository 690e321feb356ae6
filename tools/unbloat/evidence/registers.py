"""What a module does for others when it is loaded: it registers classes and functions where they are looked up by name.

An import that nothing reads may be there for that alone. Asking a registry for what nobody registered is not always an
error: it may have a default.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from unbloat.evidence.names import last_name
from unbloat.evidence.program import Module, Program
from unbloat.evidence.related import absolute_name, loaded_files
from unbloat.evidence.scopes import Scope

_ADDING = frozenset("add append extend insert setdefault update".split())


def may_keep_book(program: Program, module: Module, scope: Scope, decorator: ast.expr) -> bool:
    """Whether a decorator is the package's own, like `MODELS.register()`, or one from elsewhere that says it registers."""
    if isinstance(decorator, ast.Attribute) and decorator.attr in ("setter", "getter", "deleter"):
        return False
    root = _root(decorator)
    if root is None or scope.resolve(root.id) is None:
        return False  # a builtin
    source = program.imported_module(module, scope, root.id)
    is_foreign = isinstance(source, str) and source.partition(".")[0] != module.name.partition(".")[0]
    return not is_foreign or _says_so(decorator)


def registering_modules(program: Program) -> frozenset[str]:
    """The files of the modules that register something when they are loaded, themselves or through what they import."""
    modules = {**program.modules, **program.strangers}
    loads = {file: set(_loads(module, modules)) for file, module in modules.items()}
    found = {
        file for file, module in modules.items() if any(_registers(program, module, part) for part in _at_import(module.tree))
    }
    while more := {file for file, loaded in loads.items() if file not in found and loaded & found}:
        found |= more
    return frozenset(found)


def loaded_by(module: Module, statement: ast.Import | ast.ImportFrom, alias: ast.alias, program: Program) -> set[str]:
    """The files of the package that an imported name loads."""
    return _loaded(module, statement, alias, {**program.modules, **program.strangers})


def _loaded(
    module: Module, statement: ast.Import | ast.ImportFrom, alias: ast.alias, modules: Mapping[str, Module]
) -> set[str]:
    """Without the packages that the module lies in, which are there already."""
    dotted = alias.name
    if isinstance(statement, ast.ImportFrom):
        dotted = f"{absolute_name(module.name, module.file, statement)}.{alias.name}"
    return set(loaded_files(dotted, modules)) - set(loaded_files(module.name, modules))


def _loads(module: Module, modules: Mapping[str, Module]) -> Iterator[str]:
    for node in _at_import(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield from _loaded(module, node, alias, modules)


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that are evaluated when a module is loaded, definitions included and their bodies not."""
    for child in ast.iter_child_nodes(tree):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _at_import(child)


def _registers(program: Program, module: Module, node: ast.AST) -> bool:
    """Whether a part of a module puts something where others find it."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            called = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
            scope = module.scope_of(node)
            return any(may_keep_book(program, module, scope, one) and not _only_wraps(program, module, one) for one in called)
        case ast.Expr(value=ast.Call(func=function)):
            return _says_so(function) or (last_name(function) in _ADDING and _is_imported(module, function))
        case ast.Subscript(ctx=ast.Store()) | ast.Attribute(ctx=ast.Store()):
            return _is_imported(module, node)
    return False


def _only_wraps(program: Program, module: Module, decorator: ast.expr) -> bool:
    """Whether a decorator is a function or class of the package that stores nothing but, in itself, what it wraps."""
    if not isinstance(decorator, ast.Name):
        return False
    found = program.definition(module, module.scopes.module, decorator.id)
    if found is None or not isinstance(found[1].node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return not any(map(_stores, ast.walk(found[1].node)))


def _stores(node: ast.AST) -> bool:
    match node:
        case ast.Global() | ast.Subscript(ctx=ast.Store()):
            return True
        case ast.Attribute(value=owner, ctx=ast.Store()):
            return not (isinstance(owner, ast.Name) and owner.id == "self")
        case ast.Call(func=function):
            return last_name(function) in _ADDING or _says_so(function)
    return False


def _is_imported(module: Module, node: ast.expr) -> bool:
    root = _root(node)
    holder = module.scopes.module.bindings.get(root.id, ()) if root is not None else ()
    return any(binding.kind == "import" for binding in holder)


def _says_so(node: ast.expr) -> bool:
    return "register" in last_name(node)


def _root(node: ast.expr) -> ast.Name | None:
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node if isinstance(node, ast.Name) else None
