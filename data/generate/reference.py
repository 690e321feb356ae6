"""Figures of the re-arc files that the generated ones stand in for; none of their 400 pairs a task is here.

They are what the generators are held against, and their order is the order of the tasks everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[int, int]


@dataclass(frozen=True)
class Reference:
    """One task's figures; a range is the smallest and the largest side over all pairs."""

    category: str
    input_height: Range
    input_width: Range
    output_height: Range
    output_width: Range
    mean_output_cells: float
    same_shape: bool
    mean_changed: float | None
    identity_pairs: int


REFERENCES = {
    "05269061": Reference("S1", (2, 30), (2, 30), (2, 30), (2, 30), 315.4, True, 0.661, 11),
    "1190e5a7": Reference("C1", (3, 30), (3, 30), (2, 11), (2, 11), 17.6, False, None, 0),
    "137eaa0f": Reference("A2", (4, 30), (4, 30), (2, 4), (2, 4), 8.8, False, None, 0),
    "2204b7a8": Reference("S1", (4, 30), (4, 30), (4, 30), (4, 30), 288.3, True, 0.206, 0),
    "2281f1f4": Reference("L1", (3, 30), (3, 30), (3, 30), (3, 30), 259.5, True, 0.107, 0),
    "5daaa586": Reference("A1", (7, 30), (7, 30), (3, 24), (3, 24), 73.8, False, None, 0),
    "623ea044": Reference("S3-B", (3, 30), (3, 30), (3, 30), (3, 30), 256.1, True, 0.427, 0),
    "6d0aefbc": Reference("S2", (1, 30), (1, 15), (1, 30), (2, 30), 232.7, False, None, 0),
    "7468f01a": Reference("C2", (3, 30), (3, 30), (2, 19), (2, 19), 42.9, False, None, 0),
    "85c4e7cd": Reference("S3-A", (2, 30), (2, 30), (2, 30), (2, 30), 273.3, True, 0.621, 77),
    "88a62173": Reference("C2", (3, 29), (3, 29), (1, 14), (1, 14), 57.2, False, None, 0),
    "8be77c9e": Reference("S2", (1, 15), (1, 30), (2, 30), (1, 30), 251.8, False, None, 0),
    "9172f3a0": Reference("K1", (1, 10), (1, 10), (3, 30), (3, 30), 277.4, False, None, 0),
    "a65b410d": Reference("S3-A", (3, 30), (3, 30), (3, 30), (3, 30), 258.8, True, 0.515, 0),
    "a9f96cdd": Reference("S3-B", (3, 30), (3, 30), (3, 30), (3, 30), 264.7, True, 0.214, 0),
    "b27ca6d3": Reference("A2", (4, 30), (4, 30), (4, 30), (4, 30), 278.9, True, 0.162, 27),
    "c1d99e64": Reference("C1", (4, 30), (4, 30), (4, 30), (4, 30), 294.3, True, 0.283, 0),
    "dbc1a6ce": Reference("C1", (3, 30), (3, 30), (3, 30), (3, 30), 283.6, True, 0.347, 45),
}

TASK_IDS = tuple(REFERENCES)
