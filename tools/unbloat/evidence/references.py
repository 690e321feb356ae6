"""What can reach what: definitions that nothing kept refers to.

Reachability starts from what runs without being called (module level), from every name that workloads mention and from
every function that an outsider was seen to call. A name in a string counts as a reference, since `getattr`, `globals`
and config targets look names up that way.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Facts
from unbloat.evidence.kept import kept
from unbloat.evidence.loaders import loads
from unbloat.evidence.names import last_name
from unbloat.evidence.program import Module, Program
from unbloat.evidence.registers import may_keep_book

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IDENTIFIER = re.compile(r"[^\W\d]\w*")


class References:
    """The definitions of a program that something kept can reach."""

    def __init__(self, program: Program, facts: Facts, outside: frozenset[str]) -> None:
        self._program = program
        self._facts = facts
        self.outside = outside
        self._by_name: dict[str, list[Definition]] = {}
        for _, node in program.walk():
            if isinstance(node, _DEFINITIONS):
                self._by_name.setdefault(node.name, []).append(node)
        self._asked_for = asked_for_by_strangers(program)
        self._exported = _exports_to(program, program.strangers.values())
        self._reached: set[Definition] = set()
        self._looked_up = frozenset(name for name in self._by_name if self._may_be_looked_up(name))
        self._registers = any(
            isinstance(node, ast.Attribute | ast.FunctionDef) and _name_of(node) in ("__subclasses__", "__init_subclass__")
            for _, node in program.walk()
        )
        self._reach()

    @property
    def asked_for(self) -> frozenset[str]:
        """The attributes that modules which are not followed may ask for."""
        return self._asked_for

    def is_reached(self, definition: Definition) -> bool:
        return definition in self._reached

    def _reach(self) -> None:
        pending: list[ast.AST] = [module.tree for module in self._program.modules.values()]
        for definition in (node for nodes in self._by_name.values() for node in nodes):
            if self._is_root(definition):
                owner = self._program.module_of[definition].parents[definition]
                if isinstance(owner, ast.ClassDef):
                    self._take(owner, pending)  # somebody has an object of it
                self._take(definition, pending)
        while pending:
            for name in _mentions(pending.pop()):
                for definition in self._by_name.get(name, ()):
                    self._take(definition, pending)

    def _take(self, definition: Definition, pending: list[ast.AST]) -> None:
        if definition in self._reached:
            return
        owner = self._program.module_of[definition].parents[definition]
        if isinstance(owner, ast.ClassDef) and owner not in self._reached:
            return  # a method of a class that nobody reaches; taken with its class
        self._reached.add(definition)
        pending.append(definition)
        if isinstance(definition, ast.ClassDef):
            # Its methods may have been mentioned before; those that Python or a framework calls need no mention.
            for node in definition.body:
                if isinstance(node, _DEFINITIONS) and (self._is_implicit(definition, node) or self._was_mentioned(node)):
                    self._take(node, pending)

    def _is_root(self, definition: Definition) -> bool:
        module = self._program.module_of[definition]
        if (module.file, Span.of(definition)) in self._facts.external or self._is_registered(definition):
            return True
        if isinstance(module.parents[definition], ast.ClassDef):
            return False
        is_exported = bool({(module.name, definition.name), (module.name, "*")} & self._exported)
        return is_exported or definition.name in self.outside or definition.name in self._looked_up

    def _is_registered(self, definition: Definition) -> bool:
        """Whether defining it alone may have an effect: a decorator or a base class that keeps book."""
        module = self._program.module_of[definition]
        scope = module.scope_of(definition)
        for decorator in definition.decorator_list:
            function = decorator.func if isinstance(decorator, ast.Call) else decorator
            if ast.unparse(function).startswith("torch.jit."):
                return True  # it compiles what it gets, and warns
            if may_keep_book(self._program, module, scope, function):
                return True
        if not isinstance(definition, ast.ClassDef):
            return False
        return bool(definition.keywords) or (self._registers and bool(self._program.bases(definition)[0]))

    def _may_be_looked_up(self, name: str) -> bool:
        """Whether a name that is put together may be this one: `getattr(self, "_on_" + kind, None)` asks quietly."""
        return any(
            name.startswith(first) and name.endswith(last) and len(name) >= len(first) + len(last)
            for first, last in self._computed_names
        )

    @cached_property
    def _computed_names(self) -> frozenset[tuple[str, str]]:
        """The first and last parts of names that are put together from a literal and something else."""
        found = set()
        for _, node in self._program.walk():
            parts: list[ast.expr] = []
            if isinstance(node, ast.JoinedStr):
                parts = [*node.values]
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
                parts = [node.left, node.right]
            if len(parts) > 1:
                first, last = (_identifier_part(parts[index]) for index in (0, -1))
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
                    first, _, last = first.partition("%s")
                if len(first) > 1 or len(last) > 1:
                    found.add((first, last))
        return frozenset(found)

    def _is_implicit(self, owner: ast.ClassDef, node: Definition) -> bool:
        special = node.name.startswith("__") and node.name.endswith("__")
        framework = self._program.has_foreign_base(owner) and (not self._facts.framework or node.name in self._facts.framework)
        return special or framework or bool(node.decorator_list) or self._fulfils(owner, node.name)

    def _fulfils(self, owner: ast.ClassDef, name: str) -> bool:
        """Whether no object of a class can be made without a method, since a relative declares it abstract."""
        return any(
            isinstance(one, ast.FunctionDef) and one.name == name and "abstractmethod" in map(last_name, one.decorator_list)
            for relative in self._program.family(owner)
            for one in relative.body
        )

    def _was_mentioned(self, node: Definition) -> bool:
        """Methods are found by name alone, wherever the name stands in code that may run."""
        return any(node.name in names for names in (self.outside, self._looked_up, self._asked_for, self._all_mentions))

    @property
    def _all_mentions(self) -> set[str]:
        if not hasattr(self, "_mentions_memo"):
            self._mentions_memo = {
                name for module in self._program.modules.values() for name in _mentions(module.tree, nested=True)
            }
        return self._mentions_memo


def _name_of(node: ast.Attribute | ast.FunctionDef) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.name


def _identifier_part(node: ast.expr) -> str:
    """A literal piece of an identifier; empty if it is anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"\w+(%s\w*)?", node.value):
        return node.value
    return ""


def identifiers_of(files: Iterable[Path]) -> frozenset[str]:
    """Every identifier that stands in some files outside the package, strings included."""
    found: set[str] = set()
    for file in files:
        found.update(_IDENTIFIER.findall(file.read_text(encoding="utf-8")))
    return frozenset(found)


def names_in_strings(node: ast.AST) -> Iterator[str]:
    """Identifiers in a string constant that may be looked up; prose is not."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= 120:
        if not re.search(r"\s\w+\s", node.value):
            yield from _IDENTIFIER.findall(node.value)


def _mentions(root: ast.AST, *, nested: bool = False) -> Iterator[str]:
    """Every name that `root` refers to; the bodies of definitions below module level or a class come with it.

    A module's or class's own definitions are separate nodes of the graph, unless `nested` asks for everything.
    """
    pending = list(ast.iter_child_nodes(root))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name.rpartition(".")[2]
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        else:
            yield from names_in_strings(node)
        if nested or not isinstance(node, _DEFINITIONS) or not isinstance(root, ast.Module | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
        else:
            pending.extend(_outer_parts(node))


def _outer_parts(node: ast.AST) -> Iterator[ast.AST]:
    """What of a definition runs when it is defined: decorators, defaults, bases."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from node.decorator_list
        yield from node.args.defaults
        yield from (default for default in node.args.kw_defaults if default is not None)
        yield from (
            argument.annotation for argument in ast.walk(node.args) if isinstance(argument, ast.arg) and argument.annotation
        )
        if node.returns is not None:
            yield node.returns
    elif isinstance(node, ast.ClassDef):
        yield from [*node.decorator_list, *node.bases, *node.keywords]


@kept
def _asked_for_in(module: Module) -> frozenset[str]:
    found: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        else:
            found.update(names_in_strings(node))
    return frozenset(found)


def asked_for_by_strangers(program: Program) -> frozenset[str]:
    """The attributes that the package's other modules may ask an object for."""
    return frozenset().union(*map(_asked_for_in, program.strangers.values()))


def module_exports(program: Program, facts: Facts) -> frozenset[tuple[str, str]]:
    """(module, name) pairs that another module of the subject imports or reaches through the module.

    What was loaded by its name may be any module: then all counts that somebody asks some object for.
    """
    modules = [*program.modules.values(), *program.strangers.values()]
    exports = _exports_to(program, modules)
    if not any(facts.executed(one.file, node.lineno) for one, node in loads(modules)):
        return exports
    asked_for = frozenset().union(*map(_asked_for_in, modules))
    return exports | {(one.name, name) for one in modules for name in asked_for & one.scopes.module.bindings.keys()}


def _exports_to(program: Program, modules: Iterable[Module]) -> frozenset[tuple[str, str]]:
    known = {module.name for module in program.modules.values()}
    found: set[tuple[str, str]] = set()
    for imported, asked_for in map(_asked_of_modules, modules):
        found |= imported
        found.update((owner, name) for owner, name in asked_for if owner in known)
    return frozenset(found)


@kept
def _asked_of_modules(module: Module) -> tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
    """What a module imports from any other, and what it asks for as an attribute of one that it imports."""
    imported: set[tuple[str, str]] = set()
    asked_for: set[tuple[str, str]] = set()
    for node in module.nodes:
        if isinstance(node, ast.alias) and isinstance(module.parents[node], ast.ImportFrom):
            owner, _, last = module.imported_name(node).rpartition(".")
            imported.add((owner, last))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            scope = module.scope_of_name(node.value)
            holder = scope.resolve(node.value.id)
            for binding in holder.bindings[node.value.id] if holder is not None else ():
                if binding.kind == "import":
                    asked_for.add((module.imported_name(binding.node), node.attr))
    return frozenset(imported), frozenset(asked_for)
