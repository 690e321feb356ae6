"""Measures a task's pairs in the terms of the reference figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.generate.grids import Pair, shape
from data.generate.reference import Range


@dataclass(frozen=True)
class Statistics:
    """One task's measured figures; `mean_changed` exists only where every pair keeps its shape."""

    input_height: Range
    input_width: Range
    output_height: Range
    output_width: Range
    mean_output_cells: float
    same_shape_pairs: int
    mean_changed: float | None
    identity_pairs: int
    colours: int


def changed_share(pair: Pair) -> float:
    """Share of the cells that differ, for a pair of one shape."""
    before = [colour for row in pair.input for colour in row]
    after = [colour for row in pair.output for colour in row]
    return sum(a != b for a, b in zip(before, after, strict=True)) / len(before)


def measure(pairs: Sequence[Pair]) -> Statistics:
    """Statistics over all pairs."""
    inputs = [shape(pair.input) for pair in pairs]
    outputs = [shape(pair.output) for pair in pairs]
    same_shape = [pair for pair, before, after in zip(pairs, inputs, outputs, strict=True) if before == after]
    changed = sum(map(changed_share, same_shape)) / len(pairs) if len(same_shape) == len(pairs) else None
    return Statistics(
        input_height=extent([height for height, _ in inputs]),
        input_width=extent([width for _, width in inputs]),
        output_height=extent([height for height, _ in outputs]),
        output_width=extent([width for _, width in outputs]),
        mean_output_cells=round(sum(height * width for height, width in outputs) / len(pairs), 1),
        same_shape_pairs=len(same_shape),
        mean_changed=None if changed is None else round(changed, 3),
        identity_pairs=sum(pair.input == pair.output for pair in pairs),
        colours=len({colour for pair in pairs for grid in pair for row in grid for colour in row}),
    )


def extent(values: Sequence[int]) -> Range:
    """Smallest and largest."""
    return min(values), max(values)
