"""The champion's config and its two neighbours: each trains, validates and repeats itself with its own features on."""

from __future__ import annotations

import functools
import importlib
import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import DataLoader

REPRODUCTION = Path(__file__).resolve().parents[2] / "reproduction"
SCRIPTS = frozenset({"champion", *(file.stem for file in REPRODUCTION.glob("*.py"))})
PAD, CLASSES, SIDE = 10, 24, 30
LEAVES = 930
EXPECTED_COST = {"train_loss", "train_grid_attn_entropy", "val_loss", "val_grid_accuracy", "val_nll_pre"}

pytestmark = [
    # Lightning recommends worker processes; data of this size need none.
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches .* is smaller than the logging interval"),
    # Lightning itself still asks torch for a name that torch is about to drop.
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated:FutureWarning"),
]


@dataclass(frozen=True)
class Case:
    """What must be there when a config is really on; `trained` are parts of names of parameters that must move."""

    parameters: int
    modules: dict[str, int]
    trained: tuple[str, ...]
    metrics: set[str]
    groups: int = 1
    averaged: int = 0

    @property
    def epochs(self) -> int:
        """Of one step each; averages begin after the first, and one of one capture would be no average."""
        return 3 if self.averaged else 2


FEATURES = frozenset(
    "BAMMultiheadAttention GGDPrior SSMax LoopedTransformer HaltingHead CUMoEAttention CUMoEFFN Router ExpertBank "
    "StepAdapter PonderPhi DiceLoss".split()
)
CASES = {
    "champion": Case(
        parameters=1_644_975,
        modules={"DiceLoss": 1},
        trained=("encoder.layers.0", "decoder.layers.2", "context_encoder", "output_aug_extra"),
        metrics=set(),
    ),
    "bam_looped": Case(
        parameters=56_058,
        modules={
            "BAMMultiheadAttention": 3,  # of the encoder, the decoder and between them
            "GGDPrior": 6,  # each in one and in two dimensions
            "SSMax": 3,
            "LoopedTransformer": 1,
            "HaltingHead": 1,
            "DiceLoss": 1,
        },
        trained=(
            *(f"self_attn.prior_{kind}d.{name}" for kind in (1, 2) for name in ("alpha", "beta", "mu")),
            *(f"multihead_attn.prior_{kind}d.{name}" for kind in (1, 2) for name in ("alpha", "beta", "mu")),
            *("encoder.block.layers.0.self_attn.ssmax.s", "multihead_attn.ssmax.s", "encoder.halt", "decoder_inter_layer_ln"),
        ),
        metrics={
            *(f"bam_{name}" for name in ("alpha_mean", "beta_mean", "beta_neg_fraction", "mu_mean", "ssmax_mean", "log_z")),
            *(f"train_ponder_{name}" for name in ("task", "regulariser", "steps", "last_mass")),
            *(f"{part}_loop_loss_{loop}" for part in ("train", "val") for loop in range(3)),
            *(f"train_loop_delta_{loop}" for loop in range(3)),
            *("train_kd", "train_loop_gain", "val_loop_best_iteration", "val_ponder_kl", "val_ponder_loss"),
        },
    ),
    "moe_rdrop_swa": Case(
        parameters=61_766,
        modules={
            "CUMoEAttention": 1,
            "CUMoEFFN": 1,
            "Router": 2,
            "ExpertBank": 1,  # which both share
            "StepAdapter": 2,
            "PonderPhi": 1,
            "DiceLoss": 1,
        },
        trained=(
            *("self_attn.experts.router.attributes", "linear2.experts.router.attributes", "experts.bank.w1"),
            *("linear2.experts.adapter.film", "linear2.experts.halt", "activation.slices", "activation.halt"),
        ),
        metrics={
            *("train_moe_aux", "train_nora_ponder", "train_nora_steps"),
            *(f"train_{name}" for name in ("rdrop_kl", "rdrop_task", "rdrop_mean_kl", "dice")),
            *("val_rdrop_kl", "val_rdrop_penalty", "swa_lr", "swa_captures", "swa_n_averaged"),
        },
        groups=2,
        averaged=2,
    ),
}


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The legacy tree, imported once, and a folder for what it writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPRODUCTION))
        patch.syspath_prepend(str(REPRODUCTION / "legacy"))
        patch.chdir(tmp_path_factory.mktemp("work"))
        _forget_modules()
        torch.use_deterministic_algorithms(True)
        yield
        torch.use_deterministic_algorithms(False)
        fitted.cache_clear()
        _forget_modules()


@pytest.fixture(autouse=True)
def legacy_tree(modules: None) -> None:
    """In place of the fixture of all legacy tests, which imports everything anew for every test."""


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in SCRIPTS]:
        del sys.modules[name]


def _path(name: str) -> Path:
    return REPRODUCTION / "configs" / f"{name}.yaml"


@functools.cache
def _values(name: str) -> dict[str, Any]:
    with _path(name).open(encoding="utf-8") as file:
        return cast(dict[str, Any], yaml.load(file, Loader=yaml.CSafeLoader))


def _config(name: str) -> DictConfig:
    return OmegaConf.create(_values(name))


def _leaves(node: object, path: str = "") -> dict[str, object]:
    """Lists are leaves, and so are empty tables."""
    if not isinstance(node, dict) or not node:
        return {path.removeprefix("."): node}
    return {leaf: value for key, child in node.items() for leaf, value in _leaves(child, f"{path}.{key}").items()}


def _build(name: str) -> Any:
    torch.manual_seed(7)
    return importlib.import_module("champion.model.trainer").TransformerTrainer(_config(name))


def _samples(count: int, seed: int) -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed)

    def grids(*lead: int) -> Tensor:
        padded = torch.full((*lead, SIDE, SIDE), PAD)
        padded[..., :9, :7] = torch.randint(0, 10, (*lead, 9, 7), generator=generator)
        return padded

    return [(grids(), grids(), grids(2), grids(2), torch.tensor(task)) for task in range(count)]


def _loader(seed: int) -> DataLoader[Any]:
    return DataLoader(_samples(1, seed), batch_size=1)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Fitted:
    trainer: Any
    run: Any
    before: dict[str, Tensor]
    metrics: dict[str, float]


def _fit(name: str) -> Fitted:
    """One training step and one validation batch an epoch, by Lightning."""
    import pytorch_lightning as pl

    trainer = _build(name)
    before = {parameter: value.detach().clone() for parameter, value in trainer.named_parameters()}
    run = pl.Trainer(
        accelerator="cpu",
        max_epochs=CASES[name].epochs,
        num_sanity_val_steps=0,
        gradient_clip_val=float(trainer.config.training.gradient_clip_val),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    torch.manual_seed(11)
    run.fit(trainer, _loader(1), _loader(2))
    return Fitted(trainer, run, before, {metric: float(value) for metric, value in run.callback_metrics.items()})


@functools.cache
def fitted(name: str) -> Fitted:
    return _fit(name)


def _listed(name: str) -> dict[str, tuple[object, object]]:
    """`path: value (was value)` of the lines above the config."""
    header = re.match(r"(#.*\n)+", _path(name).read_text(encoding="utf-8"))
    assert header
    found = re.findall(r"^#   ([\w.]+): (.+) \(was (.+)\)$", header[0], flags=re.MULTILINE)
    assert len(found) == header[0].count("\n#   ")
    return {path: (yaml.safe_load(new), yaml.safe_load(old)) for path, new, old in found}


@pytest.mark.parametrize("name", [name for name in CASES if name != "champion"])
def test_the_header_lists_every_leaf_that_differs(name: str) -> None:
    own, champion = _leaves(_values(name)), _leaves(_values("champion"))
    assert own.keys() == champion.keys() and len(own) == LEAVES
    differing = {path: (own[path], champion[path]) for path in own if own[path] != champion[path]}
    assert _listed(name) == differing
    assert [type(new) for new, _ in differing.values()] == [type(_listed(name)[path][0]) for path in differing]


@pytest.mark.parametrize("name", CASES)
def test_the_features_are_built(name: str) -> None:
    case, trainer = CASES[name], fitted(name).trainer
    kinds = [type(module).__name__ for module in trainer.modules()]
    assert {kind: kinds.count(kind) for kind in FEATURES if kind in kinds} == case.modules
    assert sum(value.numel() for value in trainer.parameters()) == case.parameters
    assert importlib.import_module("champion.config_schema").config_problems(trainer.config) == []


@pytest.mark.parametrize("name", CASES)
def test_training_moves_the_features_and_logs_their_losses(name: str) -> None:
    case, found = CASES[name], fitted(name)
    after = dict(found.trainer.named_parameters())
    assert all(bool(value.isfinite().all()) for value in after.values())
    moved = {parameter for parameter, value in after.items() if not torch.equal(value, found.before[parameter])}
    assert [part for part in case.trained if not any(part in parameter for parameter in moved)] == []
    assert found.run.global_step == case.epochs
    assert EXPECTED_COST | case.metrics <= found.metrics.keys()
    others = set().union(*(other.metrics for other in CASES.values())) - case.metrics
    assert not others & found.metrics.keys()
    assert all(torch.isfinite(torch.tensor(list(found.metrics.values()))))
    assert len(found.run.optimizers[0].param_groups) == case.groups


def test_every_loop_has_its_loss() -> None:
    found = fitted("bam_looped")
    assert len({found.metrics[f"train_loop_loss_{loop}"] for loop in range(3)}) == 3
    assert 1.0 < found.metrics["train_ponder_steps"] < 3.0
    assert len(found.trainer.model.loop_logits) == len(found.trainer.model.loop_halt) == 3


def test_the_passes_of_one_batch_differ() -> None:
    found = fitted("moe_rdrop_swa")
    assert found.metrics["train_rdrop_kl"] > 0.0 and found.metrics["train_dice"] > 0.0
    assert found.trainer.rdrop.k == 2 and found.trainer.rdrop.counters.skipped == 0
    routers = [module for module in found.trainer.modules() if type(module).__name__ == "Router"]
    assert all(int((router.last_diagnostics["load"] > 0).sum()) > 1 for router in routers)


def test_the_average_of_the_later_epochs_is_in_the_model() -> None:
    case, found = CASES["moe_rdrop_swa"], fitted("moe_rdrop_swa")
    trainer = found.trainer
    assert trainer.swa.n_averaged == case.averaged
    after = dict(trainer.core_model.named_parameters())
    assert all(torch.equal(after[parameter], value) for parameter, value in trainer.swa.average.items())
    assert any(not torch.equal(after[parameter], trainer._swa_base_state[parameter]) for parameter in after)
    assert all(group["lr"] == trainer.swa.learning_rate(2) for group in found.run.optimizers[0].param_groups)


@pytest.mark.parametrize("name", CASES)
def test_a_second_run_is_the_same(name: str) -> None:
    first, second = fitted(name), _fit(name)
    assert second.metrics == first.metrics
    states = (run.trainer.state_dict() for run in (first, second))
    assert all(torch.equal(*pair) for pair in zip(*(state.values() for state in states), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_brings_everything_back(name: str, tmp_path: Path) -> None:
    found = fitted(name)
    found.run.save_checkpoint(tmp_path / "run.ckpt")
    content = torch.load(tmp_path / "run.ckpt", weights_only=True)
    assert _leaves(content["hyper_parameters"]) == _leaves(_values(name))
    assert ("swa_state" in content) == bool(CASES[name].averaged)
    again = type(found.trainer).load_from_checkpoint(tmp_path / "run.ckpt", config=_config(name), weights_only=True)
    state = again.state_dict()
    assert all(torch.equal(state[key], value) for key, value in found.trainer.state_dict().items())


@pytest.mark.parametrize("name", CASES)
def test_single_and_double_precision(name: str) -> None:
    trainer = _build(name).eval()
    batch = [column.unsqueeze(0) for column in _samples(1, seed=3)[0]]
    answers = {}
    for dtype in (torch.float32, torch.float64):
        with torch.no_grad():
            logits = trainer.to(dtype)(*batch[:4])
        assert logits.dtype == dtype and logits.shape == (1, SIDE, SIDE, CLASSES) and bool(logits.isfinite().all())
        answers[dtype] = logits.argmax(-1)
    # rounding may send a token to another expert
    assert float((answers[torch.float32] == answers[torch.float64]).double().mean()) > 0.99


@pytest.mark.parametrize("name", [name for name in CASES if name != "champion"])
def test_the_training_script_takes_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    rng = random.Random(1)
    pairs = [{side: [[rng.randrange(10) for _ in range(3)]] for side in ("input", "output")} for _ in range(4)]
    (tasks / "05269061.json").write_text(json.dumps({"train": pairs, "test": []}))
    size = "--epochs 2 --steps-per-epoch 1 --batch-size 1 --limit-val-batches 1".split()
    arguments = ["--config", _path(name), "--data", tasks, "--out", tmp_path / "run", "--quick", *size]
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    code = importlib.import_module("scripting").run(importlib.import_module("train").main)
    assert code in (0, 1), capsys.readouterr().err  # 1: two steps need not show a falling loss
    assert "not a number: none" in capsys.readouterr().out
    content = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 2
    assert ("swa_state" in content) == bool(CASES[name].averaged)
