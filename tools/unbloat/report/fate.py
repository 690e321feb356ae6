"""What became of each line of a legacy module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property

from unbloat.edit import Span
from unbloat.report.lexed import Lexed
from unbloat.report.origin import Origins
from unbloat.report.verbatim import head_span

_CLAUSE = re.compile(r"\s*(else|finally)\s*:")


class Fate(StrEnum):
    KEPT = "kept"
    MOVED = "moved"
    """Kept, in another file."""
    CHANGED = "changed"
    FOLDED = "folded"
    """The head of a block went, and what it held stays: the decision is taken, or nothing is caught any more."""
    REMOVED = "removed"


class Deciders:
    """Which line a line shares its fate with: a comment stands above code, a closing bracket ends a statement."""

    def __init__(self, legacy: Lexed) -> None:
        self._legacy = legacy
        self._statements = sorted(legacy.statements(), key=lambda node: (node.lineno, -(node.end_lineno or 0)))

    def fate(self, line: int, origins: Origins) -> Fate:
        """As far as this module goes: what comes after its edits can move or change the line again."""
        left = origins.left[line - 1]
        if left == 1:
            return Fate.KEPT
        if left:
            return Fate.CHANGED
        return Fate.FOLDED if any(span in origins.survivors for span in self._held(line)) else Fate.REMOVED

    def decider(self, line: int) -> int:
        """The line that decides about a line; often itself."""
        if not self._is_code(line) and not self._is_inside(line):
            neighbour = self._neighbour(line)
            return line if neighbour is None else self._of_code(neighbour)
        return self._of_code(line)

    def _of_code(self, line: int) -> int:
        if line in self._begun:
            return line
        around = self._around(line)
        if (block := self._clause(line)) is not None:
            return [node for node in around if getattr(node, block, None)][-1].lineno
        return around[-1].lineno if around else line

    @cached_property
    def _begun(self) -> frozenset[int]:
        """Lines on which a part of a statement begins, or ends one that is no block."""
        kinds = (ast.stmt, ast.expr, ast.excepthandler, ast.alias, ast.arg, ast.keyword)
        found: set[int] = set()
        for node in ast.walk(self._legacy.tree):
            if isinstance(node, kinds):
                found.add(node.lineno)
                if not isinstance(getattr(node, "body", None), list):
                    found.add(node.end_lineno or node.lineno)
        return frozenset(found)

    def _held(self, line: int) -> Iterator[Span]:
        """The statements inside a block, for a line of its head."""
        if not self._is_code(line):
            return
        if (block := self._clause(line)) is not None:
            owners = [node for node in self._around(line) if getattr(node, block, None)]
            roots: list[ast.stmt] = getattr(owners[-1], block) if owners else []
            yield from (Span.of(node) for root in roots for node in ast.walk(root) if isinstance(node, ast.stmt))
            return
        for node in self._around(line)[-1:]:
            (first, _), (last, _) = head_span(node)
            if line in (first, *range(first, last)):
                yield from (Span.of(one) for one in ast.walk(node) if isinstance(one, ast.stmt) and one is not node)

    def _clause(self, line: int) -> str | None:
        found = _CLAUSE.match(self._legacy.lines[line - 1])
        return None if found is None else "orelse" if found.group(1) == "else" else "finalbody"

    def _around(self, line: int) -> list[ast.stmt]:
        """The statements that a line lies in, from the outermost."""
        return self._by_line.get(line, [])

    @cached_property
    def _by_line(self) -> dict[int, list[ast.stmt]]:
        found: dict[int, list[ast.stmt]] = {}
        for node in self._statements:
            for line in range(head_span(node)[0][0], (node.end_lineno or node.lineno) + 1):
                found.setdefault(line, []).append(node)
        return found

    def _is_inside(self, line: int) -> bool:
        """Whether a line lies within a statement that is not a block: in a long string, say."""
        return any(not isinstance(getattr(node, "body", None), list) for node in self._around(line))

    def _neighbour(self, line: int) -> int | None:
        """The code that a blank or comment line belongs to: what follows, unless the comment is indented more deeply."""
        lines = self._legacy.lines
        following = next((number for number in range(line + 1, len(lines) + 1) if self._is_code(number)), None)
        comment = lines[line - 1]
        if following is not None and (not comment.strip() or _indent(comment) <= _indent(lines[following - 1])):
            return following
        return next((number for number in range(line - 1, 0, -1) if self._is_code(number)), None)

    def _is_code(self, line: int) -> bool:
        text = self._legacy.lines[line - 1]
        return bool(text.strip()) and not text.lstrip().startswith("#")


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
