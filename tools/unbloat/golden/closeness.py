"""How far two floating entries may be apart where the last bits are the processor's."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from unbloat.golden.ledger import Entry

TOLERANCE = 1e-10
"""Of the norm of the expected array. In double precision, processors differ by less after a few training steps."""

NARROW = {"float32": 1e-6, "complex64": 1e-6, "float16": 1e-2, "bfloat16": 1e-1}
"""The same for types whose own resolution is coarser: a package may compute a metric in single precision."""

CODES = {
    "float16": "e",
    "bfloat16": "H",
    "float32": "f",
    "float64": "d",
    "float": "d",
    "complex64": "ff",
    "complex128": "dd",
    "complex": "dd",
}
"""Floating types as `struct` reads them."""


def is_floating(entry: Entry) -> bool:
    return entry.dtype in CODES and entry.kind in ("scalar", "array", "tensor")


def apart(want: Entry, got: Entry) -> str | None:
    """What is too far apart, None if nothing is; both entries are floating and of one shape."""
    if want.digest == got.digest:
        return None
    if want.sketch is not None and got.sketch is not None:
        if want.sketch.special != got.sketch.special:
            return "NaN or infinity in other places"
        norm, wanted = want.sketch.norm, (want.sketch.norm, *want.sketch.projections)
        gotten = (got.sketch.norm, *got.sketch.projections)
    elif want.values is not None and got.values is not None:
        wanted, gotten = tuple(_elements(want.dtype, want.values)), tuple(_elements(got.dtype, got.values))
        norm = math.hypot(*(value for value in wanted if math.isfinite(value)))
    else:
        return f"differs, and nothing was kept that tells by how much ({want.preview} != {got.preview})"
    allowed = NARROW.get(want.dtype, TOLERANCE)
    farthest = max((_distance(*pair) for pair in zip(wanted, gotten, strict=True)), default=0.0)
    if farthest <= allowed * norm:
        return None
    return f"{_relative(farthest, norm)} apart, allowed are {allowed:g} ({want.preview} != {got.preview})"


def _distance(left: float, right: float) -> float:
    if left == right or (math.isnan(left) and math.isnan(right)):
        return 0.0
    distance = abs(left - right)
    return distance if math.isfinite(distance) else math.inf


def _relative(distance: float, norm: float) -> str:
    return f"{distance / norm:.2g} of the norm" if norm else f"{distance:.2g}"


def _elements(dtype: str, raw: bytes) -> Iterator[float]:
    if dtype == "bfloat16":
        dtype, raw = "float32", b"".join(b"\0\0" + raw[at : at + 2] for at in range(0, len(raw), 2))
    for element in struct.iter_unpack(f"<{CODES[dtype]}", raw):
        yield from element
