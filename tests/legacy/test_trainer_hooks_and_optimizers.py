"""What the trainer does around its step: optimizers, hooks, evaluation. Every switch is turned on once."""

from __future__ import annotations

import copy
import functools
import importlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.utils.data import DataLoader

REPRODUCTION = Path(__file__).resolve().parents[2] / "reproduction"
PAD, CLASSES, EOS = 10, 24, 23
SIZE, WIDTH = 4, 8
RATE = 0.0018498849832733245
SHIFT = 9.094797657729512
Logged = dict[str, float]

pytestmark = [
    # Lightning recommends worker processes; data of this size need none.
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    # Lightning itself still asks torch for a name that torch is about to drop.
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated:FutureWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def modules() -> Iterator[None]:
    """The legacy tree, imported once: no test here leaves anything in its modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPRODUCTION / "legacy"))
        _forget_modules()
        patch.setattr(importlib.import_module("champion.model.trainer"), "TransformerModel", SmallModel)
        yield
        _forget_modules()


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "champion"]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def legacy_tree(modules: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In place of the fixture of all legacy tests, which imports everything anew for every test."""
    monkeypatch.chdir(tmp_path)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@functools.cache
def pinned() -> dict[str, Any]:
    """Without what only other programs read: nodes of that size make every trainer slow to build."""
    with (REPRODUCTION / "configs" / "champion.yaml").open(encoding="utf-8") as file:
        values: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    elsewhere = {"optuna", "mks", "sleep", "speculative_decoding", "cumoe", "infodrop", "grokfast", "karl", "evaluation"}
    return {name: node for name, node in values.items() if name not in elsewhere}


def champion(overrides: dict[str, Any]) -> DictConfig:
    """The pinned config with dotted keys put in; new keys are allowed."""
    values = copy.deepcopy(pinned())
    for dotted, value in {"logging.log_dir": "logs", **overrides}.items():
        *path, last = dotted.split(".")
        node = values
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return OmegaConf.create(values)


class SmallModel(nn.Module):
    """What the trainer asks of the model, in a few hundred weights, with a layer for every hook to work on."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(PAD + 1, WIDTH)
        self.mix = nn.Linear(2 * WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.batch_norm = nn.BatchNorm1d(WIDTH)
        self.dropout = nn.Dropout(0.5)
        self.output_fc = nn.Linear(WIDTH, PAD + 1, bias=False)
        self.output_aug_extra = nn.Linear(WIDTH, CLASSES - PAD - 1, bias=False)
        self.calibrator: nn.Module | None = None
        self.loop_logits: list[Tensor] = []
        self.loop_halt: list[Tensor] = []
        self.loop_stats: dict[str, float] = {"loops": 3.0}
        self.targets: list[Tensor | None] = []

    def forward(
        self, src: Tensor, tgt: Tensor | None = None, ctx_input: Tensor | None = None, ctx_output: Tensor | None = None
    ) -> Tensor:
        self.targets.append(tgt)
        seen = src if tgt is None else tgt
        hidden = self.norm(torch.tanh(self.mix(torch.cat([self.embedding(src), self.embedding(seen)], dim=-1))))
        hidden = self.dropout(self.batch_norm(hidden.flatten(0, -2)).view_as(hidden))
        self.loop_logits = [self.heads(hidden * share) for share in (0.2, 0.6, 1.0)]
        mass = torch.sigmoid(hidden.flatten(1).mean(1))
        self.loop_halt = [mass * 0.5, mass * 0.5, 1.0 - mass]
        logits = self.loop_logits[-1]
        return logits if self.calibrator is None or self.training else self.calibrator(logits)

    def heads(self, hidden: Tensor) -> Tensor:
        return torch.cat([self.output_fc(hidden), self.output_aug_extra(hidden)], dim=-1)


def build(overrides: dict[str, Any] | None = None) -> Any:
    torch.manual_seed(7)
    return importlib.import_module("champion.model.trainer").TransformerTrainer(champion(overrides or {}))


def catch_log(trainer: Any) -> Logged:
    """What the trainer logs, for steps that run without Lightning's trainer."""
    logged: Logged = {}
    trainer.log = lambda name, value, **_: logged.__setitem__(name, float(torch.as_tensor(value).detach()))
    return logged


def grids(count: int = 4, seed: int = 11) -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed)

    def grid(*shape: int) -> Tensor:
        drawn = torch.randint(0, 10, (*shape, SIZE, SIZE), generator=generator)
        drawn[..., -1, :] = PAD
        return drawn

    return [(grid(), grid(), grid(2), grid(2), torch.tensor(task)) for task in range(count)]


def batch(count: int = 4) -> list[Tensor]:
    return [torch.stack(column) for column in zip(*grids(count), strict=True)]


def validate(trainer: Any, count: int = 4) -> Tensor:
    with torch.no_grad():
        loss: Tensor = trainer.eval().validation_step(batch(count), 0)
    return loss


def loader(count: int = 4) -> DataLoader[Any]:
    return DataLoader(grids(count), batch_size=2)  # type: ignore[arg-type]


def lightning(**arguments: Any) -> Any:
    import pytorch_lightning as pl

    quiet: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return pl.Trainer(accelerator="cpu", **quiet, **{"max_epochs": 1, "num_sanity_val_steps": 0, **arguments})


def optimizer_of(trainer: Any) -> Any:
    found = trainer.configure_optimizers()
    return found["optimizer"] if isinstance(found, dict) else found


def decays(optimizer: Any) -> list[float]:
    return [group["weight_decay"] for group in optimizer.param_groups]


# --- optimizers and schedules -------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, tuple[dict[str, Any], str, list[float]]] = {
    "adam": ({}, "Adam", [0.0]),
    "adam, decayed": ({"optimizer.weight_decay": 0.1}, "Adam", [0.1]),
    "adamw": ({"optimizer.name": "adamw", "optimizer.weight_decay": 0.1}, "AdamW", [0.1, 0.0]),
    "sgd": ({"optimizer.name": "sgd", "optimizer.weight_decay": 0.1}, "SGD", [0.1, 0.0]),
    "sam": ({"optimizer.name": "sam"}, "SAM", [0.0]),
    "sam around sgd": ({"optimizer.name": "sam", "sam.base": "sgd", "sam.adaptive": True}, "SAM", [0.0]),
    "hypergrad": ({"optimizer.name": "hypergrad"}, "HyperGradient", [0.0, 0.0]),
}


@pytest.mark.parametrize(("overrides", "kind", "weight_decays"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_each_optimizer_gets_every_trainable_parameter_once_and_trains(
    overrides: dict[str, Any], kind: str, weight_decays: list[float]
) -> None:
    trainer = build({**overrides, "training.gradient_clip_val": 0.5})
    optimizer = optimizer_of(trainer)
    listed = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert type(optimizer).__name__ == kind and decays(optimizer) == weight_decays
    assert sorted(listed) == sorted(id(p) for p in trainer.parameters() if p.requires_grad)

    before = trainer.core_model.mix.weight.detach().clone()
    lightning(limit_val_batches=0).fit(trainer, loader(), loader())
    assert not torch.equal(before, trainer.core_model.mix.weight) and bool(torch.isfinite(trainer.core_model.mix.weight).all())


def test_hypergradients_share_a_rate_in_vectors_but_not_in_matrices() -> None:
    groups = optimizer_of(build({"optimizer.name": "hypergrad"})).param_groups
    assert [group["vector_alphas"] for group in groups] == [True, False]
    assert all((p.dim() >= 2) == group["vector_alphas"] for group in groups for p in group["params"])


def test_sharpness_aware_steps_run_the_batch_twice() -> None:
    plain, sharp = build(), build({"optimizer.name": "sam"})
    for trainer in (plain, sharp):
        lightning(limit_val_batches=0).fit(trainer, loader(), loader())
    assert [len(t.core_model.targets) for t in (plain, sharp)] == [2, 4]
    assert (plain.sam_enabled, sharp.sam_enabled) == (False, True), "model.sam_enabled is set in both"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"optimizer.name": "lion"}, "unknown optimizer.name 'lion'"),
        ({"optimizer.lr": 0.0}, "optimizer.lr must be positive"),
        ({"optimizer.name": "sam", "sam.base": "lbfgs"}, "sam.base"),
    ],
)
def test_impossible_optimizers_are_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(overrides).configure_optimizers()


@pytest.mark.parametrize(
    ("asked", "rates"),
    [(None, [RATE, RATE]), (0.25, [0.25, 0.25]), ([0.5, 0.125], [0.5, 0.125]), ([0.5], [0.5, 0.5])],
    ids=["trainer's", "one", "each", "last repeats"],
)
def test_adapters_get_groups_with_their_own_rate_and_decay(asked: Any, rates: list[float]) -> None:
    trainer = build({"model.nora.per_layer_lr": asked, "model.nora.weight_decay": 0.375, "model.nora.groups": 4})
    nora = importlib.import_module("champion.model.peft.nora")
    lora = importlib.import_module("champion.model.peft.lora_linear")
    model, config = trainer.core_model, trainer.config.model.nora
    model.first, model.second = nora.NoRAActivation(WIDTH, config), nora.NoRAActivation(WIDTH, config)
    model.mix = lora.LoRALinear(model.mix, rank=2)

    groups = optimizer_of(trainer).param_groups
    assert [group["lr"] for group in groups] == [RATE, *rates, RATE]
    assert [group["weight_decay"] for group in groups] == [0.0, 0.375, 0.375, 0.375]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.first.parameters()}
    assert [tuple(p.shape) for p in groups[3]["params"]] == [(2, 2 * WIDTH), (WIDTH, 2)]


def test_the_rate_restarts_every_six_epochs() -> None:
    plan = build().configure_optimizers()
    optimizer, schedule = plan["optimizer"], plan["lr_scheduler"]["scheduler"]
    assert (plan["lr_scheduler"]["interval"], plan["lr_scheduler"]["frequency"]) == ("epoch", 1)
    optimizer.step()
    rates = []
    for _ in range(13):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert rates[0] == rates[6] == rates[12] == RATE
    assert rates[3] == pytest.approx((RATE + 1.6816632143867157e-06) / 2)
    assert rates[5] == min(rates) == rates[11]


@pytest.mark.parametrize(
    "resumed",
    [{"train.resume_epoch": 8}, {"train.resume_global_step": 45, "train.steps_per_epoch": 5}, {"train.resume_epoch": 20}],
)
def test_the_schedule_resumes_where_an_earlier_run_stopped(resumed: dict[str, Any]) -> None:
    epoch = resumed.get("train.resume_epoch", 9)
    fresh, later = build().configure_optimizers(), build(resumed).configure_optimizers()
    fresh["optimizer"].step()
    for _ in range(epoch):
        fresh["lr_scheduler"]["scheduler"].step()
    assert later["optimizer"].param_groups[0]["lr"] == pytest.approx(fresh["optimizer"].param_groups[0]["lr"], rel=1e-12)


def test_a_plateau_halves_the_rate_and_no_schedule_leaves_it_alone() -> None:
    off = {"scheduler.use_cosine_annealing": False}
    plan = build({**off, "scheduler.patience": 1}).configure_optimizers()
    entry = plan["lr_scheduler"]
    assert (entry["monitor"], entry["reduce_on_plateau"]) == ("val_loss", True)
    for _ in range(3):
        entry["scheduler"].step(1.0)
    assert plan["optimizer"].param_groups[0]["lr"] == RATE / 2
    cut = build({**off, "train.resume_epoch": 3, "train.resume_lr_cuts": 2}).configure_optimizers()
    assert cut["optimizer"].param_groups[0]["lr"] == RATE / 4
    assert isinstance(build({"training.use_scheduler": False}).configure_optimizers(), torch.optim.Adam)

    trainer = build({**off, "scheduler.patience": 0, "optimizer.lr": 1e-9, "scheduler.eta_min": 0.0})
    run = lightning(max_epochs=4)
    run.fit(trainer, loader(2), loader(2))
    assert run.optimizers[0].param_groups[0]["lr"] <= 1e-9


@pytest.mark.parametrize(("value", "asked"), [(1.0, [1.0]), (0.0, []), (None, [])])
def test_clipping_follows_the_config_and_lightning_wins(value: float | None, asked: list[float]) -> None:
    trainer = build({"training.gradient_clip_val": value})
    clipped: list[tuple[float, str]] = []
    trainer.clip_gradients = lambda _, gradient_clip_val, gradient_clip_algorithm: clipped.append(
        (gradient_clip_val, gradient_clip_algorithm)
    )
    trainer.configure_gradient_clipping(None)
    assert clipped == [(value, "norm") for value in asked]
    trainer.configure_gradient_clipping(None, 0.25, "value")
    assert clipped[len(asked) :] == [(0.25, "value")]


# --- log file -----------------------------------------------------------------------------------------------------

CLOSING = ("on_validation_end", "on_fit_end", "on_train_end", "on_test_end", "on_predict_end", "teardown", "__del__")


@pytest.mark.parametrize("hook", CLOSING)
def test_the_log_file_is_closed_by_every_hook_that_may_be_the_last(hook: str) -> None:
    trainer = build()
    handler = trainer._file_handler
    logger = logging.getLogger("champion.model.trainer")
    logger.warning("still open")
    assert handler in logger.handlers and Path("logs/train.log").read_text(encoding="utf-8").endswith("still open\n")
    getattr(trainer, hook)()
    assert handler not in logger.handlers and trainer._file_handler is None
    getattr(trainer, hook)()


def test_test_environments_have_no_log_file() -> None:
    assert build({"is_test_environment": True})._file_handler is None and not Path("logs").exists()


def test_without_a_run_directory_a_warning_tells_where_the_log_goes(caplog: pytest.LogCaptureFixture) -> None:
    build()
    assert [record.getMessage() for record in caplog.records] == ["no run directory, logging.log_dir is used for train.log"]


# --- slots --------------------------------------------------------------------------------------------------------


def eos_logits() -> Tensor:
    """Sure of EOS in one cell of the first sample."""
    logits = torch.zeros(2, SIZE, SIZE, CLASSES)
    logits[0, 0, 0, EOS] = 20.0
    return logits


SLOTS: dict[str, tuple[dict[str, Any], bool, int]] = {
    "champion": ({}, False, 0),
    "PAD targets": ({"model.insertion.pad_marks_complete": True}, False, 2 * SIZE),
    "the model's own EOS": ({"model.insertion.slot_state.predicted.enabled": True}, False, 1),
    "augmented grid": ({}, True, 1),
}


@pytest.mark.parametrize(("overrides", "with_grid", "complete"), SLOTS.values(), ids=SLOTS)
def test_complete_slots_keep_only_eos(overrides: dict[str, Any], with_grid: bool, complete: int) -> None:
    trainer = build(overrides).eval()
    logits, target = eos_logits(), batch(2)[1]
    augmented = target.clone()
    augmented[1, 1, 1] = EOS
    state = trainer._compute_slot_state(logits, target, augmented if with_grid else None)
    assert int((~state).sum()) == complete
    gated = trainer._apply_insertion_gating(logits, state)
    assert (gated is logits) == (complete == 0)
    assert torch.equal(gated[..., EOS], logits[..., EOS])
    assert torch.allclose(gated[..., :EOS], torch.where(state, 0.0, -SHIFT).unsqueeze(-1).expand(*state.shape, EOS))


def test_gating_has_a_switch_for_training_and_one_for_evaluation() -> None:
    pad = {"model.insertion.pad_marks_complete": True}
    src, target, *contexts, _ = batch(2)
    losses = {}
    for gating in (False, True):
        trainer = build({**pad, "model.insertion.train_gating": gating})
        logged = catch_log(trainer)
        torch.manual_seed(1)
        losses[gating] = float(trainer._expected_cost_scalar(trainer(src, target, *contexts), target).detach())
        validate(trainer, 2)
        assert logged["val_slots_complete"] == pytest.approx(1 / SIZE)
    assert losses[True] != losses[False]
    off = build({**pad, "model.insertion.eval_gating": False})
    logged = catch_log(off)
    validate(off, 2)
    assert "val_slots_complete" not in logged


def test_confident_predictions_cost_with_lambda_conf() -> None:
    losses = []
    for weight in (0.0, 0.5):
        trainer = build({"training.lambda_conf": weight})
        catch_log(trainer)
        src, target, *contexts, _ = batch()
        torch.manual_seed(1)
        losses.append(float(trainer._compute_training_loss(src, target, trainer(src, target, *contexts)).detach()))
    assert losses[0] < losses[1]


# --- prediction and test ------------------------------------------------------------------------------------------


def test_insertion_decoding_fills_the_canvas_slot_by_slot() -> None:
    trainer = build({"model.insertion.decode.selection_k": 3})
    result = lightning().predict(trainer, loader(2))[0]
    assert result["steps"] == 6, "16 slots, three at a time"
    assert sorted(result["order"][0].flatten().tolist()) == sorted([*list(range(5)) * 3, 5])
    assert all(canvas is not None for canvas in trainer.core_model.targets)
    assert bool((trainer.core_model.targets[0] == PAD).all())

    few = build({"model.insertion.decode.selection_k": 3, "model.insertion.decode.max_steps": 2})
    assert int((lightning().predict(few, loader(2))[0]["order"][0] >= 0).sum()) == 6


@pytest.mark.parametrize("overrides", [{"model.insertion.enabled": False}, {"model.insertion.decode.strategy": "dice"}])
def test_prediction_falls_back_to_one_forward_without_target(overrides: dict[str, Any]) -> None:
    trainer = build(overrides)
    result = trainer.eval().predict_step(batch(), 0)
    assert trainer.core_model.targets == [None] and result["steps"] == 0
    with torch.no_grad():
        logits = trainer(batch()[0])
    both = torch.stack([logits[..., :11], logits[..., 12:23]], dim=-1)
    assert torch.equal(result["predictions"], torch.logsumexp(both, dim=-1).argmax(-1))


def test_test_batches_adapt_the_norms_and_leave_the_weights_as_they_were() -> None:
    found = {}
    eager = {"model.sar.entropy_threshold_factor": 2.0, "model.sar.optimizer.lr": 0.5}
    for enabled in (False, True):
        trainer = build({**eager, "model.sar.enabled": enabled})
        before = copy.deepcopy(trainer.state_dict())
        found[enabled] = lightning().test(trainer, loader(), verbose=False)[0]
        assert all(torch.equal(before[name], value) for name, value in trainer.state_dict().items())
    assert found[True]["test_sar_selected"] == 2.0 and "test_sar_selected" not in found[False]
    assert found[True]["test_loss"] != found[False]["test_loss"]
    assert {"test_accuracy", "test_grid_accuracy", "test_copy_rate", "test_ece", "test_acc_A"} <= set(found[False])


def test_a_test_step_needs_targets() -> None:
    with pytest.raises(ValueError, match="predict_step"):
        build().test_step([batch()[0]], 0)


# --- validation ---------------------------------------------------------------------------------------------------

EXPECTED = {
    *("val_loss", "val_cell_accuracy", "val_grid_accuracy", "val_row_all_correct_rate", "val_col_all_correct_rate"),
    *(f"val_grid_tol_0p{share}" for share in (50, 60, 70, 75, 80, 85, 90, 95, 98, 99)),
    *("val_dense_objective", "val_copy_rate", "val_change_recall", "val_change_precision", "val_change_f1"),
    *("val_transformation_score", "val_transformation_quality", "val_ece_pre", "val_mce_pre", "val_nll_pre"),
}
VALIDATIONS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "champion": ({}, set()),
    "loops": (
        {"model.looped.enabled": True},
        {f"val_loop_{name}" for name in ("first_loss", "last_loss", "gain", "best_iteration", "loops")},
    ),
    "every loop": (
        {"model.looped.enabled": True, "model.looped.diagnostics.log_per_iter_loss": True},
        {f"val_loop_{name}" for name in ("first_loss", "last_loss", "gain", "best_iteration", "loops")}
        | {f"val_loop_{kind}_{number}" for kind in ("loss", "accuracy") for number in range(3)},
    ),
    "ponder": (
        {"model.looped.enabled": True, "model.looped.ponder.enabled": True},
        {f"val_loop_{name}" for name in ("first_loss", "last_loss", "gain", "best_iteration", "loops")}
        | {f"val_ponder_{name}" for name in ("steps", "kl", "loss", "task")},
    ),
    "R-Drop": ({"rdrop.enabled": True}, {"val_rdrop_kl", "val_rdrop_penalty"}),
    "R-Drop without its metric": ({"rdrop.enabled": True, "rdrop.log_val_kl": False}, set()),
}


@pytest.mark.parametrize(("overrides", "more"), VALIDATIONS.values(), ids=VALIDATIONS)
def test_a_validation_logs_what_is_on(overrides: dict[str, Any], more: set[str]) -> None:
    trainer = build(overrides)
    logged = catch_log(trainer)
    loss = validate(trainer)
    assert set(logged) == EXPECTED | more
    assert logged["val_loss"] == float(loss) and not trainer.core_model.training
    if "val_rdrop_kl" in more:
        assert logged["val_rdrop_kl"] > 0.0, "dropout is on in these passes"


def test_validation_metrics_of_a_known_prediction() -> None:
    trainer = build({"metrics.grid_tol_thresholds": [0.5, 0.95]})
    logged = catch_log(trainer)
    src, target, *rest = batch()
    wrong = target.clone()
    wrong[0, 0, 0] = (wrong[0, 0, 0] + 1) % 10
    trainer.core_model.forward = lambda *_: 20.0 * torch.nn.functional.one_hot(wrong, CLASSES).float()
    trainer.validation_step([src, target, *rest], 0)
    assert logged["val_cell_accuracy"] == pytest.approx(47 / 48)
    assert (logged["val_grid_accuracy"], logged["val_grid_tol_0p50"], logged["val_grid_tol_0p95"]) == (0.75, 1.0, 0.75)
    assert logged["val_row_all_correct_rate"] == pytest.approx(11 / 12)
    assert logged["val_dense_objective"] == pytest.approx(0.8 * 0.75 + 0.2 * 0.75)
    trainer.on_validation_epoch_end()
    assert [logged[f"acc_{name}"] for name in ("A", "D", "worst")] == pytest.approx([11 / 12, 1.0, 11 / 12])
    trainer._reset_skills()
    assert sum(trainer.skill_total.values()) == 0.0


def test_counters_of_the_skills_add_up_over_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build()
    logged = catch_log(trainer)
    trainer.skill_correct["A"], trainer.skill_total["A"] = 1.0, 4.0
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.mul_(2.0))
    trainer.on_validation_epoch_end()
    assert (trainer.skill_total["A"], logged["acc_A"]) == (8.0, 0.25)


def test_training_logs_copy_metrics_in_every_step_and_the_others_every_tenth() -> None:
    trainer = build()
    logged = catch_log(trainer)
    trainer.training_step(batch(), 3)
    assert "train_change_recall" in logged and "train_ece_pre" not in logged and "train_cell_accuracy" not in logged
    trainer.training_step(batch(), 10)
    assert {"train_ece_pre", "train_nll_pre", "train_cell_accuracy", "train_mass_eos"} <= set(logged)
    silent = build({"training.calibration_on_train": False})
    logged = catch_log(silent)
    silent.training_step(batch(), 10)
    assert "train_ece_pre" not in logged and "train_cell_accuracy" in logged


def test_left_over_helpers_of_notebooks_and_callbacks() -> None:
    trainer = build()
    catch_log(trainer)
    described = trainer.debug_batch([*batch(), "note"])
    assert described[0] == {"index": 0, "shape": (4, SIZE, SIZE), "dtype": "torch.int64", "min": 0.0, "max": 10.0, "nan": False}
    assert described[-1] == {"index": 5, "type": "str"}
    loss = trainer.compute_loss_for_callback(batch())
    loss.backward()
    assert trainer.core_model.mix.weight.grad is not None


@pytest.mark.parametrize("shape", ["dict", "pair", "single", "six"])
def test_batches_of_every_loader_are_understood(shape: str) -> None:
    src, target, *rest = batch()
    given = {"dict": {"src": src, "tgt": target}, "pair": (src, target), "single": src, "six": [src, target, *rest, target]}
    unpacked = build()._unpack_eval_batch(given[shape])
    assert unpacked[0] is src and (unpacked[1] is target) == (shape != "single") and (unpacked[5] is target) == (shape == "six")
    with pytest.raises(ValueError, match="cannot read a batch"):
        build()._unpack_eval_batch([src, target, src])


# --- calibration --------------------------------------------------------------------------------------------------

CALIBRATION = {"calibration.enabled": True, "calibration.reliability_diagram": True, "optimizer.lr": 0.05}


def test_a_temperature_is_fitted_saved_and_loaded() -> None:
    trainer = build(CALIBRATION)
    run = lightning()
    run.fit(trainer, loader(), loader())
    scaler = trainer.core_model.calibrator
    assert scaler is trainer.calibrator and scaler.fitted and float(scaler.temperature) != 1.0
    run.save_checkpoint("run.ckpt")
    assert torch.load("run.ckpt", weights_only=True)["calibration_temperature"] == pytest.approx(float(scaler.temperature))
    again = type(trainer).load_from_checkpoint("run.ckpt", config=trainer.config)
    assert float(again.core_model.calibrator.temperature) == pytest.approx(float(scaler.temperature))

    logged = catch_log(again)
    validate(again)
    plain = build({"optimizer.lr": 0.05})
    plain.core_model.load_state_dict({n: v for n, v in again.core_model.state_dict().items() if "calibrator" not in n})
    reference = catch_log(plain)
    validate(plain)
    assert logged["val_nll_pre"] == pytest.approx(reference["val_nll_pre"], rel=1e-5)
    assert logged["val_nll_post"] != logged["val_nll_pre"] and "val_nll_post" not in reference
    again.train().training_step(batch(), 0)
    assert logged["train_temperature"] == pytest.approx(float(scaler.temperature))


@pytest.mark.parametrize("overrides", [{}, {"calibration.fit": False}, {"calibration.loader": "elsewhere"}])
def test_no_temperature_without_the_switch_or_a_loader(overrides: dict[str, Any]) -> None:
    trainer = build({"calibration.enabled": True, **overrides} if overrides else {})
    lightning().fit(trainer, loader(), loader())
    assert trainer.calibrator is None and not any("calibrator" in name for name in trainer.state_dict())


def test_the_reliability_diagram_is_written_to_the_log_folder() -> None:
    trainer = build({"calibration.reliability_diagram": True, "calibration.n_bins": 5, "calibration.max_batches": 1})
    lightning().validate(trainer, loader(), verbose=False)
    content = json.loads(Path("logs/reliability/epoch_0.json").read_text(encoding="utf-8"))
    assert len(content["counts"]) == 5 and sum(content["counts"]) == 2 * SIZE * (SIZE - 1), "one batch of two, without PAD"
    assert Path("logs/reliability/epoch_0.svg").read_text(encoding="utf-8").startswith("<svg")
    assert not trainer._reliability_batches


# --- weight averaging ---------------------------------------------------------------------------------------------

SWA = {"training.swa.enabled": True, "training.swa.start_epoch": 0, "training.swa.cycle_len_steps": 2}


def test_the_average_replaces_the_weights_at_the_end() -> None:
    trainer = build(SWA)
    seen: list[tuple[float, dict[str, Tensor]]] = []
    ended = trainer.on_train_batch_end

    def watch(*arguments: Any) -> None:
        ended(*arguments)
        weights = {name: p.detach().clone() for name, p in trainer.core_model.named_parameters()}
        seen.append((trainer.trainer.optimizers[0].param_groups[0]["lr"], weights))

    trainer.on_train_batch_end = watch
    statistics = trainer.core_model.batch_norm.running_mean.clone()
    run = lightning(max_epochs=2)
    run.fit(trainer, loader(), loader())
    assert [rate for rate, _ in seen] == pytest.approx([0.0255, 0.001] * 2), "alpha1 to alpha2 within two steps"
    for name, p in trainer.core_model.named_parameters():
        assert torch.allclose(p, (seen[1][1][name] + seen[3][1][name]) / 2, atol=1e-6)
        assert torch.equal(trainer._swa_base_state[name], seen[3][1][name])
    assert int(trainer.core_model.batch_norm.num_batches_tracked) == 2, "counted anew with the average"
    assert not torch.equal(statistics, trainer.core_model.batch_norm.running_mean)
    assert run.callback_metrics["swa_captures"] == 2.0

    run.save_checkpoint("run.ckpt")
    content = torch.load("run.ckpt", weights_only=True)
    assert {"swa_state", "swa_base_state_dict"} <= set(content)
    again = type(trainer).load_from_checkpoint("run.ckpt", config=trainer.config)
    assert again.swa.n_averaged == 2 and torch.equal(again.swa.average["mix.weight"], trainer.swa.average["mix.weight"])
    without = type(trainer).load_from_checkpoint("run.ckpt", config=champion({}))
    assert without.swa is None


def test_validation_runs_on_the_average_and_gives_the_weights_back() -> None:
    trainer = build({**SWA, "training.swa.capture": "epoch_end"})
    trainer.swa.update(trainer.core_model)
    average = trainer.core_model.mix.weight.detach().clone()
    trained = average + 1.0
    trainer.core_model.mix.weight.data.copy_(trained)
    catch_log(trainer)
    trainer.on_validation_epoch_start()
    assert torch.equal(trainer.core_model.mix.weight, average)
    trainer.on_validation_epoch_end()
    assert torch.equal(trainer.core_model.mix.weight, trained)
    trainer.on_validation_epoch_start()
    trainer.teardown()
    assert torch.equal(trainer.core_model.mix.weight, trained)


def test_averaging_pauses_the_schedule() -> None:
    stepped: list[float | None] = []
    schedule = SimpleNamespace(step=lambda metric=None: stepped.append(metric))
    build(SWA).lr_scheduler_step(schedule, None)
    assert stepped == []
    build({**SWA, "training.swa.pause_schedulers": False}).lr_scheduler_step(schedule, None)
    build().lr_scheduler_step(schedule, 0.5)
    assert stepped == [None, 0.5]


def test_the_loss_landscape_goes_from_the_last_weights_to_the_average() -> None:
    diagnostics = {"enabled": True, "line_points": 3, "random_rays": 1, "ray_points": 2, "output_dir": "landscape"}
    trainer = build({**SWA, **{f"training.swa.diagnostics.{key}": value for key, value in diagnostics.items()}})
    lightning(max_epochs=2).fit(trainer, loader(), loader())
    line = trainer.swa_curves["line"]
    assert [t for t, _ in line] == [0.0, 0.5, 1.0] and line[0][1] != line[2][1]
    assert trainer.swa_curves["ray_0"][0][1] == pytest.approx(line[2][1])
    assert {path.name for path in Path("logs/landscape").iterdir()} == {"line.csv", "ray_0.csv"}


def test_nothing_is_averaged_before_the_start_epoch() -> None:
    trainer = build({**SWA, "training.swa.start_epoch": 5})
    lightning().fit(trainer, loader(), loader())
    assert trainer.swa.n_averaged == 0 and trainer._swa_base_state is None


# --- other state --------------------------------------------------------------------------------------------------


def test_learned_penalty_weights_travel_with_the_checkpoint() -> None:
    on = {"regulariser_hypergrad.enabled": True}
    trainer, again = build(on), build(on)
    trainer.regulariser_hypergrad.values["cebr_alpha"] = 0.5
    checkpoint: dict[str, Any] = {}
    trainer.on_save_checkpoint(checkpoint)
    again.on_load_checkpoint(checkpoint)
    assert again.regulariser_hypergrad.values["cebr_alpha"] == 0.5
    plain: dict[str, Any] = {}
    build().on_save_checkpoint(plain)
    assert plain == {}


HOOKS: dict[str, tuple[dict[str, Any], str, Callable[[Any], None]]] = {
    "class weights": ({}, "_setup_class_weights", lambda trainer: trainer.setup("fit")),
    "risk epoch, training": ({}, "_frm_set_epoch", lambda trainer: trainer.on_train_epoch_start()),
    "risk epoch, validation": ({}, "_frm_set_epoch", lambda trainer: trainer.on_validation_epoch_start()),
    "loop schedule": ({"model.looped.enabled": True}, "_apply_loop_schedule", lambda trainer: trainer.on_train_epoch_start()),
    "attention shapes": ({}, "_bam_beta_clamp", lambda trainer: trainer.on_train_epoch_end()),
    "R-Drop report": ({"rdrop.enabled": True}, "_rdrop_report", lambda trainer: trainer.on_train_end()),
}


@pytest.mark.parametrize(("overrides", "method", "hook"), HOOKS.values(), ids=HOOKS)
def test_hooks_reach_their_subsystem(overrides: dict[str, Any], method: str, hook: Callable[[Any], None]) -> None:
    trainer = build(overrides)
    catch_log(trainer)
    calls: list[str] = []
    setattr(trainer, method, lambda: calls.append(method))
    hook(trainer)
    assert calls == [method]
