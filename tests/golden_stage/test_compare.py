"""A divergence names the first thing that differs, in a line that a person understands."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy
import pytest
import torch
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.golden.recorder import Recorder


def ledger(*values: tuple[str, object], capture: bool = False) -> Ledger:
    recorder = Recorder("train", Path("/nowhere"), capture=frozenset({"big"} if capture else ()))
    for name, value in values:
        recorder.record(name, value)
    return recorder.ledger()


def _changed(values: torch.Tensor, at: tuple[int, ...], to: float) -> torch.Tensor:
    changed = values.clone()
    changed[at] = to
    return changed


GRID = torch.arange(12).reshape(3, 4)
NAN = float("nan")

VALUES = [
    (GRID, _changed(GRID, (1, 3), 8), "v", "[1, 3]: 7 != 8"),
    (GRID.bfloat16(), _changed(GRID.bfloat16(), (0, 1), 2), "v", "[0, 1]: 1.0 != 2.0"),
    (GRID == 3, GRID == 2, "v", "[0, 2]: False != True"),
    (torch.tensor([1 + 2j]), torch.tensor([1 + 3j]), "v", "[0]: (1+2j) != (1+3j)"),
    (torch.tensor(1.0), torch.tensor(2.0), "v", "1.0 != 2.0"),
    (numpy.float64(0.0), numpy.float64(-0.0), "v", "0.0 != -0.0"),
    (NAN, math.copysign(NAN, -1), "v", "nan (bits 7ff8000000000000) != nan (bits fff8000000000000)"),
    (1, 2, "v", "1 != 2"),
    ("abc", "abd", "v", "'abc' != 'abd'"),
    (b"ab", b"ac", "v", "byte 1: 98 != 99"),
    (1, 1.0, "v", "dtype int != float (1 != 1.0)"),
    (1, "1", "v", "kind scalar != text (1 != '1')"),
    (GRID, GRID.T, "v", "shape [3, 4] != [4, 3]"),
    (GRID, GRID.int(), "v", "dtype int64 != int32 ([0, 1, 2, 3, 4, 5, …] != [0, 1, 2, 3, 4, 5, …])"),
    ({"a": 1}, {"a": 1, "b": 2}, "v", "line 2: (nothing) != 'b'"),
    ([1, 2], [1, 3], "v[1]", "2 != 3"),
]


@pytest.mark.parametrize(("expected", "actual", "entry", "what"), VALUES, ids=lambda value: repr(value)[:24])
def test_the_first_differing_value_is_shown(expected: object, actual: object, entry: str, what: str) -> None:
    found = compare(ledger(("v", expected)), ledger(("v", actual)))
    assert found is not None
    assert (found.workload, found.entry) == ("train", entry)
    assert found.what == what


ORDERS = [
    ("abc", "abc", None),
    ("abc", "ac", ("b", "missing entry: scalar 1")),
    ("ab", "abc", ("c", "extra entry: scalar 1")),
    ("ac", "abc", ("b", "extra entry: scalar 1")),
    ("abc", "ab", ("c", "missing entry: scalar 1")),
    ("abc", "acb", ("b", "comes later: 'c' was recorded in its place")),
    ("", "a", ("a", "extra entry: scalar 1")),
]


@pytest.mark.parametrize(("expected", "actual", "found"), ORDERS)
def test_an_inserted_or_deleted_entry_is_not_a_shift(expected: str, actual: str, found: tuple[str, str] | None) -> None:
    divergence = compare(ledger(*((name, 1) for name in expected)), ledger(*((name, 1) for name in actual)))
    assert (divergence and (divergence.entry, divergence.what)) == found


def test_the_first_in_execution_order_wins() -> None:
    found = compare(ledger(("a", 1), ("b", 1), ("c", 1)), ledger(("a", 1), ("b", 2), ("c", 2), ("d", 3)))
    assert found is not None
    assert found.entry == "b"


def test_a_large_value_is_located_once_it_is_captured() -> None:
    before = torch.zeros(100, 100)
    after = _changed(before, (98, 7), 1.0)
    blind = compare(ledger(("big", before)), ledger(("big", after)))
    seen = compare(ledger(("big", before), capture=True), ledger(("big", after), capture=True))
    assert blind is not None
    assert seen is not None
    assert "capture 'big' to see where" in blind.what
    assert seen.what == "[98, 7]: 0.0 != 1.0"


def test_long_texts_are_shown_from_where_they_part() -> None:
    left, right = (ledger(("big", "x" * 200 + end), capture=True) for end in ("left", "right"))
    found = compare(left, right)
    assert found is not None
    assert found.what == f"…{'x' * 50}left' != …{'x' * 50}right'"


def test_the_first_of_many_differences_is_found() -> None:
    chance = random.Random(0)
    for _ in range(50):
        positions = sorted(chance.sample(range(1000), 5))
        after = torch.zeros(1000)
        after[positions] = 1.0
        found = compare(ledger(("big", torch.zeros(1000)), capture=True), ledger(("big", after), capture=True))
        assert found is not None
        assert found.what == f"[{positions[0]}]: 0.0 != 1.0"
