"""The legacy fine-tuner: its path with the champion, the rows that are off switched on, and its known defects.

A stand-in takes the champion's place where only the fine-tuner matters; it says which validation losses it has and
which evaluations fail. The champion itself runs on a small canvas.
"""

from __future__ import annotations

import functools
import importlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

CONFIG = Path(__file__).resolve().parents[2] / "reproduction" / "configs" / "champion.yaml"
PAD = 10
SIDE = 8  # of the champion's canvas here
INCOMPLETE = {"error": "Incomplete task data."}

pytestmark = [
    # one process is what the fine-tuner asks for
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning and torch disagree about the leaves of a tree
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    # a task's folder is made before Lightning looks at it
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]

Item = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class StandIn(pl.LightningModule):
    """A linear layer on every cell."""

    val_losses: ClassVar[tuple[float, ...]] = (1.0,)  # by epoch
    failures: ClassVar[dict[int, str]] = {}  # by number of the evaluated batch
    logits: ClassVar[float | None] = None
    evaluated: ClassVar[int] = 0

    def __init__(self, config: DictConfig) -> None:
        super().__init__()
        self.config = config
        self.linear1 = nn.Linear(1, 24)

    def forward(self, src: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        kind = type(self)
        kind.evaluated += 1
        if kind.evaluated in kind.failures:
            raise RuntimeError(kind.failures[kind.evaluated])
        logits: torch.Tensor = self.linear1(src.unsqueeze(-1).to(self.linear1.weight.dtype))
        return logits if kind.logits is None else torch.full_like(logits, kind.logits)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        logits = self.linear1(batch[0].unsqueeze(-1).to(self.linear1.weight.dtype))
        return nn.functional.cross_entropy(logits.flatten(0, 2), batch[1].flatten())

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self.log("val_loss", self.val_losses[self.current_epoch], batch_size=len(batch[0]))
        self.log("val_grid_accuracy", float(self.current_epoch), batch_size=len(batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.config.optimizer.lr)


@functools.cache
def _pinned() -> dict[str, Any]:
    with CONFIG.open(encoding="utf-8") as file:
        values: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    return values


def _config(nodes: tuple[str, ...] | None = None, **changes: object) -> DictConfig:
    """The pinned config, or some of its nodes: all 930 leaves are slow to build."""
    config = OmegaConf.create({node: _pinned()[node] for node in nodes or _pinned()})
    ours = {
        "training__precision": 32,
        "training__device_choice": "cpu",
        "finetuning__max_epochs": 1,
        "logging__log_dir": "logs",
    }
    for key, value in {**ours, **changes}.items():
        OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
    return config


def _small_config(**changes: object) -> DictConfig:
    return _config(("finetuning", "training", "model", "data", "dataloader", "logging", "optimizer"), **changes)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    """In the trainer's place, with a count of its own."""
    kind = type("StandIn", (StandIn,), {})
    monkeypatch.setattr(importlib.import_module("champion.model.trainer"), "TransformerTrainer", kind)
    return kind


@pytest.fixture
def make_tuner() -> Iterator[Callable[..., Any]]:
    tuners: list[Any] = []

    def make(model: pl.LightningModule, config: DictConfig) -> Any:
        tuners.append(_finetune().TaskFineTuner(model, config))
        return tuners[-1]

    yield make
    for tuner in tuners:
        tuner.close_file_logging()


def _finetune() -> ModuleType:
    return importlib.import_module("champion.model.finetune")


def _items(count: int, task: int = 0, contexts: int = 2, side: int = 4) -> list[Item]:
    """Grids of 2x3 cells to mirror; the first cell numbers them."""
    generator = torch.Generator().manual_seed(task)
    found = []
    for number in range(count):
        src = torch.full((side, side), PAD)
        src[:2, :3] = torch.randint(0, PAD, (2, 3), generator=generator)
        src[0, 0] = number % PAD
        tgt = src.clone()
        tgt[:2, :3] = src[:2, :3].flip(1)
        found.append((src, tgt, src.repeat(contexts, 1, 1), tgt.repeat(contexts, 1, 1), torch.tensor(task)))
    return found


def _first_cells(columns: tuple[torch.Tensor, ...]) -> list[int]:
    return columns[0][:, 0, 0].tolist()


# -- the champion itself, and adapters around it (row 53) -------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "double_base", "adapters"),
    [(32, False, False), (64, True, False), (64, False, False), (32, False, True), (64, True, True)],
)
def test_champion_is_tuned(make_tuner: Callable[..., Any], precision: int, double_base: bool, adapters: bool) -> None:
    sides = ("model__max_h", "model__max_w", "model__context_encoder__grid_height", "model__context_encoder__grid_width")
    changes: dict[str, Any] = {**dict.fromkeys(sides, SIDE), **({"model__lora__enabled": True} if adapters else {})}
    config = _config(training__precision=precision, **changes)
    base = _finetune().load_base_model(config)
    base = base.double() if double_base else base
    before = {name: value.clone() for name, value in base.state_dict().items()}
    tuner = make_tuner(base, config)
    items = [*_items(2, contexts=1, side=SIDE), *_items(3, side=SIDE)]
    loader: Any = DataLoader(items)  # type: ignore[arg-type]
    result = tuner.run_all_tasks(loader, None, {"a": 0})["a"]

    assert "error" not in result
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    tuned = torch.load(tuner.best_checkpoints["a"], weights_only=True)["state_dict"]
    assert {value.dtype for value in tuned.values()} == {torch.float64 if precision == 64 else torch.float32}
    adapter_names = [name for name in tuned if "lora_" in name]
    assert Path("finetuning_results/a/adapters.pt").is_file() is bool(adapter_names) is adapters
    if adapters:
        assert all(tuned[name].abs().max() > 0 for name in adapter_names)  # the bridge's and all others train
        assert all(torch.equal(tuned[name], before[name]) for name in before if name in tuned)
    else:
        assert 0 < (tuned["model.output_fc.weight"] - before["model.output_fc.weight"]).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__lora__targets": ["no_such_layer"]}, "wrapping failed"),
        ({"model__lora__rank": 0}, "wrapping failed"),
        ({}, "not available"),
    ],
)
def test_without_adapters_the_whole_model_is_tuned(
    stand_in: type[StandIn],
    make_tuner: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, object],
    message: str,
) -> None:
    config = _small_config(model__lora__enabled=True, **changes)
    monkeypatch.setattr(_finetune(), "PEFT_AVAILABLE", bool(changes))
    tuner = make_tuner(stand_in(config), config)
    assert "error" not in tuner.run_all_tasks(_items(5), [], {"a": 0})["a"]
    assert message in caplog.text and tuner.wrapped_layers == []
    assert not Path("finetuning_results/a/adapters.pt").exists()


# -- results ----------------------------------------------------------------------------------------------------------


def test_results_file(stand_in: type[StandIn], make_tuner: Callable[..., Any]) -> None:
    config = _small_config()
    tuner = make_tuner(stand_in(config), config)
    full = tuner.run_all_tasks(_items(5), [], {"a": 0, "b": 1})
    text = Path("finetuning_results/final_results.json").read_text()
    written = json.loads(text)
    assert text.startswith('{\n  "a": {\n    "test_details"') and list(written) == ["a", "b"]
    assert written["b"] == INCOMPLETE

    found = written["a"]
    last = _items(5)[-1]
    assert {name: sorted(part) for name, part in found.items() if isinstance(part, dict)} == {
        "test_details": ["input_shape", "target"],
        "base_model": ["accuracy", "prediction"],
        "fine_tuned_model": ["accuracy", "converged_epoch", "prediction", "val_loss"],
    }
    assert found["test_details"] == {"target": last[1].tolist(), "input_shape": [4, 4]}
    assert torch.tensor(found["base_model"]["prediction"]).shape == (1, 4, 4)
    assert torch.tensor(found["fine_tuned_model"]["prediction"]).shape == (4, 4)
    assert found["improvement"] == found["fine_tuned_model"]["accuracy"] - found["base_model"]["accuracy"]
    # measured, and lost on the way to the file
    assert full["a"]["fine_tuned_model"]["val_grid_accuracy"] == 0.0 and "final_sample_accuracy" in full["a"]
    assert "val_grid_accuracy" not in text and "final_sample_accuracy" not in text
    assert "task a" in Path("logs/finetuning.log").read_text()


def test_metrics_are_those_of_the_last_epoch(stand_in: type[StandIn], make_tuner: Callable[..., Any]) -> None:
    stand_in.val_losses = (1.0, 3.0, 2.0)
    config = _small_config(finetuning__max_epochs=3)
    tuner = make_tuner(stand_in(config), config)
    tuned = tuner.run_all_tasks(_items(5), [], {"a": 0})["a"]["fine_tuned_model"]
    assert Path(tuner.best_checkpoints["a"]).name == "epoch=0-val_loss=1.00.ckpt"
    assert (tuned["val_loss"], tuned["val_grid_accuracy"], tuned["converged_epoch"]) == (2.0, 2.0, 3)


def test_early_stopping(stand_in: type[StandIn], make_tuner: Callable[..., Any]) -> None:
    stand_in.val_losses = (1.0, 2.0, 3.0, 4.0)
    config = _small_config(finetuning__max_epochs=4, finetuning__patience=2)
    tuner = make_tuner(stand_in(config), config)
    assert tuner.run_all_tasks(_items(5), [], {"a": 0})["a"]["fine_tuned_model"]["converged_epoch"] == 3


@pytest.mark.parametrize(
    ("failures", "logits", "text"),
    [
        ({1: "out of paper"}, None, "out of paper"),
        ({2: "out of ink"}, None, "out of ink"),
        ({3: "out of both"}, None, "out of both"),
        ({}, float("nan"), "NaN in the logits of the base model for task a"),
    ],
)
def test_errors_become_results(
    stand_in: type[StandIn], make_tuner: Callable[..., Any], failures: dict[int, str], logits: float | None, text: str
) -> None:
    stand_in.failures, stand_in.logits = failures, logits
    config = _small_config(finetuning__results_path="elsewhere/results.json")
    tuner = make_tuner(stand_in(config), config)
    expected = {"a": {"error": text}, "b": INCOMPLETE}
    assert tuner.run_all_tasks(_items(5), [], {"a": 0, "b": 1}) == expected
    assert json.loads(Path("elsewhere/results.json").read_text()) == expected


def test_an_interrupted_run_has_no_results(
    stand_in: type[StandIn], make_tuner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _small_config()
    tuner = make_tuner(stand_in(config), config)
    process = tuner._process_single_task_from_map

    def interrupted_in_b(task_id: str, data: object) -> object:
        if task_id == "b":
            raise KeyboardInterrupt
        return process(task_id, data)

    monkeypatch.setattr(tuner, "_process_single_task_from_map", interrupted_in_b)
    with pytest.raises(KeyboardInterrupt):
        tuner.run_all_tasks([*_items(5), *_items(5, 1)], [], {"a": 0, "b": 1})
    assert list(tuner.results) == ["a"] and not tuner.results_path.exists()


def test_base_config_is_changed_and_foreign_weights_are_ignored(
    stand_in: type[StandIn], make_tuner: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    config = _small_config()
    base = stand_in(config)
    base.foreign = nn.Linear(1, 1)
    rate = config.optimizer.lr
    tuner = make_tuner(base, config)
    assert "error" not in tuner.run_all_tasks(_items(5), [], {"a": 0})["a"]
    assert base.config.optimizer.lr == config.finetuning.learning_rate == 1e-5 != rate
    assert "foreign" not in caplog.text


# -- data of a task ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "validating"), [(2, 1), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3)])
def test_the_last_fifth_validates(stand_in: type[StandIn], make_tuner: Callable[..., Any], count: int, validating: int) -> None:
    config = _small_config()
    tuner = make_tuner(stand_in(config), config)
    entry = tuner._build_task_data_map(_items(count), [], {"a": 0})["a"]
    cells = [number % PAD for number in range(count)]
    assert _first_cells(entry["train"]) == cells[:-validating]
    assert _first_cells(entry["val"]) == cells[-validating:]
    assert torch.equal(entry["test_example"][0], entry["val"][0][0])


def test_a_validation_set_is_used_where_it_has_the_task(stand_in: type[StandIn], make_tuner: Callable[..., Any]) -> None:
    config = _small_config()
    tuner = make_tuner(stand_in(config), config)
    train = [*_items(5), *_items(5, 1), *_items(1, 2)]
    found = tuner._build_task_data_map(train, _items(3), {"a": 0, "b": 1, "c": 2, "d": 3})
    lengths = {task: tuple(entry[part] and len(entry[part][0]) for part in ("train", "val")) for task, entry in found.items()}
    assert lengths == {"a": (5, 3), "b": (4, 1), "c": (1, None), "d": (None, None)}


def test_missing_contexts_are_black_grids(stand_in: type[StandIn], make_tuner: Callable[..., Any]) -> None:
    config = _small_config()
    tuner = make_tuner(stand_in(config), config)
    entry = tuner._build_task_data_map([*_items(2, contexts=1), *_items(3, contexts=3)], [], {"a": 0})["a"]
    for contexts, grids in ((entry["train"][2], entry["train"][0]), (entry["train"][3], entry["train"][1])):
        assert contexts.shape == (4, 3, 4, 4)
        assert torch.equal(contexts[:, 0], grids)
        assert contexts[:2, 1:].abs().max() == 0
        assert torch.equal(contexts[2:, 2], grids[2:])


@pytest.mark.parametrize(("dynamic", "pairs"), [(True, 1), (False, 2)])
def test_other_forms_of_items(
    stand_in: type[StandIn], make_tuner: Callable[..., Any], caplog: pytest.LogCaptureFixture, dynamic: bool, pairs: int
) -> None:
    config = _small_config(model__context_encoder__dynamic_pairs=dynamic, model__max_h=4, model__max_w=4)
    tuner = make_tuner(stand_in(config), config)
    src, tgt, ctx_in, ctx_out, task = _items(1)[0]
    older = (src, tgt, SimpleNamespace(context_input=ctx_in[:pairs], context_output=ctx_out[:pairs]), 0)
    with_grid = (src, tgt, ctx_in[:pairs], ctx_out[:pairs], task, src)
    entry = tuner._build_task_data_map([older, (src, tgt), with_grid, (src, tgt, None, None, task)], [], {"a": 0})["a"]
    assert "item 1 cannot be read" in caplog.text
    assert len(entry["train"][0]) == 2 and entry["val"][2].shape == (1, pairs, 4, 4) and entry["val"][2].max() == 0


# -- evaluations again on the CPU (row 54) ----------------------------------------------------------------------------

# 1 and 2: base and tuned model on the test example, 3 and 4: tuned and base model on the validation examples


PLANS: tuple[tuple[dict[int, str], bool], ...] = (
    ({}, False),
    ({1: "MPS: no"}, False),
    ({2: "MPS: no"}, True),
    ({2: "aten::x is missing on mps"}, True),
    ({3: "MPS"}, False),
    ({4: "MPS"}, False),
)


def test_evaluations_fall_back_to_the_cpu(
    stand_in: type[StandIn], make_tuner: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    found = []
    for failures, on_cpu in PLANS:
        torch.manual_seed(1)
        caplog.clear()
        stand_in.failures, stand_in.evaluated = failures, 0
        config = _small_config()
        result = make_tuner(stand_in(config), config).run_all_tasks(_items(5), [], {"a": 0})["a"]
        assert ("MPS" in caplog.text) is bool(failures)
        assert ("cpu" in result.pop("evaluated_on", "")) is on_cpu
        found.append(result)
    assert "error" not in found[0]
    assert all(result == found[0] for result in found[1:])


@pytest.mark.parametrize("failures", [{1: "MPS", 2: "CPU"}, {2: "MPS", 3: "CPU"}, {2: "MPS", 4: "CPU"}, {2: "MPS", 5: "CPU"}])
def test_the_fall_back_may_fail(stand_in: type[StandIn], make_tuner: Callable[..., Any], failures: dict[int, str]) -> None:
    stand_in.failures = failures
    config = _small_config()
    assert make_tuner(stand_in(config), config).run_all_tasks(_items(5), [], {"a": 0})["a"] == {"error": "CPU"}


@pytest.mark.parametrize(
    ("choice", "device", "precision", "expected"),
    [
        ("auto", "cpu", 32, ("cpu", 1, 32)),
        ("auto", "cuda", 16, ("gpu", None, 16)),
        ("cuda", "cuda", "64", ("gpu", 1, 64)),
        ("mps", "mps", "32-true", ("mps", 1, "32-true")),
    ],
)
def test_what_lightning_is_asked_for(
    stand_in: type[StandIn],
    make_tuner: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    device: str,
    precision: object,
    expected: tuple[object, ...],
) -> None:
    """No number of devices for CUDA by 'auto': rejected by this Lightning, which the original never met."""
    config = _small_config(training__precision=precision, training__gradient_clip_val=0.5)
    tuner = make_tuner(stand_in(config), config)
    monkeypatch.setattr(pl, "Trainer", dict)
    tuner.device_choice, tuner.device = choice, torch.device(device)
    options, callback = tuner._create_trainer("a")
    assert callback in options["callbacks"]
    asked = ("accelerator", "devices", "precision", "gradient_clip_val", "logger", "max_epochs")
    assert tuple(options[name] for name in asked) == (*expected, 0.5, False, 1)


# -- the first version of the data of a task (row 55) -----------------------------------------------------------------


def _loader(*tasks: int) -> DataLoader[Any]:
    items = [item for task in tasks for item in _items(3, task)]
    return DataLoader(TensorDataset(*map(torch.stack, zip(*items, strict=True))), batch_size=2)


@pytest.mark.parametrize(
    ("train", "validation", "lengths"),
    [((0, 1), (1,), (3, 3)), ((0, 1), (0,), (3, 3)), ((0,), (1,), (None, 3)), ((0,), None, (None, None))],
)
def test_loaders_of_one_task(
    stand_in: type[StandIn],
    make_tuner: Callable[..., Any],
    train: tuple[int, ...],
    validation: tuple[int, ...] | None,
    lengths: tuple[int | None, ...],
) -> None:
    config = _small_config()
    tuner = make_tuner(stand_in(config), config)
    found = tuner.prepare_task_data(_loader(*train), validation and _loader(*validation), "b", {"a": 0, "b": 1})
    assert tuple(loader and len(loader.dataset) for loader in found) == lengths
    assert all(set(batch[4].tolist()) == {1} for loader in found if loader for batch in loader)


def test_older_entry_points(stand_in: type[StandIn], make_tuner: Callable[..., Any]) -> None:
    config = _small_config()
    tuner = make_tuner(stand_in(config), config)
    loader = _loader(0, 1)
    first, second = tuner._get_test_examples(loader, 1, limit=2)
    assert torch.equal(first[0], _items(1, 1)[0][0]) and torch.equal(second[1], _items(2, 1)[1][1])
    assert tuner._get_test_examples(loader, 7) == []
    assert tuner._process_single_task(loader, loader, "a", {"a": 0}) is None


# -- selection and command line (row 56) ------------------------------------------------------------------------------

TASKS = {"a": 0, "b": 1, "c": 2}
EARLIER = {
    "a": {"fine_tuned_model": {"val_loss": 0.001}, "improvement": 0.5},
    "b": {"error": "out of paper"},
    "z": {"error": "of another data set"},
}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"mode": "all"}, ["a", "b", "c"]),
        ({"mode": "specific", "specific_tasks": ["c", "a", "x"]}, ["c", "a"]),
        ({"mode": "specific", "specific_tasks": "b, c"}, ["b", "c"]),
        ({"mode": "specific"}, ["a"]),
        ({"mode": "whatever"}, ["a"]),
        # a's loss is good, but lies one level deeper than it is looked for
        ({"mode": "failed", "retry_threshold": 100.0}, ["a", "b", "c"]),
        ({"mode": "failed", "results_path": "missing.json"}, ["a", "b", "c"]),
        ({"mode": "failed", "results_path": "flat.json"}, ["b", "c"]),
        ({"mode": "failed", "results_path": "flat.json", "retry_threshold": 0.0001}, ["a", "b", "c"]),
    ],
)
def test_selection(stand_in: type[StandIn], settings: Mapping[str, object], expected: list[str]) -> None:
    Path("finetuning_results").mkdir()
    Path("finetuning_results/final_results.json").write_text(json.dumps(EARLIER))
    Path("flat.json").write_text(json.dumps({**EARLIER, "a": {"val_loss": 0.001}}))
    config = _small_config(**{f"finetuning__{name}": value for name, value in settings.items()})
    assert _finetune().select_tasks_to_finetune(config, TASKS) == expected


def test_random_selection(stand_in: type[StandIn]) -> None:
    select = _finetune().select_tasks_to_finetune
    config = _small_config(finetuning__mode="random", finetuning__num_random_tasks=2)
    chosen = {tuple(select(config, TASKS)) for _ in range(40)}
    assert len(chosen) > 1 and all(len(set(tasks)) == 2 and set(tasks) < set(TASKS) for tasks in chosen)
    config.finetuning.num_random_tasks = 10
    assert sorted(select(config, TASKS)) == list(TASKS)


def _run_main(**changes: object) -> dict[str, Any]:
    Path("tasks").mkdir()
    pairs = [{"input": [[number, 1]], "output": [[1, number]]} for number in range(5)]
    for task in ("a", "b"):
        Path("tasks", f"{task}.json").write_text(json.dumps({"train": pairs, "test": []}))
    found: dict[str, Any] = _finetune().main(_small_config(data__training_data_dir="tasks", **changes))
    return found


@pytest.mark.parametrize(
    ("changes", "variables", "tasks"),
    [
        ({}, {}, ["a", "b"]),
        ({"finetuning__mode": "first"}, {}, ["a"]),
        ({}, {"JARC_CHECKPOINT_CONFIG": "extra.yaml"}, ["b"]),
        ({}, {"CHECKPOINT_CONFIG": "extra.yaml"}, ["b"]),
        ({}, {"JARC_CHECKPOINT_CONFIG": "missing.yaml", "CHECKPOINT_CONFIG": "extra.yaml"}, ["a", "b"]),
    ],
)
def test_command_line(
    stand_in: type[StandIn],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    variables: dict[str, str],
    tasks: list[str],
) -> None:
    Path("extra.yaml").write_text("finetuning: {mode: specific, specific_tasks: [b]}")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = _run_main(**changes)
    assert list(found) == tasks and not any("error" in result for result in found.values())
    assert list(json.loads(Path("finetuning_results/final_results.json").read_text())) == tasks
    assert not Path("finetuning_results/skills").exists()
    assert not logging.getLogger("champion.model.finetune").handlers


@pytest.mark.parametrize("settings", [{"enabled": True}, {"enabled": True, "output_dir": "other", "rank": 1}])
def test_skills_are_extracted(stand_in: type[StandIn], settings: dict[str, object]) -> None:
    _run_main(skill_extract=settings)
    folder = Path(str(settings.get("output_dir", "finetuning_results/skills")))
    skill = importlib.import_module("champion.lora.extract_skills").Skill.load(folder / "b.pt")
    assert skill.task_id == "b" and list(skill.factors) == ["linear1.weight"] and list(skill.offsets) == ["linear1.bias"]
    assert (folder / "a.pt").is_file()


def test_skills_cannot_spoil_the_results(stand_in: type[StandIn], caplog: pytest.LogCaptureFixture) -> None:
    assert list(_run_main(skill_extract={"enabled": True, "rank": 0})) == ["a", "b"]
    assert "skill extraction failed: rank must be at least 1" in caplog.text


def test_command_line_needs_hydra(stand_in: type[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    module = _finetune()
    monkeypatch.setitem(sys.modules, "hydra", None)
    with pytest.raises(ImportError, match="pip install hydra-core"):
        module.main()

    called: list[object] = []

    def hydra_main(**options: object) -> Callable[[object], Callable[[], None]]:
        return lambda function: lambda: called.extend((options, function))

    monkeypatch.setitem(sys.modules, "hydra", SimpleNamespace(main=hydra_main))
    assert module.main() is None
    assert called == [{"config_path": "conf", "config_name": "config", "version_base": "1.2"}, module.main]


@pytest.mark.parametrize("key", ["finetuning__base_model_checkpoint", "model__checkpoint_path"])
def test_base_model(stand_in: type[StandIn], caplog: pytest.LogCaptureFixture, key: str) -> None:
    module = _finetune()
    saved = stand_in(_small_config())
    torch.save({"state_dict": saved.state_dict()}, "base.ckpt")
    loaded = module.load_base_model(_small_config(**{key: "base.ckpt"}))
    assert torch.equal(loaded.linear1.weight, saved.linear1.weight) and not loaded.training and not caplog.text
    untrained = module.load_base_model(_small_config(**{key: "missing.ckpt"}))
    assert not torch.equal(untrained.linear1.weight, saved.linear1.weight) and "missing.ckpt not found" in caplog.text


def test_missing_data(stand_in: type[StandIn]) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        _finetune().prepare_dataloaders_and_map(_small_config(data__training_data_dir="nowhere"))
