"""The smallest thing that a ledger holds: typed bytes, comparable without the object that they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

PREVIEWED_ELEMENTS = 6
PREVIEW_WIDTH = 120


@dataclass(frozen=True)
class Leaf:
    """A value without parts. `raw` has the buffer protocol: little-endian, contiguous."""

    kind: str
    dtype: str
    shape: tuple[int, ...]
    raw: Any
    preview: str


Named = Iterator[tuple[str, Leaf]]
Publish = Callable[[str], str]
"""Replaces what differs between two runs of the same code (the working folder, the tree) in a text."""


def text(value: str, dtype: str = "str") -> Leaf:
    return Leaf("text", dtype, (len(value),), value.encode("utf-8", "surrogatepass"), shortened(repr(value)))


def lines(kind: str, values: Sequence[str], preview: str | None = None) -> Leaf:
    """Many short texts as one leaf; a comparison names the first line that differs."""
    shown = preview if preview is not None else ", ".join(values[:PREVIEWED_ELEMENTS])
    return Leaf(kind, "lines", (len(values),), "\n".join(values).encode("utf-8", "surrogatepass"), shortened(shown))


def shortened(shown: str) -> str:
    return shown if len(shown) <= PREVIEW_WIDTH else shown[: PREVIEW_WIDTH - 1] + "…"


def first_elements(elements: Sequence[object], count: int) -> str:
    shown = [f"{element:.6g}" if isinstance(element, float) else str(element) for element in elements]
    return shortened("[" + ", ".join(shown) + (", …]" if count > len(shown) else "]"))
