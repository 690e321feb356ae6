"""Attributes: what an object's field rests on, by everything that the code that is left stores in it."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Sequence

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Facts, Found
from unbloat.evidence.flow.atoms import DYNAMIC, OBJECT, STATIC, Atoms, Read, Source, join, union
from unbloat.evidence.flow.calls import Definition, enclosing_function
from unbloat.evidence.flow.containers import may_change
from unbloat.evidence.flow.expressions import Expressions
from unbloat.evidence.flow.stores import CONSTRUCTION, Store, Stores, has_constructor
from unbloat.evidence.program import FUNCTIONS, Module, Program

HARMLESS_DECORATORS = frozenset(
    "staticmethod classmethod property torch.no_grad() torch.no_grad torch.inference_mode()".split()
)


class Attributes(Expressions):
    """What the attributes of the subject's objects rest on."""

    def __init__(self, program: Program, facts: Facts, files: frozenset[str]) -> None:
        super().__init__(program, facts, files)
        self._stores = Stores(program, facts, self.calls, files)

    @abstractmethod
    def _resolved(self, atoms: Atoms) -> Atoms:
        """Atoms with every parameter replaced by what its callers pass."""

    def _resolved_source(self, found: Source) -> Source:
        return Source(self._resolved(found.content), self._resolved(found.presence))

    def _stored_attribute(self, owner: ast.ClassDef, name: str) -> Source:
        """A field: what the code that is left stores in it, wherever that is."""
        stores = self._stores.of(owner, name)
        if stores is None:
            return DYNAMIC
        # The runs saw which names `setattr` computed; others must not come about.
        named = union(self._resolved(self.source(*computed).content) for computed in self._stores.computed(owner))
        if named is None:
            return DYNAMIC
        method = self._stores.method(owner, name)
        if method is not None:
            return self._as_member(method) if not stores else DYNAMIC
        if not stores:
            return DYNAMIC
        found = [self._stored(store) for store in stores]
        if len(stores) > 1:
            if self._depends_on_class(stores):
                return DYNAMIC
            if not self._stores.are_construction(stores) and not _are_one_constant(stores):
                return DYNAMIC
            influences = [self._resolved(self._influence_of_calls(store.module, store.node)) for store in stores]
            found += [Source(atoms, atoms) for atoms in influences]
        joined = join([*found, Source(named, named)])
        seen = [one for store in stores for one in self._facts.stored.get((store.module.file, Span.of(store.statement)), ())]
        seen = [one for number, one in enumerate(seen) if one not in seen[:number]]
        if not is_one_value(seen) and any(kind != "other" for kind, _ in seen):
            joined = Source(None, joined.presence)
        return joined if is_one_presence(seen) else Source(joined.content, None)

    def _depends_on_class(self, stores: Sequence[Store]) -> bool:
        """Whether relatives have another value each from their class bodies: of which class an object is, data can tell."""
        in_bodies = [store for store in stores if store.module.enclosing(store.node, FUNCTIONS) is None]
        classes = {store.module.enclosing(store.node, (ast.ClassDef,)) for store in in_bodies}
        return len(classes) > 1 and not _are_one_constant(in_bodies)

    def _stored(self, store: Store) -> Source:
        if isinstance(store.node, ast.AnnAssign) and store.field_of is not None:
            return self._field(store.module, store.field_of, store.node)
        if store.value is None:
            return DYNAMIC
        found = self._resolved_source(self.source(store.module, store.value))
        return Source(None, found.presence) if may_change(store.value) else found

    def _field(self, module: Module, owner: ast.ClassDef, node: ast.AnnAssign) -> Source:
        """A field of a dataclass: what its constructor was called with, wherever that is, or its default."""
        assert isinstance(node.target, ast.Name)
        name = node.target.id
        position = [
            part.target.id for part in owner.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
        ]
        made = self._stores.constructions(owner)
        if not made:
            return DYNAMIC
        found = []
        for where, call in made:
            keyword = next((part.value for part in call.keywords if part.arg == name), None)
            if any(isinstance(part, ast.Starred) for part in call.args):
                return DYNAMIC
            if keyword is None and position.index(name) < len(call.args):
                keyword = call.args[position.index(name)]
            if keyword is not None:
                found.append(self._resolved_source(self.source(where, keyword)))
                continue
            unpacked = [part.value for part in call.keywords if part.arg is None]
            if unpacked:
                found.append(self._unpacked_field(where, call, unpacked, name))
            elif node.value is not None:
                found.append(self._default_of_field(module, node.value))
            else:
                return DYNAMIC
        return join(found) if len(found) == 1 else Source(None, join(found).presence)

    def _unpacked_field(self, where: Module, call: ast.Call, unpacked: list[ast.expr], name: str) -> Source:
        """A field that `**config` gives, or does not: the key of that name decides."""
        held = union(self._resolved(self.source(where, part).content) for part in unpacked)
        keys = [key for key in self._facts.keys_read(where.file, Span.of(call)) if key.rpartition(".")[2] == name]
        if held is None or len(keys) > 1 or any(self._may_vary(key) for key in keys):
            return DYNAMIC
        if not keys:
            return DYNAMIC
        function = enclosing_function(where, call)
        place = Span.of(call)
        content: Atoms = frozenset({Read(function, where.file, place, key=keys[0])})
        there: Atoms = frozenset({Read(function, where.file, place, presence=True, key=keys[0])})
        return Source(union([content, held]), union([there, held]))

    def _default_of_field(self, module: Module, default: ast.expr) -> Source:
        if isinstance(default, ast.Call):
            return OBJECT if any(part.arg == "default_factory" for part in default.keywords) else DYNAMIC
        return self.source(module, default)

    def _as_member(self, method: Definition) -> Source:
        if any(ast.unparse(one) == "property" for one in method.decorator_list):
            found = self._returned(method)
            return self._resolved_source(found)
        return STATIC if all(ast.unparse(one) in HARMLESS_DECORATORS for one in method.decorator_list) else DYNAMIC

    def _made(self, owner: ast.ClassDef, name: str) -> Atoms:
        """What it rests on that an object of `owner` has an attribute from its construction on; None if nobody can tell."""
        ancestors = self._program.ancestors(owner)
        method = self._stores.method(owner, name)
        stores = self._stores.of(owner, name) or []
        if method is not None and not stores:
            return frozenset() if self._program.module_of[method].parents[method] in ancestors else None
        if any(store.deletes for store in stores):
            return None
        stores = [store for store in stores if self._stores.are_construction([store])]
        if not stores:
            return None
        makers = [one for one in self._program.family(owner) if has_constructor(one)]
        parts: list[Atoms] = []
        for store in stores:
            of = store.module.enclosing(store.node, (ast.ClassDef,))
            in_body = store.module.enclosing(store.node, FUNCTIONS) is None
            if of not in ancestors or not (in_body or len(makers) == 1):
                continue  # what some relatives store, others need not
            parts.append(frozenset() if in_body else self._resolved(self._influence_of_calls(store.module, store.node)))
        if frozenset() in parts:
            return frozenset()
        return union(parts) if parts else None

    def _influence_of_calls(self, module: Module, node: ast.AST, seen: tuple[ast.AST, ...] = ()) -> Atoms:
        """What decides whether a node runs while its object is made, through the methods that the constructor calls."""
        function = module.enclosing(node, FUNCTIONS)
        parts = [self._influence(module, node)]
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or function.name in CONSTRUCTION:
            return union(parts)
        if function in seen:
            return None
        for where, call in self.calls.callers(module, function):
            parts.append(None if call is None else self._influence_of_calls(where, call, (*seen, function)))
        return union(parts)

    def _owners(self, module: Module, node: ast.expr) -> list[ast.ClassDef] | None:
        if isinstance(node, ast.Name):
            owner = self._program.self_class(module, node) or self._class_named(module, node)
            if owner is not None:
                return [owner]
        return self._stores.classes_of(module, node)


def is_one_value(seen: tuple[Found, ...] | list[Found]) -> bool:
    return len(seen) == 1 and seen[0][0] != "other"


def is_one_presence(seen: tuple[Found, ...] | list[Found]) -> bool:
    """Whether everything that was seen is of one type."""
    return len({type(value).__name__ if kind != "other" else str(value) for kind, value in seen}) <= 1


def _are_one_constant(stores: Sequence[Store]) -> bool:
    values = {ast.dump(store.value) if isinstance(store.value, ast.Constant) else None for store in stores}
    return len(values) == 1 and None not in values
