"""The input is continued below by its own reflection, top and bottom swapped.

Official inputs are 3x3 with one colour on background 0. Generated ones have 1 to 15 rows and 1 to 30 columns,
and up to nine colours on a background of any colour.
"""

from __future__ import annotations

import random

from data.generate.grids import COLOURS, Grid, Pair, mirror_vertical, scaled_int


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Sprinkle colours on a background, then append the reflection."""
    height = scaled_int(rng, 1, 15, difficulty)
    width = scaled_int(rng, 1, 30, difficulty)
    background, *ink = rng.sample(COLOURS, scaled_int(rng, 2, 10, difficulty))
    filled = rng.uniform(0.1, 0.9)
    grid = tuple(tuple(rng.choice(ink) if rng.random() < filled else background for _ in range(width)) for _ in range(height))
    return Pair(grid, grid + mirror_vertical(grid))


def solve(grid: Grid) -> Grid:
    """Rows are read downwards and then upwards again."""
    last = 2 * len(grid) - 1
    return tuple(grid[min(row, last - row)] for row in range(last + 1))
