"""Two dots that touch side by side or one above the other get a rim of colour 3 on all free cells around them,
those at the corners included. Single dots stay as they are, even inside a rim.

Official dots have colour 2 on background 0. Generated grids have any two colours except 3. Dots touch in twos
only, as in the official pairs. About a tenth of the grids have no two that touch, so that the output equals the
input; in the reference that is 27 of 400.
"""

from __future__ import annotations

import random

from data.generate.grids import (
    COLOURS,
    Cell,
    Grid,
    Pair,
    canvas,
    cells_where,
    most_common_colour,
    neighbours,
    paint,
    scaled_int,
    shape,
)

RIM = 3


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Place dominoes first, then single dots, none beside an earlier one; the rims lie below all of them."""
    height = scaled_int(rng, 4, 30, difficulty)
    width = scaled_int(rng, 4, 30, difficulty)
    background, dot_colour = rng.sample([colour for colour in COLOURS if colour != RIM], 2)
    cells = [(row, column) for row in range(height) for column in range(width)]
    dominoes: set[Cell] = set()
    for row, column in rng.sample(cells, rng.randint(0, max(3, len(cells) // 20))):
        down, right = rng.choice([(0, 1), (1, 0)])
        second = (row + down, column + right)
        if second[0] < height and second[1] < width and _is_apart({(row, column), second}, dominoes):
            dominoes |= {(row, column), second}

    dots = set(dominoes)
    for cell in rng.sample(cells, rng.randint(1, max(3, len(cells) // 20))):
        if _is_apart({cell}, dots):
            dots.add(cell)

    rims = {cell: RIM for part in dominoes for cell in neighbours(part, diagonal=True)}
    dot_cells = dict.fromkeys(dots, dot_colour)
    empty = canvas(height, width, background)
    return Pair(paint(empty, dot_cells), paint(empty, rims | dot_cells))


def _is_apart(cells: set[Cell], others: set[Cell]) -> bool:
    reach = cells | {near for cell in cells for near in neighbours(cell, diagonal=False)}
    return reach.isdisjoint(others)


def solve(grid: Grid) -> Grid:
    """A free cell belongs to a rim when one of its eight neighbours is a dot with a dot beside it."""
    height, width = shape(grid)
    background = most_common_colour(grid)

    def is_dot(cell: Cell) -> bool:
        row, column = cell
        return 0 <= row < height and 0 <= column < width and grid[row][column] != background

    def is_touching(cell: Cell) -> bool:
        return is_dot(cell) and any(map(is_dot, neighbours(cell, diagonal=False)))

    free = cells_where(grid, background)
    return paint(grid, {cell: RIM for cell in free if any(map(is_touching, neighbours(cell, diagonal=True)))})
