"""A bar that starts at a side grows into a staircase: bars of colour 3, each one cell longer, on its left, and bars
of colour 1, each one cell shorter, on its right, as far as the grid reaches.

Left and right are those of someone who looks along the bar from the side where it starts. Official bars have
colour 2 and start at the left side of the grid, so the longer ones are above. Generated bars and backgrounds have
any colours except 1 and 3, and the bar starts at any of the four sides. Reflections are left
out: nothing in the input would tell on which hand the longer bars belong. For the same reason a bar has at least
two cells and never reaches the opposite side. The grids have some 8 % more cells than the reference's.
"""

from __future__ import annotations

import random

from data.generate.grids import (
    COLOURS,
    AmbiguousGridError,
    Grid,
    Pair,
    canvas,
    most_common_colour,
    rotate,
    scaled_int,
    shape,
)

LONGER, SHORTER = 3, 1


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Draw the bar at the left side, stack the staircase row by row, then turn both grids."""
    height = scaled_int(rng, 3, 30, difficulty)
    width = scaled_int(rng, 3, 30, difficulty)
    background, bar = rng.sample([colour for colour in COLOURS if colour not in (LONGER, SHORTER)], 2)
    at = rng.randrange(height)
    length = rng.randint(2, width - 1)

    def staircase(row: int) -> tuple[int, ...]:
        steps = min(width, max(0, length + at - row))
        colour = bar if row == at else LONGER if row < at else SHORTER
        return (colour,) * steps + (background,) * (width - steps)

    empty = canvas(height, width, background)
    turns = rng.randrange(4)
    return Pair(
        rotate((*empty[:at], staircase(at), *empty[at + 1 :]), turns),
        rotate(tuple(staircase(row) for row in range(height)), turns),
    )


def solve(grid: Grid) -> Grid:
    """Turn the grid until the bar starts at the left side, extend, and turn back."""
    background = most_common_colour(grid)
    for turns in range(4):
        turned = rotate(grid, turns)
        bars = [row for row, colours in enumerate(turned) if colours[0] != background]
        if len(bars) == 1 and turned[bars[0]][1] != background and turned[bars[0]][-1] == background:
            return rotate(_extended(turned, bars[0], background), 4 - turns)
    raise AmbiguousGridError("no side has a bar of two or more cells that starts there")


def _extended(grid: Grid, at: int, background: int) -> Grid:
    height, width = shape(grid)
    rows = [list(row) for row in grid]
    length = width - grid[at].count(background)
    for row in range(height):
        for column in range(width):
            if row != at and column < length + at - row:
                rows[row][column] = LONGER if row < at else SHORTER
    return tuple(tuple(row) for row in rows)
