"""What the rows of the fine-tuner and of the data preparation do (53 to 59)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from .small_champion import batch, build, champion, package


def tuner_of(trainer: Any) -> Any:
    tuner = package("model.finetune").TaskFineTuner(trainer, trainer.config)
    tuner.close_file_logging()
    return tuner


def fine_tuned_layers_are_wrapped(patch: pytest.MonkeyPatch) -> None:
    trained = {}
    for enabled in (False, True):
        model = build()
        model.config.model.lora = {**model.config.model.lora, "enabled": enabled, "rank": 2}
        tuner = tuner_of(model)
        wrapped = tuner._apply_peft(tuner._create_task_model("a"), "a")
        trained[enabled] = {name for name, value in wrapped.named_parameters() if value.requires_grad}
    assert not any("lora" in name for name in trained[False])
    assert trained[True] and all("lora" in name for name in trained[True])


def evaluations_are_repeated_on_the_cpu(patch: pytest.MonkeyPatch) -> None:
    trainer = build()
    forward, calls = trainer.model.forward, []

    def fails_once(*arguments: Any) -> Tensor:
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("not implemented for MPS")
        answer: Tensor = forward(*arguments)
        return answer

    patch.setattr(trainer.model, "forward", fails_once)
    result = tuner_of(trainer)._evaluate_base_model("a", tuple(column[0] for column in batch()[:4]))
    assert len(calls) == 2 and 0.0 <= result["accuracy"] <= 1.0


def older_entry_points(patch: pytest.MonkeyPatch) -> None:
    tuner, loader = tuner_of(build()), [batch()]
    loaders = tuner.prepare_task_data(loader, loader, "b", {"a": 0, "b": 1})
    assert [len(found.dataset) for found in loaders] == [1, 1]
    assert torch.equal(tuner._get_test_examples(loader, 1)[0][0], batch()[0][1])
    assert tuner._process_single_task(loader, loader, "a", {"a": 0}) is None


def tasks_are_selected(patch: pytest.MonkeyPatch) -> None:
    finetune, tasks = package("model.finetune"), {"a": 0, "b": 1, "c": 2}
    modes: dict[str, dict[str, object]] = {
        "all": {},
        "random": {"finetuning.num_random_tasks": 2},
        "specific": {"finetuning.specific_tasks": ["b"]},
        "failed": {"finetuning.results_path": "earlier.json"},
    }
    Path("earlier.json").write_text(json.dumps({"a": {"error": "x"}, "b": {"val_loss": 0.0}, "c": {"val_loss": 0.0}}))
    found = {
        mode: finetune.select_tasks_to_finetune(champion({"finetuning.mode": mode, **more}), tasks)
        for mode, more in modes.items()
    }
    assert (found["all"], len(found["random"]), found["specific"], found["failed"]) == (["a", "b", "c"], 2, ["b"], ["a"])
    patch.setitem(sys.modules, "hydra", None)
    with pytest.raises(ImportError, match="hydra"):
        finetune.main()


def prepared(switch: Mapping[str, object], count: int = 3) -> Any:
    Path("tasks").mkdir(exist_ok=True)
    pairs = [{"input": [[number]], "output": [[number + 1]]} for number in range(count)]
    Path("tasks/a.json").write_text(json.dumps({"train": pairs, "test": pairs[:1]}))
    Path("listed").mkdir(exist_ok=True)
    Path("listed/b.json").write_text(json.dumps([{"generator": "x"}, *pairs]))
    folders = dict.fromkeys(("data.training_data_dir", "data.testing_data_dir"), "tasks")
    return package("data.data_preparation").prepare_data(
        champion({**folders, "training.synthetic_data_dir": "listed", **switch})
    )


def yardstick_data(patch: pytest.MonkeyPatch) -> None:
    train, _, task_ids = prepared({"data.use_synthetic_yardstick": True, "data.yardstick.samples_per_skill": 2})
    assert len(train) == 8 and list(task_ids) == [f"yardstick_{skill}" for skill in "ABCD"]


def other_forms_of_data(patch: pytest.MonkeyPatch) -> None:
    inspected: list[str] = []
    preparation = package("data.data_preparation")
    patch.setattr(preparation, "inspect_task_file", lambda path, _: inspected.append(path.name))
    assert list(prepared({})[2]) == ["a"] and inspected == ["a.json"]
    assert list(prepared({"training.include_synthetic_training_data": True})[2]) == ["a", "b"]
    assert len(prepared({"data.limit_train_samples": 2})[0]) == 2
    assert len(prepared({"data.mode": "eval"})[0]) == 1


def contexts_are_filled_up(patch: pytest.MonkeyPatch) -> None:
    static = "model.context_encoder.dynamic_pairs"
    counts = {dynamic: {len(item[2]) for item in prepared({static: dynamic})[0]} for dynamic in (True, False)}
    assert counts == {True: {1, 2}, False: {2}}
