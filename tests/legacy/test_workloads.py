"""The golden workloads on small task files: what they record, and that a second run records the same."""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch


class FakeRecorder:
    """Keeps what it is given, in order."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.entries: dict[str, Any] = {}

    def record(self, name: str, value: object) -> None:
        self.entries[name] = value

    def rng(self, name: str) -> None:
        self.entries[name] = (random.getstate(), np.random.get_state(), torch.get_rng_state().tolist())

    def files(self, name: str, folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self.entries[name] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def workloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The workloads, with three small tasks in place of the full set."""
    module = importlib.import_module("workloads")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for task_id, count in (("05269061", 15), ("88a62173", 15), ("9172f3a0", 20)):
        rng = random.Random(task_id)
        pairs = [
            {side: [[rng.randrange(10) for _ in range(4)] for _ in range(rng.randint(1, 5))] for side in ("input", "output")}
            for _ in range(count)
        ]
        (tasks / f"{task_id}.json").write_text(json.dumps({"train": pairs, "test": []}))
    monkeypatch.setattr(module, "TASKS", tasks)
    monkeypatch.setattr(module, "TASK_COUNT", 3)
    return module


def _run(workload: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    folder.mkdir()
    monkeypatch.chdir(folder)
    golden = FakeRecorder(folder)
    workload(golden)
    return golden.entries


def test_prepare_records_everything(workloads: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = _run(workloads.prepare, tmp_path / "run", monkeypatch)
    assert (entries["train.count"], entries["validation.count"]) == (50, 0)
    train = entries["train"]
    assert train["src"].shape == train["tgt"].shape == (50, 30, 30)
    assert int(train["context_count"].sum()) == len(train["context_input"]) == len(train["context_output"]) == 94
    assert train["task_index"].tolist() == [0] * 15 + [1] * 15 + [2] * 20
    assert train["dtypes"] == [", ".join(["torch.int64"] * 5)]
    assert entries["task_ids"] == {"05269061": 0, "88a62173": 1, "9172f3a0": 2}
    assert entries["config"]["model"]["V_colours"] == 11
    assert entries["config"]["data"]["training_data_dir"] == "tasks"
    assert str(tmp_path) not in json.dumps(entries["config"])
    assert json.loads(entries["files"]["task_id_map.json"]) == entries["task_ids"]
    before, after = entries["before_prepare"], entries["after_prepare"]
    assert before[0] != after[0]  # the contexts were drawn from Python's generator
    assert before[2] == after[2]


def test_prepare_finetune_records_batches(workloads: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = _run(workloads.prepare_finetune, tmp_path / "run", monkeypatch)
    for index, task_id in enumerate(("88a62173", "9172f3a0")):
        training, validation = entries[f"{task_id}.train"], entries[f"{task_id}.validation"]
        assert [len(batch[0]) for batch in training] == [4, 4, 2]
        assert [len(batch[0]) for batch in validation] == [2]
        batches = [*training, *validation]
        assert all(batch[2].shape[1:] == (2, 30, 30) for batch in batches)
        assert {int(i) for batch in batches for i in batch[4]} == {index}
        shown = torch.cat([batch[2] for batch in batches])
        assert sum(bool((contexts[1] == 0).all()) for contexts in shown) == 2  # the two contexts see one pair
    assert sorted(entries["files"]) == ["task_id_map.json", "tasks/88a62173.json", "tasks/9172f3a0.json"]


def test_prepare_blank_has_no_colour_and_no_context(
    workloads: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = _run(workloads.prepare_blank, tmp_path / "run", monkeypatch)
    assert (entries["train.count"], entries["task_ids"]) == (0, {"blank": 0})
    assert entries["sizes"] == {"vocab_size": 1, "V_colours": 1, "S_shapes": 11}
    validation = entries["validation"]
    assert not validation["src"].any() and not validation["tgt"].any()
    # Both contexts that stand in for missing ones look like the source; one is left.
    assert validation["context_input"].shape == validation["context_output"].shape == (1, 30, 30)


def test_a_part_that_takes_a_wrong_setting_stops_the_run() -> None:
    parts = importlib.import_module("champion_parts")
    assert parts.refusal(lambda: int("one")) == "invalid literal for int() with base 10: 'one'"
    with pytest.raises(RuntimeError, match="accepted"):
        parts.refusal(lambda: int("1"))


@pytest.mark.parametrize("name", ["prepare", "prepare_finetune", "prepare_blank"])
def test_two_runs_are_the_same(name: str, workloads: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _run(getattr(workloads, name), tmp_path / "first", monkeypatch)
    random.random()
    second = _run(getattr(workloads, name), tmp_path / "second", monkeypatch)
    assert list(first) == list(second)
    assert _bytes(first) == _bytes(second)


def _bytes(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _bytes(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bytes(item) for item in value]
    return pickle.dumps(value)


@pytest.mark.parametrize("name", ["prepare", "prepare_finetune"])
def test_damaged_task_stops_the_run(name: str, workloads: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = {"train": [{"input": [[1, 2], [3]], "output": [[1]]}], "test": []}
    (workloads.TASKS / "88a62173.json").write_text(json.dumps(task))
    with pytest.raises(ValueError, match=r"88a62173\.json: train pair 1, input, row 2 has 1 columns"):
        _run(getattr(workloads, name), tmp_path / "run", monkeypatch)


def test_missing_tasks_stop_the_run(workloads: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workloads.TASKS / "05269061.json").unlink()
    with pytest.raises(ValueError, match="holds 2 task files, expected 3"):
        _run(workloads.prepare, tmp_path / "run", monkeypatch)


@pytest.mark.parametrize(
    "name",
    ["load", "infer", "infer_float64", "finetune", "finetune_float64", "parts_float64", "finetune_small_float64"],
)
def test_missing_checkpoint_is_one_clear_error(
    name: str, workloads: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "weights" / "champion_bootstrap.ckpt"
    monkeypatch.setattr(importlib.import_module("champion_runs"), "CHECKPOINT", missing)
    with pytest.raises(ValueError, match=r"weights/champion_bootstrap\.ckpt: is not a file; .*train") as raised:
        _run(getattr(workloads, name), tmp_path / "run", monkeypatch)
    assert "\n" not in str(raised.value)


def test_what_a_run_wrote_is_recorded_by_content(tmp_path: Path) -> None:
    runs = importlib.import_module("champion_runs")
    weight = torch.rand(2, 3)
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.0",
        "state_dict": {"core_model.weight": weight, "model.weight": weight, "scalar": torch.tensor(1.0)},
        "hyper_parameters": {"lr": 0.1, "layers": [1, 2]},
        "loops": {"fit": {"done": 3}},
        "callbacks": {"random": {"numbers": list(range(600)), "mixed": [1, None]}},
    }
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "train.log").write_text("12:00 started")
    (tmp_path / "task").mkdir()
    torch.save(content, tmp_path / "task" / "best.ckpt")
    (tmp_path / "results.json").write_text(json.dumps({"t": {"prediction": [[[1, 2], [3, 4]]], "ragged": [[1], [2, 3]]}}))
    golden = FakeRecorder(tmp_path)
    runs.record_written(golden, "files", tmp_path)

    assert golden.entries["files"] == ["results.json", "task/best.ckpt"]
    results = golden.entries["files/results.json"]["t"]
    assert results["prediction"].shape == (1, 2, 2)
    assert [list(row) for row in results["ragged"]] == [[1], [2, 3]]
    checkpoint = {name.removeprefix("files/task/best.ckpt."): value for name, value in golden.entries.items()}
    assert checkpoint["names"] == "core_model.weight = model.weight\nscalar"
    assert list(checkpoint["state"]) == ["core_model.weight", "scalar"]
    assert json.loads(checkpoint["hyper_parameters"]) == content["hyper_parameters"]
    assert checkpoint["callbacks"]["random"]["numbers"].shape == (600,)
    assert checkpoint["callbacks"]["random"]["mixed"] == [1, None]
    assert checkpoint["epoch"] == 3
    assert "pytorch-lightning_version" in checkpoint["keys"] and "pytorch-lightning_version" not in checkpoint


def test_every_workload_takes_the_recorder_alone(workloads: ModuleType) -> None:
    names = [name for name, value in vars(workloads).items() if getattr(value, "__module__", "") == "workloads"]
    found = [name for name in names if inspect.signature(getattr(workloads, name)).parameters.keys() == {"golden"}]
    assert found == [
        *("prepare", "prepare_finetune", "prepare_blank", "load", "infer", "finetune", "train"),
        *("infer_float64", "finetune_float64", "train_float64", "parts_float64", "finetune_small_float64"),
    ]
