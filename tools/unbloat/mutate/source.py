"""One module of the stripped tree: the nodes that are worth changing, and its text with one of them changed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set
from functools import cached_property

from unbloat.edit import Span

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOG_METHODS = frozenset("critical debug error exception info log warn warning".split())
FALLBACKS = frozenset("get getattr next pop select".split())
"""Functions and methods that return one of their arguments only where there is nothing else to return."""

Code = ast.stmt | ast.expr


class Source:
    """A module's text and tree; its generated checks, log calls, annotations and tests of input are not worth changing."""

    def __init__(self, file: str, text: str, guard: str, engineering: Set[str] = frozenset()) -> None:
        """`guard` is the name of the generated module; `engineering` are names of functions whose effects nobody asks for."""
        self.file = file
        self.text = text
        self.tree = ast.parse(text)
        self._guards = _imported_from(self.tree, guard)
        self._engineering = engineering
        self._lines = text.splitlines()

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def nodes(self) -> list[Code]:
        """Every statement and expression that may be replaced, in the order of the text."""
        return list(self._walk(self.tree))

    def line(self, node: ast.AST) -> str:
        """The first line of the statement that a node is in, without indentation."""
        return self._lines[self.statement(node).lineno - 1].strip()

    def statement(self, node: ast.AST) -> ast.stmt:
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around one, from the inside outwards."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        return next((one for one in self.above(node) if isinstance(one, FUNCTIONS)), None)

    def scope(self, node: ast.AST) -> ast.AST:
        """The function, class or module that a node is in."""
        return next((one for one in self.above(node) if isinstance(one, (*FUNCTIONS, ast.ClassDef))), self.tree)

    def qualified(self, node: ast.AST) -> str:
        """The function or class that a node is in; `<module>` outside of all."""
        around = [one.name for one in self.above(node) if isinstance(one, (*FUNCTIONS, ast.ClassDef))]
        return ".".join(reversed(around)) or "<module>"

    def default_of(self, node: ast.AST) -> ast.expr | None:
        """The default that an expression is in, if any: of a parameter, a dataclass field, or a call such as `getattr`."""
        for one in (node, *self.above(node)):
            if isinstance(one, ast.stmt):
                return None
            if isinstance(one, ast.expr) and self._is_default(one):
                return one
        return None

    def _is_default(self, node: ast.expr) -> bool:
        parent = self.parents[node]
        if any(isinstance(one, ast.Call) for one in ast.walk(node)):
            return False  # To make it may be an effect.
        if isinstance(parent, ast.arguments):
            return True
        if isinstance(parent, ast.AnnAssign):
            return node is parent.value and is_dataclass(self.parents[parent])
        call = self.parents[parent] if isinstance(parent, ast.keyword) else parent
        return isinstance(call, ast.Call) and fallback(call) is node

    def _walk(self, node: ast.AST) -> Iterator[Code]:
        if isinstance(node, ast.stmt) and self._is_idle(node):
            return
        if isinstance(node, ast.Call) and self._is_guard(node.func):
            return
        if isinstance(node, ast.stmt | ast.expr) and not _is_store(node):
            yield node
        for child in self._inner(node):
            yield from self._walk(child)

    def _inner(self, node: ast.AST) -> Iterator[ast.AST]:
        match node:
            case ast.JoinedStr():  # Python 3.11 does not know the places inside.
                return
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from (one for one in (*node.args.defaults, *node.args.kw_defaults) if one is not None)
                yield from node.body
            case ast.ClassDef():
                yield from node.body
            case ast.AnnAssign():
                yield from [] if node.value is None else [node.value]
            case ast.If() if all(isinstance(one, ast.Raise) for one in node.body) and not node.orelse:
                return  # It only tells bad input.
            case ast.Try() | ast.TryStar():
                yield from (*node.body, *node.orelse, *node.finalbody)
                yield from (inner for handler in node.handlers for inner in handler.body)
            case _:
                yield from ast.iter_child_nodes(node)

    def _is_idle(self, node: ast.stmt) -> bool:
        """Statements that do nothing, check what was pinned, log, or say what is wrong."""
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Global() | ast.Nonlocal() | ast.Raise() | ast.Assert():
                return True
            case ast.Expr(ast.Constant()):
                return True
            case ast.Expr(ast.Call(func=ast.Attribute(ast.Name() as owner, method))):
                return self._is_guard(owner) or (method in LOG_METHODS and "log" in owner.id.lower())
            case ast.Expr(ast.Call(func=called)):
                return self._is_guard(called)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return node.name in self._engineering
        return False

    def _is_guard(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self._guards


def replaced(text: str, span: Span, new: str) -> str:
    """A module's text with something else at a place."""
    lines = text.encode().splitlines(keepends=True)
    before = [*lines[: span.line - 1], lines[span.line - 1][: span.column]]
    after = [lines[span.end_line - 1][span.end_column :], *lines[span.end_line :]]
    return b"".join([*before, new.encode(), *after]).decode()


def fallback(call: ast.Call) -> ast.expr | None:
    """The argument that a call such as `getattr(a, "b", 1)` returns only where it finds nothing."""
    if called(call) not in FALLBACKS or any(isinstance(one, ast.Starred) for one in call.args):
        return None
    named = next((one.value for one in call.keywords if one.arg == "default"), None)
    place = 2 if isinstance(call.func, ast.Name) and call.func.id == "getattr" else 1
    if named is not None or called(call) == "select":
        return named
    return call.args[place] if len(call.args) == place + 1 else None


def called(node: ast.AST) -> str:
    """The last name of what is called, `a.b.c(…)` → `c`; empty if it has none."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name
    return ""


def is_dataclass(node: ast.AST) -> bool:
    if not isinstance(node, ast.ClassDef):
        return False
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _is_store(node: ast.stmt | ast.expr) -> bool:
    """Targets, and what is no expression of its own."""
    if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
        return True
    return isinstance(node, ast.Slice | ast.Starred)


def _imported_from(tree: ast.Module, guard: str) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            whole = (node.module or "").rpartition(".")[2] == guard
            found |= {alias.asname or alias.name for alias in node.names if whole or alias.name == guard}
    return frozenset(found)
