"""Statements on the move: from one block to another, with the comment lines that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import libcst as cst

BlockStatement: TypeAlias = cst.SimpleStatementLine | cst.BaseCompoundStatement


@dataclass(frozen=True)
class Lines:
    """The statements of a block and the comment lines behind the last one."""

    statements: tuple[BlockStatement, ...]
    footer: tuple[cst.EmptyLine, ...] = ()


@dataclass(frozen=True)
class Clause:
    """A block and the comment lines above its header."""

    leading: Sequence[cst.EmptyLine]
    body: cst.BaseSuite


def lines_of(body: cst.BaseSuite) -> Lines:
    """What a block holds, as lines of their own; `if x: a; b` has the one line `a; b`."""
    if isinstance(body, cst.IndentedBlock):
        return Lines(tuple(_checked(body.body)), tuple(body.footer))
    assert isinstance(body, cst.SimpleStatementSuite)
    line = cst.SimpleStatementLine(body=body.body, trailing_whitespace=body.trailing_whitespace)
    return Lines((line,) if body.body else ())


def is_empty(body: cst.BaseSuite) -> bool:
    return not body.body


def join(*parts: tuple[Sequence[cst.EmptyLine], Lines]) -> Lines:
    """One run of statements; the lines given with a part go above its first statement, or away if it has none."""
    statements: list[BlockStatement] = []
    footer: tuple[cst.EmptyLine, ...] = ()
    for leading, lines in parts:
        if lines.statements:
            statements.append(with_leading(lines.statements[0], (*footer, *leading)))
            statements.extend(lines.statements[1:])
            footer = lines.footer
    return Lines(tuple(statements), footer)


def join_clauses(clauses: Iterable[Clause]) -> Lines:
    return join(*((clause.leading, lines_of(clause.body)) for clause in clauses))


def with_leading(statement: BlockStatement, leading: Sequence[cst.EmptyLine]) -> BlockStatement:
    if not leading:
        return statement
    changed: BlockStatement = statement.with_changes(leading_lines=(*leading, *statement.leading_lines))
    return changed


def insert(statements: Sequence[BlockStatement], after: int, new: Sequence[BlockStatement]) -> tuple[BlockStatement, ...]:
    """`new` behind the first `after` statements, which are small ones and may share a line with others."""
    result = list(statements)
    position = 0
    while after:
        line = result[position]
        assert isinstance(line, cst.SimpleStatementLine)
        if len(line.body) > after:
            last = line.body[after - 1].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
            head = line.with_changes(body=(*line.body[: after - 1], last), trailing_whitespace=cst.TrailingWhitespace())
            rest = line.with_changes(body=line.body[after:], leading_lines=())
            result[position : position + 1] = [head, rest]
            after = 0
        else:
            after -= len(line.body)
        position += 1
    return (*result[:position], *new, *result[position:])


def _checked(statements: Iterable[cst.BaseStatement]) -> Iterable[BlockStatement]:
    for statement in statements:
        assert isinstance(statement, cst.SimpleStatementLine | cst.BaseCompoundStatement)
        yield statement
