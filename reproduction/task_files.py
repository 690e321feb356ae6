"""Checks of task files before the champion package sees them.

The package skips or crops what it does not understand, so a damaged file would silently become other training data.
Here the first fault stops the run instead, in one line: file, place, what is wrong, what to do. Pairs, rows and
columns are counted from 1.
"""

from __future__ import annotations

import json
from pathlib import Path

MAX_SIDE = 30
COLOURS = frozenset(range(10))
SPLITS = ("train", "test")


class TaskFileError(ValueError):
    """A task file that must not be used as it is."""


def check_task_file(path: Path) -> None:
    """Accept `path` or say where its first fault is.

    Raises:
        TaskFileError: the file is missing, is not JSON, or is not a task of rectangular colour grids.
    """
    task = _read(path)
    if not isinstance(task, dict):
        raise _fault(path, "", f"is a {_kind(task)}, not a task", 'write an object with the lists "train" and "test"')
    for split in SPLITS:
        if not isinstance(task.get(split), list):
            raise _fault(path, "", f'has no list "{split}"', f'add "{split}", with [] if there are no such pairs')
    if not task["train"]:
        raise _fault(path, "", "has no train pairs", "add at least one, contexts are drawn from them")
    for split in SPLITS:
        for number, pair in enumerate(task[split], 1):
            _check_pair(path, f"{split} pair {number}", pair)


def _read(path: Path) -> object:
    if not path.is_file():
        raise _fault(path, "", "is not a file", "check the path")
    content = path.read_bytes()
    if not content.strip():
        raise _fault(path, "", "is empty", "restore or regenerate it")
    try:
        task: object = json.loads(content.decode("utf-8"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _fault(path, place, f"is not JSON ({error.msg})", "restore or regenerate it") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, an endless number, an endless nesting
        raise _fault(path, "", f"is not readable as JSON ({error})", "restore or regenerate it") from None
    return task


def _check_pair(path: Path, place: str, pair: object) -> None:
    if not isinstance(pair, dict):
        raise _fault(path, place, f"is a {_kind(pair)}", 'write an object with "input" and "output"')
    for side in ("input", "output"):
        if side not in pair:
            raise _fault(path, place, f'has no "{side}"', "complete or remove the pair")
        _check_grid(path, f"{place}, {side}", pair[side])


def _check_grid(path: Path, place: str, grid: object) -> None:
    if not isinstance(grid, list) or not grid:
        raise _fault(path, place, "is not a list of rows", "write a list of 1 to 30 rows")
    if len(grid) > MAX_SIDE:
        raise _fault(path, place, f"has {len(grid)} rows", f"use at most {MAX_SIDE}")
    for number, row in enumerate(grid, 1):
        where = f"{place}, row {number}"
        if not isinstance(row, list) or not row:
            raise _fault(path, where, "is not a list of colours", "write a list of 1 to 30 colours")
        if len(row) > MAX_SIDE:
            raise _fault(path, where, f"has {len(row)} columns", f"use at most {MAX_SIDE}")
        if len(row) != len(grid[0]):
            what = f"has {len(row)} columns, row 1 has {len(grid[0])}"
            raise _fault(path, where, what, "make all rows of the grid equally long")
        _check_row(path, where, row)


def _check_row(path: Path, place: str, row: list[object]) -> None:
    """The common case is one set operation; only a faulty row is searched cell by cell."""
    if all(type(cell) is int for cell in row) and COLOURS.issuperset(row):
        return
    for column, cell in enumerate(row, 1):
        if type(cell) is not int or cell not in COLOURS:
            what = f"holds {_short(cell)}, which is no colour"
            raise _fault(path, f"{place}, column {column}", what, "use whole numbers 0 to 9")


def _fault(path: Path, place: str, what: str, remedy: str) -> TaskFileError:
    return TaskFileError(f"{path}: {place + ' ' if place else ''}{what}; {remedy}")


def _kind(value: object) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "truth value", int: "number", float: "number"}
    return names.get(type(value), "null")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 20 else f"{text[:17]}..."
