"""Draws a task's pairs and lets none through that its own solver does not reproduce."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from typing import Protocol, cast

from data.generate.grids import COLOURS, MAX_SIDE, AmbiguousGridError, Grid, Pair

SEED = 20250611
PAIRS_PER_TASK = 400
ATTEMPTS_PER_PAIR = 500
# Coprime to the number of pairs and near its golden section: every stretch of a file, so also the first two pairs
# or the last fifth, has difficulties from all over 0..1.
DIFFICULTY_STRIDE = 247


class Task(Protocol):
    """What a task module offers."""

    def generate(self, rng: random.Random, difficulty: float) -> Pair:
        """A pair, made by a route of its own."""

    def solve(self, grid: Grid) -> Grid:
        """The output, derived from the input alone."""


class GenerationError(RuntimeError):
    """A generator does not come up with enough pairs that its solver accepts."""


def load_task(task_id: str) -> Task:
    """The module of one task."""
    return cast("Task", importlib.import_module(f"data.generate.tasks.task_{task_id}"))


def is_grid(grid: Grid) -> bool:
    """Rectangular, within 1..30 per side, colours 0..9."""
    width = len(grid[0]) if grid else 0
    return (
        0 < len(grid) <= MAX_SIDE
        and 0 < width <= MAX_SIDE
        and all(len(row) == width and all(colour in COLOURS for colour in row) for row in grid)
    )


def is_solved(task: Task, pair: Pair) -> bool:
    """Whether the solver reaches the generator's output."""
    try:
        return task.solve(pair.input) == pair.output
    except AmbiguousGridError:
        return False


def generate_pairs(task_id: str) -> Iterator[Pair]:
    """The task's pairs in file order; a prefix is the same however many are taken."""
    task = load_task(task_id)
    rng = random.Random(f"{SEED}:{task_id}")
    inputs: set[Grid] = set()
    for index in range(PAIRS_PER_TASK):
        difficulty = index * DIFFICULTY_STRIDE % PAIRS_PER_TASK / (PAIRS_PER_TASK - 1)
        for _ in range(ATTEMPTS_PER_PAIR):
            pair = task.generate(rng, difficulty)
            fits = is_grid(pair.input) and is_grid(pair.output)
            if fits and pair.input not in inputs and is_solved(task, pair):
                break
        else:
            message = f"{task_id}: {ATTEMPTS_PER_PAIR} attempts at difficulty {difficulty:.3f}, none acceptable"
            raise GenerationError(message)
        inputs.add(pair.input)
        yield pair
