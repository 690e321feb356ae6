"""Fine-tuning task by task: the results file, going on after a kill, other settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import TASK_IDS, Place, Script, Trained

CHOSEN = TASK_IDS[1:]


def _arguments(trained: Trained, place: Place, folder: Path) -> tuple[object, ...]:
    names = ("--tasks", ",".join(CHOSEN), "--epochs", 1, "--pairs", 6)
    return ("--checkpoint", trained.folder / "last.ckpt", "--out", folder, *place.options(*names))


def _results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


class Killed(BaseException):
    """Nothing in between handles it, as nothing handles a kill."""


def test_results_are_kept_task_by_task(
    trained: Trained, place: Place, tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    code, _, errors = script("finetune", *_arguments(trained, place, unbroken))
    assert code == 0, errors
    assert [line.split(":")[0] for line in errors.split("\n") if "cell accuracy" in line] == list(CHOSEN)
    results = _results(unbroken)
    assert list(results) == list(CHOSEN)
    for result in results.values():
        assert set(result) == {"test_details", "base_model", "fine_tuned_model", "improvement"}
        assert set(result["test_details"]) == {"target", "input_shape"}
        assert set(result["fine_tuned_model"]) == {"prediction", "accuracy", "val_loss", "converged_epoch"}
        assert result["fine_tuned_model"]["converged_epoch"] == 1

    finetune = module("finetune")
    original = finetune.tuned

    def dies_at_the_second(*arguments: Any) -> Any:
        if arguments[2].task_ids == CHOSEN[1:]:
            raise Killed
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(finetune, "tuned", dies_at_the_second)
        with pytest.raises(Killed):
            script("finetune", *_arguments(trained, place, killed))
    assert list(_results(killed)) == list(CHOSEN[:1])
    code, _, errors = script("finetune", *_arguments(trained, place, killed))
    assert code == 0, errors
    assert [errors.count(f"{task_id}: cell accuracy") for task_id in CHOSEN] == [1, 1]  # the killed run's among them
    assert _results(killed) == results

    code, _, errors = script("finetune", *_arguments(trained, place, killed), "--epochs", 2)
    assert code == 2
    assert "was made with another config; choose another --out, or the same settings" in errors


def test_a_task_that_fails_is_told_and_tried_again(
    trained: Trained, place: Place, tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    finetune = module("finetune")
    with monkeypatch.context() as patch:
        patch.setattr(finetune, "tuned", lambda *_: {"error": "out of luck"})
        code, _, errors = script("finetune", *_arguments(trained, place, tmp_path / "out"))
    assert code == 1
    assert f"{CHOSEN[0]}: error: out of luck" in errors
    good = {"base_model": {"accuracy": 0.5}, "fine_tuned_model": {"accuracy": 0.75, "converged_epoch": 1}}
    monkeypatch.setattr(finetune, "tuned", lambda *_: good)
    code, _, errors = script("finetune", *_arguments(trained, place, tmp_path / "out"))
    assert code == 0
    assert f"{CHOSEN[1]}: cell accuracy 50.00 % -> 75.00 %, 1 epochs" in errors
    assert _results(tmp_path / "out") == dict.fromkeys(CHOSEN, good)


def test_damaged_results_are_not_overwritten(trained: Trained, place: Place, tmp_path: Path, script: Script) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text("{")
    code, _, errors = script("finetune", *_arguments(trained, place, out))
    assert code == 2
    assert f"{out / 'run.json'}: is damaged; choose another --out" in errors
