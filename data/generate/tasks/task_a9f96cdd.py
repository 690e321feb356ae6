"""Every dot disappears and leaves colours on its four diagonal neighbours: 3 upper left, 6 upper right, 8 lower
left, 7 lower right. What falls outside the grid is lost.

Official grids are 3x5 with a single dot of colour 2 on background 0. Generated ones have one or many dots, so far
apart that no cell belongs to two of them. The dots have any colour, the background any except the four that are
painted.
"""

from __future__ import annotations

import random

from data.generate.grids import (
    COLOURS,
    Cell,
    Grid,
    Pair,
    canvas,
    most_common_colour,
    paint,
    scaled_int,
    shape,
)

CORNERS = {(-1, -1): 3, (-1, 1): 6, (1, -1): 8, (1, 1): 7}


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Visit cells in random order and put a dot wherever it and its corners do not meet those of earlier dots."""
    height = scaled_int(rng, 3, 30, difficulty)
    width = scaled_int(rng, 3, 30, difficulty)
    background = rng.choice([colour for colour in COLOURS if colour not in CORNERS.values()])
    dot_colour = rng.choice([colour for colour in COLOURS if colour != background])
    cells = [(row, column) for row in range(height) for column in range(width)]
    wanted = rng.randint(1, max(1, len(cells) // 11))

    dots: list[Cell] = []
    taken: set[Cell] = set()
    for row, column in rng.sample(cells, len(cells)):
        footprint = {(row, column)} | {(row + down, column + right) for down, right in CORNERS}
        if len(dots) < wanted and taken.isdisjoint(footprint):
            dots.append((row, column))
            taken |= footprint

    empty = canvas(height, width, background)
    left_behind = {(row + down, column + right): colour for row, column in dots for (down, right), colour in CORNERS.items()}
    return Pair(paint(empty, dict.fromkeys(dots, dot_colour)), paint(empty, left_behind))


def solve(grid: Grid) -> Grid:
    """Each cell asks its four diagonal neighbours whether one of them is a dot."""
    height, width = shape(grid)
    background = most_common_colour(grid)

    def colour_at(row: int, column: int) -> int:
        for (down, right), colour in CORNERS.items():
            dot_row, dot_column = row - down, column - right
            if 0 <= dot_row < height and 0 <= dot_column < width and grid[dot_row][dot_column] != background:
                return colour
        return background

    return tuple(tuple(colour_at(row, column) for column in range(width)) for row in range(height))
