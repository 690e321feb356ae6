"""Who calls each function, which functions and attributes escape, and who stores each attribute."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from unbloat.evidence.program import FUNCTIONS, Callee, Module, Program
from unbloat.evidence.references import asked_for_by_strangers, names_in_strings
from unbloat.evidence.scopes import Function


class Callers:
    """Who calls each function, what escapes, and who stores each attribute."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._calls: dict[Function, list[tuple[Module, ast.Call, Callee]]] = {}
        self._escaped: set[Function] = set()
        self._stores: dict[str, list[tuple[Module, ast.AST, ast.expr | None, ast.ClassDef | None]]] = {}
        self._any_store = False
        self._imported: set[tuple[str, str]] = set()
        self._open_names: set[str] = set()
        self._open_modules: set[Module] = set()
        self._open_families: set[ast.ClassDef] = set()
        self._any_method = False
        self._asked_for = asked_for_by_strangers(program)
        for module, node in program.walk():
            self._note(module, node)
        for module in program.strangers.values():
            for node in module.nodes:
                self._note_strange(module, node)

    def of(self, function: Function) -> list[tuple[Module, ast.Call, Callee]]:
        return self._calls.get(function, [])

    def escapes(self, function: Function) -> bool:
        """Whether somebody may call a function in a way that is not seen here."""
        if isinstance(function, ast.Lambda):
            return function in self._escaped
        if function in self._escaped or bool(function.decorator_list) or function.name in self._open_names:
            return True
        module = self._program.module_of[function]
        owner = module.parents[function]
        if isinstance(owner, ast.ClassDef):
            if self._any_method or owner in self._open_families or function.name in self._asked_for:
                return True
        return module in self._open_modules

    def is_imported(self, module: Module, name: str) -> bool:
        return (module.name, name) in self._imported

    def stores(self, owner: ast.ClassDef, name: str) -> list[tuple[Module, ast.AST, ast.expr | None]] | None:
        """Every store to an attribute of the family; None if a store cannot be attributed."""
        if self._any_store or name in self._program.stored_by_strangers:
            return None
        family = self._program.family(owner)
        return [(module, node, value) for module, node, value, of in self._stores.get(name, []) if of is None or of in family]

    def are_construction(self, stores: list[tuple[Module, ast.AST, ast.expr | None]]) -> bool:
        """Whether all stores belong to one class's body or its `__init__`."""
        owners = set()
        for module, node, _ in stores:
            function = module.enclosing(node, FUNCTIONS)
            if isinstance(function, ast.Lambda) or (function is not None and function.name != "__init__"):  # type: ignore[attr-defined]
                return False
            owners.add(module.enclosing(node, (ast.ClassDef,)))
        return len(owners) == 1

    def _note(self, module: Module, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self._note_call(module, node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            self._note_reference(module, node)
        elif isinstance(node, ast.Attribute):
            self._note_attribute(module, node)
        elif isinstance(node, ast.Constant):
            # `globals()["name"]` and the like
            self._open_names.update(names_in_strings(node))
        elif isinstance(node, ast.ClassDef):
            self._note_class(module, node)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                target = self._program.imported_module(module, module.scope_of(node), alias.asname or alias.name)
                if isinstance(target, str):
                    owner, _, name = target.rpartition(".")
                    self._imported.add((owner, name))

    def _note_strange(self, module: Module, node: ast.AST) -> None:
        """What a module that is not followed imports, it may call as it likes."""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            scope = module.scopes.of_name[node]
            target = self._program.imported_module(module, scope, node.id)
            if isinstance(target, Module):
                self._open_modules.add(target)
                return
            found = self._program.definition(module, scope, node.id)
            if found is None or found[0] is module:
                return
            if isinstance(found[1].node, ast.ClassDef):
                self._open_families.update(self._program.family(found[1].node))
            elif isinstance(found[1].node, FUNCTIONS):
                self._escaped.add(found[1].node)

    def _note_call(self, module: Module, node: ast.Call) -> None:
        callee = self._program.callee(module, module.scope_of(node), node)
        if callee is not None:
            self._calls.setdefault(callee.function, []).append((module, node, callee))
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name in ("globals", "getattr"):
            self._note_lookup(module, node)
        if name in ("setattr", "delattr"):
            literal = node.args[1] if len(node.args) > 1 else None
            if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
                self._stores.setdefault(literal.value, []).append((module, node, None, None))
            else:
                self._any_store = True
        elif (name == "vars" and node.args) or (name == "type" and len(node.args) > 1):
            self._any_store = True

    def _note_lookup(self, module: Module, node: ast.Call) -> None:
        """`globals()[name]` and `getattr(x, name)` with a computed name may find any function of a module or class."""
        if isinstance(node.func, ast.Name) and node.func.id == "globals":
            parent = module.parents[node]
            if not (isinstance(parent, ast.Subscript) and isinstance(parent.slice, ast.Constant)):
                self._open_modules.add(module)
            return
        if len(node.args) < 2 or isinstance(node.args[1], ast.Constant):
            return
        base, parent = node.args[0], module.parents[node]
        self._any_method = self._any_method or (isinstance(parent, ast.Call) and parent.func is node)
        if isinstance(base, ast.Name):
            target = self._program.imported_module(module, module.scope_of(node), base.id)
            if isinstance(target, Module):
                self._open_modules.add(target)
            if owner := self._program.class_of_self(module, module.scope_of(node), base.id):
                self._open_families.update(self._program.family(owner))

    def _note_reference(self, module: Module, node: ast.Name) -> None:
        """A function that is named without being called may be called by anybody."""
        parent = module.parents[node]
        if isinstance(parent, ast.Call) and parent.func is node:
            return
        found = self._program.definition(module, module.scopes.of_name[node], node.id)
        if found is None:
            return
        target = found[1].node if not isinstance(found[1].value, ast.Lambda) else found[1].value
        if isinstance(target, FUNCTIONS):
            self._escaped.add(target)

    def _note_attribute(self, module: Module, node: ast.Attribute) -> None:
        parent = module.parents[node]
        if isinstance(node.ctx, ast.Store | ast.Del):
            owner = None
            if isinstance(node.value, ast.Name):
                owner = self._program.class_of_self(module, module.scopes.of_name[node.value], node.value.id)
            value = parent.value if isinstance(parent, ast.Assign | ast.AnnAssign) else None
            if isinstance(parent, ast.Assign) and node not in parent.targets:
                value = None
            self._stores.setdefault(node.attr, []).append((module, node, value, owner))
        elif node.attr == "__dict__":
            self._any_store = True
        elif not (isinstance(parent, ast.Call) and parent.func is node and self._is_settled(module, parent)):
            self._open_names.add(node.attr)

    def _is_settled(self, module: Module, call: ast.Call) -> bool:
        return self._program.callee(module, module.scope_of(call), call) is not None

    def _note_class(self, module: Module, node: ast.ClassDef) -> None:
        for statement in node.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        self._stores.setdefault(target.id, []).append((module, statement, statement.value, node))
        for name, bindings in module.scopes.by_node[node].bindings.items():
            for binding in bindings:
                if binding.kind not in ("assign", "annotation") or binding.node not in node.body:
                    self._stores.setdefault(name, []).append((module, binding.node, None, node))


def own_nodes(function: ast.AST) -> Iterable[ast.AST]:
    """The nodes of a function, without those of functions and classes nested in it."""
    pending = list(ast.iter_child_nodes(function))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(node))


def is_generator(function: ast.AST) -> bool:
    """Whether a function runs piece by piece, whenever somebody asks."""
    return isinstance(function, ast.AsyncFunctionDef) or any(
        isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function)
    )


def has_default(function: Function, name: str) -> bool:
    return default_of(function, name) is not None


def default_of(function: Function, name: str) -> ast.expr | None:
    positional = [*function.args.posonlyargs, *function.args.args]
    optional = positional[len(positional) - len(function.args.defaults) :]
    defaults: dict[str, ast.expr | None] = {}
    for argument, default in zip(optional, function.args.defaults, strict=True):
        defaults[argument.arg] = default
    for argument, keyword_default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        defaults[argument.arg] = keyword_default
    return defaults.get(name)


def argument_of(call: ast.Call, callee: Callee, name: str) -> ast.expr | None:
    """What a call passes for a parameter: the argument, the default, or None if that is not plain to see."""
    if any(isinstance(part, ast.Starred) for part in call.args) or any(part.arg is None for part in call.keywords):
        return None
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    positional = [argument.arg for argument in [*callee.function.args.posonlyargs, *callee.function.args.args]]
    if name in positional:
        index = positional.index(name) - (1 if callee.bound else 0)
        if 0 <= index < len(call.args):
            return call.args[index]
    return default_of(callee.function, name)
