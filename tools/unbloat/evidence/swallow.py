"""Who may swallow an error: what a removal makes loud must not be caught again by code that stays.

A handler that never fired goes, and the error that it would have caught surfaces; a tripwire raises. Both are loud only if
nothing around them, in the function or in one that calls it, catches what is raised. What swallows is a handler that stays,
a `with` whose manager may suppress errors, and a `finally` that leaves by itself. Who runs inside of it is judged by name,
generously: every function whose name stands there, and so on from these.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Facts
from unbloat.evidence.program import FUNCTIONS, Module, Program
from unbloat.evidence.references import names_in_strings
from unbloat.evidence.scopes import Function

# Names of exception classes; None is any exception at all.
Errors: TypeAlias = frozenset[str] | None
LOUD: Errors = frozenset({"NotImplementedError"})

_CALM_MANAGERS = frozenset("concurrent gzip logging multiprocessing tempfile threading torch warnings zipfile".split())
_CALM_LIBRARIES = frozenset(
    "collections copy functools itertools json logging math numpy omegaconf os pathlib re time typing".split()
)
_CALM_METHODS = frozenset(
    "addHandler append close copy count endswith exists extend flush get index items join keys lower lstrip pop removeHandler "
    "replace rstrip setFormatter setLevel setdefault split splitlines startswith strip update upper values".split()
)
_AT_ONCE = frozenset("map submit".split())
_ALONE = frozenset("Process Thread Timer create_task ensure_future finalize register start_new_thread submit".split())
_STARTED = ("__init__", "__new__", "__post_init__")


@dataclass(frozen=True, eq=False)
class Catcher:
    """Statements, and the errors that leave none of them."""

    module: Module
    body: tuple[ast.stmt, ...]
    errors: Errors


class Swallowers:
    """What is swallowed where in one program, once every handler that can go has gone."""

    def __init__(self, program: Program, facts: Facts, files: frozenset[str]) -> None:
        self._program = program
        self._facts = facts
        self._named: dict[str, list[Function]] = {}
        self._everywhere: list[Function] = []
        self._handed_out: list[Function] = []
        self._index()
        self._droppable = {
            handler: module
            for module, node in program.walk()
            if isinstance(node, ast.Try | ast.TryStar) and module.file in files
            for handler in node.handlers
            if self._never_fired(module, node, handler)
        }
        self._settle()

    def may_go(self, handler: ast.ExceptHandler) -> bool:
        """Whether dropping a handler makes every error that it would have caught surface."""
        return handler in self._droppable

    def swallowed(self, module: Module, node: ast.AST, errors: Errors) -> bool:
        """Whether one of these errors, raised at `node`, may be caught by code that stays."""
        around = set(_ancestors(module, node))
        functions = [outer for outer in (node, *around) if isinstance(outer, FUNCTIONS)]
        for catcher, reached in self._catchers:
            if not _overlap(catcher.errors, errors):
                continue
            if around & set(catcher.body) or any(function in reached for function in functions):
                return True
            if not functions and _imports_subject(self._program, catcher):
                return True
        return False

    # -- what stays ---------------------------------------------------------------------------------------------

    def _never_fired(self, module: Module, node: ast.Try | ast.TryStar, handler: ast.ExceptHandler) -> bool:
        reached = self._facts.seen_in(module.file, Span.of(node), "try")
        return bool(reached) and not self._facts.outcomes(module.file, Span.of(handler), "handler").true

    def _settle(self) -> None:
        """A handler that must stay swallows, too: repeat until none is added to those."""
        while True:
            self._catchers = [(catcher, self._reached_from(catcher)) for catcher in self._find_catchers()]
            kept = [handler for handler, module in self._droppable.items() if self._is_needed(module, handler)]
            if not kept:
                return
            for handler in kept:
                del self._droppable[handler]

    def _is_needed(self, module: Module, handler: ast.ExceptHandler) -> bool:
        owner = module.parents[handler]
        assert isinstance(owner, ast.Try | ast.TryStar)
        errors = _errors_of(handler)
        later = owner.handlers[owner.handlers.index(handler) + 1 :]
        if any(other not in self._droppable and _overlap(_errors_of(other), errors) for other in later):
            return True
        return self.swallowed(module, owner, errors)

    def _find_catchers(self) -> Iterator[Catcher]:
        for module in self._program.strangers.values():
            yield Catcher(module, tuple(module.tree.body), None)  # it is not followed, and may catch anything
        for module, node in self._program.walk():
            if isinstance(node, ast.Try | ast.TryStar):
                for handler in node.handlers:
                    if handler not in self._droppable:
                        yield Catcher(module, tuple(node.body), _errors_of(handler))
                if any(_leaves(statement) for statement in node.finalbody):
                    handlers = (statement for handler in node.handlers for statement in handler.body)
                    yield Catcher(module, (*node.body, *node.orelse, *handlers), None)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _ALONE:
                # What fails there fails alone.
                yield Catcher(module, (module.statement_of(node),), None)
            elif isinstance(node, ast.With | ast.AsyncWith):
                for item in node.items:
                    errors = self._suppressed(module, item.context_expr)
                    if errors is None or errors:
                        yield Catcher(module, tuple(node.body), errors)

    def _suppressed(self, module: Module, manager: ast.expr) -> Errors:
        """The errors that a context manager may swallow."""
        function = manager.func if isinstance(manager, ast.Call) else manager
        name = ast.unparse(function)
        if name.rpartition(".")[2] == "suppress" and isinstance(manager, ast.Call):
            return _names_of(manager.args)
        root = name.partition(".")[0]
        target = self._program.imported_module(module, module.scope_of(manager), root)
        if name in ("open", "contextlib.nullcontext", "nullcontext") or name.endswith(".open"):
            return frozenset()
        if isinstance(target, str) and target.partition(".")[0] in _CALM_MANAGERS:
            return frozenset()
        exits = self._named.get("__exit__", [])
        if isinstance(function, ast.Name) and isinstance(manager, ast.Call):
            found = self._program.definition(module, module.scope_of(manager), function.id)
            if found is not None and isinstance(found[1].node, ast.ClassDef) and not self._program.bases(found[1].node)[1]:
                family = self._program.family(found[1].node)
                own = [one for one in exits if self._program.module_of[one].parents[one] in family]
                return frozenset() if not any(_returns_a_value(one) for one in own) else None
        return None

    # -- who runs inside ----------------------------------------------------------------------------------------

    def _index(self) -> None:
        for node in self._program.module_of:
            if isinstance(node, ast.ClassDef):
                methods = [part for part in node.body if isinstance(part, FUNCTIONS)]
                self._named.setdefault(node.name, []).extend(part for part in methods if part.name in _STARTED)
                if self._program.has_foreign_base(node):
                    self._handed_out += methods
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._named.setdefault(node.name, []).append(node)
                special = node.name.startswith("__") and node.name.endswith("__") and node.name not in _STARTED
                if special or node.decorator_list or _is_generator(node):
                    self._everywhere.append(node)
            elif isinstance(node, ast.Lambda):
                self._handed_out.append(node)
        for module, node in self._program.walk():
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                parent = module.parents[node]
                if not (isinstance(parent, ast.Call) and (parent.func is node or _is_used_up(module, parent))):
                    self._handed_out += self._named.get(node.id if isinstance(node, ast.Name) else node.attr, [])

    def _reached_from(self, catcher: Catcher) -> set[Function]:
        reached: set[Function] = set()
        if all(isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass) for statement in catcher.body):
            return reached
        pending: list[tuple[Module, ast.AST]] = [(catcher.module, statement) for statement in catcher.body]
        is_open = False

        def take(functions: Iterable[Function]) -> None:
            for function in functions:
                if function not in reached:
                    reached.add(function)
                    pending.append((self._program.module_of[function], function))

        take(self._everywhere)
        if catcher.module.file in self._program.strangers:
            pending.clear()
            take(self._called_by_stranger(catcher.module))
        while pending:
            module, root = pending.pop()
            for node in ast.walk(root):
                for name in _mentioned(node):
                    take(self._named.get(name, ()))
                if not is_open and isinstance(node, ast.Call) and self._is_open(module, node):
                    is_open = True
                    take(self._handed_out)
        return reached

    def _called_by_stranger(self, module: Module) -> Iterator[Function]:
        """What a module that is not followed may call: what it imports, and any method that it has a name for."""
        for node in module.nodes:
            if isinstance(node, ast.Name):
                found = self._program.definition(module, module.scopes.of_name[node], node.id)
                if found is not None and isinstance(found[1].node, (*FUNCTIONS, ast.ClassDef)):
                    yield from self._named.get(node.id, ())
            elif isinstance(node, ast.Attribute):
                through_module = self._is_open_to(module, node)
                yield from (one for one in self._named.get(node.attr, ()) if through_module or self._is_member(one))
        yield from (one for one in self._handed_out if self._is_member(one))

    def _is_member(self, function: Function) -> bool:
        return isinstance(self._program.module_of[function].parents[function], ast.ClassDef)

    def _is_open_to(self, stranger: Module, node: ast.Attribute) -> bool:
        """Whether an attribute is one of a module that is followed."""
        if not isinstance(node.value, ast.Name):
            return False
        return isinstance(self._program.imported_module(stranger, stranger.scopes.of_name[node.value], node.value.id), Module)

    def _is_open(self, module: Module, call: ast.Call) -> bool:
        """Whether a call reaches code that is not the subject's, which may in turn call what it was handed."""
        function = call.func
        if isinstance(function, ast.Name):
            holder = module.scope_of(call).resolve(function.id)
            if holder is None:
                return not hasattr(builtins, function.id)
            target = self._program.imported_module(module, holder, function.id)
            if isinstance(target, str) and target.partition(".")[0] in _CALM_LIBRARIES:
                return False
            return self._program.definition(module, holder, function.id) is None
        if not isinstance(function, ast.Attribute):
            return True
        if function.attr in _CALM_METHODS or self._program.callee(module, module.scope_of(call), call) is not None:
            return False
        root: ast.expr = function
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            return True
        target = self._program.imported_module(module, module.scope_of(call), root.id)
        return not (isinstance(target, str) and target.partition(".")[0] in _CALM_LIBRARIES)

    @cached_property
    def loud_functions(self) -> frozenset[Function]:
        """The functions in which a `NotImplementedError` may be swallowed by a caller."""
        found: set[Function] = set()
        for catcher, reached in self._catchers:
            if _overlap(catcher.errors, LOUD):
                found |= reached
        return frozenset(found)


class LegacyErrors:
    """Where the legacy caught errors: handlers that have gone since count.

    An error that surfaces because its handler went is loud only as long as the code that raises it stays.
    """

    def __init__(self, program: Program, facts: Facts) -> None:
        self._modules = program.modules
        self._swallowers = Swallowers(program, facts, frozenset())
        self._nodes = {
            (file, type(node), Span.of(node)): node
            for file, module in program.modules.items()
            for node in module.nodes
            if isinstance(node, ast.stmt | ast.expr)
        }

    def caught(self, file: str, node: ast.stmt | ast.expr) -> bool:
        """Whether the legacy may have caught an error of `node`, a node of a later state."""
        legacy = self._nodes.get((file, type(node), Span.of(node)))
        return legacy is None or self._swallowers.swallowed(self._modules[file], legacy, None)


def _is_used_up(module: Module, call: ast.Call) -> bool:
    """Whether a call keeps no function that it is handed: an executor runs it, a decorator's product is called in place."""
    outer = module.parents[call]
    if isinstance(outer, ast.Call) and outer.func is call:
        return True
    return ast.unparse(call.func).rpartition(".")[2] in _AT_ONCE


def _ancestors(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    outer: ast.AST | None = node
    while outer is not None:
        yield outer
        outer = module.parents.get(outer)


def _mentioned(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    else:
        yield from names_in_strings(node)


def _imports_subject(program: Program, catcher: Catcher) -> bool:
    """Whether the statements import a module of the subject, and so run its top level."""
    packages = {module.name.partition(".")[0] for module in program.modules.values()}
    for statement in catcher.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] in packages for alias in node.names):
                return True
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").partition(".")[0] in packages):
                return True
    return False


def _errors_of(handler: ast.ExceptHandler) -> Errors:
    if handler.type is None:
        return None
    return _names_of(handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])


def _names_of(types: Iterable[ast.expr]) -> Errors:
    names = set()
    for one in types:
        if not isinstance(one, ast.Name) or not isinstance(getattr(builtins, one.id, None), type):
            return None
        names.add(one.id)
    return frozenset(names)


def _overlap(caught: Errors, raised: Errors) -> bool:
    """Whether an error of one kind may be one of the other."""
    if caught is None or raised is None:
        return True
    for one in caught:
        for other in raised:
            first, second = getattr(builtins, one), getattr(builtins, other)
            if issubclass(first, second) or issubclass(second, first):
                return True
    return False


def _leaves(statement: ast.stmt) -> bool:
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return | ast.Break | ast.Continue):
            return True
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _returns_a_value(function: Function) -> bool:
    return any(
        isinstance(node, ast.Return) and node.value is not None and not _is_false(node.value) for node in ast.walk(function)
    )


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _is_generator(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))
