"""Changes of statements: one less, two in the other order, a condition the other way round."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from unbloat.mutate.kinds import OPERATOR, STATEMENT
from unbloat.mutate.source import Source, called

StatementChange = tuple[str, list[ast.stmt], list[ast.stmt]]
"""The kind, neighbouring statements, and what stands in their place."""

_SIMPLE = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Expr


def dropped(source: Source, node: ast.stmt) -> Iterator[StatementChange]:
    """Not the only place that binds a name: without it the name is an error, which any golden notices."""
    if isinstance(node, ast.AugAssign) or (isinstance(node, _SIMPLE) and not _only_bindings(source, node)):
        yield STATEMENT, [node], [ast.Pass()]
    if isinstance(node, ast.Break):
        yield STATEMENT, [node], [ast.Pass()]


def reversed_sign(source: Source, node: ast.stmt) -> Iterator[StatementChange]:
    """`+=` ↔ `-=`."""
    match node:
        case ast.AugAssign(target, ast.Add() | ast.Sub() as operator, value):
            other = ast.Sub() if isinstance(operator, ast.Add) else ast.Add()
            yield OPERATOR, [node], [ast.AugAssign(target, other, value)]


def swapped(source: Source, node: ast.stmt) -> Iterator[StatementChange]:
    """Two neighbours of which the second needs what the first has done, or that both build something at random."""
    following = _following(source, node)
    if not isinstance(node, _SIMPLE) or not isinstance(following, _SIMPLE):
        return
    if (_builds(node) and _builds(following)) or (_stored(node) & _read(following)) - _only_bindings(source, node):
        yield STATEMENT, [node, following], [following, node]


def _only_bindings(source: Source, node: ast.stmt) -> set[str]:
    """The names that a statement binds and nothing else in its function, class or module does."""
    scope = source.scope(node)
    others = [one for one in ast.walk(scope) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    counts = Counter(one.id for one in others)
    counts.update(one.arg for one in ast.walk(scope) if isinstance(one, ast.arg))
    return {name for name in _stored(node) if counts[name] == 1}


def _following(source: Source, node: ast.stmt) -> ast.stmt | None:
    for _, block in ast.iter_fields(source.parents[node]):
        if isinstance(block, list) and node in block:
            return next(iter(block[block.index(node) + 1 :]), None)
    return None


def _builds(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and called(value)[:1].isupper()


def _stored(node: ast.stmt) -> set[str]:
    return {ast.unparse(one) for one in ast.walk(node) if isinstance(getattr(one, "ctx", None), ast.Store)}


def _read(node: ast.stmt) -> set[str]:
    return {ast.unparse(one) for one in ast.walk(node) if isinstance(getattr(one, "ctx", None), ast.Load)}
