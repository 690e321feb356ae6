"""Line charts as SVG, by hand: pictures in the repository that differ only where the numbers do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 36, 44
COLOUR = "#2f6db3"

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """What one chart shows: a line, its name, and a band around it where there is one."""

    title: str
    points: Sequence[Point]
    across: str = "step"
    band: Sequence[tuple[float, float]] = ()
    marked: bool = False


def binned(points: Sequence[Point], bins: int) -> tuple[list[Point], list[tuple[float, float]]]:
    """The mean of each of at most so many runs of points, and their smallest and largest values."""
    size = max(1, math.ceil(len(points) / bins))
    runs = [points[start : start + size] for start in range(0, len(points), size)]
    means = [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]
    return means, [(min(y for _, y in run), max(y for _, y in run)) for run in runs]


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from below `low` to above `high`, which is taken for `low + 1` if there is nothing between."""
    high = high if high > low else low + 1.0
    span = high - low
    unit = 10.0 ** math.floor(math.log10(span / wanted))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= wanted)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def svg(curve: Curve) -> str:
    """The chart."""
    heights = [y for _, y in curve.points] + [y for pair in curve.band for y in pair]
    across = ticks(min(x for x, _ in curve.points), max(x for x, _ in curve.points))
    up = ticks(min(0.0, *heights), max(heights))

    def place(x: float, y: float) -> str:
        right = LEFT + (WIDTH - LEFT - RIGHT) * (x - across[0]) / (across[-1] - across[0])
        down = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - up[0]) / (up[-1] - up[0])
        return f"{right:.1f},{down:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(curve.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{escape(curve.title)}</text>',
    ]
    for number in up:
        left, down = place(across[0], number).split(",")
        parts.append(f'<line x1="{left}" y1="{down}" x2="{WIDTH - RIGHT}" y2="{down}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{down}" text-anchor="end" dominant-baseline="middle">{number:g}</text>')
    for number in across:
        right = place(number, up[0]).split(",")[0]
        parts.append(f'<text x="{right}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{number:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{HEIGHT - 8}" text-anchor="middle">{escape(curve.across)}</text>')
    if curve.band:
        edges = [(x, high) for (x, _), (_, high) in zip(curve.points, curve.band, strict=True)]
        edges += [(x, low) for (x, _), (low, _) in reversed(list(zip(curve.points, curve.band, strict=True)))]
        parts.append(f'<polygon points="{" ".join(place(*edge) for edge in edges)}" fill="{COLOUR}" fill-opacity="0.2"/>')
    line = " ".join(place(*point) for point in curve.points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOUR}" stroke-width="1.5"/>')
    if curve.marked:
        places = [place(*point).split(",") for point in curve.points]
        parts += [f'<circle cx="{right}" cy="{down}" r="3" fill="{COLOUR}"/>' for right, down in places]
    return "\n".join([*parts, "</svg>"]) + "\n"
