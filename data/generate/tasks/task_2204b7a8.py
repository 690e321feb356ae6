"""Bars of two colours fill two opposite borders; every loose dot takes the colour of the nearer bar.

The official form is 10 x 10 on 0 with dots of colour 3. Here all colours and both sides are free, dots are up to half
of the space between the bars, and none lies exactly in the middle.
"""

from __future__ import annotations

import random

from data.generate.grids import (
    COLOURS,
    AmbiguousGridError,
    Grid,
    Pair,
    canvas,
    count_colours,
    paint,
    scaled_int,
    shape,
    transpose,
)


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Scatter the dots as if the bars stood left and right, then turn the pair if they lie above and below."""
    height, width = scaled_int(rng, 4, 30, difficulty), scaled_int(rng, 4, 30, difficulty)
    background, dot, left, right = rng.sample(COLOURS, 4)
    half = width // 2
    field = tuple((left, *row, right) for row in canvas(height, width - 2, background))
    near_left = [(r, c) for r in range(height) for c in range(1, half)]
    near_right = [(r, c) for r in range(height) for c in range(width - half, width - 1)]
    share = rng.uniform(0.02, 0.5)
    colours = dict.fromkeys(near_left, left) | dict.fromkeys(near_right, right)
    dots = rng.sample(sorted(colours), max(1, round(share * len(colours))))
    pair = Pair(paint(field, dict.fromkeys(dots, dot)), paint(field, {cell: colours[cell] for cell in dots}))
    return pair if rng.random() < 0.5 else Pair(transpose(pair.input), transpose(pair.output))


def solve(grid: Grid) -> Grid:
    """Turn the bars upright if need be and recolour row by row."""
    if len(set(grid[0])) == len(set(grid[-1])) == 1:
        return transpose(solve(transpose(grid)))
    _, width = shape(grid)
    between = count_colours(tuple(row[1:-1] for row in grid)).most_common()
    if len(between) != 2 or between[0][1] == between[1][1]:
        raise AmbiguousGridError
    dot = between[1][0]
    return tuple(
        tuple((row[0] if 2 * c < width - 1 else row[-1]) if colour == dot else colour for c, colour in enumerate(row))
        for row in grid
    )
