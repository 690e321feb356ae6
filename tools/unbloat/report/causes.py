"""Which removals a legacy line is gone by, for a whole module at once."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from unbloat.edit import Check, DropModule, KeepBranch, Span, Tripwire
from unbloat.plan.removal import Removal

_NEAR = 4
"""An edit that covers more lines than this is only about the first."""


class Causes:
    """The numbers of `removals` that are about a line of one module; others of them may be about other modules."""

    def __init__(self, file: str, tree: ast.Module, removals: Sequence[Removal]) -> None:
        self._removals = removals
        self._own = [number for number, one in enumerate(removals) if one.file == file]
        self._begun: dict[int, list[Span]] = {}
        branches: dict[Span, ast.If | ast.While] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt):
                self._begun.setdefault(node.lineno, []).append(Span.of(node))
            if isinstance(node, ast.If | ast.While):
                branches[Span.of(node)] = node
        self._by_line: dict[int, list[int]] = {}
        for number in self._own:
            for line in sorted(set(_named(removals[number], branches))):
                self._by_line.setdefault(line, []).append(number)

    def of(self, line: int) -> tuple[int, ...]:
        """The removals that name a line; else those within the statement that begins there, as with a `try` of dropped
        handlers; else the smallest around it."""
        if found := self._by_line.get(line):
            return tuple(found)
        begun = self._begun.get(line, [])
        inside = [number for number in self._own if any(span.holds(self._removals[number].place) for span in begun)]
        return tuple(inside) or self._around(line)

    def of_head(self, head: Span, lines: Iterable[int]) -> tuple[int, ...]:
        """The removals that changed something in a statement; of a long one, on some of its lines."""
        named = {number for line in lines for number in self._by_line.get(line, [])}
        touching = [number for number in self._own if number in named and _touches(self._removals[number], head)]
        return tuple(touching) or tuple(sorted(named)) or self._around(head.line)

    def of_inserted(self, node: ast.stmt) -> tuple[int, ...]:
        """The removals in whose place a statement was written."""
        place = Span.of(node)
        return tuple(number for number in self._own if _wrote(self._removals[number], place, node))

    def _around(self, line: int) -> tuple[int, ...]:
        holding = [
            number for number in self._own if any(one.line <= line <= one.end_line for one in _spans(self._removals[number]))
        ]
        if not holding:
            return tuple(number for number in self._own if isinstance(self._removals[number].edit, DropModule))
        return (min(holding, key=lambda number: self._size(number, line)),)

    def _size(self, number: int, line: int) -> int:
        return min(one.end_line - one.line for one in _spans(self._removals[number]) if one.line <= line <= one.end_line)


def _named(removal: Removal, branches: dict[Span, ast.If | ast.While]) -> Iterator[int]:
    place = removal.place
    yield place.line
    if place.end_line < place.line + _NEAR:
        yield from range(place.line, place.end_line + 1)
    for first, last in removal.gone:
        yield from range(first, last + 1)
    edit = removal.edit
    # A fold names no line that was wired before it, but takes it away for good.
    if isinstance(edit, KeepBranch) and (node := branches.get(edit.span)) is not None:
        for one in node.orelse if edit.outcome else node.body:
            yield from range(one.lineno, (one.end_lineno or one.lineno) + 1)


def _spans(removal: Removal) -> list[Span]:
    return [removal.place, *(span for span in vars(removal.edit).values() if isinstance(span, Span))]


def _touches(removal: Removal, head: Span) -> bool:
    return any(head.holds(span) or span.holds(head) for span in _spans(removal))


def _wrote(removal: Removal, place: Span, node: ast.stmt) -> bool:
    edit = removal.edit
    match node:
        case ast.Expr() if isinstance(edit, Check | Tripwire):
            return edit.span == place
        case ast.Raise() if isinstance(edit, Tripwire):
            return any(first <= place.end_line and place.line <= last for first, last in removal.gone) or edit.span == place
        case ast.Pass():
            return any(first <= place.end_line and place.line <= last for first, last in removal.gone)
    return False
