"""How far two values are apart, in units in the last place."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any

import numpy
import pytest
from unbloat.diff.size import size_of
from unbloat.golden.ledger import Entry

TINY = float(numpy.finfo(numpy.float32).smallest_subnormal)


def entry(dtype: str, values: Any, kind: str | None = None) -> Entry:
    array = numpy.asarray(values, kind or dtype)
    return Entry("x", "tensor", dtype, array.shape, "", "", array.tobytes())


# (type, values, other values, elements that differ, ulps, largest difference)
SIZES = [
    ("float32", [1.0, 2.0], [1.0, 2.0], 0, 0, 0.0),
    ("float32", [1.0, 2.0], [numpy.nextafter(numpy.float32(1), numpy.float32(2)), 2.0], 1, 1, 2.0**-23),
    ("float64", [1.0], [numpy.nextafter(1.0, 0.0)], 1, 1, 2.0**-53),
    ("float16", [1.0], [1.0 + 3 * 2.0**-10], 1, 3, 3 * 2.0**-10),
    ("float32", [TINY], [-TINY], 1, 2, 2 * TINY),
    ("float32", [0.0], [-0.0], 1, 0, 0.0),
    ("float32", [-1.0], [-2.0], 1, 2**23, 1.0),
    ("float64", [-1.7e308], [1.7e308], 1, 2 * int(numpy.float64(1.7e308).view("u8")), math.inf),
    ("float32", [math.nan, 1.0], [1.0, math.inf], 2, 0, 0.0),
    ("int64", [1, 5], [1, 2], 1, None, 3.0),
    ("bool", [True, False], [False, False], 1, None, 1.0),
]


@pytest.mark.parametrize(("dtype", "first", "second", "differing", "ulps", "absolute"), SIZES)
def test_sizes(dtype: str, first: list[Any], second: list[Any], differing: int, ulps: int | None, absolute: float) -> None:
    found = size_of(entry(dtype, first), entry(dtype, second))
    assert found is not None
    assert astuple(found) == (len(first), differing, ulps, absolute)


def test_bfloat16_is_the_upper_half_of_float32() -> None:
    found = size_of(entry("bfloat16", [0x3F80], "<u2"), entry("bfloat16", [0x3F82], "<u2"))
    assert found is not None
    assert astuple(found) == (1, 1, 2, 2.0**-6)


@pytest.mark.parametrize(
    "other",
    [
        entry("float32", [1.0, 2.0]),
        entry("float64", [1.0]),
        Entry("x", "tensor", "float32", (1,), "", "", None),
    ],
)
def test_what_cannot_be_compared_has_no_size(other: Entry) -> None:
    assert size_of(entry("float32", [1.0]), other) is None
    assert size_of(other, entry("float32", [1.0])) is None


def test_text_has_no_size() -> None:
    text = Entry("x", "text", "str", (1,), "", "", b"a")
    assert size_of(text, text) is None
