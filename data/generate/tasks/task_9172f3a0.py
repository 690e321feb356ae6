"""Every cell grows into a block of 3x3 cells of its colour.

Official inputs are 3x3. Generated ones have 1 to 10 cells per side, independently, and up to nine colours on
a background of any colour.
"""

from __future__ import annotations

import random

from data.generate.grids import COLOURS, Grid, Pair, scaled_int, shape


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Sprinkle colours on a background, then triple every cell within its row, and every row."""
    height = scaled_int(rng, 1, 10, difficulty)
    width = scaled_int(rng, 1, 10, difficulty)
    background, *ink = rng.sample(COLOURS, scaled_int(rng, 2, 10, difficulty))
    filled = rng.uniform(0.1, 0.9)
    rows = [[rng.choice(ink) if rng.random() < filled else background for _ in range(width)] for _ in range(height)]
    widened = (tuple(colour for colour in row for _ in range(3)) for row in rows)
    return Pair(
        tuple(tuple(row) for row in rows),
        tuple(row for row in widened for _ in range(3)),
    )


def solve(grid: Grid) -> Grid:
    """Each output cell looks up the input cell that covers it."""
    height, width = shape(grid)
    return tuple(tuple(grid[row // 3][column // 3] for column in range(3 * width)) for row in range(3 * height))
