"""A few numbers that stand for a large array of floats: enough to see that two arrays are close, wherever they differ.

Bits do not travel between processors, and storing every array would. A sketch is the array's norm and its projections on
fixed pseudo-random vectors: a difference of any pattern moves at least one of them by about its own size. Everything is
computed by numpy in double precision, so that the library under test and its threads have no part in it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import xxhash

PROJECTIONS = 3

_BLOCK = 1 << 16
_FLOATING = {"float16": "<f2", "float32": "<f4", "float64": "<f8", "complex64": "<f4", "complex128": "<f8"}


@dataclass(frozen=True)
class Sketch:
    """`special` tells where NaNs and infinities are; it is empty if there are none, as nearly always."""

    norm: float
    projections: tuple[float, ...]
    special: str = ""


def sketch(dtype: str, raw: Any) -> Sketch | None:
    """Of little-endian bytes; None unless the type is a floating one."""
    if dtype not in _FLOATING and dtype != "bfloat16":
        return None
    # Only called for arrays, whose owner has loaded numpy.
    import numpy

    if dtype == "bfloat16":
        values = (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").astype("<f8")
    else:
        values = numpy.frombuffer(raw, _FLOATING[dtype]).astype("<f8")
    finite = numpy.isfinite(values)
    special = ""
    if not finite.all():
        kinds = numpy.isnan(values) * 1 + numpy.isposinf(values) * 2 + numpy.isneginf(values) * 3
        special = xxhash.xxh3_128(kinds.astype("u1").tobytes()).hexdigest()
        values = numpy.where(finite, values, 0.0)
    return Sketch(math.sqrt(float(values @ values)), tuple(_projected(values)), special)


def _projected(values: Any) -> list[float]:
    """Long arrays go block by block; a factor of its own for each tells equal blocks in another order apart."""
    import numpy

    vectors, total = _vectors(), numpy.zeros(PROJECTIONS)
    for number, start in enumerate(range(0, values.size, _BLOCK)):
        part = values[start : start + _BLOCK]
        total += (1 + _uniform(number * PROJECTIONS, PROJECTIONS) / 2) * (vectors[:, : part.size] @ part)
    return [float(value) for value in total]


@functools.cache
def _vectors() -> Any:
    """Elements of variance one: a projection of a difference is about as large as the difference."""
    return math.sqrt(3) * _uniform(1 << 32, PROJECTIONS * _BLOCK).reshape(PROJECTIONS, _BLOCK)


def _uniform(first: int, count: int) -> Any:
    """Numbers between -1 and 1 by hashing positions (splitmix64): the same with every version of numpy."""
    import numpy

    state = numpy.arange(first + 1, first + count + 1, dtype="u8") * numpy.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    state ^= state >> numpy.uint64(31)
    return (state >> numpy.uint64(11)).astype("f8") / 2.0**52 - 1.0
