"""Scattered fragments each hold one pivot cell of a common colour; the output lays them over each other at the pivot.

The official form has an 11 x 11 input on 0, pivot 5 and a 3 x 3 output. Here pivot and background are free, the
output has two to four cells a side with the pivot anywhere in it, and a fragment has one colour beside the pivot's,
which another fragment may repeat. The input is empty but for the fragments, as in the official form.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from data.generate.grids import (
    COLOURS,
    AmbiguousGridError,
    Cell,
    Grid,
    Pair,
    canvas,
    components,
    most_common_colour,
    neighbours,
    paint,
    scaled_int,
)

PLACEMENT_ATTEMPTS = 200


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Draw the assembled picture, take it apart, and drop the parts at free places."""
    height, width = scaled_int(rng, 4, 30, difficulty), scaled_int(rng, 4, 30, difficulty)
    out_height, out_width = rng.randint(2, 4), rng.randint(2, 4)
    pivot, background, *colours = rng.sample(COLOURS, 10)
    pivot_cell = rng.randrange(out_height), rng.randrange(out_width)
    fragments = _take_apart(rng, out_height, out_width, pivot_cell)
    if rng.random() < 0.8:
        painted = list(zip(fragments, colours, strict=False))
    else:
        painted = [(fragment, rng.choice(colours)) for fragment in fragments]

    output = canvas(out_height, out_width, background)
    scene = canvas(height, width, background)
    blocked: set[Cell] = set()
    for fragment, colour in painted:
        output = paint(output, {pivot_cell: pivot, **dict.fromkeys(fragment, colour)})
        placed = _place(rng, height, width, {pivot_cell: pivot, **dict.fromkeys(fragment, colour)}, blocked)
        blocked |= {near for cell in placed for near in neighbours(cell, diagonal=True)}
        scene = paint(scene, placed)
    return Pair(scene, output)


def _take_apart(rng: random.Random, height: int, width: int, pivot: Cell) -> list[list[Cell]]:
    """Split most cells around the pivot into two to four groups that each hold together with it."""
    count = rng.randint(2, 4)
    groups: list[list[Cell]] = [[] for _ in range(count)]
    free = {(r, c) for r in range(height) for c in range(width)} - {pivot}
    left_out = rng.choice((0, 0, 1))
    while len(free) > left_out:
        group = rng.choice(groups)
        reachable = sorted({near for cell in (pivot, *group) for near in neighbours(cell, diagonal=True)} & free)
        if not reachable:
            # Only cells behind other groups are left; one of those groups takes them when its turn comes.
            continue
        cell = rng.choice(reachable)
        group.append(cell)
        free.discard(cell)
    return [group for group in groups if group]


def _place(rng: random.Random, height: int, width: int, part: Mapping[Cell, int], blocked: set[Cell]) -> dict[Cell, int]:
    """The part moved to where it touches no other; nothing if there is no room, which the driver's check rejects."""
    top, left = min(r for r, _ in part), min(c for _, c in part)
    bottom, right = max(r for r, _ in part), max(c for _, c in part)
    for _ in range(PLACEMENT_ATTEMPTS):
        down = rng.randint(-top, height - 1 - bottom)
        across = rng.randint(-left, width - 1 - right)
        moved = {(r + down, c + across): colour for (r, c), colour in part.items()}
        if blocked.isdisjoint(moved):
            return moved
    return {}


def solve(grid: Grid) -> Grid:
    """The pivot is the colour that every fragment has exactly once and at which all of them agree."""
    background = most_common_colour(grid)
    fragments = components(grid, background, diagonal=True)
    readings = set()
    for pivot in COLOURS:
        picture = _overlay(grid, fragments, pivot)
        if picture:
            readings.add(_framed(picture, background))
    if len(readings) != 1:
        raise AmbiguousGridError
    return readings.pop()


def _overlay(grid: Grid, fragments: list[frozenset[Cell]], pivot: int) -> dict[Cell, int]:
    """Colours relative to the pivot; empty if this colour cannot be the pivot."""
    picture: dict[Cell, int] = {}
    for fragment in fragments:
        pivots = [(r, c) for r, c in fragment if grid[r][c] == pivot]
        if len(pivots) != 1:
            return {}
        pivot_row, pivot_column = pivots[0]
        for r, c in fragment:
            place = r - pivot_row, c - pivot_column
            if place in picture and place != (0, 0):
                return {}
            picture[place] = grid[r][c]
    return picture


def _framed(picture: Mapping[Cell, int], background: int) -> Grid:
    rows = range(min(r for r, _ in picture), max(r for r, _ in picture) + 1)
    columns = range(min(c for _, c in picture), max(c for _, c in picture) + 1)
    return tuple(tuple(picture.get((r, c), background) for c in columns) for r in rows)
