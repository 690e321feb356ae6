"""The grid type shared by all task modules, and the few operations that belong to no task in particular.

Grids are immutable, so a generator can keep its input while it paints the output, and a driver can put pairs into sets.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

Grid = tuple[tuple[int, ...], ...]
Cell = tuple[int, int]

COLOURS = range(10)
MAX_SIDE = 30


class AmbiguousGridError(ValueError):
    """A solver found more than one output, or none: the grid does not state the rule, so no pair may use it."""


class Pair(NamedTuple):
    """One example of a task."""

    input: Grid
    output: Grid


def canvas(height: int, width: int, colour: int) -> Grid:
    """A grid of one colour."""
    return ((colour,) * width,) * height


def shape(grid: Grid) -> tuple[int, int]:
    """Height and width."""
    return len(grid), len(grid[0])


def paint(grid: Grid, cells: Mapping[Cell, int]) -> Grid:
    """A copy with the given cells recoloured; cells outside the grid are clipped."""
    height, width = shape(grid)
    rows = [list(row) for row in grid]
    for (row, column), colour in cells.items():
        if 0 <= row < height and 0 <= column < width:
            rows[row][column] = colour
    return tuple(tuple(row) for row in rows)


def mirror_horizontal(grid: Grid) -> Grid:
    """Swap left and right."""
    return tuple(row[::-1] for row in grid)


def mirror_vertical(grid: Grid) -> Grid:
    """Swap top and bottom."""
    return grid[::-1]


def transpose(grid: Grid) -> Grid:
    """Swap rows and columns."""
    return tuple(zip(*grid, strict=True))


def rotate(grid: Grid, quarter_turns: int = 1) -> Grid:
    """Turn clockwise."""
    for _ in range(quarter_turns % 4):
        grid = mirror_horizontal(transpose(grid))
    return grid


def crop(grid: Grid, top: int, left: int, height: int, width: int) -> Grid:
    """The rectangle whose upper-left corner is (top, left)."""
    return tuple(row[left : left + width] for row in grid[top : top + height])


def count_colours(grid: Grid) -> Counter[int]:
    """How many cells each colour has."""
    return Counter(colour for row in grid for colour in row)


def most_common_colour(grid: Grid) -> int:
    """The colour of most cells; at a tie the smallest, so that the answer never depends on reading order."""
    counts = count_colours(grid)
    return min(counts, key=lambda colour: (-counts[colour], colour))


def cells_where(grid: Grid, colour: int) -> list[Cell]:
    """Positions of one colour in reading order."""
    return [(r, c) for r, row in enumerate(grid) for c, value in enumerate(row) if value == colour]


def neighbours(cell: Cell, diagonal: bool) -> list[Cell]:
    """The four, or with diagonals eight, surrounding positions, whether or not a grid has them."""
    row, column = cell
    return [
        (row + down, column + right)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        if (down or right) and (diagonal or not (down and right))
    ]


def components(grid: Grid, background: int, diagonal: bool) -> list[frozenset[Cell]]:
    """Connected groups of non-background cells, of whatever colours, in reading order of their first cell."""
    height, width = shape(grid)
    unseen = {(r, c) for r in range(height) for c in range(width) if grid[r][c] != background}
    found = []
    for first in sorted(unseen):
        if first not in unseen:
            continue
        unseen.discard(first)
        group, open_cells = {first}, [first]
        while open_cells:
            for cell in neighbours(open_cells.pop(), diagonal):
                if cell in unseen:
                    unseen.discard(cell)
                    group.add(cell)
                    open_cells.append(cell)
        found.append(frozenset(group))
    return found


def scaled_int(rng: random.Random, low: int, high: int, difficulty: float) -> int:
    """An integer in low..high whose window slides upwards with difficulty.

    At 0 the draw stays in the lower half of the range, at 1 in the upper half, so that both ends are reached
    and neighbouring difficulties still overlap.
    """
    span = high - low
    first = low + round(span * difficulty / 2)
    last = high - round(span * (1 - difficulty) / 2)
    return rng.randint(first, last)
