"""Four tiles stand around an empty cross, three of them equal; the output is the fourth.

Official tiles are 2x2 with one colour besides the background. Generated ones have 1 to 14 cells per side,
independently, and up to nine colours besides that of the cross, which also occurs inside the tiles.
"""

from __future__ import annotations

import random

from data.generate.grids import COLOURS, Grid, Pair, crop, paint, scaled_int, shape


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Draw a tile, make the odd one by recolouring some of its cells, and put it in one of the four corners."""
    height = scaled_int(rng, 1, 14, difficulty)
    width = scaled_int(rng, 1, 14, difficulty)
    palette = rng.sample(COLOURS, scaled_int(rng, 2, 10, difficulty))
    cross, *ink = palette
    filled = rng.uniform(0.3, 0.9)
    tile = tuple(tuple(rng.choice(ink) if rng.random() < filled else cross for _ in range(width)) for _ in range(height))

    cells = [(row, column) for row in range(height) for column in range(width)]
    recoloured = rng.sample(cells, rng.randint(1, (len(cells) + 1) // 2))
    odd = paint(
        tile,
        {
            (row, column): rng.choice([colour for colour in palette if colour != tile[row][column]])
            for row, column in recoloured
        },
    )

    tiles = [tile] * 3
    tiles.insert(rng.randrange(4), odd)
    upper = tuple((*left, cross, *right) for left, right in zip(tiles[0], tiles[1], strict=True))
    lower = tuple((*left, cross, *right) for left, right in zip(tiles[2], tiles[3], strict=True))
    return Pair((*upper, (cross,) * (2 * width + 1), *lower), odd)


def solve(grid: Grid) -> Grid:
    """Cut out the four corners and keep the one that occurs once."""
    height, width = (side // 2 for side in shape(grid))
    tiles = [crop(grid, top, left, height, width) for top in (0, height + 1) for left in (0, width + 1)]
    return min(tiles, key=tiles.count)
