"""Marks on one row edge and one column edge; colour 2 appears where marked rows and columns cross.

The official form is 10 x 10 on 0 with marks of colour 5 at the top and the right. Here the two edges and the colours
of marks and background are free (never 2), and the corner between the edges stays empty as in the official form.
"""

from __future__ import annotations

import random

from data.generate.grids import (
    COLOURS,
    AmbiguousGridError,
    Grid,
    Pair,
    canvas,
    mirror_horizontal,
    mirror_vertical,
    most_common_colour,
    paint,
    scaled_int,
    shape,
)

CROSSING = 2


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Mark the top and the right edge, then mirror."""
    height, width = scaled_int(rng, 3, 30, difficulty), scaled_int(rng, 3, 30, difficulty)
    background, mark = rng.sample([colour for colour in COLOURS if colour != CROSSING], 2)
    columns = _some(rng, range(width - 1))
    rows = _some(rng, range(1, height))
    marks = {(0, c): mark for c in columns} | {(r, width - 1): mark for r in rows}
    before = paint(canvas(height, width, background), marks)
    after = paint(before, {(r, c): CROSSING for r in rows for c in columns})
    if rng.random() < 0.5:
        before, after = mirror_horizontal(before), mirror_horizontal(after)
    if rng.random() < 0.5:
        before, after = mirror_vertical(before), mirror_vertical(after)
    return Pair(before, after)


def _some(rng: random.Random, places: range) -> list[int]:
    """A random part of the places, one at the least."""
    return rng.sample(places, max(1, round(rng.uniform(0.05, 0.65) * len(places))))


def solve(grid: Grid) -> Grid:
    """Find the one pair of edges that holds all the marks, then cross them."""
    height, width = shape(grid)
    background = most_common_colour(grid)
    marks = {(r, c) for r in range(height) for c in range(width) if grid[r][c] != background}
    readings = set()
    for top in (0, height - 1):
        for side in (0, width - 1):
            columns = {c for r, c in marks if r == top}
            rows = {r for r, c in marks if c == side}
            inside = all(r == top or c == side for r, c in marks)
            if inside and rows and columns and (top, side) not in marks:
                readings.add(paint(grid, {(r, c): CROSSING for r in rows for c in columns}))
    if len(readings) != 1:
        raise AmbiguousGridError
    return readings.pop()
