"""The input with its left-right mirror image to the right of it.

The official form is 3 x 3 in colours 1, 6 and 8; here any picture with room for its mirror image, from two to all ten
colours and from sparse to dense.
"""

from __future__ import annotations

import random

from data.generate.grids import COLOURS, Grid, Pair, mirror_horizontal, scaled_int


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Draw the output column by column from the outside in, then keep its left half as the input."""
    height, width = scaled_int(rng, 1, 30, difficulty), scaled_int(rng, 1, 15, difficulty)
    palette = rng.sample(COLOURS, scaled_int(rng, 2, 10, difficulty))
    density = rng.random()
    rows = []
    for _ in range(height):
        row = [palette[0]] * (2 * width)
        for c in range(width):
            if rng.random() < density:
                row[c] = row[-1 - c] = rng.choice(palette)
        rows.append(tuple(row))
    return Pair(tuple(row[:width] for row in rows), tuple(rows))


def solve(grid: Grid) -> Grid:
    """Join each row with its reverse."""
    return tuple(row + mirrored for row, mirrored in zip(grid, mirror_horizontal(grid), strict=True))
