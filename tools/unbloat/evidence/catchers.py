"""Who could swallow an error: the handlers that stay, and everything that the runs saw run beneath them.

A wire is loud, and an error that surfaces because its handler went is loud, only if nobody further out catches it. In the
code that is left catchers are few: handlers that fired, context managers that suppress. What runs beneath one is what the
runs saw run there, called by it or by a library that it called, with what overrides that or is overridden by it: for other
data an object may be of another class. So is a function that is named there, say for `map`, if the runs called it or not.
Where no run got, it is whatever has a name that is used there.

Not seen: a script of the user that swallows, modules of the package that no workload ran and no phase has reached, and
functions or objects of unrelated classes that get to a call in place of those that the runs saw there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.errors import ErrorClasses, Errors, overlap
from unbloat.evidence.facts import Facts
from unbloat.evidence.flow.calls import Calls
from unbloat.evidence.flow.contexts import may_swallow, suppressed
from unbloat.evidence.names import last_name
from unbloat.evidence.patches import attribute_stores
from unbloat.evidence.program import Module, Program
from unbloat.evidence.special import special_methods

LOUD: Errors = frozenset({NotImplementedError})
# A class beside `Exception`, as the guard's own error is one; a handler that names this very one is as good as none.
LOUDER: Errors = frozenset({GeneratorExit})
_ANY: Errors = None
_ASKING = ("isinstance", "issubclass", "super", "cast", "hasattr", "getattr", "setattr")
# The name of a function or class, or the family of a class and the name of a method in it.
Key: TypeAlias = str | tuple[str, str]
_LAMBDA = "<lambda>"
_CONSTRUCTORS = ("__new__", "__init__", "__post_init__")


@dataclass(frozen=True, eq=False)
class Catcher:
    """A block, and the errors that may be swallowed around it."""

    module: Module
    body: frozenset[ast.stmt]
    errors: Errors


@dataclass(frozen=True, eq=False)
class _Directly:
    """What a statement or function may run itself: functions that the runs saw it call, and others by their names."""

    functions: list[tuple[Module, ast.AST]]
    keys: frozenset[Key]


class Catchers:
    """The catchers of a program that stay."""

    def __init__(self, program: Program, facts: Facts, *, every_handler: bool = False) -> None:
        """`every_handler`: those that never fired count, too; that is the legacy, as it caught errors."""
        self._program = program
        self._facts = facts
        self._every_handler = every_handler
        self._calls = Calls(program, facts)
        self._errors = ErrorClasses(program)
        self._catchers = [Catcher(module, frozenset(body), errors) for module, body, errors in self._find()]
        self._found: dict[Catcher, frozenset[ast.AST]] = {}
        self._direct: dict[ast.AST, _Directly] = {}

    def caught_at(self, file: str, place: Span, errors: Errors) -> bool:
        """The same for a node of a later state, by its place; what is not found there counts as caught."""
        nodes = self._by_place.get((file, place), ())
        return not nodes or any(self.caught(self._program.modules[file], one, errors) for one in nodes)

    def stands_in_try(self, file: str, node: ast.stmt | ast.expr) -> bool:
        """Whether a `try` that may catch something holds the place of a node, in its own function."""
        module = self._program.modules[file]
        for one in self._by_place.get((file, Span.of(node)), ()):
            outer: ast.AST | None = one
            while outer is not None:
                if any(outer in catcher.body for catcher in self._catchers):
                    return True
                outer = module.parents.get(outer)
        return False

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, Span], list[ast.AST]]:
        found: dict[tuple[str, Span], list[ast.AST]] = {}
        for module, node in self._program.walk():
            if isinstance(node, ast.stmt | ast.expr):
                found.setdefault((module.file, Span.of(node)), []).append(node)
        return found

    def caught(self, module: Module, node: ast.AST, errors: Errors) -> bool:
        """Whether one of these errors, raised at `node`, may be swallowed."""
        around: set[ast.AST] = set()
        outer: ast.AST | None = node
        while outer is not None:
            around.add(outer)
            outer = module.parents.get(outer)
        return any(
            overlap(catcher.errors, errors) and (catcher.body & around or self._beneath(catcher) & around)
            for catcher in self._catchers
        )

    def may_go(self, module: Module, handler: ast.ExceptHandler) -> bool:
        """Whether a handler never fired, and the errors that it would have caught surface without it."""
        owner = module.parents[handler]
        assert isinstance(owner, ast.Try | ast.TryStar)
        if not self.reached(module, owner) or self.fired(module, handler):
            return False
        return not self.caught(module, owner.body[0], self._errors.of_handler(module, handler))

    def fired(self, module: Module, handler: ast.ExceptHandler) -> bool:
        return bool(self._facts.outcomes(module.file, Span.of(handler), "handler").true)

    def reached(self, module: Module, node: ast.Try | ast.TryStar) -> bool:
        return bool(self._facts.seen_in(module.file, Span.of(node), "try"))

    def _find(self) -> Iterator[tuple[Module, list[ast.stmt], Errors]]:
        for module, node in self._program.walk():
            if isinstance(node, ast.Try | ast.TryStar):
                for handler in node.handlers:
                    if self.fired(module, handler) or (self._every_handler and self.reached(module, node)):
                        yield module, node.body, self._errors.of_handler(module, handler)
                if any(
                    isinstance(part, ast.Return | ast.Break | ast.Continue) for one in node.finalbody for part in ast.walk(one)
                ):
                    yield module, [*node.body, *node.orelse, *(part for one in node.handlers for part in one.body)], _ANY
            elif isinstance(node, ast.With | ast.AsyncWith):
                if may_swallow(self._calls, module, node):
                    types = suppressed(self._calls, module, node)
                    yield module, node.body, _ANY if types is None else self._errors.of_types(module, types)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # Nobody hears what goes wrong in another thread, or in a finaliser.
                if node.name == "__del__" or (module.file, Span.of(node)) in self._facts.elsewhere:
                    yield module, node.body, _ANY

    def _beneath(self, catcher: Catcher) -> frozenset[ast.AST]:
        """The functions that may run beneath a catcher."""
        if catcher not in self._found:
            found: set[ast.AST] = set()
            keys: set[Key] = set()
            pending: list[tuple[Module, ast.AST]] = [(catcher.module, statement) for statement in catcher.body]
            while pending:
                directly = self._directly_beneath(*pending.pop())
                new = [self._functions.get(key, ()) for key in directly.keys - keys]
                keys |= directly.keys
                for module, function in chain(directly.functions, *new):
                    if function not in found:
                        found.add(function)
                        pending.append((module, function))
            self._found[catcher] = frozenset(found)
        return self._found[catcher]

    def _directly_beneath(self, module: Module, root: ast.AST) -> _Directly:
        """What a statement or function may run itself."""
        if root not in self._direct:
            functions: dict[ast.AST, Module] = {}
            keys: set[Key] = set()
            for node in ast.walk(root):
                if isinstance(node, ast.expr | ast.stmt):
                    for where, function in self._calls.beneath(module, node):
                        functions[function] = where
                        owner = where.parents[function]
                        if isinstance(owner, ast.ClassDef):
                            keys.add((self._families[owner.name], function.name))
                    keys.update(self._unseen(module, node))
                    keys.update(self._handed(module, node))
            for name in keys & self._families.keys():
                keys |= {(self._families[str(name)], constructor) for constructor in _CONSTRUCTORS}
            self._direct[root] = _Directly([(where, function) for function, where in functions.items()], frozenset(keys))
        return self._direct[root]

    def _unseen(self, module: Module, node: ast.expr | ast.stmt) -> Iterator[Key]:
        """What a node that no workload evaluated may run, by name: where its own wire would be swallowed, it is still there."""
        if getattr(node, "inserted", False):
            return
        if isinstance(node, ast.Call) and not self._calls.beneath(module, node):
            yield last_name(node.func)
            if self._may_be_object(module, node.func):
                yield _LAMBDA  # the runs do not note whom a call reaches that has no name
        if not self._facts.executed(module.file, node.lineno) and module.file in self._facts.lines:
            yield from special_methods(node)
            match node:
                case ast.Attribute(attr=name):
                    yield name
                case ast.Name(id=name) if not self._is_variable(module, node):
                    yield name
                case ast.Call(func=called) if self._may_be_object(module, called):
                    yield "__call__"

    def _handed(self, module: Module, node: ast.expr | ast.stmt) -> Iterator[Key]:
        """What a node names without calling it: whoever gets it (`map`, say) may call it for other data."""
        parent = module.parents.get(node)
        if isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and parent.func is node):
            return
        match node:
            case ast.Name(id=name, ctx=ast.Load()) if not self._is_variable(module, node):
                found = self._program.definition(module, module.scope_of_name(node), name)
                if found is None or not isinstance(found[1].node, ast.ClassDef) or _makes(parent):
                    yield getattr(found[1].node, "name", name) if found is not None else name
            case ast.Attribute(attr=name, ctx=ast.Load()) if name not in self._stored:
                yield name

    def _may_be_object(self, module: Module, called: ast.expr) -> bool:
        """Whether what is called may be an object of the package: what is in a variable, or was stored as an attribute."""
        match called:
            case ast.Name():
                return self._is_variable(module, called)
            case ast.Attribute(attr=name):
                return name in self._stored
        return True

    @staticmethod
    def _is_variable(module: Module, node: ast.Name) -> bool:
        holder = module.scope_of_name(node).resolve(node.id)
        return holder is not None and any(one.kind not in ("import", "def", "class") for one in holder.bindings[node.id])

    @cached_property
    def _stored(self) -> frozenset[str]:
        return frozenset(name for module in self._program.modules.values() for _, name in attribute_stores(module.tree))

    @cached_property
    def _families(self) -> Mapping[str, str]:
        """Of each class one that has to do with it by inheritance within the package, the same for all that do."""
        classes = [node for _, node in self._program.walk() if isinstance(node, ast.ClassDef)]
        families = {one.name: one.name for one in classes}

        def head(name: str) -> str:
            while families[name] != name:
                name = families[name]
            return name

        for one in classes:
            for base in one.bases:
                name = last_name(base)
                if name in families:
                    families[head(one.name)] = head(name)
        return {name: head(name) for name in families}

    @cached_property
    def _functions(self) -> Mapping[Key, list[tuple[Module, ast.AST]]]:
        """Functions by their names, and methods by the families of their classes, too."""
        found: dict[Key, list[tuple[Module, ast.AST]]] = {}
        for module, node in self._program.walk():
            if isinstance(node, ast.Lambda):
                found.setdefault(_LAMBDA, []).append((module, node))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, []).append((module, node))
                if isinstance(owner := module.parents[node], ast.ClassDef):
                    found.setdefault((self._families[owner.name], node.name), []).append((module, node))
        return found


def _makes(node: ast.AST | None) -> bool:
    """Whether what gets a class may make an object of it; annotations, bases and questions do not."""
    return isinstance(node, ast.keyword) or (
        isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _ASKING)
    )
