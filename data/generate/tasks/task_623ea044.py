"""From every odd cell both diagonals are drawn in its colour to the borders.

The official form has a single odd cell on 0. The figures of the reference files (43 % of the cells change) need
several odd cells in most grids, so there are up to a tenth of the cells here, all of one colour.
"""

from __future__ import annotations

import random

from data.generate.grids import (
    COLOURS,
    AmbiguousGridError,
    Grid,
    Pair,
    canvas,
    cells_where,
    count_colours,
    paint,
    scaled_int,
)


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Shoot the rays step by step from each cell."""
    height, width = scaled_int(rng, 3, 30, difficulty), scaled_int(rng, 3, 30, difficulty)
    background, colour = rng.sample(COLOURS, 2)
    cells = [(r, c) for r in range(height) for c in range(width)]
    odd = rng.sample(cells, 1 + int(len(cells) * 0.1 * rng.random() ** 2))
    field = canvas(height, width, background)
    rays = {
        (r + down * step, c + right * step): colour
        for r, c in odd
        for down in (-1, 1)
        for right in (-1, 1)
        for step in range(max(height, width))
    }
    return Pair(paint(field, dict.fromkeys(odd, colour)), paint(field, rays))


def solve(grid: Grid) -> Grid:
    """A cell lies on a ray when it shares its sum or its difference of coordinates with an odd cell."""
    counts = count_colours(grid).most_common()
    if len(counts) != 2 or counts[0][1] == counts[1][1]:
        raise AmbiguousGridError
    background, colour = counts[0][0], counts[1][0]
    odd = cells_where(grid, colour)
    sums, differences = {r + c for r, c in odd}, {r - c for r, c in odd}
    return tuple(
        tuple(colour if r + c in sums or r - c in differences else background for c, _ in enumerate(row))
        for r, row in enumerate(grid)
    )
