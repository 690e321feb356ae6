"""A field of one colour is cut by full-length lines of another; the output has one field cell per compartment.

The official form has two to six compartments a side; here it is up to eleven, lines touch neither each other nor the
border, and both colours are free.
"""

from __future__ import annotations

import random
from itertools import groupby

from data.generate.grids import COLOURS, AmbiguousGridError, Grid, Pair, canvas, paint, scaled_int, transpose

MOST_LINES = 10


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Cut an empty field."""
    height, width = scaled_int(rng, 3, 30, difficulty), scaled_int(rng, 3, 30, difficulty)
    field, line = rng.sample(COLOURS, 2)
    rows, columns = _cuts(rng, height), _cuts(rng, width)
    lines = {(r, c): line for r in rows for c in range(width)} | {(r, c): line for c in columns for r in range(height)}
    return Pair(paint(canvas(height, width, field), lines), canvas(len(rows) + 1, len(columns) + 1, field))


def _cuts(rng: random.Random, side: int) -> list[int]:
    """Positions of lines, few more often than many."""
    most = min(MOST_LINES, (side - 1) // 2)
    count = min(rng.randint(1, most) for _ in range(2))
    # Choosing from a shortened side and stretching afterwards keeps one field cell between neighbours.
    chosen = sorted(rng.sample(range(side - 1 - count), count))
    return [position + 1 + index for index, position in enumerate(chosen)]


def solve(grid: Grid) -> Grid:
    """Lines are what crosses the grid in one colour; runs of the other rows and columns are compartments."""
    line_colours = {row[0] for row in grid if len(set(row)) == 1}
    field_colours = {colour for row in grid for colour in row} - line_colours
    if len(line_colours) != 1 or len(field_colours) != 1:
        raise AmbiguousGridError
    return canvas(_compartments(grid), _compartments(transpose(grid)), field_colours.pop())


def _compartments(grid: Grid) -> int:
    return sum(mixed for mixed, _ in groupby(len(set(row)) > 1 for row in grid))
