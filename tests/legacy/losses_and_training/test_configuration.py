"""Schema, set-up and building from a config."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

CONFIG = Path(__file__).resolve().parents[3] / "reproduction" / "configs" / "champion.yaml"
CHECKED = "model.loss model.insertion rdrop scheduler regulariser_hypergrad metrics finetuning".split()
SIZES = {"d_model": 160, "n_head": 4, "dropout_rate": 0.1, "loss_mode": "expected_cost"}
Nodes = Callable[[str], DictConfig]


def schema() -> ModuleType:
    return importlib.import_module("champion.config_schema")


@pytest.fixture
def config(node: Nodes) -> DictConfig:
    """The nodes that are checked, and some plain keys."""
    config = OmegaConf.create({"model": SIZES})
    for name in CHECKED:
        OmegaConf.update(config, name, node(name))
    return config


def test_champions_config_is_valid_and_untouched() -> None:
    config = importlib.import_module("champion.hydra_setup").load_config(CONFIG)
    before = OmegaConf.to_yaml(config.model)
    schema().validate_config(config)
    assert OmegaConf.to_yaml(config.model) == before
    assert schema().as_config(config) is config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.n_head", 3, "divisible"),
        ("model.n_head", 0, "positive"),
        ("model.dropout_rate", "much", "must be in"),
        ("model.loss_mode", "mse", "expected_cost"),
        ("model.loss.expected_cost.a", "cheap", "model.loss"),
        ("model.loss.expected_cost.price", 1.0, "price"),
        ("model.loss.expected_cost.risk.t_min", 0.95, "must not exceed"),
        ("model.insertion.decode.selection_k", 0, "at least 1"),
        ("rdrop.k", 0, "at least 1"),
        ("rdrop.enabled", "perhaps", "rdrop"),
        ("scheduler.T_0", 1.5, "scheduler"),
        ("regulariser_hypergrad.alpha_min", 99.0, "must not exceed"),
        ("metrics.confidence_threshold", 2.0, "must be in"),
        ("finetuning.learning_rate", -1.0, "positive"),
    ],
)
def test_problem_is_named(config: DictConfig, path: str, value: object, message: str) -> None:
    OmegaConf.update(config, path, value)
    problems = schema().config_problems(config)
    assert len(problems) == 1 and message in problems[0]
    with pytest.raises(schema().ConfigError, match=message):
        schema().validate_config(config)


def test_all_problems_at_once_and_none_in_an_empty_config(config: DictConfig) -> None:
    config.rdrop.k, config.scheduler.T_0 = 0, 0
    assert len(schema().config_problems(config)) == 2
    schema().validate_config({})
    schema().validate_config({"model": {"d_model": 8}})


def test_search_ranges() -> None:
    asked: list[tuple[Any, ...]] = []
    trial = SimpleNamespace(
        suggest_float=lambda *args, **options: asked.append((*args, options)) or 1.0,
        suggest_int=lambda *args, **options: asked.append((*args, options)) or 2,
        suggest_categorical=lambda name, places: places[-1],
    )
    assert schema().FloatRange(0.1, 1.0, log=True).suggest(trial, "lr") == 1.0
    assert schema().IntRange(1, 9, 2).suggest(trial, "k") == 2
    assert asked == [("lr", 0.1, 1.0, {"log": True}), ("k", 1, 9, {"step": 2})]
    assert schema().CategoricalChoice([True, True, False]).suggest(trial, "on") is False


def test_load_config_with_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "model: {d_model: 8, n_head: 2, width: '${div:${model.d_model},${model.n_head}}'}\n"
        "home: '${env_or:SOME_HOME,nowhere}'\n"
    )
    setup = importlib.import_module("champion.hydra_setup")
    config = setup.load_config(file, ["model.n_head=4", "extra.key=1"])
    assert (config.model.width, config.extra.key, config.home) == (2, 1, "nowhere")
    monkeypatch.setenv("SOME_HOME", "here")
    assert setup.load_config(file).home == "here"


def test_checkpoint_config_goes_on_top(tmp_path: Path) -> None:
    setup = importlib.import_module("champion.hydra_setup")
    config = OmegaConf.create({"a": 1, "b": 2})
    for name, value in (("first", 5), ("second", 6)):
        (tmp_path / name).write_text(f"b: {value}\n")
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    assert setup.merge_checkpoint_config(config, {}) is config
    assert setup.merge_checkpoint_config(config, {"CHECKPOINT_CONFIG": second}) == {"a": 1, "b": 6}
    both = {"CHECKPOINT_CONFIG": second, "JARC_CHECKPOINT_CONFIG": first}
    assert setup.merge_checkpoint_config(config, both) == {"a": 1, "b": 5}


def test_schemas_are_offered_to_hydra() -> None:
    store = pytest.importorskip("hydra.core.config_store").ConfigStore.instance()
    importlib.import_module("champion.hydra_setup").register_schemas()
    assert {"model_loss.yaml", "rdrop.yaml", "metrics.yaml"} <= set(store.list("schema"))


def test_environment(tmp_path: Path) -> None:
    setup = importlib.import_module("champion.hydra_setup")
    config = {"repro": {"trial_seed": 42}, "logging": {"log_dir": str(tmp_path / "logs" / "app")}}
    drawn = []
    for _ in range(2):
        setup.setup_environment(config)
        drawn.append((random.random(), torch.rand(1).item()))
    assert drawn[0] == drawn[1] and (tmp_path / "logs" / "app").is_dir()
    setup.setup_environment({})


@pytest.fixture
def trainer_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer of one linear layer in place of the real one."""

    class TransformerTrainer(nn.Module):
        def __init__(self, config: DictConfig) -> None:
            super().__init__()
            self.core_model = nn.Linear(2, 2)

    for name in ("champion.model", "champion.model.trainer"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["champion.model.trainer"].TransformerTrainer = TransformerTrainer  # type: ignore[attr-defined]


GUARD = {"training": {"checkpoint_guard": {"min_matched_param_ratio": 0.5, "verify_shapes": True}}}


@pytest.mark.usefixtures("trainer_module")
def test_factory_loads_a_checkpoint(tmp_path: Path) -> None:
    factory = importlib.import_module("champion.utils.model_factory")
    config, path = OmegaConf.create(GUARD), tmp_path / "model.ckpt"
    weight = torch.arange(4.0).reshape(2, 2)
    content = {"state_dict": {"core_model.weight": weight, "other": weight}, "hyper_parameters": config}
    torch.save(content, path)
    trainer = factory.create_transformer_trainer(config, path)
    assert torch.equal(trainer.core_model.weight, weight)
    for missing in (None, tmp_path / "nothing.ckpt"):
        assert isinstance(factory.create_transformer_trainer(config, missing), nn.Module)


@pytest.mark.parametrize(
    ("state", "options", "outcome"),
    [
        ({"weight": (2, 2), "bias": (2,)}, {}, 1.0),
        ({"weight": (2, 2)}, {"min_matched_param_ratio": 0.6}, 4 / 6),
        ({"bias": (2,)}, {"min_matched_param_ratio": 0.5}, "33.3%"),
        ({"weight": (3, 2)}, {}, "shapes differ"),
        ({"weight": (3, 2), "bias": (2,)}, {"verify_shapes": False}, 2 / 6),
        ({}, {}, 0.0),
    ],
    ids=str,
)
def test_how_much_of_a_checkpoint_fits(
    state: dict[str, tuple[int, ...]], options: dict[str, Any], outcome: float | str
) -> None:
    factory = importlib.import_module("champion.utils.model_factory")
    tensors = {name: torch.ones(shape) for name, shape in state.items()}
    if isinstance(outcome, str):
        with pytest.raises(ValueError, match=outcome):
            factory.load_weights(nn.Linear(2, 2), tensors, **options)
    else:
        assert factory.load_weights(nn.Linear(2, 2), tensors, **options) == pytest.approx(outcome)
