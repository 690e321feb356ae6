"""Which parts of a line are keywords, strings and so on."""

from __future__ import annotations

from typing import Any

from pygments.lexers.python import PythonLexer
from pygments.token import Token

_CLASSES: tuple[tuple[Any, ...], ...] = (
    (Token.Keyword, Token.Operator.Word),
    (Token.Literal.String,),
    (Token.Comment,),
    (Token.Literal.Number,),
    (Token.Name.Function, Token.Name.Class),
    (Token.Name.Builtin, Token.Name.Decorator),
)
"""In the order of the letters in the page's `RUN_CLASSES`."""


def runs(text: str) -> list[list[int]]:
    """For each line: start, length and class of every part that has one, in the units in which a browser counts."""
    found: list[list[int]] = [[]]
    column = 0
    for _, kind, value in PythonLexer().get_tokens_unprocessed(text):
        number = _class_of(kind)
        for index, part in enumerate(value.split("\n")):
            if index:
                found.append([])
                column = 0
            length = _units(part)
            if number is not None and part.strip():
                _add(found[-1], column, length, number)
            column += length
    return found


def _add(line: list[int], start: int, length: int, number: int) -> None:
    if line and line[-1] == number and line[-3] + line[-2] == start:
        line[-2] += length
    else:
        line += [start, length, number]


def _class_of(kind: Any) -> int | None:
    return next((number for number, kinds in enumerate(_CLASSES) if any(kind in one for one in kinds)), None)


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
