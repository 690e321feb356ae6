"""One rectangular object on an empty background; the output is the object, mirrored left to right.

The official form has an object of two colours on 0. Here it has two to four, all colours and places are free, and it
takes less than half of the grid, so that the background is the commonest colour.
"""

from __future__ import annotations

import random

from data.generate.grids import (
    COLOURS,
    AmbiguousGridError,
    Grid,
    Pair,
    canvas,
    components,
    crop,
    mirror_horizontal,
    most_common_colour,
    paint,
    scaled_int,
)


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Draw the object as the output has it and paint it into the input cell by mirrored cell."""
    height, width = scaled_int(rng, 3, 30, difficulty), scaled_int(rng, 3, 30, difficulty)
    background, ground, *palette = rng.sample(COLOURS, rng.randint(3, 5))
    out_height, out_width = _object_side(rng, height), _object_side(rng, width)
    share = rng.uniform(0.1, 0.6)
    output = tuple(
        tuple(rng.choice(palette) if rng.random() < share else ground for _ in range(out_width)) for _ in range(out_height)
    )
    top, left = rng.randint(0, height - out_height), rng.randint(0, width - out_width)
    cells = {(top + r, left + out_width - 1 - c): colour for r, row in enumerate(output) for c, colour in enumerate(row)}
    return Pair(paint(canvas(height, width, background), cells), output)


def _object_side(rng: random.Random, side: int) -> int:
    """Up to two thirds of the grid's side."""
    return rng.randint(2, min(19, side * 2 // 3))


def solve(grid: Grid) -> Grid:
    """Cut out what is not background and reverse its rows."""
    background = most_common_colour(grid)
    objects = components(grid, background, diagonal=False)
    if len(objects) != 1:
        raise AmbiguousGridError
    rows, columns = {r for r, _ in objects[0]}, {c for _, c in objects[0]}
    return mirror_horizontal(crop(grid, min(rows), min(columns), len(rows), len(columns)))
