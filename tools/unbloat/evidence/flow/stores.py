"""Which attributes the code that is left stores, and of which classes the objects are that it holds."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from unbloat.edit.edits import Span
from unbloat.evidence.circular import Circular
from unbloat.evidence.facts import Facts
from unbloat.evidence.flow.calls import Calls, Definition
from unbloat.evidence.program import FUNCTIONS, Module, Program

CONSTRUCTION = frozenset("__init__ __new__ __post_init__".split())


@dataclass(frozen=True, eq=False)
class Store:
    """One store; `value` is None where no expression of the source is what is stored."""

    module: Module
    node: ast.AST
    statement: ast.stmt
    value: ast.expr | None
    field_of: ast.ClassDef | None = None  # the dataclass whose constructor stores it

    @property
    def deletes(self) -> bool:
        """Whether it takes the attribute away, or may."""
        match self.node:
            case ast.Attribute(ctx=ast.Del()) | ast.Call(func=ast.Name(id="delattr")):
                return True
        return False


class Stores:
    """The attribute stores of a program."""

    def __init__(self, program: Program, facts: Facts, calls: Calls, files: frozenset[str]) -> None:
        """`files` are those that are stripped: what no workload executed elsewhere counts as a script of the user."""
        self._program = program
        self._facts = facts
        self._calls = calls
        self._of_family: dict[tuple[ast.ClassDef, str], list[Store]] = {}
        self._of_anybody: dict[str, list[Store]] = {}
        self._computed: list[tuple[Module, ast.expr, ast.ClassDef | None]] = []
        self._open_families: set[ast.ClassDef] = set()
        self._all_open = False
        self._classes: dict[str, ast.ClassDef] = {}
        self._building: Circular[Definition] = Circular(self._only_builds)
        self._known: dict[tuple[ast.ClassDef, str], list[Store] | None] = {}
        self._constructions: dict[ast.ClassDef, list[tuple[Module, ast.Call]] | None] = {}
        for module, node in program.walk():
            if module.file in files or facts.executed(module.file, getattr(node, "lineno", 0)):
                self._note(module, node)

    def of(self, owner: ast.ClassDef, name: str) -> list[Store] | None:
        """Every store to an attribute of a family; None if one cannot be told from the others."""
        root = self._program.family(owner)[0]
        if (root, name) not in self._known:
            self._known[root, name] = self._find(root, name)
        return self._known[root, name]

    def _find(self, root: ast.ClassDef, name: str) -> list[Store] | None:
        if self._all_open or root in self._open_families or name in self._program.stored_by_strangers:
            return None
        if any("__setattr__" in _methods(one) or "__getattribute__" in _methods(one) for one in self._program.family(root)):
            return None
        return [*self._of_family.get((root, name), []), *self._of_anybody.get(name, [])]

    def method(self, owner: ast.ClassDef, name: str) -> Definition | None:
        """The one method of that name in a family."""
        found = [_methods(one)[name] for one in self._program.family(owner) if name in _methods(one)]
        return found[0] if len(found) == 1 else None

    def are_construction(self, stores: list[Store]) -> bool:
        """Whether all stores happen while an object is made."""
        return all(self._builds(store.module, store.module.enclosing(store.node, FUNCTIONS)) for store in stores)

    def _builds(self, module: Module, function: ast.AST | None) -> bool:
        """Whether a function runs only while `__init__` does."""
        if function is None:
            return True  # the class body
        if isinstance(function, ast.Lambda):
            return False
        assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        return self._building(function)

    def _only_builds(self, function: Definition) -> bool:
        if function.name in CONSTRUCTION:
            return True
        module = self._program.module_of[function]
        return not self._calls.is_external(module, function) and all(
            call is not None
            and self._builds(where, where.enclosing(call, FUNCTIONS))
            and where.enclosing(call, FUNCTIONS) is not None
            for where, call in self._calls.callers(module, function)
        )

    def classes_of(self, module: Module, node: ast.expr) -> list[ast.ClassDef] | None:
        """The classes of the subject of which the runs saw instances in a field (`self.model`)."""
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name | ast.Attribute):
            return None
        if isinstance(node.value, ast.Name):
            scope = module.scope_of_name(node.value)
            owner = self._program.class_of_self(module, scope, node.value.id)
            owners = [owner] if owner is not None else None
        else:
            owners = self.classes_of(module, node.value)
        if owners is None:
            return None
        found: list[ast.ClassDef] = []
        for one in owners:
            stores = self.of(one, node.attr)
            if not stores:
                return None
            for store in stores:
                for kind, value in self._facts.stored.get((store.module.file, Span.of(store.statement)), (("other", ""),)):
                    known = self._classes.get(str(value)) if kind == "other" else None
                    if known is None:
                        return None
                    if known not in found:
                        found.append(known)
        return found

    def constructions(self, owner: ast.ClassDef) -> list[tuple[Module, ast.Call]] | None:
        """Every call that makes an object of a class; None if it is used otherwise than to be called or asked for."""
        if owner not in self._constructions:
            self._constructions[owner] = self._find_constructions(owner)
        return self._constructions[owner]

    def _find_constructions(self, owner: ast.ClassDef) -> list[tuple[Module, ast.Call]] | None:
        module = self._program.module_of[owner]
        found: list[tuple[Module, ast.Call]] = []
        for where, node in self._program.walk():
            if not isinstance(node, ast.Name) or node.id != owner.name or not isinstance(node.ctx, ast.Load):
                continue
            scope = where.scope_of_name(node)
            definition = self._program.definition(where, scope, node.id)
            if definition is None or definition[1].node is not owner:
                continue
            parent = where.parents[node]
            if isinstance(parent, ast.Call) and parent.func is node:
                found.append((where, parent))
            elif isinstance(parent, ast.keyword) and parent.arg == "default_factory":
                continue  # a default of its own fields, each made by its defaults
            elif (
                (isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "isinstance")
                or isinstance(parent, ast.arg | ast.AnnAssign)
                or self._is_annotation(where, node)
            ):
                continue
            else:
                return None
        return found if module.name not in self._exported_modules(owner.name) else None

    def _exported_modules(self, name: str) -> frozenset[str]:
        """Modules through which somebody asks for the class as an attribute."""
        return frozenset(
            target.name
            for module, node in self._program.walk()
            if isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.value, ast.Name)
            for target in [
                self._program.imported_module(
                    module, module.scopes.of_name.get(node.value) or module.scope_of(node), node.value.id
                )
            ]
            if isinstance(target, Module)
        )

    @staticmethod
    def _is_annotation(module: Module, node: ast.AST) -> bool:
        outer: ast.AST | None = module.parents.get(node)
        inner = node
        while isinstance(outer, ast.expr):
            inner, outer = outer, module.parents.get(outer)
        if isinstance(outer, ast.arg):
            return True
        if isinstance(outer, ast.AnnAssign):
            return inner is outer.annotation
        return isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) and inner is outer.returns

    def _note(self, module: Module, node: ast.AST) -> None:
        match node:
            case ast.ClassDef():
                self._note_class(module, node)
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                self._note_attribute(module, node)
            case ast.Attribute(attr="__dict__", value=base) | ast.Call(func=ast.Name(id="vars"), args=[base]):
                if not is_read(node, module.parents[node]):
                    self._open(module, base)
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[base, name, *_]):
                self._note_setattr(module, node, base, name)

    def _note_class(self, module: Module, node: ast.ClassDef) -> None:
        parent = module.parents[node]
        if isinstance(parent, ast.Module):
            self._classes[f"{module.name}:{node.name}"] = node
        for statement in node.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                    if isinstance(target, ast.Name):
                        decorated = bool(node.decorator_list) or self._program.has_foreign_base(node)
                        value = None if decorated and isinstance(statement, ast.AnnAssign) else statement.value
                        owner = node if is_plain_dataclass(self._program, node) else None
                        self._add(node, target.id, Store(module, statement, statement, value, owner))

    def _note_attribute(self, module: Module, node: ast.Attribute) -> None:
        statement = module.statement_of(node)
        parent = module.parents[node]
        plain = isinstance(parent, ast.Assign) and node in parent.targets
        value = (
            parent.value
            if isinstance(parent, ast.Assign | ast.AnnAssign) and (plain or isinstance(parent, ast.AnnAssign))
            else None
        )
        store = Store(module, node, statement, value)
        owner = None
        if isinstance(node.value, ast.Name):
            owner = self._program.class_of_self(module, module.scopes.of_name[node.value], node.value.id)
        if owner is not None:
            self._add(owner, node.attr, store)
        else:
            self._of_anybody.setdefault(node.attr, []).append(store)

    def _note_setattr(self, module: Module, node: ast.Call, base: ast.expr, name: ast.expr) -> None:
        names = (
            [name.value] if isinstance(name, ast.Constant) else sorted(self._facts.names.get((module.file, Span.of(name)), ()))
        )
        if not isinstance(name, ast.Constant):
            self._computed.append((module, name, self._program.self_class(module, base)))
        for one in names:
            self._of_anybody.setdefault(str(one), []).append(Store(module, node, module.statement_of(node), None))

    def computed(self, owner: ast.ClassDef) -> list[tuple[Module, ast.expr]]:
        """The expressions that compute the name of an attribute that is stored in an object of a family."""
        family = self._program.family(owner)
        return [(module, name) for module, name, of in self._computed if of is None or of in family]

    def _open(self, module: Module, base: ast.expr) -> None:
        """Anything may be stored in such an object."""
        owner = self._program.self_class(module, base)
        if owner is None:
            self._all_open = True
        else:
            self._open_families.add(self._program.family(owner)[0])

    def _add(self, owner: ast.ClassDef, name: str, store: Store) -> None:
        self._of_family.setdefault((self._program.family(owner)[0], name), []).append(store)


def is_plain_dataclass(program: Program, owner: ast.ClassDef) -> bool:
    """Whether `@dataclass` alone makes the constructor of a class."""
    decorators = [ast.unparse(one).partition("(")[0].rpartition(".")[2] for one in owner.decorator_list]
    family = program.family(owner)
    return decorators == ["dataclass"] and len(family) == 1 and not owner.bases and "__init__" not in _methods(owner)


def has_constructor(owner: ast.ClassDef) -> bool:
    return bool(CONSTRUCTION & _methods(owner).keys())


def is_read(node: ast.AST, parent: ast.AST) -> bool:
    """Whether a namespace is only looked at."""
    match parent:
        case ast.Attribute(attr=name):
            return name in ("get", "items", "keys", "values", "copy")
        case ast.Compare():
            return all(isinstance(operator, ast.In | ast.NotIn) for operator in parent.ops)
        case ast.Call(func=ast.Name(id=name)):
            return name in ("dict", "len", "sorted", "list", "set")
        case ast.Subscript(ctx=ast.Load()) | ast.For() | ast.comprehension():
            return True
    return False


def _methods(owner: ast.ClassDef) -> dict[str, Definition]:
    return {part.name: part for part in owner.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
