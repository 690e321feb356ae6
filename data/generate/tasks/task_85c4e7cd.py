"""Concentric rings swap their colours: the outermost takes the innermost's colour, and so on inwards.

Official grids are square, with a different colour for every ring. Generated ones are rectangles with even sides
(the innermost ring is then a bar), and their rings draw from a palette of one to ten colours, so a colour may
come back in several rings. Where that makes the order of colours read the same both ways, the output equals the
input; that is some 65 of 400 pairs, and 77 in the reference.
"""

from __future__ import annotations

import random

from data.generate.grids import COLOURS, Grid, Pair, canvas, scaled_int, shape


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Draw the colours, then wrap frame after frame around the core, for the output in the opposite order."""
    half_height = scaled_int(rng, 1, 15, difficulty)
    half_width = scaled_int(rng, 1, 15, difficulty)
    palette = rng.sample(COLOURS, rng.randint(1, 10))
    colours = [rng.choice(palette) for _ in range(min(half_height, half_width))]
    core_height = 2 * (half_height - len(colours) + 1)
    core_width = 2 * (half_width - len(colours) + 1)
    return Pair(
        _nested(colours, core_height, core_width),
        _nested(colours[::-1], core_height, core_width),
    )


def _nested(colours: list[int], core_height: int, core_width: int) -> Grid:
    grid = canvas(core_height, core_width, colours[0])
    for colour in colours[1:]:
        bar = ((colour,) * (len(grid[0]) + 2),)
        grid = bar + tuple((colour, *row, colour) for row in grid) + bar
    return grid


def solve(grid: Grid) -> Grid:
    """The diagonal from the upper-left corner crosses every ring once."""
    height, width = shape(grid)
    rings = (min(height, width) + 1) // 2

    def opposite(row: int, column: int) -> int:
        depth = min(row, column, height - 1 - row, width - 1 - column)
        return grid[rings - 1 - depth][rings - 1 - depth]

    return tuple(tuple(opposite(row, column) for column in range(width)) for row in range(height))
