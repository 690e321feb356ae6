"""The legacy source as LibCST sees it, joined to `ast` by position."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import TypeAlias

import libcst as cst
from libcst.metadata import CodePosition, CodeRange, MetadataWrapper, PositionProvider

from unbloat.edit.changes import LegacyIndex, parse, place_of
from unbloat.edit.edits import Span
from unbloat.errors import EditError

BYTE_ORDER_MARK = "\ufeff"
Statement: TypeAlias = cst.BaseSmallStatement | cst.BaseCompoundStatement

_STARTS: dict[type[ast.AST], type[cst.CSTNode] | tuple[type[cst.CSTNode], ...]] = {
    ast.stmt: (cst.BaseSmallStatement, cst.BaseCompoundStatement),
    ast.excepthandler: (cst.ExceptHandler, cst.ExceptStarHandler),
    ast.alias: (cst.ImportAlias, cst.ImportStar),
    ast.arg: cst.Param,
    ast.keyword: cst.Arg,
}


@dataclass(frozen=True, eq=False)
class LegacyText:
    """One source, parsed twice, with what is needed to go from a node of one tree to that of the other."""

    index: LegacyIndex
    module: cst.Module
    parents: dict[cst.CSTNode, cst.CSTNode]
    _lines: tuple[str, ...]
    _positions: dict[cst.CSTNode, CodeRange]
    _starts: dict[tuple[type[ast.AST], int, int], cst.CSTNode]
    _expressions: dict[Span, cst.CSTNode]

    def counterpart(self, node: ast.AST) -> cst.CSTNode:
        """The LibCST node of an `ast` statement, expression, handler or imported name."""
        if isinstance(node, ast.Module):
            return self.module
        assert isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.alias | ast.arg | ast.keyword)
        if isinstance(node, ast.expr):
            found = self._expressions.get(Span.of(node))
        else:
            kind = next(kind for kind in _STARTS if isinstance(node, kind))
            found = self._starts.get((kind, node.lineno, node.col_offset))
        if found is None:
            # Subscripts hold no tuple in LibCST; before Python 3.12 `ast` misplaces what is in multi-line f-strings.
            raise EditError(f"{place_of(Span.of(node))}: this {type(node).__name__} cannot be edited in the text")
        return found

    def neighbours(self, node: cst.BaseExpression) -> tuple[str, str]:
        """The characters right before and right after an expression and its parentheses; empty at the end of a line."""
        start = self._positions[node.lpar[0] if node.lpar else node].start
        end = self._positions[node.rpar[-1] if node.rpar else node].end
        first, last = self._lines[start.line - 1], self._lines[end.line - 1]
        return first[max(start.column - 1, 0) : start.column], last[end.column : end.column + 1]

    def around(self, nodes: Iterable[cst.CSTNode]) -> set[cst.CSTNode]:
        """These nodes and all that hold them."""
        result: set[cst.CSTNode] = set()
        for node in nodes:
            holder: cst.CSTNode | None = node
            while holder is not None and holder not in result:
                result.add(holder)
                holder = self.parents.get(holder)
        return result


@lru_cache(maxsize=512)
def read_legacy(source: str) -> LegacyText:
    """Parse `source` once; the same legacy module is rendered many times."""
    text = source.removeprefix(BYTE_ORDER_MARK)
    try:
        module = cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise EditError(f"line {error.raw_line}: LibCST cannot parse this source: {error.message}") from error
    except cst.CSTValidationError as error:
        # LibCST asks for a space in some places where Python needs none, as in `return(a if b else c)`.
        raise EditError(f"LibCST cannot parse this source: {error}") from error
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    ranges = {node: position for node, position in positions.items() if isinstance(position, CodeRange)}
    lines = tuple(re.split(r"\r\n?|\n", text))
    starts, expressions = _joined_to_ast(ranges, _ByteColumns(lines))
    return LegacyText(LegacyIndex(parse(text)), module, _parents(module), lines, ranges, starts, expressions)


class _ByteColumns:
    """LibCST counts characters, `ast` counts bytes."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        self._lines = [None if line.isascii() else line for line in lines]

    def of(self, position: CodePosition) -> tuple[int, int]:
        line = self._lines[position.line - 1]
        column = position.column if line is None else len(line[: position.column].encode())
        return position.line, column


def _joined_to_ast(
    ranges: dict[cst.CSTNode, CodeRange], columns: _ByteColumns
) -> tuple[dict[tuple[type[ast.AST], int, int], cst.CSTNode], dict[Span, cst.CSTNode]]:
    starts: dict[tuple[type[ast.AST], int, int], cst.CSTNode] = {}
    expressions: dict[Span, cst.CSTNode] = {}
    for node, position in ranges.items():
        for kind, types in _STARTS.items():
            if isinstance(node, types):
                starts[(kind, *columns.of(position.start))] = node
        if isinstance(node, cst.BaseExpression):
            expressions[Span(*columns.of(position.start), *columns.of(position.end))] = node
        if isinstance(node, cst.Tuple | cst.GeneratorExp) and node.lpar:
            # The parentheses are part of these in `ast`.
            start, end = ranges[node.lpar[-1]].start, ranges[node.rpar[0]].end
            expressions[Span(*columns.of(start), *columns.of(end))] = node
        if isinstance(node, cst.Call) and len(node.args) == 1:
            generator = node.args[0].value
            if isinstance(generator, cst.GeneratorExp) and not generator.lpar:
                # A generator without parentheses of its own has those of the call, in `ast`.
                line, column = columns.of(ranges[node.whitespace_before_args].start)
                expressions[Span(line, column - 1, *columns.of(position.end))] = generator
    return starts, expressions


@cache
def _field_names(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    layout = ("whitespace", "leading", "trailing", "header", "footer", "lines_", "lpar", "rpar", "semicolon", "equal")
    return tuple(field.name for field in fields(kind) if not field.name.startswith(layout))


def _parents(module: cst.Module) -> dict[cst.CSTNode, cst.CSTNode]:
    parents: dict[cst.CSTNode, cst.CSTNode] = {}
    pending: list[cst.CSTNode] = [module]
    while pending:
        node = pending.pop()
        for name in _field_names(type(node)):
            value = getattr(node, name)
            for child in value if isinstance(value, list | tuple) else (value,):
                if isinstance(child, cst.CSTNode):
                    parents[child] = node
                    pending.append(child)
    return parents
