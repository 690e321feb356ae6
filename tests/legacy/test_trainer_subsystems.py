"""Every switch of the trainer's training step, turned on one at a time, against the champion's config."""

from __future__ import annotations

import copy
import functools
import importlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

CONFIG = Path(__file__).resolve().parents[2] / "reproduction" / "configs" / "champion.yaml"
SIZE = 4
PAD = 10
CLASSES = 24
Logged = dict[str, float]


@functools.cache
def pinned() -> dict[str, Any]:
    """Without what only other programs read: nodes of that size make every trainer slow to build."""
    with CONFIG.open(encoding="utf-8") as file:
        values: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    elsewhere = {"optuna", "mks", "sleep", "speculative_decoding", "cumoe", "infodrop", "grokfast", "karl", "evaluation"}
    return {name: node for name, node in values.items() if name not in elsewhere}


def champion(**overrides: Any) -> DictConfig:
    """The pinned config with ``model__looped__enabled=True`` and the like put in; new keys are allowed."""
    values = copy.deepcopy(pinned())
    for dotted, value in overrides.items():
        *path, last = dotted.split("__")
        node = values
        for part in path:
            node = node[part]
        node[last] = value
    return OmegaConf.create(values)


class SmallModel(nn.Module):
    """What the trainer asks of the model, in a few hundred weights; every optional attribute can be preset."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = 8
        self.embedding = nn.Embedding(PAD + 1, width)
        self.mix = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(0.5)
        self.output_fc = nn.Linear(width, PAD + 1, bias=False)
        self.output_aug_extra = nn.Linear(width, CLASSES - PAD - 1, bias=False)
        self.calls: list[Tensor | None] = []
        self.extras: Callable[[Any, Tensor], None] | None = None

    def forward(
        self, src: Tensor, tgt: Tensor | None = None, ctx_input: Tensor | None = None, ctx_output: Tensor | None = None
    ) -> Tensor:
        self.calls.append(tgt)
        seen = src if tgt is None else tgt
        hidden = self.mix(torch.cat([self.embedding(src), self.embedding(seen)], dim=-1))
        hidden = self.dropout(torch.tanh(hidden))
        if self.extras is not None:
            self.extras(self, hidden)
        return torch.cat([self.output_fc(hidden), self.output_aug_extra(hidden)], dim=-1)


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    torch.manual_seed(307)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def trainer_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("champion.model.trainer")
    monkeypatch.setattr(module, "TransformerModel", SmallModel)
    return module


def build(module: ModuleType, **overrides: Any) -> tuple[Any, Logged]:
    """A trainer, and the dict that catches what it logs (there is no Lightning trainer behind it)."""
    torch.manual_seed(7)
    trainer = module.TransformerTrainer(champion(logging__log_dir="logs", **overrides))
    logged: Logged = {}

    def catch(name: str, value: Any, **_: Any) -> None:
        logged[name] = float(torch.as_tensor(value).detach())

    trainer.log = catch
    return trainer, logged


def batch(count: int = 3, size: int = SIZE, seed: int = 11) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def grids(*shape: int) -> Tensor:
        drawn = torch.randint(0, 10, (*shape, size, size), generator=generator)
        drawn[..., -1, :] = PAD
        return drawn

    return [grids(count), grids(count), grids(count, 2), grids(count, 2), torch.arange(count)]


def step(trainer: Any, seed: int = 5, **kwargs: Any) -> Tensor:
    """Loss of one training step after its backward pass, always with the same random numbers."""
    torch.manual_seed(seed)
    trainer.zero_grad()
    loss: Tensor = trainer.training_step(batch(**kwargs), 0)
    torch.autograd.backward(loss)
    return loss.detach()


def attention_maps(model: Any, hidden: Tensor) -> None:
    tokens = hidden.flatten(1, 2)
    model.last_attn_weights = [torch.softmax(tokens @ tokens.transpose(1, 2), -1).unsqueeze(1)]


def coordinates(model: Any, hidden: Tensor) -> None:
    model.last_psi = [hidden.flatten(1, 2)[..., :3]]


def rule_vectors(model: Any, hidden: Tensor) -> None:
    model.last_rule_vec = hidden.flatten(1, 2).mean(1)
    model.last_extra = {"grid_attn": torch.full((len(hidden), 2, 2), 0.5)}


def loops(model: Any, hidden: Tensor) -> None:
    # an iteration sees less of the state the earlier it is
    model.loop_logits = [
        torch.cat([model.output_fc(hidden * share), model.output_aug_extra(hidden * share)], dim=-1)
        for share in (0.2, 0.6, 1.0)
    ]
    mass = torch.sigmoid(hidden.flatten(1).mean(1))
    model.loop_halt = [mass * 0.5, mass * 0.5, 1.0 - mass]
    model.loop_stats = {"spread": 0.25}


def equilibrium(model: Any, hidden: Tensor) -> None:
    model.deq_stats = {"iterations": 4.0, "residual": math.inf}


def penalties(model: Any, hidden: Tensor) -> None:
    model.nora_aux_loss = lambda: 2.0 * hidden.pow(2).mean()
    model.moe_aux_loss = lambda: 3.0 * hidden.pow(2).mean()


@dataclass(frozen=True)
class Term:
    """A switch that adds a term to the loss: metrics that only it logs, and whether the loss moves."""

    overrides: dict[str, Any]
    metrics: tuple[str, ...]
    extras: Callable[[Any, Tensor], None] | None = None
    moves: bool = True
    without: dict[str, Any] = field(default_factory=dict)


HYPERGRAD = {"regulariser_hypergrad__enabled": True}
SAMPLING = {"training__scheduled_sampling__enabled": True}
TERMS = {
    "deq telemetry": Term(
        {"model__deq__log_metrics": True}, ("train_deq_iterations",), equilibrium, False, {"model__deq__log_metrics": False}
    ),
    "looped": Term(
        {"model__looped__enabled": True, "model__looped__diagnostics__log_per_iter_loss": True},
        ("train_loop_iterations", "train_loop_gain", "train_loop_loss_1", "train_loop_spread"),
        loops,
    ),
    "loop ponder": Term(
        {"model__looped__enabled": True, "model__looped__ponder__enabled": True},
        ("train_ponder_steps", "train_ponder_regulariser", "train_ponder_last_mass"),
        loops,
        without={"model__looped__enabled": True},
    ),
    "experts": Term({"model__cumoe__enabled": True}, ("train_moe_aux",), penalties),
    "adaptive activations": Term({"model__nora__enabled": True}, ("train_nora_ponder",), penalties),
    "R-Drop": Term({"rdrop__enabled": True}, ("train_rdrop_kl", "train_rdrop_task", "train_dice")),
    "dice inside R-Drop": Term(
        {"rdrop__enabled": True}, ("train_dice",), without={"rdrop__enabled": True, "training__dice_loss_enabled": False}
    ),
    "token CEBR": Term({}, ("train_cebr",), attention_maps, False),
    "head-level CEBR": Term(
        {"model__cebr_head__enabled": True, "model__cebr_head__learnable": True},
        ("train_cebr_head", "train_cebr_alpha_meso"),
        attention_maps,
    ),
    "gauge": Term({}, ("train_gauge",), coordinates, False),
    "FRM, spectral": Term({"model__frm__enabled": True, "model__d_model": 8}, ("train_frm", "train_frm_lambda")),
    "FRM, variance": Term({"model__frm__enabled": True, "model__d_model": 8, "model__frm__mode": "variance"}, ("train_frm",)),
    "scheduled sampling": Term(
        {"training__scheduled_sampling__enabled": True, "training__scheduled_sampling__probability": 0.9}
        | {"model__loss_mode": "ce"},
        ("train_sampling_probability", "train_sampled_share"),
        without={"model__loss_mode": "ce"},
    ),
    "distillation": Term({"training__kd_weight": 0.5}, ("train_kd",), loops),
    "rule vectors": Term(
        {"training__lambda_rule": 0.5},
        ("train_rule_loss", "train_rule_cosine"),
        rule_vectors,
        without={"training__lambda_rule": 0.0},
    ),
    "confidence": Term({"training__lambda_conf": 0.5}, ("train_confidence",)),
}


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_added_only_when_it_is_on(trainer_module: ModuleType, name: str) -> None:
    term = TERMS[name]
    with_term, logged = build(trainer_module, **term.overrides)
    plain, plain_logged = build(trainer_module, **term.without)
    with_term.model.extras = plain.model.extras = term.extras
    loss, plain_loss = step(with_term), step(plain)
    assert torch.isfinite(loss)
    assert set(term.metrics) <= set(logged)
    if term.overrides != term.without:
        assert (float(loss) != float(plain_loss)) == term.moves
        assert term.overrides == {} or not set(term.metrics) <= set(plain_logged)


TINY = {
    "model__max_h": SIZE,
    "model__max_w": SIZE,
    "model__d_model": 16,
    "model__d_ff": 16,
    "model__context_encoder__grid_height": SIZE,
    "model__context_encoder__grid_width": SIZE,
}
WITH_THE_MODEL: dict[str, tuple[dict[str, Any], str]] = {
    "looped": ({"model__looped__enabled": True}, "train_loop_gain"),
    "loop deltas": ({"model__looped__enabled": True, "model__looped__diagnostics__log_deltas": True}, "train_loop_delta_1"),
    "loop ponder": ({"model__looped__enabled": True, "model__looped__ponder__enabled": True}, "train_ponder_steps"),
    "distillation": ({"model__looped__enabled": True, "training__kd_weight": 0.5}, "train_kd"),
    "deq": ({"model__deq__enabled": True}, "train_deq_fwd_iterations"),
    "bam": ({"model__bam__enabled": True}, "bam_beta_mean"),
    "experts": ({"model__cumoe__enabled": True, "model__cumoe__expert_hidden": 8}, "train_moe_aux"),
    "adaptive activations": ({"model__nora__enabled": True, "model__nora__groups": 4}, "train_nora_steps"),
    "R-Drop": ({"rdrop__enabled": True}, "train_rdrop_kl"),
    "FRM": ({"model__frm__enabled": True}, "train_frm"),
}


@pytest.mark.parametrize("name", WITH_THE_MODEL)
def test_the_real_model_delivers_what_the_trainer_asks_for(name: str) -> None:
    overrides, metric = WITH_THE_MODEL[name]
    module = importlib.import_module("champion.model.trainer")
    trainer, logged = build(module, **TINY, **overrides)
    plain, plain_logged = build(module, **TINY)
    loss, plain_loss = step(trainer, count=2), step(plain, count=2)
    assert torch.isfinite(loss) and float(loss) != float(plain_loss)
    assert math.isfinite(logged[metric]) and metric not in plain_logged
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in trainer.parameters())


@pytest.mark.parametrize("extras", [attention_maps, coordinates])
def test_attention_penalties_use_the_four_scalars(trainer_module: ModuleType, extras: Callable[[Any, Tensor], None]) -> None:
    trainer, _ = build(trainer_module)
    trainer.model.extras = extras
    before = float(step(trainer))
    with torch.no_grad():
        for name in ("cebr_alpha", "cebr_beta", "cebr_gamma", "gauge_alpha"):
            getattr(trainer, name).zero_()
    assert float(step(trainer)) != before


def test_the_scalars_start_from_the_hypergradients_although_those_are_off(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module)
    found = [float(getattr(trainer, name)) for name in ("cebr_alpha", "cebr_beta", "cebr_gamma", "gauge_alpha")]
    assert found == pytest.approx([0.035, 0.07, 0.03, 0.03])
    assert trainer.regulariser_hypergrad is None
    older, _ = build(trainer_module, regulariser_hypergrad__init={})
    assert float(older.cebr_alpha) == pytest.approx(0.01)


def test_hypergradients_move_the_weights_of_active_penalties_only(trainer_module: ModuleType) -> None:
    fast = {"regulariser_hypergrad__rho": dict.fromkeys(pinned()["regulariser_hypergrad"]["rho"], 0.5)}
    trainer, logged = build(trainer_module, **HYPERGRAD, **fast, rdrop__enabled=True)
    assert trainer.rdrop.alpha == pytest.approx(0.05)
    trainer.model.extras = attention_maps
    step(trainer)
    assert {"hypergrad_cebr_alpha", "hypergrad_rdrop_alpha"} <= set(logged)
    assert float(trainer.cebr_beta) != pytest.approx(0.07)
    assert trainer.rdrop.alpha != pytest.approx(0.05)
    assert float(trainer.gauge_alpha) == pytest.approx(0.03)


def test_dice_has_no_gradient(trainer_module: ModuleType) -> None:
    """It is computed on detached logits, so it moves the loss and nothing else."""
    gradients = []
    for enabled in (True, False):
        trainer, _ = build(trainer_module, rdrop__enabled=True, training__dice_loss_enabled=enabled)
        step(trainer)
        gradients.append(trainer.model.mix.weight.grad.clone())
    assert torch.equal(*gradients)


def test_change_weight_acts_on_cross_entropy_in_training_mode_only(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module)
    src, tgt = batch()[:2]
    logits = torch.randn(*tgt.shape, CLASSES)
    plain = nn.functional.cross_entropy(logits.flatten(0, 2).clamp(-10, 10), tgt.flatten(), reduction="none")
    weights = torch.where((tgt != src) & (tgt != PAD), trainer.change_weight, 1.0).flatten()
    assert float(trainer._compute_loss(logits, tgt, src)) == pytest.approx(float((plain * weights).mean()), rel=1e-5)
    trainer.eval()
    assert float(trainer._compute_loss(logits, tgt, src)) == pytest.approx(float(plain.mean()), rel=1e-5)


def test_cross_entropy_survives_bad_numbers(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module)
    logits = torch.full((1, 1, 2, CLASSES), math.nan)
    loss = trainer._compute_loss(logits, torch.tensor([[[-1, 99]]]))
    assert float(loss) == pytest.approx(math.log(CLASSES))
    with pytest.raises(ValueError, match="2 predictions for 1 targets"):
        trainer._compute_loss(logits, torch.tensor([3]))


@dataclass
class Loaders:
    """As much of a Lightning trainer as counting the classes needs."""

    loader: list[list[Tensor]]

    @property
    def fit_loop(self) -> SimpleNamespace:
        source = SimpleNamespace(is_defined=lambda: True, dataloader=lambda: self.loader)
        return SimpleNamespace(_data_source=source)


def test_class_balanced_loss_weighs_rare_colours_up(trainer_module: ModuleType) -> None:
    trainer, logged = build(trainer_module, training__class_balanced_loss=True)
    tgt = torch.tensor([[[0, 0, 0, 1], [0, 0, 0, PAD]]])
    trainer._trainer = Loaders([[tgt, tgt]])
    weights = trainer._setup_class_weights()
    trainer._trainer = None
    assert trainer.class_prior.tolist()[:2] == pytest.approx([6 / 7, 1 / 7])
    assert float(weights[1]) == pytest.approx(2.2) and float(weights[0]) == pytest.approx(7 / 12)
    assert weights[11:].tolist() == [1.0] * 13
    step(trainer)
    assert logged["train_histogram_kl"] > 0
    plain, _ = build(trainer_module)
    logits = torch.randn(1, 2, 4, CLASSES)
    assert float(trainer._compute_loss(logits, tgt)) != float(plain._compute_loss(logits, tgt))


def test_class_balanced_loss_without_data_changes_nothing(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module, training__class_balanced_loss=True)
    plain, _ = build(trainer_module)
    assert trainer._setup_class_weights() is None
    assert float(step(trainer)) == float(step(plain))


@pytest.mark.parametrize(
    "settings",
    [
        {"rdrop__use_concat": False},
        {"rdrop__k": 2},
        {"rdrop__apply_insertion_gating_for_kl": True, "model__insertion__train_gating": True},
    ],
    ids=str,
)
def test_rdrop_variants(trainer_module: ModuleType, settings: dict[str, Any]) -> None:
    trainer, logged = build(trainer_module, rdrop__enabled=True, **settings)
    step(trainer)
    expected = 1 if trainer.rdrop.use_concat else 2
    assert len(trainer.model.calls) == expected
    assert logged["train_rdrop_kl"] > 0
    assert trainer._rdrop_report()["steps"] == 1


def test_rdrop_with_one_mask_has_no_divergence(trainer_module: ModuleType) -> None:
    trainer, logged = build(trainer_module, rdrop__enabled=True, rdrop__share_dropout_mask=True)
    step(trainer)
    assert logged["train_rdrop_kl"] == pytest.approx(0.0, abs=1e-7)


def test_rdrop_divergence_of_a_validation_batch_leaves_no_trace(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module, rdrop__enabled=True)
    trainer.eval()
    tensors = batch()
    state = torch.get_rng_state()
    assert trainer._rdrop_validation_kl(tuple(tensors[:4]), tensors[1]) > 0
    assert torch.equal(torch.get_rng_state(), state) and not trainer.model.training
    plain, _ = build(trainer_module)
    assert plain._rdrop_validation_kl(tuple(tensors[:4]), tensors[1]) is None
    assert plain._rdrop_report() == {}


def test_loops_give_way_to_the_schedule(trainer_module: ModuleType) -> None:
    trainer, logged = build(
        trainer_module, model__looped__enabled=True, model__looped__T=3, model__looped__scheduler={"start": 2}
    )
    counts: list[int] = []
    trainer.model.mix.set_loops = counts.append
    trainer.model.extras = loops
    step(trainer)
    assert counts == [2]
    assert logged["train_loop_iterations"] == 2.0


def test_scheduled_sampling_is_unreachable_under_expected_cost(trainer_module: ModuleType) -> None:
    trainer, logged = build(
        trainer_module, training__scheduled_sampling__enabled=True, training__scheduled_sampling__probability=1.0
    )
    step(trainer)
    assert len(trainer.model.calls) == 1
    assert "train_sampling_probability" not in logged


def test_scheduled_sampling_keeps_pad_cells(trainer_module: ModuleType) -> None:
    trainer, _ = build(
        trainer_module,
        model__loss_mode="ce",
        training__scheduled_sampling__enabled=True,
        training__scheduled_sampling__probability="constant(value=1.0)",
    )
    step(trainer)
    given, mixed = trainer.model.calls
    assert torch.equal(given == PAD, mixed == PAD) or bool((mixed[given == PAD] == PAD).all())
    assert not torch.equal(given, mixed)


@pytest.mark.parametrize("name", ["hnet2d1d_t3_cs", "hnet2d_t3_cs"])
def test_hnet_models_train_on_augmented_grids(trainer_module: ModuleType, name: str) -> None:
    trainer, logged = build(
        trainer_module, model__model_name=name, model__d_model=16, model__d_ff=32, model__max_h=SIZE, model__max_w=SIZE
    )
    assert trainer.hnet_enabled and not isinstance(trainer.model, SmallModel)
    tensors = batch(count=1)
    losses = []
    for extra in ([], [torch.full_like(tensors[1], 23)]):
        torch.manual_seed(3)
        losses.append(trainer.training_step([*tensors, *extra], 0))
    losses[1].backward()
    losses = [loss.detach() for loss in losses]
    assert float(losses[0]) != float(losses[1])
    assert logged["train_hnet_ratio"] > 0
    named = dict(zip(("src", "tgt", "ctx_input", "ctx_output", "task_ids"), tensors, strict=True))
    torch.manual_seed(3)
    assert float(trainer.training_step(named, 0).detach()) == float(losses[0])


def test_batches_are_checked(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module)
    with pytest.raises(ValueError, match="5 or 6 elements, got 4"):
        trainer.training_step(batch()[:4], 0)
    with pytest.raises(TypeError, match="only the H-Nets take dicts"):
        trainer.training_step({"src": batch()[0]}, 0)


def test_the_model_class_can_be_patched_in_both_places(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("champion.model.trainer")
    home = importlib.import_module("champion.model.transformer_model")
    monkeypatch.setattr(home, "TransformerModel", SmallModel)
    trainer, _ = build(module)
    assert isinstance(trainer.model, SmallModel)
    assert trainer.model is trainer.core_model


# torch announces the end of its quantisation, and its own observers use a deprecated argument
@pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quant_min and quant_max:UserWarning")
def test_quantisation_aware_training_rounds_the_heads(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module, training__use_qat=True)
    plain, _ = build(trainer_module)
    assert hasattr(trainer.model.output_aug_extra, "weight_fake_quant")
    trainer.load_state_dict(plain.state_dict(), strict=False)
    assert float(step(trainer)) != float(step(plain))
    assert trainer.model.output_aug_extra.weight.grad is not None


def test_swa_manager_exists_when_asked_for(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module, training__swa__enabled=True)
    assert trainer.swa.start_epoch == 112
    assert build(trainer_module)[0].swa is None


def test_the_hidden_state_is_kept_on_every_pass_and_with_its_graph_for_frm(trainer_module: ModuleType) -> None:
    plain, _ = build(trainer_module)
    functional, _ = build(trainer_module, model__frm__enabled=True, model__d_model=8)
    src, tgt = batch()[:2]
    for trainer, graph in ((plain, False), (functional, True)):
        trainer(src, tgt)
        assert trainer._last_hidden.shape == (3, SIZE, SIZE, 8)
        assert trainer._last_hidden.requires_grad is graph


def test_frm_weight_follows_the_epochs(trainer_module: ModuleType) -> None:
    trainer, _ = build(trainer_module, model__frm__enabled=True, model__d_model=8)
    trainer.frm.on_epoch(50)
    assert not trainer.frm.log_lambda.requires_grad
    trainer._frm_set_epoch()
    assert trainer.frm.log_lambda.requires_grad


class Prior(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
        self.mu = nn.Parameter(torch.zeros(4))


def test_bam_parameters_are_logged_and_clamped(trainer_module: ModuleType) -> None:
    trainer, logged = build(
        trainer_module,
        model__bam__enabled=True,
        model__bam__enforce_beta_fraction=True,
        model__bam__diagnostics__enabled=True,
    )
    prior, clamps = Prior(), []
    attention = SimpleNamespace(prior_1d=prior, prior_2d=None, last_diagnostics={"log_z": torch.ones(4)})
    trainer.model.bam_modules = lambda: [attention]
    trainer.model.bam_beta_clamp = lambda: clamps.append(1)
    step(trainer)
    assert logged["bam_beta_neg_fraction"] == pytest.approx(0.25)
    assert logged["bam_log_z"] == 1.0
    trainer._bam_beta_clamp()
    assert clamps == [1]
    assert build(trainer_module)[0]._bam_beta_clamp() == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model__loss_mode": "focal"}, "unknown model.loss_mode 'focal'"),
        ({"model__loss_mode": "ce", **SAMPLING, "training__scheduled_sampling__probability": "rising(1)"}, "rising"),
        ({"training__class_balanced_loss": True, "training__class_balanced_min_weight": 9.0}, "exceeds the maximum"),
        ({"model__validate_config": True, "model__n_head": 3}, "must be divisible by model.n_head"),
    ],
)
def test_settings_that_make_no_sense_are_refused(trainer_module: ModuleType, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(trainer_module, **overrides)


def test_missing_nodes_of_older_configs_are_filled_in(trainer_module: ModuleType) -> None:
    values = copy.deepcopy(pinned())
    for key in ("lambda_rule", "lambda_cov", "log_every_n_steps"):
        del values["training"][key]
    config = OmegaConf.create(values)
    trainer = trainer_module.TransformerTrainer(config)
    assert trainer.lambda_cov == 0.0 and config.training.log_every_n_steps == 10


def test_nothing_that_is_off_draws_random_numbers_or_registers_anything(trainer_module: ModuleType) -> None:
    torch.manual_seed(1)
    SmallModel(None)
    expected = torch.get_rng_state()
    torch.manual_seed(1)
    config = champion()
    before = OmegaConf.to_container(config)
    trainer = trainer_module.TransformerTrainer(config)
    assert torch.equal(torch.get_rng_state(), expected)
    assert OmegaConf.to_container(config) == before
    own = {name for name, _ in trainer.named_parameters() if "." not in name}
    assert own == {"cebr_alpha", "cebr_beta", "cebr_gamma", "gauge_alpha"}
    assert [name for name, _ in trainer.named_children()] == ["core_model", "dice_loss"]
    assert list(trainer.named_buffers()) == []
