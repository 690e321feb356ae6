"""Damaged task files are refused with one line that names the place and the remedy."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

GOOD = [[1, 2, 3], [4, 5, 6]]


def _text(grid: object) -> str:
    """A task whose second train pair has `grid` as its output."""
    return json.dumps({"train": [{"input": GOOD, "output": GOOD}, {"input": GOOD, "output": grid}], "test": []})


PLACE = "train pair 2, output"
FAULTS: dict[str, tuple[str, str]] = {
    "empty": ("", "is empty; restore"),
    "blank": (" \n", "is empty; restore"),
    "not json": ('{"train": [', "line 1, column 12 is not JSON (Expecting value); restore"),
    "endless number": ('{"train": ' + "1" * 5000 + "}", "is not readable as JSON"),
    "list": ("[]", "is a list, not a task; write an object"),
    "null": ("null", "is a null, not a task"),
    "no test": ('{"train": []}', 'has no list "test"; add'),
    "no train pairs": ('{"train": [], "test": []}', "has no train pairs; add"),
    "pair": ('{"train": [3], "test": []}', "train pair 1 is a number; write"),
    "no output": ('{"train": [{"input": [[1]]}], "test": []}', 'train pair 1 has no "output"; complete'),
    "no rows": (_text([]), f"{PLACE} is not a list of rows; write"),
    "flat": (_text([1, 2]), f"{PLACE}, row 1 is not a list of colours; write"),
    "empty row": (_text([[1], []]), f"{PLACE}, row 2 is not a list of colours; write"),
    "ragged": (_text([[1, 2], [3]]), f"{PLACE}, row 2 has 1 columns, row 1 has 2; make all rows"),
    "too high": (_text([[1]] * 31), f"{PLACE} has 31 rows; use at most 30"),
    "too wide": (_text([[1] * 31]), f"{PLACE}, row 1 has 31 columns; use at most 30"),
    "colour 10": (_text([[1, 2], [3, 10]]), f"{PLACE}, row 2, column 2 holds 10, which is no colour; use whole"),
    "negative": (_text([[-1]]), f"{PLACE}, row 1, column 1 holds -1, which"),
    "fraction": (_text([[1, 1.0]]), f"{PLACE}, row 1, column 2 holds 1.0, which"),
    "truth value": (_text([[True]]), f"{PLACE}, row 1, column 1 holds true, which"),
    "nested": (_text([[[1]]]), f"{PLACE}, row 1, column 1 holds [1], which"),
    "text": (_text([["x" * 50]]), f'{PLACE}, row 1, column 1 holds "{"x" * 16}..., which'),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named(name: str, tmp_path: Path) -> None:
    text, message = FAULTS[name]
    task_files = importlib.import_module("task_files")
    file = tmp_path / "0a0a0a0a.json"
    file.write_text(text)
    with pytest.raises(task_files.TaskFileError) as caught:
        task_files.check_task_file(file)
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("grid", [[[0]], [[9] * 30] * 30, GOOD])
def test_good_grids_pass(grid: list[list[int]], tmp_path: Path) -> None:
    file = tmp_path / "0a0a0a0a.json"
    file.write_text(_text(grid))
    importlib.import_module("task_files").check_task_file(file)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    task_files = importlib.import_module("task_files")
    with pytest.raises(task_files.TaskFileError, match="is not a file; check the path"):
        task_files.check_task_file(tmp_path / "missing.json")
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(task_files.TaskFileError, match="is not readable as JSON"):
        task_files.check_task_file(binary)
