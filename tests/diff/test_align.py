"""Steps of two runs are put together in order: what was inserted or deleted does not shift what comes after it."""

from __future__ import annotations

import pytest
from unbloat.diff.align import WINDOW, Hunk, Pair, aligned
from unbloat.trace.records import Record


def steps(text: str) -> list[Record]:
    """Each word is an operation (its letter) with a result (its digit)."""
    return [Record(word[0], "", "", "", (), (word[1:],), (), "", "", 0, "", True, 0) for word in text.split()]


def shown(first: list[Record], second: list[Record]) -> str:
    """`=` for a pair; a hunk as what was there and what is."""
    parts = []
    for one in aligned(first, second):
        match one:
            case Pair():
                parts.append("=")
            case Hunk(here, there):
                parts.append(f"{''.join(first[at].name for at in here)}>{''.join(second[at].name for at in there)}")
    return " ".join(parts)


ALIGNED = [
    ("a1 b1 c1", "a1 b1 c1", "= = ="),
    ("a1 b1 c1", "a1 x1 b1 c1", "= >x = ="),
    ("a1 b1 c1", "a1 c1", "= b> ="),
    ("a1 b1 c1", "a1 x1 c1", "= b>x ="),
    ("a1 b1 c1", "a1 b2 c2", "= = ="),
    ("a1 b1 c1", "a1 x2 b2 c2", "= >x = ="),
    ("a1 b1 c1 d1", "a1 c2 d2", "= b> = ="),
    ("a1 b1 c1 d1", "a1 x2 y2 c2 d2", "= b>xy = ="),
    ("a1 b1 c1 d1 e1 f1", "a1 x1 b1 c1 d1 e1", "= >x = = = = f>"),
    ("a1 b1", "a1", "= b>"),
    ("", "a1", ">a"),
    ("", "", ""),
    # Of several equal operations the values tell which one is new.
    ("a1 a2 a3 a4 a5", "a1 a9 a2 a3 a4 a5", "= >a = = = ="),
    ("a1 a2 a3 a4 a5 a6", "a1 a2 a4 a5 a6", "= = a> = = ="),
    # An unaffected stretch after a change is met again.
    ("a1 b1 c1 d1 e1 f1", "a1 x1 y1 d1 e1 f1", "= bc>xy = = ="),
]


@pytest.mark.parametrize(("first", "second", "expected"), ALIGNED)
def test_alignment(first: str, second: str, expected: str) -> None:
    assert shown(steps(first), steps(second)) == expected


def test_many_changes_of_a_long_run() -> None:
    first = steps(" ".join(f"{'abcdefg'[at % 7]}{at}" for at in range(20_000)))
    second = [one for at, step in enumerate(first) for one in ([step, *steps("x0")] if at % 50 == 25 else [step])]
    found = list(aligned(first, second))
    hunks = [one for one in found if isinstance(one, Hunk)]
    assert len(hunks) == 400
    assert all((len(hunk.first), len(hunk.second)) == (0, 1) for hunk in hunks)
    assert len(found) - len(hunks) == len(first)


def test_a_hole_longer_than_the_window_is_still_found_at_its_start() -> None:
    first = steps(" ".join(f"{'abcdefg'[at % 7]}{at}" for at in range(5 * WINDOW)))
    second = first[:WINDOW] + first[3 * WINDOW :]
    changed = next(one for one in aligned(first, second) if not isinstance(one, Pair) or one.first != one.second)
    assert isinstance(changed, Hunk)
    assert changed.first.start == changed.second.start == WINDOW
