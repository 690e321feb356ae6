"""A copy of a module that evaluates some expressions in two ways: as they are, and as mutants of them have it.

Of a mutant that nobody noticed this tells why. If its value was the same in every run, the workloads lack the data; if not,
nothing that is recorded depends on it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from typing import Any

from unbloat.edit import Span
from unbloat.mutate.mutants import Edit
from unbloat.mutate.probes import report
from unbloat.mutate.source import Source, called

_RANDOM = ("bernoulli", "dropout", "init", "multinomial", "normal", "rand", "sample", "shuffle", "uniform")
_COMPARING = ast.Compare | ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.IfExp | ast.Subscript | ast.Slice | ast.Tuple
_BOUNDING = frozenset("abs bool clamp clamp_min clamp_max float int len max min".split())


def both_ways(source: Source, edits: Mapping[int, Edit]) -> tuple[str, set[int]]:
    """The text, in which the run goes on with what is there, and the numbers of the edits that are tried in passing.

    Left out are statements, and what draws or changes something: that would be done twice. The source's own tree is used up.
    """
    expressions = {Span.of(node): node for node in source.nodes if isinstance(node, ast.expr)}
    others: dict[ast.AST, list[tuple[int, ast.expr]]] = {}
    for number, edit in edits.items():
        node = expressions.get(edit.span)
        if node is None or not edit.text.startswith("("):
            continue
        whole = _whole(source, node)
        other = _With(edit.span, ast.parse(edit.text, mode="eval").body).visit(copy.deepcopy(whole))
        if not any(_has_effect(one) for one in ast.walk(other)):
            others.setdefault(whole, []).append((number, other))
    text = ast.unparse(ast.fix_missing_locations(_BothWays(others).visit(source.tree)))
    return text, {number for found in others.values() for number, _ in found}


def _whole(source: Source, node: ast.expr) -> ast.expr:
    """The comparison, choice or bound that an expression takes part in: of `x > 9` the 9 is never the same as a 10."""
    whole = node
    for one in source.above(node):
        if not isinstance(one, _COMPARING) and not (isinstance(one, ast.Call) and called(one) in _BOUNDING):
            break
        if one in source.nodes and isinstance(one, ast.expr):
            whole = one
    return whole


def _has_effect(node: ast.AST) -> bool:
    if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
        return True
    name = called(node).lower()
    return name.endswith("_") or any(part in name for part in _RANDOM)


class _With(ast.NodeTransformer):
    """Puts another expression in the place of the one at a span."""

    def __init__(self, span: Span, other: ast.expr) -> None:
        self._span = span
        self._other = other

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr) and Span.of(node) == self._span:
            return self._other
        return super().visit(node)


class _BothWays(ast.NodeTransformer):
    def __init__(self, others: Mapping[ast.AST, list[tuple[int, ast.expr]]]) -> None:
        self._others = others

    def visit(self, node: ast.AST) -> Any:
        visited = super().visit(node)
        for number, other in self._others.get(node, ()):
            later = ast.Lambda(ast.arguments([], [], None, [], [], None, []), other)
            visited = report("both", ast.Constant(number), visited, later)
        return visited
