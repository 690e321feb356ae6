"""The data modules of the legacy champion: the ordinary path, and every switched-off feature switched on."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

REPRODUCTION = Path(__file__).resolve().parents[2] / "reproduction"
LEGACY = REPRODUCTION / "legacy"
PAD = 10
TASK_IDS = ("05269061", "88a62173", "9172f3a0")

Pair = dict[str, list[list[int]]]


def _preparation() -> ModuleType:
    return importlib.import_module("champion.data.data_preparation")


def _grid(rng: random.Random) -> list[list[int]]:
    width = rng.randint(1, 30)
    return [[rng.randrange(10) for _ in range(width)] for _ in range(rng.randint(1, 30))]


def _pairs(seed: str, count: int) -> list[Pair]:
    rng = random.Random(seed)
    return [{"input": _grid(rng), "output": _grid(rng)} for _ in range(count)]


def _write_tasks(folder: Path, train: int = 6, test: int = 0, task_ids: tuple[str, ...] = TASK_IDS, seed: str = "") -> Path:
    folder.mkdir(parents=True)
    for task_id in task_ids:
        task = {"train": _pairs(seed + task_id, train), "test": _pairs(f"{seed}{task_id}-test", test)}
        (folder / f"{task_id}.json").write_text(json.dumps(task))
    return folder


def _config(**changes: object) -> DictConfig:
    config = cast(DictConfig, OmegaConf.load(REPRODUCTION / "configs" / "champion.yaml"))
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
    return config


def _padded(grid: list[list[int]]) -> torch.Tensor:
    canvas = torch.full((30, 30), PAD)
    canvas[: len(grid), : len(grid[0])] = torch.tensor(grid)
    return canvas


# -- the config -----------------------------------------------------------------------------------------------------


def _leaves(node: object) -> int:
    """Lists are leaves, and so are empty tables."""
    return sum(map(_leaves, node.values())) if isinstance(node, dict) and node else 1


def test_config_has_all_leaves() -> None:
    values = OmegaConf.to_container(_config())
    assert _leaves(values) == 930


def test_manifest_pins_every_file() -> None:
    lines = (LEGACY / "MANIFEST").read_text().splitlines()
    pinned = {file: digest for digest, file in (line.split("  ") for line in lines)}
    data_modules = {f"champion/data/{name}.py" for name in ("data_preparation", "context_data", "datasets")}
    assert data_modules <= pinned.keys()
    assert list(pinned) == sorted(pinned)
    for file in data_modules:
        assert hashlib.sha256((LEGACY / file).read_bytes()).hexdigest() == pinned[file]


# -- the ordinary path ----------------------------------------------------------------------------------------------


def test_ordinary_path(tmp_path: Path) -> None:
    folder = _write_tasks(tmp_path / "tasks")
    config = _config(data__training_data_dir=str(folder))

    train, validation, task_ids = _preparation().prepare_data(config)

    assert task_ids == {"05269061": 0, "88a62173": 1, "9172f3a0": 2}
    assert json.loads(Path("task_id_map.json").read_text()) == task_ids
    assert len(validation) == 0
    assert (config.model.vocab_size, config.model.V_colours, config.model.S_shapes) == (11, 11, 11)
    pairs = [(task_id, pair) for task_id in TASK_IDS for pair in _pairs(task_id, 6)]
    assert len(train) == len(pairs)
    for index, (task_id, pair) in enumerate(pairs):
        source, target, context_in, context_out, task_index = train[index]
        assert torch.equal(source, _padded(pair["input"]))
        assert torch.equal(target, _padded(pair["output"]))
        assert int(task_index) == task_ids[task_id]
        assert context_in.shape == context_out.shape
        assert context_in.dtype == torch.int64
        known = {_padded(p["input"]).numpy().tobytes(): _padded(p["output"]) for p in _pairs(task_id, 6)}
        for shown, answer in zip(context_in, context_out, strict=True):
            assert not torch.equal(shown, source)
            assert torch.equal(known[shown.numpy().tobytes()], answer)
    counts = [len(train[index][2]) for index in range(len(train))]
    assert sorted(counts) == [1] * 6 + [2] * 12  # two of six pairs of each task are its contexts


def test_only_pair_keeps_its_context(tmp_path: Path) -> None:
    folder = _write_tasks(tmp_path / "tasks", train=1, task_ids=TASK_IDS[:1])
    train, _, _ = _preparation().prepare_data(_config(data__training_data_dir=str(folder)))
    source, _, context_in, _, _ = train[0]
    assert torch.equal(context_in, source.unsqueeze(0))


@pytest.mark.parametrize(
    ("content", "kept"),
    [("{", False), ("[]", False), ('{"test": []}', False), ('{"train": [], "test": []}', False)],
)
def test_unusable_files_are_skipped(tmp_path: Path, content: str, kept: bool) -> None:
    folder = _write_tasks(tmp_path / "tasks", task_ids=TASK_IDS[:1])
    (folder / "00000000.json").write_text(content)
    _, _, task_ids = _preparation().prepare_data(_config(data__training_data_dir=str(folder)))
    assert ("00000000" in task_ids) is kept
    assert TASK_IDS[0] in task_ids


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"data__training_data_dir": "missing"}, FileNotFoundError),
        ({"data__training_data_dir": "."}, ValueError),
        ({"data__mode": "sideways"}, ValueError),
        ({"data__use_synthetic_yardstick": True, "data__yardstick__skills": ["E"]}, ValueError),
        ({"data__use_synthetic_yardstick": True, "data__yardstick__colours": [3]}, ValueError),
    ],
)
def test_refusals(changes: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        _preparation().prepare_data(_config(**changes))


# -- what is switched off -------------------------------------------------------------------------------------------


def _list_file(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "listed.json").write_text(json.dumps([{"generator": "x"}, *_pairs("listed", count)]))


@dataclass(frozen=True)
class Feature:
    """A config change, and what must be seen once it is made."""

    changes: dict[str, object]
    effect: Callable[[Any, DictConfig], None]
    setup: Callable[[], None] = field(default=lambda: None)


def _yardstick(result: Any, config: DictConfig) -> None:
    train, validation, task_ids = result
    assert list(task_ids) == [f"yardstick_{skill}" for skill in "ABCD"]
    assert (len(train), len(validation)) == (4 * 8, 4 * 2)
    corners = [(train[i][0][:3, :3], train[i][1][:3, :3], int(train[i][4])) for i in range(len(train))]
    for source, target, task in corners:
        assert max(int(source.max()), int(target.max())) <= 9
        if task == task_ids["yardstick_A"]:
            assert torch.equal(target, source.flip(1))
        if task == task_ids["yardstick_C"]:
            assert torch.equal(target, torch.full((3, 3), int(source.flatten().bincount().argmax())))
    assert train[0][0].shape == (30, 30)
    assert config.model.vocab_size == 11
    assert json.loads(Path("task_id_map.json").read_text()) == task_ids


def _yardstick_subset(result: Any, config: DictConfig) -> None:
    train, _, task_ids = result
    assert list(task_ids) == ["yardstick_B"]
    assert len(train) == 3
    assert set(torch.cat([train[i][0][:3, :3].flatten() for i in range(3)]).tolist()) <= {1, 2, 7}
    assert len(json.loads(Path("exported/yardstick_B.json").read_text())["train"]) == 5


def _synthetic(result: Any, config: DictConfig) -> None:
    train, validation, task_ids = result
    assert set(task_ids) == {*TASK_IDS, "listed"}
    of_list = [i for i in range(len(train)) if int(train[i][4]) == task_ids["listed"]]
    assert (len(of_list), len(validation)) == (8, 2)


def _only_synthetic(result: Any, config: DictConfig) -> None:
    train, validation, task_ids = result
    assert set(task_ids) == {"listed"}
    assert (len(train), len(validation)) == (8, 2)


def _evaluation(result: Any, config: DictConfig) -> None:
    dataset, ids = result
    assert ids == {"88a62173": 0, "9172f3a0": 1}
    assert json.loads(Path("eval_id_map.json").read_text()) == ids
    assert not Path("task_id_map.json").exists()
    assert len(dataset) == 6
    wanted = _padded(_pairs("eval88a62173-test", 3)[0]["input"])
    assert torch.equal(dataset[0][0], wanted)
    assert config.model.V_colours is None


def _limited_evaluation(result: Any, config: DictConfig) -> None:
    assert len(result[0]) == 4


def _synthetic_evaluation(result: Any, config: DictConfig) -> None:
    assert set(result[1]) == {"88a62173", "9172f3a0", "listed"}


def _limited(result: Any, config: DictConfig) -> None:
    train, _, task_ids = result
    assert len(train) == 7
    assert list(task_ids) == list(TASK_IDS[:2])


def _limited_shuffled(result: Any, config: DictConfig) -> None:
    train, _, _ = result
    first = [_padded(pair["input"]) for pair in _pairs(TASK_IDS[0], 6)]
    assert len(train) == 6
    assert not all(torch.equal(train[i][0], first[i]) for i in range(6))


def _static_pairs(result: Any, config: DictConfig) -> None:
    train, _, _ = result
    contexts = [train[i][2] for i in range(len(train))]
    assert {len(context) for context in contexts} == {2}
    blank = [bool((context[1] == PAD).all()) for context in contexts]
    assert sum(blank) == 6


def _static_short_task(result: Any, config: DictConfig) -> None:
    train, _, _ = result
    assert len(train[0][2]) == 4
    assert bool((train[0][2][-1] == PAD).all())
    assert bool((train[0][3][-1] == PAD).all())


def _first_pairs(result: Any, config: DictConfig) -> None:
    train, _, _ = result
    assert torch.equal(train[5][2], torch.stack([_padded(pair["input"]) for pair in _pairs(TASK_IDS[0], 6)[:2]]))


def _two_of_three(result: Any, config: DictConfig) -> None:
    assert list(result[2]) == ["05269061", "9172f3a0"]


def _one_excluded(result: Any, config: DictConfig) -> None:
    assert list(result[2]) == ["05269061", "88a62173"]


def _written_to_file(result: Any, config: DictConfig) -> None:
    log = Path("logs/jarc_reactor_app.log")
    assert "prepare_data" in log.read_text()
    logger = logging.getLogger("champion.data.data_preparation")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def _tasks_for_evaluation() -> None:
    _write_tasks(Path("evaluation"), test=3, task_ids=TASK_IDS[1:], seed="eval")


def _tasks_and_list_for_evaluation() -> None:
    _tasks_for_evaluation()
    _list_file(Path("synthetic"), 10)


FEATURES = {
    "yardstick": Feature({"data__use_synthetic_yardstick": True, "data__yardstick__samples_per_skill": 8}, _yardstick),
    "yardstick, its options": Feature(
        {
            "data__use_synthetic_yardstick": True,
            "data__limit_train_samples": 3,
            "data__yardstick": {
                "samples_per_skill": 5,
                "skills": ["B"],
                "colours": [1, 2, 7],
                "noise": 0.3,
                "balance_colours": "no",
                "export_path": "exported",
            },
        },
        _yardstick_subset,
    ),
    "synthetic list files": Feature(
        {"training__include_synthetic_training_data": True, "training__synthetic_data_dir": "synthetic"},
        _synthetic,
        lambda: _list_file(Path("synthetic"), 10),
    ),
    "only synthetic": Feature(
        {"training__current_data_is_synthetic": True, "training__synthetic_data_dir": "synthetic"},
        _only_synthetic,
        lambda: _list_file(Path("synthetic"), 10),
    ),
    "evaluation": Feature({"data__mode": "eval", "data__testing_data_dir": "evaluation"}, _evaluation, _tasks_for_evaluation),
    "evaluation, limited": Feature(
        {"data__mode": "eval", "data__testing_data_dir": "evaluation", "data__limit_eval_samples": 4},
        _limited_evaluation,
        _tasks_for_evaluation,
    ),
    "evaluation, synthetic": Feature(
        {
            "data__mode": "eval",
            "data__testing_data_dir": None,
            "evaluation__data_dir": "evaluation",
            "evaluation__include_synthetic_data": True,
            "evaluation__synthetic_data_dir": "synthetic",
        },
        _synthetic_evaluation,
        _tasks_and_list_for_evaluation,
    ),
    "training limit": Feature({"data__limit_train_samples": 7}, _limited),
    "training limit, shuffled": Feature({"data__limit_train_samples": 6, "data__limit_shuffle": True}, _limited_shuffled),
    "static pairs": Feature({"model__context_encoder__dynamic_pairs": False}, _static_pairs),
    "static pairs, more than there are": Feature(
        {
            "model__context_encoder__dynamic_pairs": False,
            "data__num_context_pairs": 4,
            "data__limit_train_samples": 1,
            "data__training_data_dir": "short",
        },
        _static_short_task,
        lambda: cast(None, _write_tasks(Path("short"), train=3)),
    ),
    "first pairs as contexts": Feature({"data__context_strategy": "first"}, _first_pairs),
    "shard": Feature({"data__shard": "0/2"}, _two_of_three),
    "excluded task": Feature({"data__exclude_tasks": ["9172f3a0"]}, _one_excluded),
    "log file": Feature({"data__log_to_file": True, "logging__log_dir": "logs"}, _written_to_file),
}


@pytest.mark.parametrize("name", FEATURES)
def test_switched_on(name: str, tmp_path: Path) -> None:
    feature = FEATURES[name]
    feature.setup()
    config = _config(data__training_data_dir=str(_write_tasks(tmp_path / "tasks")))
    for key, value in feature.changes.items():
        OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
    result = _preparation().prepare_data(config)
    feature.effect(result, config)


@pytest.mark.parametrize(
    ("changes", "inspected"),
    [({}, TASK_IDS[:2]), ({"data__inspect_files": 1}, TASK_IDS[:1]), ({"data__inspect_files": 0}, ())],
)
def test_inspection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, object], inspected: tuple[str, ...]
) -> None:
    config = _config(data__training_data_dir=str(_write_tasks(tmp_path / "tasks")), **changes)
    preparation = _preparation()
    with caplog.at_level(logging.INFO, logger="champion.data.data_preparation"):
        preparation.prepare_data(config)
    seen = [task_id for task_id in TASK_IDS if f"[inspect] {task_id}.json" in caplog.text]
    assert tuple(seen) == inspected


def test_forced_debug(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARC_FORCED_DEBUG", "1")
    _preparation().prepare_data(_config(data__training_data_dir=str(_write_tasks(tmp_path / "tasks"))))
    assert caplog.text.count("[debug]") == 3 + 3


def test_struct_config_is_written_back(tmp_path: Path) -> None:
    config = _config(data__training_data_dir=str(_write_tasks(tmp_path / "tasks")))
    OmegaConf.set_struct(config, True)
    _preparation().prepare_data(config)
    assert config.model.V_colours == 11


def test_loaders_stack_static_pairs(tmp_path: Path) -> None:
    config = _config(
        data__training_data_dir=str(_write_tasks(tmp_path / "tasks")),
        model__context_encoder__dynamic_pairs=False,
        dataloader__num_workers=0,
    )
    preparation = _preparation()
    train, validation, _ = preparation.prepare_data(config)
    training, _ = preparation.make_loaders(config, train, validation)
    assert [batch[2].shape for batch in training] == [(18, 2, 30, 30)]


def test_yardstick_accuracy_counts_the_corner() -> None:
    solved = torch.zeros(1, 30, 30)
    wrong = solved.clone()
    wrong[0, 5, 5] = 1  # outside of the 3x3 corner
    missed = solved + 1
    accuracy = _preparation().yardstick_skill_accuracy(
        torch.cat([solved, wrong, missed]),
        torch.zeros(3, 30, 30),
        torch.tensor([0, 0, 1]),
        {"yardstick_A": 0, "yardstick_B": 1},
    )
    assert accuracy == {"A": 1.0, "B": 0.0}
