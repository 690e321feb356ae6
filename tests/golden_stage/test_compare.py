"""A divergence names the first thing that differs, in a line that a person understands."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy
import pytest
import torch
from unbloat.golden.compare import compare
from unbloat.golden.environment import Lane
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


LARGE = torch.sin(torch.arange(5000, dtype=torch.float64)).reshape(50, 100)
SMALL = LARGE[0, :6]

# (expected, actual, what is too far apart across machines)
CLOSE = [
    pytest.param(LARGE, LARGE * (1 + 1e-12), None, id="large and close"),
    pytest.param(LARGE, LARGE * (1 + 1e-9), "of the norm apart, allowed are 1e-10", id="large and too far"),
    pytest.param(LARGE, _changed(LARGE, (49, 99), 0.5), "of the norm apart", id="one element of many"),
    pytest.param(LARGE, LARGE.T, "shape [50, 100] != [100, 50]", id="another shape"),
    pytest.param(LARGE, LARGE.float(), "dtype float64 != float32", id="another type"),
    pytest.param(LARGE, _changed(LARGE, (3, 4), NAN), "NaN or infinity in other places", id="a NaN among many"),
    pytest.param(_changed(LARGE, (0, 0), NAN), _changed(LARGE, (0, 0), NAN) * (1 + 1e-12), None, id="the same NaN"),
    pytest.param(SMALL, SMALL * (1 + 1e-12), None, id="small and close"),
    pytest.param(SMALL, SMALL * (1 + 1e-9), "of the norm apart, allowed are 1e-10", id="small and too far"),
    pytest.param(SMALL, _changed(SMALL, (2,), NAN), "inf of the norm apart", id="a NaN among few"),
    pytest.param(LARGE.float(), (LARGE * (1 + 3e-7)).float(), None, id="single precision"),
    pytest.param(LARGE.float(), (LARGE * 1.0001).float(), "allowed are 1e-06", id="single precision, too far"),
    pytest.param(SMALL.bfloat16(), SMALL.bfloat16() * 1.5, "allowed are 0.1", id="half precision, too far"),
    pytest.param(0.1, 0.1 * (1 + 1e-12), None, id="a number"),
    pytest.param(0.1, 0.1 + 1e-9, "of the norm apart", id="another number"),
    pytest.param(0.0, 1e-300, "1e-300 apart", id="not zero"),
    pytest.param(torch.zeros(100), torch.zeros(100), None, id="zeros"),
    pytest.param(1 + 2j, (1 + 2j) * (1 + 1e-12), None, id="complex"),
    pytest.param(GRID, _changed(GRID, (1, 3), 8), "[1, 3]: 7 != 8", id="integers"),
    pytest.param("0.1", "0.10000000000001", "'0.1' != '0.10000000000001'", id="a number as text"),
]


@pytest.mark.parametrize(("expected", "actual", "what"), CLOSE)
def test_across_machines_floating_values_are_close_and_all_else_is_equal(
    expected: object, actual: object, what: str | None
) -> None:
    found = compare(ledger(("v", expected)), ledger(("v", actual)), Lane.ACROSS_MACHINES)
    assert (found is None) if what is None else (found is not None and what in found.what)


def test_on_the_same_machine_nothing_may_be_apart() -> None:
    found = compare(ledger(("v", LARGE)), ledger(("v", LARGE * (1 + 1e-15))))
    assert found is not None


@pytest.mark.parametrize("kind", ["rng", "tape", "order"])
def test_across_machines_the_discrete_part_is_exact(kind: str) -> None:
    def run(other: bool) -> Ledger:
        recorder = Recorder("train", Path("/nowhere"))
        random.seed(1 if other and kind == "rng" else 0)
        with recorder.observing():
            values = torch.ones(3, dtype=torch.float64)
            recorder.record("sum", values.sum() if other and kind == "tape" else torch.tensor(3.0, dtype=torch.float64))
            for name in "ba" if other and kind == "order" else "ab":
                recorder.record(name, 1.0)
            recorder.rng("rng")
        return recorder.ledger()

    assert compare(run(False), run(False), Lane.ACROSS_MACHINES) is None
    found = compare(run(False), run(True), Lane.ACROSS_MACHINES)
    assert found is not None
    assert found.entry.startswith({"rng": "rng.python", "tape": "tape", "order": "a"}[kind])
