"""Dots of the same row or column are joined by lines of colour 8; dots stay on top of the lines.

Official dots have colour 1 on background 0. Generated grids have any two colours except 8. Their dots
range from a few, which may lie on no common line so that the output equals the input, to several in every row.
"""

from __future__ import annotations

import random
from itertools import pairwise

from data.generate.grids import (
    COLOURS,
    Grid,
    Pair,
    canvas,
    most_common_colour,
    paint,
    scaled_int,
    shape,
    transpose,
)

LINE = 8


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Scatter dots, and draw every line between neighbouring dots before the dots themselves."""
    height = scaled_int(rng, 3, 30, difficulty)
    width = scaled_int(rng, 3, 30, difficulty)
    background, dot_colour = rng.sample([colour for colour in COLOURS if colour != LINE], 2)
    cells = [(row, column) for row in range(height) for column in range(width)]
    crowding = rng.random()
    wanted = 2 + int(4 * (height + width) * crowding * crowding)
    dots = sorted(rng.sample(cells, min(wanted, len(cells) // 3)))

    lines = {}
    for (row, column), (next_row, next_column) in pairwise(dots):
        if row == next_row:
            lines.update({(row, between): LINE for between in range(column + 1, next_column)})
    for (column, row), (next_column, next_row) in pairwise(sorted((column, row) for row, column in dots)):
        if column == next_column:
            lines.update({(between, column): LINE for between in range(row + 1, next_row)})

    dot_cells = dict.fromkeys(dots, dot_colour)
    empty = canvas(height, width, background)
    return Pair(paint(empty, dot_cells), paint(empty, lines | dot_cells))


def solve(grid: Grid) -> Grid:
    """A background cell is on a line when its row or column has dots on both sides of it."""
    height, width = shape(grid)
    background = most_common_colour(grid)
    columns = transpose(grid)

    def is_between(line: tuple[int, ...], position: int) -> bool:
        return any(colour != background for colour in line[:position]) and any(
            colour != background for colour in line[position + 1 :]
        )

    joined = {
        (row, column): LINE
        for row in range(height)
        for column in range(width)
        if grid[row][column] == background and (is_between(grid[row], column) or is_between(columns[column], row))
    }
    return paint(grid, joined)
