"""The first thing in which two runs differ."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from unbloat.golden import closeness
from unbloat.golden.environment import Lane
from unbloat.golden.ledger import Entry, Ledger

EXCERPT = 100
"""Characters of a long text that are shown."""

_TEXTS = {"str", "path", "none", "int", "count", "dtype", "device"}
_STRUCT = {
    "bool": "?",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    **closeness.CODES,
}


@dataclass(frozen=True)
class Divergence:
    """`what` is one line for a person; `entry` can be captured in another run to learn more."""

    workload: str
    entry: str
    what: str


def compare(expected: Ledger, actual: Ledger, lane: Lane = Lane.SAME_MACHINE) -> Divergence | None:
    """The first difference in execution order; in the lane across machines floating values may be a little apart.

    The tape is walked on its own: an inserted operation moves the points at which its chunks end, and that must not
    look as if values had come in another order.
    """
    found = [
        difference
        for is_tape in (False, True)
        if (difference := _walk(_numbered(expected, is_tape), _numbered(actual, is_tape), lane)) is not None
    ]
    if not found:
        return None
    _, entry, what = min(found)
    return Divergence(expected.workload, entry, what)


Numbered = list[tuple[int, Entry]]
Difference = tuple[int, str, str]


def _numbered(ledger: Ledger, is_tape: bool) -> Numbered:
    return [pair for pair in enumerate(ledger.entries) if (pair[1].kind == "tape") is is_tape]


def _walk(expected: Numbered, actual: Numbered, lane: Lane) -> Difference | None:
    for index, (want, got) in enumerate(zip_longest(expected, actual)):
        if want is None:
            return got[0], got[1].name, f"extra entry: {_shown(got[1])}"
        if got is None:
            return want[0], want[1].name, f"missing entry: {_shown(want[1])}"
        if want[1].name != got[1].name:
            return _misplaced(expected[index:], actual[index:])
        if (what := _difference(want[1], got[1], lane)) is not None:
            return want[0], want[1].name, what
    return None


def _misplaced(expected: Numbered, actual: Numbered) -> Difference:
    (position, want), (_, got) = expected[0], actual[0]
    if want.name not in {entry.name for _, entry in actual}:
        return position, want.name, f"missing entry: {_shown(want)}"
    if got.name not in {entry.name for _, entry in expected}:
        return position, got.name, f"extra entry: {_shown(got)}"
    return position, want.name, f"comes later: '{got.name}' was recorded in its place"


def _shown(entry: Entry) -> str:
    return f"{entry.kind} {entry.preview}"


def _difference(want: Entry, got: Entry, lane: Lane) -> str | None:
    if want.digest == got.digest and want.kind == got.kind:
        return None
    for aspect in ("kind", "dtype"):
        if getattr(want, aspect) != getattr(got, aspect):
            return f"{aspect} {getattr(want, aspect)} != {getattr(got, aspect)} ({want.preview} != {got.preview})"
    if lane is Lane.ACROSS_MACHINES and closeness.is_floating(want) and want.shape == got.shape:
        return closeness.apart(want, got)
    if want.kind == "rng":
        return "the random state differs: another seed, or something drew more or fewer numbers before"
    if want.values is not None and got.values is not None:
        return _first_value(want, want.values, got, got.values)
    if want.shape != got.shape:
        return f"shape {_index(want.shape)} != {_index(got.shape)}"
    if want.preview != got.preview:
        return f"{want.preview} != {got.preview}"
    return f"values differ after the first ones ({want.preview}); capture '{want.name}' to see where"


def _first_value(want: Entry, wanted: bytes, got: Entry, gotten: bytes) -> str:
    if want.dtype == "lines":
        return _first_line(wanted, gotten)
    if want.dtype in _TEXTS:
        return _excerpts(_text(want, wanted), _text(got, gotten))
    if want.shape != got.shape:
        return f"shape {_index(want.shape)} != {_index(got.shape)}"
    byte = _first_byte(wanted, gotten)
    code = _STRUCT.get(want.dtype)
    if code is None:
        return f"byte {byte}: {wanted[byte]} != {gotten[byte]}"
    size = struct.calcsize(f"<{code}")
    flat = byte // size
    raw = [data[flat * size : (flat + 1) * size] for data in (wanted, gotten)]
    left, right = (_element(want.dtype, code, element) for element in raw)
    if left == right:
        left, right = (f"{left} (bits {element[::-1].hex()})" for element in raw)
    place = f"{_index(_unravelled(flat, want.shape))}: " if want.shape else ""
    return f"{place}{left} != {right}"


def _first_line(wanted: bytes, gotten: bytes) -> str:
    pairs = zip_longest(_lines(wanted), _lines(gotten))
    number, (left, right) = next((number, pair) for number, pair in enumerate(pairs) if pair[0] != pair[1])
    return f"line {number}: {_excerpts(*('(nothing)' if line is None else line for line in (left, right)))}"


def _lines(raw: bytes) -> list[str]:
    return raw.decode("utf-8", "surrogatepass").split("\n") if raw else []


def _text(entry: Entry, raw: bytes) -> str:
    decoded = raw.decode("utf-8", "surrogatepass")
    return repr(decoded) if entry.dtype in ("str", "path") else decoded


def _excerpts(left: str, right: str) -> str:
    """Both texts, from shortly before they part."""
    same = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(same - EXCERPT // 2, 0) if max(len(left), len(right)) > EXCERPT else 0
    return " != ".join(_cut(shown, start) for shown in (left, right))


def _cut(shown: str, start: int) -> str:
    end = start + EXCERPT
    return f"{'…' if start else ''}{shown[start:end]}{'…' if end < len(shown) else ''}"


def _first_byte(wanted: bytes, gotten: bytes) -> int:
    """By halves: comparing slices is fast, comparing bytes one by one is not."""
    low, high = 0, len(wanted)
    while high - low > 1:
        middle = (low + high) // 2
        if wanted[low:middle] == gotten[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _element(dtype: str, code: str, raw: bytes) -> str:
    parts = struct.unpack(f"<{code}", raw)
    if dtype == "bfloat16":
        parts = struct.unpack("<f", b"\0\0" + raw)
    return repr(complex(*parts) if len(parts) == 2 else parts[0])


def _unravelled(flat: int, shape: Sequence[int]) -> list[int]:
    index = []
    for size in reversed(shape):
        flat, position = divmod(flat, size)
        index.append(position)
    return index[::-1]


def _index(numbers: Sequence[int]) -> str:
    return f"[{', '.join(map(str, numbers))}]"
