"""From which legacy lines each line of an edited module has come.

The specialised tree has the legacy's positions, and the text written from it has the same statements in the same order. So
statements are paired without a guess, and only what stands between two of them (comments, `else:`, blank lines) is
looked for by its words, in what the legacy has between the same two.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from unbloat.edit import Span
from unbloat.report.lexed import Lexed

Pairs = Iterator[tuple[int, int]]


@dataclass(frozen=True)
class Written:
    """A line of the edited text. `legacy` are the lines that something in it has come from."""

    legacy: tuple[int, ...]
    is_verbatim: bool
    """Whether it is these lines, and all of them, but for layout."""
    head: Span | None
    """The legacy statement that it is part of, or that it was written in the place of."""
    inserted: ast.stmt | None = None
    """The statement that begins on it, if the tool wrote that one."""


@dataclass(frozen=True)
class Origins:
    """Both ways: what each line was made from, and what is left of each legacy line."""

    lines: tuple[Written, ...]
    left: tuple[float, ...]
    """By legacy line: the share of its tokens that is still there; of a blank line, whether it is."""
    survivors: frozenset[Span]
    """The legacy statements of which something is left."""


def unedited(lines: int, tree: ast.Module) -> Origins:
    """Of a module that is as it was."""
    spans = frozenset(Span.of(node) for node in ast.walk(tree) if isinstance(node, ast.stmt))
    return Origins(tuple(Written((number,), True, None) for number in range(1, lines + 1)), (1.0,) * lines, spans)


def origins(legacy: Lexed, after: ast.Module, written: Lexed) -> Origins:
    """Trace `written`, whose tree is `after` with other positions."""
    return _Tracer(legacy, after, written).origins()


class _Tracer:
    def __init__(self, legacy: Lexed, after: ast.Module, written: Lexed) -> None:
        self._legacy, self._written = legacy, written
        before = {Span.of(node): node for node in legacy.statements()}
        specialised = (node for node in ast.walk(after) if isinstance(node, ast.stmt))
        self._matched: dict[int, int] = {}
        self._heads: dict[int, tuple[Span, ast.stmt | None]] = {}
        self._survivors: set[Span] = set()
        anchors: list[tuple[range, range]] = []
        for node, counterpart in zip(specialised, written.statements(), strict=True):
            own, origin = written.own(counterpart), before.get(Span.of(node))
            inserted = getattr(node, "inserted", False)
            self._heads.update(dict.fromkeys(own, (Span.of(node), node if inserted else None)))
            if origin is None or (inserted and not _keeps_test(node)):
                continue
            old = legacy.own(origin)
            self._matched.update(self._pairs(own, old))
            self._survivors.add(Span.of(node))
            anchors.append((own, old))
        self._match_gaps(sorted(anchors, key=lambda pair: pair[0].start))

    def origins(self) -> Origins:
        taken = set(self._matched.values())
        left = [self._share(line, taken) for line in range(1, len(self._legacy.lines) + 1)]
        lines = [self._line(number, left) for number in range(1, len(self._written.lines) + 1)]
        for number, place in self._blank_lines(lines):
            lines[number - 1] = Written((place,), True, None)
            left[place - 1] = 1.0
        return Origins(tuple(lines), tuple(left), frozenset(self._survivors))

    def _pairs(self, new: Sequence[int], old: Sequence[int]) -> Pairs:
        """Number of a token of the text, and that of the legacy's that it is."""
        after = [self._written.tokens[number].text for number in new]
        before = [self._legacy.tokens[number].text for number in old]
        if after == before:
            yield from zip(new, old, strict=True)
            return
        for block in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
            for offset in range(block.size):
                yield new[block.b + offset], old[block.a + offset]

    def _match_gaps(self, anchors: list[tuple[range, range]]) -> None:
        written, legacy = len(self._written.tokens), len(self._legacy.tokens)
        ends = range(written, written), range(legacy, legacy)
        for (new, old), (new_next, old_next) in pairwise([(range(0), range(0)), *anchors, ends]):
            between = [number for number in range(new.stop, new_next.start) if number not in self._heads]
            self._matched.update(self._in_gap(between, [*range(old.stop, old_next.start)]))

    def _in_gap(self, new: list[int], old: list[int]) -> Pairs:
        """What stands right above the next statement belongs to that one; what is right behind the last to the last."""
        while new and old and self._same(new[-1], old[-1]):
            yield new.pop(), old.pop()
        front = 0
        while front < min(len(new), len(old)) and self._same(new[front], old[front]):
            yield new[front], old[front]
            front += 1
        # A colon alone is everywhere: it says nothing about where a line has come from.
        pairs = [*self._pairs(new[front:], old[front:])]
        telling = {self._written.tokens[number].line for number, _ in pairs if self._written.tokens[number].is_telling}
        yield from (pair for pair in pairs if self._written.tokens[pair[0]].line in telling)

    def _same(self, new: int, old: int) -> bool:
        return self._written.tokens[new].text == self._legacy.tokens[old].text

    def _share(self, line: int, taken: set[int]) -> float:
        tokens = self._legacy.on_line.get(line, [])
        return sum(token in taken for token in tokens) / len(tokens) if tokens else 0.0

    def _line(self, number: int, left: Sequence[float]) -> Written:
        tokens = self._written.on_line.get(number, [])
        places = sorted({place for token in tokens for place in self._places(token, number)})
        heads = [self._heads[token] for token in tokens if token in self._heads]
        head, inserted = next((found for found in heads if found[1] is not None), heads[0] if heads else (None, None))
        is_whole = bool(tokens) and all(token in self._matched for token in tokens)
        return Written(tuple(places), is_whole and all(left[place - 1] == 1 for place in places), head, inserted)

    def _places(self, token: int, line: int) -> list[int]:
        """The legacy line of a token, or of the part of a long string that lies on `line`."""
        if token not in self._matched:
            return []
        old, new = self._legacy.tokens[self._matched[token]], self._written.tokens[token]
        return [old.line + line - new.line]

    def _blank_lines(self, lines: Sequence[Written]) -> Iterator[tuple[int, int]]:
        """Blank lines by the code around them: those above a line first, from it upwards."""
        used: set[int] = set()
        below = len(self._legacy.lines) + 1
        above = self._lines_above(lines)
        for number in range(len(lines), 0, -1):
            if lines[number - 1].legacy:
                below = lines[number - 1].legacy[0]
            elif number not in self._written.on_line:
                free = (place for place in range(below - 1, above[number - 1], -1) if place not in self._legacy.on_line)
                if (place := next(free, None)) is not None and place not in used:
                    used.add(place)
                    below = place
                    yield number, place

    @staticmethod
    def _lines_above(lines: Sequence[Written]) -> list[int]:
        """For every line the legacy line of what stands above it."""
        found, last = [], 0
        for line in lines:
            found.append(last)
            last = line.legacy[-1] if line.legacy else last
        return found


def _keeps_test(node: ast.stmt) -> bool:
    """A check holds the test of the decision in whose place it is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and len(node.value.args) == 2 and _is_legacy(node)


def _is_legacy(node: ast.stmt) -> bool:
    return any(not getattr(inner, "inserted", False) for inner in ast.walk(node) if isinstance(inner, ast.expr))
