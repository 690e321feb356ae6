"""Training: what a run leaves, that a killed one ends like an unbroken one, and what it refuses."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from .conftest import SMALL_RUN, TASK_IDS, Place, Script, Trained


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as lines:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(lines)]


def _checkpoint(folder: Path, name: str = "last.ckpt") -> dict[str, Any]:
    return torch.load(folder / name, weights_only=True)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [item for key in value for item in (key, *_flat(value[key]))]
    if isinstance(value, list | tuple):
        return [item for element in value for item in _flat(element)]
    return [value.tolist() if isinstance(value, torch.Tensor) else value]


def test_what_a_run_leaves(trained: Trained) -> None:
    steps = [row for row in _rows(trained.folder) if row["loss"]]
    validations = [row for row in _rows(trained.folder) if row["val_loss"]]
    assert [row["step"] for row in steps] == list("123456")
    assert [row["step"] for row in validations] == list("246")
    assert float(steps[3]["lr"]) < float(steps[0]["lr"]) == 0.0018498849832733245
    assert "loss:" in trained.output and "not a number: none" in trained.output and "peak memory:" in trained.output
    kept = _checkpoint(trained.folder)["hyper_parameters"]
    assert (kept["dataloader"]["batch_size"], kept["training"]["max_epochs"], kept["training"]["precision"]) == (1, 2, 32)
    assert str(trained.folder.parent) not in json.dumps(kept)
    assert _checkpoint(trained.folder, "best.ckpt")["global_step"] in (2, 4, 6)
    assert json.loads((trained.folder / "run.json").read_text())["task_ids"] == list(TASK_IDS)


class Killed(BaseException):
    """Nothing in between handles it, as nothing handles a kill."""


@pytest.mark.parametrize("step", [2, 4, 6])  # the checkpoint is of step 1, 3 (an epoch's last) and 5
def test_a_killed_run_ends_like_an_unbroken_one(
    step: int, trained: Trained, place: Place, tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    folder = tmp_path / "run"
    callback = module("train_callbacks").Metrics
    original = callback.on_train_batch_end

    def dies(self: Any, trainer: Any, *arguments: Any) -> None:
        original(self, trainer, *arguments)
        if trainer.global_step == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(callback, "on_train_batch_end", dies)
        with pytest.raises(Killed):
            script("train", "--out", folder, *place.options(*SMALL_RUN))
    assert _checkpoint(folder)["global_step"] == step - 1
    code, _, errors = script("train", "--out", folder, "--resume", "--data", place.data)
    assert code in (0, 1), errors
    resumed, unbroken = _checkpoint(folder), _checkpoint(trained.folder)
    assert resumed["global_step"] == 6
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert _flat(resumed[part]) == _flat(unbroken[part]), part
    assert _rows(folder) == _rows(trained.folder)


def test_more_epochs(trained: Trained, place: Place, tmp_path: Path, script: Script) -> None:
    """A finished run can be lengthened; it begins where it ended."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "config.yaml", "metrics.csv", "last.ckpt"):
        (folder / name).write_bytes((trained.folder / name).read_bytes())
    script("train", "--out", folder, "--resume", "--data", place.data, "--epochs", 3)
    assert [row["step"] for row in _rows(folder) if row["loss"]] == list("123456789")


@pytest.mark.parametrize(
    ("losses", "shown", "passed"),
    [
        ([4.0, 3.0, 3.0, 2.0], "4.0000 in the first quarter of 4 steps, 2.0000 in the last: falls", True),
        ([2.0, 1.0, 1.0, 2.0], "DOES NOT FALL", False),
        ([1.0], "DOES NOT FALL", False),
        ([], "DOES NOT FALL", False),
        ([4.0, 3.0, 2.0, math.nan], "not a number: 1", False),
    ],
)
def test_verdict(losses: list[float], shown: str, passed: bool, module: Callable[[str], ModuleType]) -> None:
    text, verdict = module("train").verdict(losses)
    assert shown in text and verdict is passed


def test_a_loss_that_is_no_number_ends_the_run(
    place: Place, tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    module("scripting").use_tree("legacy")
    trainer = module("champion.model.trainer").TransformerTrainer
    original = trainer.training_step
    monkeypatch.setattr(trainer, "training_step", lambda self, *batch: original(self, *batch) * math.nan)
    code, output, _ = script("train", "--out", tmp_path / "run", *place.options(*SMALL_RUN))
    assert code == 1
    assert "the loss of step 1 is nan" in output and "not a number: 1" in output
    assert not (tmp_path / "run" / "last.ckpt").exists()


REFUSED = {
    "no config": (("--config", "missing.yaml"), "missing.yaml: is not a file; check --config"),
    "no YAML": (("--config", "broken.yaml"), "broken.yaml: is not a YAML config ("),
    "other YAML": (("--config", "other.yaml"), "other.yaml: has no `model` section; start from"),
    "unknown task": (("--tasks", "88a62173,ffffffff"), "has no task 'ffffffff'; choose from 05269061, 88a62173, 9172f3a0"),
    "no data": (("--data", "missing"), "missing: is not a folder; run `python -m data.generate`"),
    "no task files": (("--data", "."), "holds no task files; run `python -m data.generate`"),
    "nothing to resume": (("--resume",), "run: has no run.json, so there is nothing to resume; start without --resume"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line(
    name: str, place: Place, tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text("model: [")
    (tmp_path / "other.yaml").write_text("other: 1")
    arguments, message = REFUSED[name]
    code, _, errors = script("train", "--out", "run", *place.options(*SMALL_RUN, *arguments))
    assert code == 2
    assert errors.startswith("train.py: error: ") and message in errors and errors.count("\n") == 1


def test_a_damaged_task_file_stops_the_run(place: Place, tmp_path: Path, script: Script) -> None:
    (tmp_path / "88a62173.json").write_text('{"train": [{"input": [[1, 2], [3]], "output": [[1]]}], "test": []}')
    code, _, errors = script("train", "--out", tmp_path / "run", *place.options("--data", tmp_path))
    assert code == 2
    assert "88a62173.json: train pair 1, input, row 2 has 1 columns" in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "holds a run; go on with --resume, or choose another --out"),
        (("--resume", "--batch-size", 2), "was started with batch_size 1, not 2; leave that option out"),
    ],
)
def test_a_run_is_not_overwritten(arguments: tuple[object, ...], message: str, trained: Trained, script: Script) -> None:
    code, _, errors = script("train", "--out", trained.folder, *arguments)
    assert code == 2
    assert message in errors and errors.count("\n") == 1


def test_a_tree_without_model(
    place: Place, tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    monkeypatch.setitem(module("scripting").TREES, "stripped", tmp_path)
    code, _, errors = script("train", "--out", tmp_path / "run", *place.options("--tree", "stripped"))
    assert code == 2
    assert "has no module champion.model.trainer; use --tree legacy" in errors and errors.count("\n") == 1
