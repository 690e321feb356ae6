"""Rows and columns that consist of a single colour from end to end are repainted in colour 2.

Official grids are speckled with colour 0 and one other, and the uniform lines have colour 0. Generated ones take
any colour except 2 for the lines and up to eight more for the speckles. There is always at least one line, in some
grids in one direction only. A grid that the speckles give another uniform line is left to be rejected.
"""

from __future__ import annotations

import random

from data.generate.grids import COLOURS, Grid, Pair, scaled_int, shape, transpose

FOUND = 2


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Choose the lines, then speckle the rest."""
    height = scaled_int(rng, 4, 30, difficulty)
    width = scaled_int(rng, 4, 30, difficulty)
    colours = rng.sample([colour for colour in COLOURS if colour != FOUND], scaled_int(rng, 2, 9, difficulty))
    line_colour, *speckles = colours
    rows = set(rng.sample(range(height), rng.randint(0, max(1, height // 3))))
    columns = set(rng.sample(range(width), rng.randint(0 if rows else 1, max(1, width // 3))))
    filled = rng.uniform(0.5, 0.9)
    grid = tuple(
        tuple(
            line_colour if row in rows or column in columns or rng.random() > filled else rng.choice(speckles)
            for column in range(width)
        )
        for row in range(height)
    )
    output = tuple(
        tuple(FOUND if row in rows or column in columns else grid[row][column] for column in range(width))
        for row in range(height)
    )
    return Pair(grid, output)


def solve(grid: Grid) -> Grid:
    """Count the colours of every row and, in the transposed grid, of every column."""
    height, width = shape(grid)
    uniform_row = [len(set(row)) == 1 for row in grid]
    uniform_column = [len(set(column)) == 1 for column in transpose(grid)]
    return tuple(
        tuple(FOUND if uniform_row[row] or uniform_column[column] else grid[row][column] for column in range(width))
        for row in range(height)
    )
