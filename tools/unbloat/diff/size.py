"""By how much two arrays of one type and shape differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unbloat.golden.ledger import Entry

_FLOATING = {"float16": ("<u2", "<f2"), "float32": ("<u4", "<f4"), "float64": ("<u8", "<f8"), "float": ("<u8", "<f8")}
_WHOLE = {"bool": "<u1", "uint8": "<u1", "int8": "<i1", "int16": "<i2", "int32": "<i4", "int64": "<i8"}
_BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class Size:
    """`ulps` is the largest distance in units in the last place, None for whole numbers; `absolute` the largest difference.

    NaN and infinity have no distance from other values: they count among the `differing` elements alone.
    """

    elements: int
    differing: int
    ulps: int | None
    absolute: float

    def __str__(self) -> str:
        ulps = "" if self.ulps is None else f"{self.ulps} ulp, "
        return f"{self.differing} of {self.elements} elements differ, by at most {ulps}{self.absolute:.6g}"


def size_of(first: Entry, second: Entry) -> Size | None:
    """None unless both are real numbers of one type and shape, with their values captured."""
    if first.values is None or second.values is None or (first.dtype, first.shape) != (second.dtype, second.shape):
        return None
    if first.dtype in _WHOLE:
        bits = [_array(_WHOLE[first.dtype], raw) for raw in (first.values, second.values)]
        numbers = [one.astype("<f8") for one in bits]
        return Size(bits[0].size, int((bits[0] != bits[1]).sum()), None, _largest(numbers[0] - numbers[1]))
    if first.dtype not in _FLOATING and first.dtype != _BFLOAT16:
        return None
    return _floating_size(first.dtype, first.values, second.values)


def _floating_size(dtype: str, first: bytes, second: bytes) -> Size:
    # Only called for arrays, whose owner has numpy.
    import numpy

    unsigned, floating = _FLOATING.get(dtype, ("<u2", ""))
    bits = [_array(unsigned, raw) for raw in (first, second)]
    if floating:
        numbers = [_array(floating, raw).astype("<f8") for raw in (first, second)]
    else:
        numbers = [(one.astype("<u4") << 16).view("<f4").astype("<f8") for one in bits]
    finite = numpy.isfinite(numbers[0]) & numpy.isfinite(numbers[1])
    left, right = (_ranked(one[finite]) for one in bits)
    # Without a sign there is no overflow: the larger rank minus the smaller.
    ulps = (numpy.maximum(left, right) - numpy.minimum(left, right)).max(initial=0)
    with numpy.errstate(over="ignore"):
        apart = _largest(numbers[0][finite] - numbers[1][finite])
    return Size(bits[0].size, int((bits[0] != bits[1]).sum()), int(ulps), apart)


def _ranked(bits: Any) -> Any:
    """The position of each float among all floats of its type; both zeros have one."""
    import numpy

    sign = numpy.uint64(1 << (8 * bits.dtype.itemsize - 1))
    wide = bits.astype("<u8")
    return numpy.where(wide >= sign, sign - (wide ^ sign), wide + sign)


def _array(dtype: str, raw: bytes) -> Any:
    import numpy

    return numpy.frombuffer(raw, dtype)


def _largest(differences: Any) -> float:
    return float(abs(differences).max(initial=0.0))
