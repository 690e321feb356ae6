"""Parallel stripes in a repeating colour sequence, partly hidden under a mask; the output shows all of them.

The official form has diagonal stripes of three colours under mask 0. Here the stripes also run the other way,
horizontally or vertically, two to nine different colours repeat, any colour can be the mask, and a few pairs hide
nothing. What stays visible is either a few whole stretches of stripes, as in the official form, or scattered cells.
Grids that can be read in more than one way, mostly tiny ones, are discarded.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from data.generate.grids import COLOURS, AmbiguousGridError, Grid, Pair, count_colours, paint, scaled_int, shape

# A stripe is the set of cells with the same down * row + right * column.
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Draw the stripes, then hide most of them."""
    size = difficulty**0.7
    height, width = scaled_int(rng, 2, 30, size), scaled_int(rng, 2, 30, size)
    down, right = rng.choice(DIRECTIONS)
    palette = rng.sample(COLOURS, 1 + scaled_int(rng, 2, 9, difficulty))
    mask, sequence = palette[0], palette[1:]
    shift = rng.randrange(len(sequence))
    output = tuple(tuple(sequence[(down * r + right * c + shift) % len(sequence)] for c in range(width)) for r in range(height))
    if rng.random() < 0.025:
        return Pair(output, output)
    cells = [(r, c) for r in range(height) for c in range(width)]
    if rng.random() < 0.5:
        share = rng.uniform(0.45, 0.97)
        hidden = [cell for cell in cells if rng.random() < share]
    else:
        stripes = sorted({down * r + right * c for r, c in cells})
        shown = set(rng.sample(stripes, min(len(stripes), len(sequence) + rng.randrange(len(sequence)))))
        hidden = [(r, c) for r, c in cells if down * r + right * c not in shown or rng.random() < 0.1]
    return Pair(paint(output, dict.fromkeys(hidden, mask)), output)


def solve(grid: Grid) -> Grid:
    """Try every mask and direction; as the colours differ, the sequence is as long as there are visible colours."""
    colours = set(count_colours(grid))
    readings = {
        filled for mask in (None, *colours) for direction in DIRECTIONS for filled in _filled(grid, colours - {mask}, direction)
    }
    if len(readings) != 1:
        raise AmbiguousGridError
    return readings.pop()


def _filled(grid: Grid, visible: set[int], direction: tuple[int, int]) -> Iterator[Grid]:
    """The whole grid, if the visible colours repeat along this direction."""
    period = len(visible)
    if period < 2:
        return
    down, right = direction
    sequence: dict[int, int] = {}
    for r, row in enumerate(grid):
        for c, colour in enumerate(row):
            place = (down * r + right * c) % period
            if colour in visible and sequence.setdefault(place, colour) != colour:
                return
    if len(set(sequence.values())) == period:
        height, width = shape(grid)
        yield tuple(tuple(sequence[(down * r + right * c) % period] for c in range(width)) for r in range(height))
