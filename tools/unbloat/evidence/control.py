"""Control dependence: which expressions decide whether, and how often, a statement runs inside its function.

Besides enclosing tests and loops this counts two influences that are easily missed: an exception may cut a `try` (or a
`with`) body short, so everything inside depends on every expression of that body; a `break` or `continue` shapes every
later pass of its loop, so the whole loop depends on what guards it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unbloat.evidence.program import Module

_BOUNDARIES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.Module)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass(frozen=True, eq=False)
class Influence:
    """An expression that decides whether a statement runs: by its value, or only by raising or not."""

    expression: ast.expr
    by_value: bool = True


class Control:
    """Control dependence within one module."""

    def __init__(self, module: Module) -> None:
        self._parents: Mapping[ast.AST, ast.AST] = module.parents
        self._memo: dict[ast.stmt, tuple[Influence, ...]] = {}

    def of(self, node: ast.AST) -> tuple[Influence, ...]:
        """The expressions on which the execution of `node` depends, up to its function."""
        statement = node
        while not isinstance(statement, ast.stmt):
            statement = self._parents[statement]
        if statement not in self._memo:
            self._memo[statement] = (*self._inline(node, statement), *self._around(statement))
        return self._memo[statement]

    def _inline(self, node: ast.AST, statement: ast.stmt) -> Iterator[Influence]:
        """A walrus inside an expression runs only when the expression gets that far: the whole statement counts."""
        if isinstance(node, ast.NamedExpr):
            yield from map(Influence, expressions(statement))

    def _around(self, statement: ast.stmt) -> Iterator[Influence]:
        inner: ast.AST = statement
        outer = self._parents.get(statement)
        while (outer is not None and not isinstance(inner, _BOUNDARIES)) or inner is statement:
            if outer is None or isinstance(outer, _BOUNDARIES):
                return
            if isinstance(outer, ast.If):
                yield Influence(outer.test)
            elif isinstance(outer, _LOOPS):
                yield Influence(outer.test if isinstance(outer, ast.While) else outer.iter)
                yield from self._leaps(outer)
            elif isinstance(outer, ast.Try | ast.TryStar) and (outer.handlers or outer.finalbody):
                for part in outer.body:
                    yield from (Influence(one, by_value=False) for one in expressions(part))
            elif isinstance(outer, ast.With | ast.AsyncWith):
                for item in outer.items:
                    yield Influence(item.context_expr)
                for part in outer.body:
                    yield from (Influence(one, by_value=False) for one in expressions(part))
            elif isinstance(outer, ast.Match):
                yield Influence(outer.subject)
                for case in outer.cases:
                    if case.guard is not None:
                        yield Influence(case.guard)
            inner, outer = outer, self._parents.get(outer)

    def _leaps(self, loop: ast.For | ast.AsyncFor | ast.While) -> Iterator[Influence]:
        """What guards the `break` and `continue` statements of a loop."""
        for node in ast.walk(loop):
            if isinstance(node, ast.Break | ast.Continue) and self._loop_of(node) is loop:
                outer = self._parents[node]
                while outer is not loop:
                    if isinstance(outer, ast.If):
                        yield Influence(outer.test)
                    elif isinstance(outer, ast.Try | ast.TryStar | ast.With | ast.AsyncWith):
                        for part in outer.body:
                            yield from (Influence(one, by_value=False) for one in expressions(part))
                    elif isinstance(outer, ast.Match):
                        yield Influence(outer.subject)
                    outer = self._parents[outer]

    def _loop_of(self, node: ast.AST) -> ast.AST:
        outer = self._parents[node]
        inner = node
        while not (isinstance(outer, _LOOPS) and inner not in outer.orelse):
            inner, outer = outer, self._parents[outer]
        return outer


def expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """The outermost expressions that a statement, with everything nested in it, evaluates."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.stmt):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from expressions(child)
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            for part in child.body:
                yield from expressions(part)
            if isinstance(child, ast.match_case) and child.guard is not None:
                yield child.guard
        elif isinstance(child, ast.withitem):
            yield child.context_expr
