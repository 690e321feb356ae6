"""Legacy lines of nodes that go."""

from __future__ import annotations

import ast
from collections.abc import Iterable


def lines_of(nodes: Iterable[ast.AST]) -> tuple[tuple[int, int], ...]:
    """The legacy line ranges that some nodes cover, in order, overlaps joined."""
    ranges = sorted(
        (_first_line(node), node.end_lineno or node.lineno)
        for node in nodes
        if isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.alias) and not getattr(node, "inserted", False)
    )
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def _first_line(node: ast.stmt | ast.expr | ast.excepthandler | ast.alias) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
