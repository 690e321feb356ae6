"""A module's text as lines and tokens, and which tokens are a statement's own."""

from __future__ import annotations

import ast
import io
import tokenize
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from unbloat.report.verbatim import Position, head_span

_LAYOUT = frozenset({tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER})


@dataclass(frozen=True)
class Token:
    """A token or comment; a long string lies on several lines."""

    text: str
    line: int
    end_line: int

    @property
    def is_comment(self) -> bool:
        return self.text.startswith("#")

    @property
    def is_telling(self) -> bool:
        """Whether it is more than a sign."""
        return self.is_comment or self.text.isidentifier()


class Lexed:
    """Lines are those that Python counts: a form feed ends none."""

    def __init__(self, text: str) -> None:
        self.text = io.StringIO(text.removeprefix("\ufeff"), newline=None).read()
        self.lines = self.text.removesuffix("\n").split("\n") if self.text else []
        self.tokens: list[Token] = []
        self._places: list[Position] = []
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in _LAYOUT and token.string:
                self._places.append(token.start)
                self.tokens.append(Token(token.string, token.start[0], token.end[0]))

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def on_line(self) -> dict[int, list[int]]:
        """The numbers of the tokens of each line that has any."""
        found: dict[int, list[int]] = {}
        for number, token in enumerate(self.tokens):
            for line in range(token.line, token.end_line + 1):
                found.setdefault(line, []).append(number)
        return found

    def has_code(self, line: int) -> bool:
        """Whether a line has more than a comment."""
        return any(not self.tokens[number].is_comment for number in self.on_line.get(line, ()))

    def statements(self) -> Iterator[ast.stmt]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.stmt))

    def own(self, node: ast.stmt) -> range:
        """A statement's own tokens: up to the first statement inside, with the comment behind them on their last line."""
        first, last = (bisect_left(self._places, self._characters(place)) for place in head_span(node))
        if last > first and self.tokens[last - 1].text == "@":  # of the first definition inside
            last -= 1
        while last > first + 1 and self.tokens[last - 1].is_comment:
            last -= 1
        if (
            last < len(self.tokens)
            and self.tokens[last].is_comment
            and self.tokens[last].line == self.tokens[last - 1].end_line
        ):
            last += 1
        return range(first, last)

    def _characters(self, place: Position) -> Position:
        """The syntax tree counts bytes, tokens count characters."""
        line, column = place
        if line > len(self.lines) or self.lines[line - 1].isascii():
            return place
        return line, len(self.lines[line - 1].encode()[:column].decode(errors="ignore"))
