"""A damaged task file stops a run of the champion before anything is computed, in one line that finds the fault."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import unbloat.phases
from unbloat.subject import load_subject
from unbloat.verify.server import Server

REPRODUCTION = Path(__file__).parents[2] / "reproduction"
FILE = "85c4e7cd.json"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Has imported torch; one for all damages, since nothing of a subject is in it."""
    with Server(load_subject(REPRODUCTION / "strip.toml").preload) as warm:
        yield warm


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns(".unbloat", "stripped", "__pycache__")
    shutil.copytree(REPRODUCTION, tmp_path / "reproduction", ignore=ignored)
    shutil.copytree(REPRODUCTION.parent / "data" / "tasks", tmp_path / "data" / "tasks")
    (tmp_path / "weights").symlink_to(REPRODUCTION.parent / "weights")
    return tmp_path / "reproduction"


@pytest.fixture
def with_warm_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    class Borrowed:
        """The shared server, which outlives the command."""

        def __init__(self, preload: object) -> None:
            pass

        def __enter__(self) -> Server:
            return server

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(unbloat.phases, "Server", Borrowed)


def damage(champion: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    file = champion.parent / "data" / "tasks" / FILE
    task = json.loads(file.read_text())
    change(task)
    file.write_text(json.dumps(task))
    return file


def grid(task: dict[str, Any]) -> list[list[int]]:
    found: list[list[int]] = task["train"][2]["output"]
    return found


# (what is done to the file, where, what)
DAMAGES = {
    "ragged": (
        lambda task: grid(task)[1].append(0),
        "train pair 3, output, row 2 has {wide} columns, row 1 has {width}; make all rows of the grid equally long",
    ),
    "no colour": (
        lambda task: grid(task)[2].__setitem__(3, 10),
        "train pair 3, output, row 3, column 4 holds 10, which is no colour; use whole numbers 0 to 9",
    ),
    "negative": (lambda task: grid(task)[0].__setitem__(0, -1), "train pair 3, output, row 1, column 1 holds -1, which is no"),
    "too high": (lambda task: grid(task).extend([grid(task)[0]] * 30), "train pair 3, output has {high} rows; use at most 30"),
    "too wide": (
        lambda task: [row.extend([0] * 30) for row in grid(task)],
        "train pair 3, output, row 1 has {wider} columns; use at most 30",
    ),
    "no rows": (lambda task: grid(task).clear(), "train pair 3, output is not a list of rows; write a list of 1 to 30 rows"),
    "no pairs": (lambda task: task["train"].clear(), "has no train pairs; add at least one"),
    "empty": (None, "is empty; restore or regenerate it"),
}


@pytest.mark.usefixtures("with_warm_server")
@pytest.mark.parametrize(("change", "fault"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_task_file(
    change: Callable[[dict[str, Any]], object] | None, fault: str, champion: Path, unbloat: Callable[..., Any]
) -> None:
    original = json.loads((champion.parent / "data" / "tasks" / FILE).read_text())
    width, height = len(grid(original)[0]), len(grid(original))
    file = damage(champion, change or (lambda task: None))
    if change is None:
        file.write_text("")
    told = fault.format(width=width, wide=width + 1, wider=width + 30, high=height + 30)
    error = unbloat("record", champion).error()
    assert error.startswith(f"workload 'prepare' raised TaskFileError: {file}: {told}"), error
    assert not (champion / "stripped").exists()


@pytest.mark.usefixtures("with_warm_server")
def test_a_missing_task_file(champion: Path, unbloat: Callable[..., Any]) -> None:
    (champion.parent / "data" / "tasks" / FILE).unlink()
    error = unbloat("strip", champion).error()
    assert "TaskFileError" in error and "holds 17 task files, expected 18" in error
    assert not (champion / "stripped").exists()


def test_as_a_process(champion: Path) -> None:
    file = damage(champion, lambda task: grid(task)[1].append(0))
    command = [Path(sys.executable).with_name("unbloat"), "record", "--subject", champion / "strip.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"unbloat: error: workload 'prepare' raised TaskFileError: {file}: train pair 3, output, row 2 "
    )
    assert done.stderr.count("\n") == 1
