"""The subject as one program: its modules as they stand after the edits so far, and who calls whom.

Names are resolved as far as Python's own rules and the package's imports settle them; what they leave open (a method of an
unknown object, a function handed to somebody) is reported as open, never guessed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from unbloat.evidence.kept import kept
from unbloat.evidence.patches import Patches, attribute_stores
from unbloat.evidence.related import absolute_name, module_name, related_files
from unbloat.evidence.scopes import Binding, Function, ModuleScopes, Scope, analyse_scopes

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, eq=False, repr=False)
class Module:
    """One file of the package."""

    file: str
    name: str
    tree: ast.Module
    scopes: ModuleScopes
    parents: Mapping[ast.AST, ast.AST]
    nodes: tuple[ast.AST, ...]  # all of them, outermost first: most questions look at each

    def statement_of(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that holds `node`."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def enclosing(self, node: ast.AST, kinds: tuple[type[ast.AST], ...]) -> ast.AST | None:
        """The nearest ancestor of one of `kinds`."""
        outer = self.parents.get(node)
        while outer is not None and not isinstance(outer, kinds):
            outer = self.parents.get(outer)
        return outer

    def imported_name(self, alias: ast.AST) -> str:
        """The dotted name of what a part of an import statement binds; it ends in `*` for a star import."""
        statement = self.parents[alias]
        assert isinstance(alias, ast.alias)
        if isinstance(statement, ast.Import):
            return alias.name if alias.asname else alias.name.partition(".")[0]
        assert isinstance(statement, ast.ImportFrom)
        return f"{absolute_name(self.name, self.file, statement)}.{alias.name}"

    def scope_of_name(self, name: ast.Name) -> Scope:
        """The scope in which a name is read or bound."""
        return self.scopes.of_name.get(name) or self.scope_of(name)

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope in which `node` is evaluated."""
        inner: ast.AST = node
        outer = self.parents.get(node)
        while outer is not None:
            if outer in self.scopes.by_node and _inside(outer, inner):
                return self.scopes.by_node[outer]
            inner, outer = outer, self.parents.get(outer)
        return self.scopes.module


def _inside(scope: ast.AST, child: ast.AST) -> bool:
    """Whether a direct child is evaluated in the scope itself (a default, decorator or first iterable is not)."""
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return any(child is statement for statement in scope.body)
    if isinstance(scope, ast.Lambda):
        return child is scope.body
    if isinstance(scope, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        return True  # the first iterable is told apart by `comprehension_source`
    return True


@dataclass(frozen=True, eq=False)
class Callee:
    """What a call reaches inside the subject."""

    module: Module
    function: Function
    bound: bool  # the first parameter is the object itself


class Program:
    """The modules of the package that are looked at together, at one stage of the specialisation.

    `strangers` are its other modules: what they name counts, what they do is not followed.
    """

    def __init__(self, trees: Mapping[str, ast.Module], strangers: Mapping[str, ast.Module] | None = None) -> None:
        self.modules = {file: _module(tree, file) for file, tree in trees.items()}
        self.strangers = {file: _module(tree, file) for file, tree in (strangers or {}).items()}
        self.by_name = {module.name: module for module in self.modules.values()}
        self.module_of: dict[ast.AST, Module] = {
            scope: module for module in self.modules.values() for scope in module.scopes.by_node
        }

    # -- names --------------------------------------------------------------------------------------------------

    def definition(self, module: Module, scope: Scope, name: str) -> tuple[Module, Binding] | None:
        """The one binding of a name, followed through the package's own imports; None if there is not exactly one."""
        holder = scope.resolve(name)
        seen: set[ast.AST] = set()
        while holder is not None and len(holder.bindings[name]) == 1:
            binding = holder.bindings[name][0]
            if binding.kind != "import":
                return module, binding
            found = None if binding.node in seen else self._imported(module, binding.node)
            if found is None:
                return None  # from elsewhere, or in a circle: `from . import part` in a package names the part itself
            seen.add(binding.node)
            module, name = found
            holder = module.scopes.module
        return None

    def _imported(self, module: Module, alias: ast.AST) -> tuple[Module, str] | None:
        """The module of the package that binds what an import names, and the name there."""
        statement = module.parents[alias]
        if not isinstance(alias, ast.alias) or not isinstance(statement, ast.ImportFrom):
            return None
        source = self.by_name.get(absolute_name(module.name, module.file, statement))
        if source is None or alias.name not in source.scopes.module.bindings:
            return None
        return source, alias.name

    def imported_module(self, module: Module, scope: Scope, name: str) -> Module | str | None:
        """The module that a name stands for: one of the package, or the dotted name of another's."""
        holder = scope.resolve(name)
        if holder is None or any(binding.kind != "import" for binding in holder.bindings[name]):
            return None
        names = {module.imported_name(binding.node) for binding in holder.bindings[name]}
        if len(names) != 1:
            return None  # Which one it is, a run tells.
        dotted = names.pop()
        return self.by_name.get(dotted, dotted)

    # -- calls --------------------------------------------------------------------------------------------------

    def callee(self, module: Module, scope: Scope, call: ast.Call) -> Callee | None:
        """The function of the subject that a call reaches, if that is settled."""
        function = call.func
        if isinstance(function, ast.Name):
            found = self.definition(module, scope, function.id)
            return self._callable(*found) if found else None
        if not isinstance(function, ast.Attribute):
            return None
        if isinstance(function.value, ast.Name):
            target = self.imported_module(module, scope, function.value.id)
            if isinstance(target, Module):
                found = self.definition(target, target.scopes.module, function.attr)
                return self._callable(*found) if found else None
            if owner := self.class_of_self(module, scope, function.value.id):
                return self._method(owner, function.attr)
        return None

    def _callable(self, module: Module, binding: Binding) -> Callee | None:
        node = binding.node
        name = getattr(node, "name", "")
        if isinstance(module.parents.get(node), ast.Module) and self.patches.module_name(name):
            return None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return None if node.decorator_list else Callee(module, node, bound=False)
        if isinstance(node, ast.ClassDef):
            return self._method(node, "__init__")
        if binding.kind == "assign" and isinstance(binding.value, ast.Lambda):
            return Callee(module, binding.value, bound=False)
        return None

    def _method(self, owner: ast.ClassDef, name: str) -> Callee | None:
        """A method that no relative of its class defines as well."""
        found = [
            node
            for relative in self.family(owner)
            for node in relative.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        ]
        if len(found) != 1 or self.patches.field(name):
            return None
        decorators = [ast.unparse(decorator) for decorator in found[0].decorator_list]
        if decorators not in ([], ["staticmethod"], ["classmethod"]):
            return None
        return Callee(self.module_of[found[0]], found[0], bound=decorators != ["staticmethod"])

    def self_class(self, module: Module, node: ast.AST) -> ast.ClassDef | None:
        """The class of which an expression is `self`."""
        return self.class_of_self(module, module.scope_of_name(node), node.id) if isinstance(node, ast.Name) else None

    def class_of_self(self, module: Module, scope: Scope, name: str) -> ast.ClassDef | None:
        """The class whose instance (or self) `name` is: the first parameter of a method, never rebound."""
        holder = scope.resolve(name)
        if holder is None or len(holder.bindings[name]) != 1:
            return None
        function = holder.node
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        owner = module.parents.get(function)
        arguments = [*function.args.posonlyargs, *function.args.args]
        if not isinstance(owner, ast.ClassDef) or not arguments or arguments[0].arg != name:
            return None
        if any(ast.unparse(decorator) == "staticmethod" for decorator in function.decorator_list):
            return None
        return owner

    # -- classes ------------------------------------------------------------------------------------------------

    def bases(self, owner: ast.ClassDef) -> tuple[list[ast.ClassDef], bool]:
        """The subject's classes that `owner` derives from, and whether it has a base from elsewhere."""
        module = self.module_of[owner]
        scope = module.scopes.by_node[owner].parent
        assert scope is not None
        known, foreign = [], False
        for base in owner.bases:
            found = self.definition(module, scope, base.id) if isinstance(base, ast.Name) else None
            if found is not None and isinstance(found[1].node, ast.ClassDef):
                known.append(found[1].node)
            else:
                foreign = foreign or not (isinstance(base, ast.Name) and base.id == "object")
        return known, foreign or bool(owner.keywords)

    def ancestors(self, owner: ast.ClassDef) -> list[ast.ClassDef]:
        """`owner` and the subject's classes that it derives from."""
        found = [owner]
        for one in found:
            found += [base for base in self.bases(one)[0] if base not in found]
        return found

    def family(self, owner: ast.ClassDef) -> list[ast.ClassDef]:
        """`owner` and every class of the subject related to it by inheritance."""
        return self._families[owner]

    def has_foreign_base(self, owner: ast.ClassDef) -> bool:
        return any(self.bases(relative)[1] for relative in self.family(owner))

    @cached_property
    def _families(self) -> dict[ast.ClassDef, list[ast.ClassDef]]:
        classes = [node for node in self.module_of if isinstance(node, ast.ClassDef)]
        family = {owner: [owner] for owner in classes}
        for owner in classes:
            for base in self.bases(owner)[0]:
                if family[base] is not family[owner]:
                    joined = family[base] + family[owner]
                    for member in joined:
                        family[member] = joined
        return family

    @cached_property
    def patches(self) -> Patches:
        """What is replaced from afar."""
        patches = Patches()
        for module in self.modules.values():

            def is_module(node: ast.expr, module: Module = module) -> bool:
                if not isinstance(node, ast.Name):
                    return False
                scope = module.scope_of_name(node)
                return isinstance(self.imported_module(module, scope, node.id), Module)

            def is_self(node: ast.expr, module: Module = module) -> bool:
                if not isinstance(node, ast.Name):
                    return False
                scope = module.scope_of_name(node)
                return self.class_of_self(module, scope, node.id) is not None

            patches.note(((node, module.parents.get(node)) for node in module.nodes), is_module, is_self)
        for name in self.stored_by_strangers:
            patches.note_store(name)
        return patches

    @cached_property
    def stored_by_strangers(self) -> frozenset[str]:
        """The attributes that other modules of the package store, other than in objects of classes of their own."""
        return frozenset(
            name
            for module in self.strangers.values()
            for base, name in attribute_stores(module.tree)
            if not (isinstance(base, ast.Name) and self._is_strangers_own(module, base))
        )

    def _is_strangers_own(self, module: Module, name: ast.Name) -> bool:
        owner = self.class_of_self(module, module.scopes.of_name[name], name.id)
        if owner is None:
            return False
        scope = module.scopes.by_node[owner].parent
        assert scope is not None
        bases = (self.definition(module, scope, base.id) for base in owner.bases if isinstance(base, ast.Name))
        return not any(found is not None and found[0].file in self.modules for found in bases)

    def module_at(self, file: str) -> Module:
        """The module in a file, followed or not."""
        return self.modules[file] if file in self.modules else self.strangers[file]

    def walk(self) -> Iterator[tuple[Module, ast.AST]]:
        for module in self.modules.values():
            for node in module.nodes:
                yield module, node


def program_around(trees: Mapping[str, ast.Module], files: frozenset[str]) -> Program:
    """The program that some files have to do with; the package's other modules are strangers to it."""
    related = related_files(trees, files)
    strangers = {file: tree for file, tree in trees.items() if file not in related}
    return Program({file: trees[file] for file in trees if file in related}, strangers)


@kept
def _module(tree: ast.Module, file: str) -> Module:
    nodes: list[ast.AST] = [tree]
    parents: dict[ast.AST, ast.AST] = {}
    for node in nodes:
        for child in ast.iter_child_nodes(node):
            parents[child] = node
            nodes.append(child)
    return Module(file, module_name(file), tree, analyse_scopes(tree), parents, tuple(nodes))
