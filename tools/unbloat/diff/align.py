"""Which steps of two runs belong together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from unbloat.trace.records import Record

NEAR, RUN = 64, 3
"""How many steps are looked ahead for a run of so many steps that are equal with all their values."""

WINDOW = 600
"""Steps that are aligned by what they are, where no values agree any more."""


@dataclass(frozen=True)
class Pair:
    """The same step in both runs, perhaps with other values."""

    first: int
    second: int


@dataclass(frozen=True)
class Hunk:
    """Steps of the first run in whose place the second run has other ones; either may be none."""

    first: range
    second: range

    @property
    def sides(self) -> tuple[range, range]:
        return self.first, self.second


def aligned(first: Sequence[Record], second: Sequence[Record]) -> Iterator[Pair | Hunk]:
    """From the start to the end. It is lazy: whoever has found what they look for pays for no more."""
    numbers: dict[object, int] = {}
    left, right = _Tokens(first, numbers), _Tokens(second, numbers)
    i = j = 0
    while i < len(first) and j < len(second):
        if left.whole[i] == right.whole[j]:
            yield Pair(i, j)
            i, j = i + 1, j + 1
            continue
        end, other_end = _meeting(left.whole, right.whole, i, j)
        yield from _by_kind(left.kinds, right.kinds, range(i, end), range(j, other_end))
        i, j = end, other_end
    if i < len(first) or j < len(second):
        yield Hunk(range(i, len(first)), range(j, len(second)))


class _Tokens:
    """Each step as two numbers: equal for steps that agree in everything, and for those that only do the same."""

    def __init__(self, records: Sequence[Record], numbers: dict[object, int]) -> None:
        kinds = [(one.name, one.types, one.arguments, one.results) for one in records]
        self.kinds = [numbers.setdefault(kind, len(numbers)) for kind in kinds]
        wholes = [(kind, one.inputs, one.outputs) for kind, one in zip(self.kinds, records, strict=True)]
        self.whole = [numbers.setdefault(whole, len(numbers)) for whole in wholes]


def _meeting(left: Sequence[int], right: Sequence[int], i: int, j: int) -> tuple[int, int]:
    """The nearest place from which the runs agree again, or the end of the window."""
    for apart in range(1, NEAR):
        for skipped in range(apart + 1):
            a, b = i + skipped, j + apart - skipped
            if left[a : a + RUN] == right[b : b + RUN] and len(left[a : a + RUN]) == RUN:
                return a, b
    return min(i + WINDOW, len(left)), min(j + WINDOW, len(right))


def _by_kind(left: Sequence[int], right: Sequence[int], first: range, second: range) -> Iterator[Pair | Hunk]:
    # Without the heuristic against popular elements: in a model most are.
    matcher = SequenceMatcher(None, left[first.start : first.stop], right[second.start : second.stop], autojunk=False)
    for what, a, a_end, b, b_end in matcher.get_opcodes():
        here, there = first[a:a_end], second[b:b_end]
        if what == "equal":
            yield from map(Pair, here, there)
        else:
            yield Hunk(here, there)
