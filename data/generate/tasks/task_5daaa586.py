"""Two full rows and two full columns of four colours cross; the output is the frame they bound, cut out.

Dots inside the frame have the colour of one of the four lines and grow into rays that reach that line. In the
official form the columns run over the rows on 0; here also the rows over the columns, and the background is free. Dots
lie outside the frame as well, as there.
"""

from __future__ import annotations

import random

from data.generate.grids import (
    COLOURS,
    AmbiguousGridError,
    Cell,
    Grid,
    Pair,
    canvas,
    crop,
    most_common_colour,
    paint,
    rotate,
    scaled_int,
    shape,
    transpose,
)


def generate(rng: random.Random, difficulty: float) -> Pair:
    """Build the scene with rays towards the right, cut it, and turn the pair."""
    height, width = scaled_int(rng, 7, 30, difficulty), scaled_int(rng, 7, 30, difficulty)
    background, upper, lower, left, right = rng.sample(COLOURS, 5)
    top, bottom = _two_lines(rng, height)
    first, last = _two_lines(rng, width)
    rows = {(r, c): colour for r, colour in ((top, upper), (bottom, lower)) for c in range(width)}
    columns = {(r, c): colour for c, colour in ((first, left), (last, right)) for r in range(height)}
    lines = columns | rows if rng.random() < 0.5 else rows | columns
    free = [(r, c) for r in range(height) for c in range(width) if (r, c) not in lines]
    share = rng.uniform(0.03, 0.2)
    dots = [cell for cell in free if rng.random() < share]
    scene = paint(canvas(height, width, background), {**lines, **dict.fromkeys(dots, right)})
    rays = {(r, c): right for r, start in dots if top < r < bottom and first < start < last for c in range(start, last)}
    output = crop(paint(scene, rays), top, first, bottom - top + 1, last - first + 1)
    turns = rng.randrange(4)
    return Pair(rotate(scene, turns), rotate(output, turns))


def _two_lines(rng: random.Random, side: int) -> tuple[int, int]:
    """Two lines off the border with room between them, small frames somewhat more often than large ones."""
    most = min(24, side - 2)
    extent = 3 + int((most - 2) * rng.random() ** 1.6)
    start = rng.randint(1, side - 1 - extent)
    return start, start + extent - 1


def solve(grid: Grid) -> Grid:
    """Cut out between the lines and let every dot grow towards the border that has its colour."""
    background = most_common_colour(grid)
    top, bottom = _full_lines(grid, background)
    first, last = _full_lines(transpose(grid), background)
    frame = crop(grid, top, first, bottom - top + 1, last - first + 1)
    height, width = shape(frame)
    dots = [(r, c) for r in range(1, height - 1) for c in range(1, width - 1) if frame[r][c] != background]
    colours = {frame[r][c] for r, c in dots}
    if height < 3 or width < 3 or len(colours) != 1:
        raise AmbiguousGridError
    dot = colours.pop()
    steps = {frame[0][1]: (-1, 0), frame[-1][1]: (1, 0), frame[1][0]: (0, -1), frame[1][-1]: (0, 1)}
    if len(steps) != 4 or dot not in steps:
        raise AmbiguousGridError
    rays: set[Cell] = set()
    down, right = steps[dot]
    for r, c in dots:
        while 0 < r < height - 1 and 0 < c < width - 1:
            rays.add((r, c))
            r, c = r + down, c + right
    return paint(frame, dict.fromkeys(rays, dot))


def _full_lines(grid: Grid, background: int) -> tuple[int, int]:
    """The two rows without background."""
    full = [r for r, row in enumerate(grid) if background not in row]
    if len(full) != 2:
        raise AmbiguousGridError
    return full[0], full[1]
