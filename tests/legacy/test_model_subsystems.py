"""The subsystems that the champion has switched off, each switched on: what appears, what changes, what is learned."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

REPRODUCTION = Path(__file__).resolve().parents[2] / "reproduction"
PAD = 10
SMALL = {
    "d_model": 16,
    "n_head": 4,
    "d_ff": 32,
    "max_h": 6,
    "max_w": 6,
    "d_pi": 4,
    "k_nn": 4,
    "context_encoder": {"d_model": 16, "grid_height": 6, "grid_width": 6, "pixel_layers": 1, "latent": {"dim": 16}},
    "bam": {"diagnostics": {"enabled": True, "save_attention": True}},
    "cumoe": {"num_experts": 4, "expert_hidden": 8, "premix": {"low_rank_q": 2}},
    "nora": {"groups": 4, "ponder_phi": {"T_max": 2}},
    "tpa": {"n_param_q": 8, "n_param_k": 8, "n_param_v": 8, "n_param_o": 8, "topk": 4},
}
NO_DROPOUT = {"dropout_rate": 0.0, "encoder_dropout_rate": 0.0, "decoder_dropout_rate": 0.0}
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="module", autouse=True)
def modules() -> Iterator[None]:
    """The legacy tree, imported once: what is tested here keeps nothing between tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPRODUCTION / "legacy"))
        _forget_modules()
        yield
        _plain.cache_clear()
        _forget_modules()


@pytest.fixture(autouse=True)
def legacy_tree(modules: None) -> Iterator[None]:
    """In place of the fixture of all legacy tests, which imports everything anew for every test."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "champion"]:
        del sys.modules[name]


@cache
def _config_text() -> str:
    config = cast(DictConfig, OmegaConf.merge(OmegaConf.load(REPRODUCTION / "configs" / "champion.yaml"), {"model": SMALL}))
    return json.dumps({name: OmegaConf.to_container(config[name]) for name in ("model", "dsla")})


def _build(overrides: Mapping[str, object] | None = None) -> Any:
    """A small model; the overrides are below `model`, or absolute after a colon."""
    config = cast(DictConfig, OmegaConf.create(json.loads(_config_text())))
    for key, value in (overrides or {}).items():
        OmegaConf.update(config, key[1:] if key.startswith(":") else f"model.{key}", value, force_add=True)
    torch.manual_seed(7)
    return importlib.import_module("champion.model.transformer_model").TransformerModel(config)


@cache
def _plain() -> Any:
    return _build().eval()


def _with_plain_weights(model: Any) -> Any:
    """What the model shares with the plain one gets the same values."""
    own = model.state_dict()
    shared = {name: value for name, value in _plain().state_dict().items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(shared, strict=False)
    return model


def _inputs(height: int = 6, width: int = 6, seed: int = 3, batch: int = 2) -> Inputs:
    generator = torch.Generator().manual_seed(seed)

    def grids(*lead: int, canvas: tuple[int, int], rows: int, columns: int) -> Tensor:
        padded = torch.full((*lead, *canvas), PAD)
        padded[..., :rows, :columns] = torch.randint(0, 10, (*lead, rows, columns), generator=generator)
        return padded

    canvas = (height, width)
    source = grids(batch, canvas=canvas, rows=max(1, height - 1), columns=max(1, width - 2))
    target = grids(batch, canvas=canvas, rows=max(1, height - 2), columns=max(1, width - 1))
    pairs = [grids(batch, 2, canvas=(6, 6), rows=4, columns=3) for _ in range(2)]
    return source, target, pairs[0], pairs[1]


def _eval(model: Any, inputs: Inputs | tuple[Tensor | None, ...] | None = None, **keywords: object) -> Tensor:
    with torch.no_grad():
        logits = model.eval()(*(inputs or _inputs()), **keywords)
    return cast(Tensor, logits)


def _train_step(model: Any) -> Tensor:
    """One forward and backward over everything that the trainer may add up; returns the loss."""
    inputs = _inputs()
    torch.manual_seed(11)
    logits = model.train()(*inputs)
    target = inputs[1].flatten()
    losses = [F.cross_entropy(each.flatten(0, 2), target) for each in (logits, *model.loop_logits)]
    losses += [extra for extra in (model.moe_aux_loss(), model.nora_aux_loss()) if extra is not None]
    losses += [halt.square().mean() for halt in model.loop_halt]
    loss = torch.stack(losses).sum()
    torch.autograd.backward(loss)
    return loss.detach()


def _nothing(model: Any) -> None:
    """Nothing further to look at."""


@dataclass(frozen=True)
class Switch:
    """What a row of the inventory does: `parameters` appear; evaluation `changes`; a step `trains` these parameters."""

    overrides: Mapping[str, object]
    parameters: str = ""
    changes: bool = True
    trains: bool = True
    look: Callable[[Any], None] = _nothing


def _loops(model: Any) -> None:
    assert len(model.loop_logits) == 2 and model.loop_logits[0].shape == (2, 6, 6, 24)
    assert model.loop_stats["loops"] == 4.0 and {"last_change", "agreement", "delta_0"} <= model.loop_stats.keys()
    assert model.eval_ln.weight.grad is not None
    assert all(norm.weight.grad is not None for norm in model.decoder_inter_layer_ln)
    _eval(model, (*_inputs()[:1], None, *_inputs()[2:]))
    assert len(model.loop_logits) == 2


def _ponder(model: Any) -> None:
    assert len(model.loop_logits) == len(model.loop_halt) == 6
    torch.testing.assert_close(torch.stack(model.loop_halt).sum(0), torch.ones(2))
    assert 1.0 <= model.loop_stats["expected_steps"] <= 6.0


def _deq(model: Any) -> None:
    assert model.deq_stats["fwd_iterations"] >= 1.0 and "fwd_residual" in model.deq_stats


def _tri_temporal(model: Any) -> None:
    _eval(model)
    assert {"scale", "coord_scale", "memory_norm", "coord_norm"} <= model.tri_stats.keys()
    assert "bias_norm" not in model.tri_stats  # read before it is bound, and swallowed
    moved = _eval(model, external_coords=torch.rand(36, 2))
    assert not torch.equal(moved, _eval(model))
    assert torch.equal(_eval(model, external_coords=torch.rand(5, 2)), _eval(model))


def _replaced(**counts: int) -> Callable[[Any], None]:
    def look(model: Any) -> None:
        assert {place: count for place, count in model.cumoe_replaced.items() if count} == counts
        assert model.moe_aux_loss() is not None

    return look


def _bam(count: int) -> Callable[[Any], None]:
    def look(model: Any) -> None:
        assert len(model.bam_modules()) == count
        assert all(type(module).__name__ == "BAMMultiheadAttention" for module in model.bam_modules())
        model.bam_beta_clamp()
        _eval(model)
        assert len(model.last_attn_weights) == count
        assert model.bam_stats and json.loads(model._arch_signature)["bam_modules"] == count

    return look


def _film_hooks_never_fire(model: Any) -> None:
    assert len(model.film_per_layer_gens) == 3 and len(model._film_layer_coeffs) == 3
    assert all(not layer._forward_hooks for layer in model.decoder.layers)


def _anticopy(model: Any) -> None:
    assert model.anticopy_manager is not None and model._anticopy_layers == 1
    assert model.anticopy_manager.risk > 0.5 and "strength_0" in model.anticopy_manager.last_metrics


def _nora(penalty: bool) -> Callable[[Any], None]:
    def look(model: Any) -> None:
        assert len(model._nora_modules) == 4
        assert (model.nora_aux_loss() is not None) is penalty

    return look


def _conditioned(model: Any) -> None:
    assert {m.experts.adapter.condition["max_h"] for m in model._cumoe_modules} == {6}


BRIDGE = "conditioning.bridge"
LEGACY = {"legacy_context_encoder": True}
HYBRID = {f"{BRIDGE}.type": "hybrid"}
SWITCHES: dict[str, Switch] = {
    "1 tri-temporal": Switch({"use_tri_temporal": True}, "tri_coord_proj", look=_tri_temporal),
    "1 by attention type": Switch({"attention_type": "tri_temporal"}, "encoder.layers.0.attention.scale"),
    "1 chunked distances": Switch(
        {"use_tri_temporal": True, "tri_temporal_distance": True, "distance_chunk_size": 5}, "encoder.pi"
    ),
    "2 dsla": Switch({":dsla.enabled": True}, "encoder.layers.0.self_attn.decay_logits", changes=False, trains=False),
    "2 dsla linear": Switch({":dsla.enabled": True, ":dsla.use_adaptive_runtime": False}, "decay_logits"),
    "3 deq": Switch({"deq.enabled": True}, "encoder.cell", look=_deq),
    "4 looped": Switch({"looped.enabled": True, "looped.diagnostics.log_deltas": True}, "encoder.block", look=_loops),
    "4 loop ponder": Switch({"looped.enabled": True, "looped.ponder.enabled": True}, "encoder.halt", look=_ponder),
    "5 per-layer film": Switch(
        {"conditioning.per_layer_film.enabled": True},
        "film_per_layer_gens",
        changes=False,
        trains=False,
        look=_film_hooks_never_fire,
    ),
    "6 post-decoder film": Switch({"conditioning.post_decoder_film.enabled": True}, "film_post_decoder", changes=False),
    "7 legacy encoder": Switch(LEGACY, "context_encoder.grid_encoder"),
    "7 legacy order": Switch(
        {**LEGACY, "context_encoder.order_sensitive": True, "context_encoder.grid_layers": 0}, "context_encoder.comp_proj"
    ),
    "7 neural process": Switch({**LEGACY, "context_encoder_name": "cnp"}, "context_encoder.observe"),
    "9 bam": Switch({"bam.enabled": True}, "prior_1d.alpha", look=_bam(4)),
    "9 bam encoder": Switch(
        {"bam.enabled": True, "bam.apply_to": "encoder"}, "encoder.layers.0.self_attn.prior_2d", look=_bam(1)
    ),
    "9 bam cross": Switch(
        {"bam.enabled": True, "bam.cross.use_2d_prior": True, "bam.ssmax.enabled": True},
        "multihead_attn.prior_2d",
        look=_bam(7),
    ),
    "9 bam external": Switch(
        {"bam.enabled": True, "bam.apply_to": "encoder", "bam.seq_2d.source": "external"}, "prior_2d.alpha"
    ),
    "9 bam in loops": Switch({"bam.enabled": True, "looped.enabled": True}, "encoder.block.layers.0.self_attn.prior_1d"),
    "10 cumoe encoder": Switch({"cumoe.enabled": True}, "encoder.layers.0.linear2.experts", look=_replaced(encoder=1)),
    "10 cumoe everywhere": Switch(
        {"cumoe.enabled": True, "cumoe.apply_to": ["both"]},
        "decoder.layers.2.multihead_attn.experts",
        look=_replaced(encoder=1, decoder=3, cross=3),
    ),
    "10 cumoe, own banks": Switch(
        {"cumoe.enabled": True, "cumoe.apply_to": "decoder", "cumoe.share_across_attention_and_ffn": False},
        "multihead_attn.experts.bank",
        look=_replaced(decoder=3, cross=3),
    ),
    "10 cumoe in loops": Switch(
        {"cumoe.enabled": True, "looped.enabled": True}, "experts.router", look=_replaced(encoder_layers=1)
    ),
    "10 cumoe in dsla": Switch(
        {"cumoe.enabled": True, ":dsla.enabled": True}, "experts.router", look=_replaced(encoder_layers=1)
    ),
    "10 cumoe ponder": Switch(
        {
            "cumoe.enabled": True,
            "cumoe.ponder.enabled": True,
            "cumoe.ponder.adapter_kind": "film",
            "cumoe.ponder.use_condition_embed": True,
            "cumoe.ponder.cond_static_keys": ["max_h", "absent"],
        },
        "experts.adapter.film",
        look=_conditioned,
    ),
    "11 nora": Switch({"nora.enabled": True, "nora.ponder_phi.enabled": False}, "activation.u_a", look=_nora(False)),
    "11 ponder-phi": Switch({"nora.enabled": True}, "activation.slices", look=_nora(True)),
    "11 nora in loops": Switch({"nora.enabled": True, "looped.enabled": True}, "encoder.block.layers.0.activation"),
    "12 nora plus lora": Switch({"nora.nora_plus_lora": True}, "linear1.lora_a", changes=False),
    "12 lora in loops": Switch({"nora.nora_plus_lora": True, "looped.enabled": True}, "encoder.block.layers.0.linear1.lora_b"),
    "14 anti-copy": Switch({"anticopy.enabled": True, "anticopy.routing.warmup_steps": 0}, look=_anticopy),
    "15 cross bridge": Switch({f"{BRIDGE}.type": "cross_attn"}, "bridge_dec.token_head"),
    "15 cross bridge, encoder": Switch({f"{BRIDGE}.type": "cross_attn", f"{BRIDGE}.apply_to_encoder": True}, "bridge_enc.attn"),
    "15 hybrid bridge": Switch(HYBRID, "bridge_dec.film"),
    "15 hybrid bridge, encoder": Switch({**HYBRID, f"{BRIDGE}.apply_to_encoder": True}, "bridge_enc.cross"),
    "15 concat, encoder": Switch({f"{BRIDGE}.apply_to_encoder": True}),
    "15 no bridge": Switch({f"{BRIDGE}.type": "none"}),
    "16 bypass": Switch({"disable_context_integration": True}),
    "23 amp": Switch({"amp_enabled": True}),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_switch(name: str) -> None:
    switch = SWITCHES[name]
    model = _with_plain_weights(_build(switch.overrides))
    plain = _plain()
    before = {parameter for parameter, _ in plain.named_parameters()}
    new = {name for name, _ in model.named_parameters()} - before
    assert any(switch.parameters in parameter for parameter in new) if switch.parameters else not new

    difference = float((_eval(model) - _eval(plain)).abs().max())
    assert difference > 1e-4 if switch.changes else difference < 1e-5

    assert bool(_train_step(model).isfinite())
    if switch.parameters:
        own = [value for parameter, value in model.named_parameters() if switch.parameters in parameter]
        assert any(value.grad is not None for value in own) is switch.trains
    switch.look(model)


def test_the_plain_model_reports_nothing() -> None:
    model = _build()
    _train_step(model)
    assert (model.loop_logits, model.loop_halt, model.loop_stats, model.deq_stats, model.tri_stats) == ([], [], {}, {}, {})
    assert model.bam_modules() == [] and model.moe_aux_loss() is None and model.nora_aux_loss() is None


@pytest.mark.parametrize(("overrides", "name"), [({}, "ContextEncoderPQA"), (LEGACY, "ContextEncoderModule")])
def test_alternate_attention_keeps_the_heads_apart(overrides: Mapping[str, object], name: str) -> None:  # row 8
    model = _build({**overrides, "alternate_attention_mode.enabled": True})
    assert type(model.context_encoder).__name__ == name
    _eval(model)
    heads = (4,) if name == "ContextEncoderPQA" else ()
    assert tuple(model.last_extra["grid_attn"].shape) == (2, *heads, 2, 2)


def test_bam_follows_external_coordinates_in_the_encoder_only() -> None:  # rows 9 and 17
    external = {"bam.enabled": True, "bam.seq_2d.source": "external"}
    model = _build({**external, "bam.apply_to": "encoder"})
    assert not torch.equal(_eval(model), _eval(model, external_coords=torch.rand(36, 2)))
    with pytest.raises(RuntimeError, match="set_coordinates"):
        _eval(_build({**external, "bam.apply_to": "decoder"}))


@pytest.mark.parametrize(("fail_fast", "outcome"), [(None, "raised"), (False, "kept")])
def test_experts_that_cannot_be_built(fail_fast: bool | None, outcome: str) -> None:  # row 10
    overrides: dict[str, object] = {"cumoe.enabled": True, "cumoe.apply_to": ["both"], "cumoe.router.type": "nonsense"}
    if fail_fast is not None:
        overrides["cumoe.fail_fast"] = fail_fast
    if outcome == "raised":
        with pytest.raises(ValueError, match=r"router: type"):
            _build(overrides)
    else:
        assert torch.allclose(_eval(_with_plain_weights(_build(overrides))), _eval(_plain()))


def test_a_wrapped_layer_trains_its_adapter_only() -> None:  # row 12
    model = _build({"nora.nora_plus_lora": True, "nora.lora.rank": 2})
    _train_step(model)
    layer = model.decoder.layers[1].linear1
    assert layer.lora_a.shape == (2, 16) and not layer.base.weight.requires_grad
    assert model.lora_wrapped == 3 + 3 * 4 and model.encoder.layers[0].self_attn.parametrizations


def test_bridge_warms_up_over_training_forwards() -> None:  # row 15
    model = _build(
        {f"{BRIDGE}.type": "cross_attn", f"{BRIDGE}.schedule.warmup_steps": 10, f"{BRIDGE}.schedule.tiny_grid_boost": False}
    )
    alphas = []
    for _ in range(3):
        _train_step(model)
        alphas.append(model.bridge_dec.last_alpha)
    assert alphas == pytest.approx([1.23644199612413 * share for share in (0.2, 0.3, 0.4)])
    _eval(model)
    assert model.bridge_dec.last_alpha == pytest.approx(1.23644199612413) and model._bridge_step == 3


def test_hybrid_bridge_acts_between_the_layers() -> None:  # row 15
    model = _build(HYBRID)
    before = _eval(model)
    width = 2 * 16
    torch.nn.init.ones_(model.bridge_dec.film.down.bias[2 * width : 3 * width])
    assert not torch.allclose(before, _eval(model))


def test_debugging_a_shape(caplog: pytest.LogCaptureFixture) -> None:  # row 17
    _eval(_plain(), debug_shape=True)
    assert "[shape] logits (2, 6, 6, 24)" in caplog.text
    assert _plain().train(False) is _plain()


def test_ranks_with_another_architecture(monkeypatch: pytest.MonkeyPatch) -> None:  # row 18
    model = _build()
    other = _build({"bam.prior": "laplace"})._arch_signature
    distributed = torch.distributed

    def gather(into: list[str | None], own: str) -> None:
        into[:] = [own, other]

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(distributed, "get_backend", lambda: "gloo")
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    with pytest.raises(RuntimeError, match="bam_prior"):
        _eval(model)
    _eval(model)  # compared once


@pytest.mark.parametrize("missing", ["context_effect_gain", "attention_type", "conditioning", "loss_mode"])
def test_missing_keys_are_added_to_the_config(missing: str) -> None:  # row 19
    config = cast(DictConfig, OmegaConf.create(json.loads(_config_text())))
    del config.model[missing]
    model = importlib.import_module("champion.model.transformer_model").TransformerModel(config)
    assert missing in config.model
    assert _eval(model).shape[-1] == (11 if missing == "loss_mode" else 24)


@pytest.mark.parametrize(("value", "gain"), [("2.5", 7.5), ("nonsense", 12.0), ("", 12.0)])
def test_context_gain_from_the_environment(value: str, gain: float, monkeypatch: pytest.MonkeyPatch) -> None:  # row 19
    monkeypatch.setenv("JARC_CTX_GAIN", value)
    model = _build()
    assert model.context_gain == gain and model.config.model.context_effect_gain * 3.0 == gain


def test_forced_debugging_changes_no_number(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:  # row 20
    expected = _eval(_plain())
    monkeypatch.setenv("JARC_FORCED_DEBUG", "1")
    logger = logging.getLogger("champion.model.transformer_model")
    level = logger.level
    try:
        model = _with_plain_weights(_build())
        assert torch.equal(_eval(model), expected)
    finally:
        logger.setLevel(level)
    for place in (
        "encoder=vanilla",
        "context:",
        "src embedding:",
        "after IdentityBridge:",
        "bos:",
        "after ConcatMLPBridge:",
        "logits:",
    ):
        assert place in caplog.text


def test_tiny_grids_are_louder_and_get_more_context(monkeypatch: pytest.MonkeyPatch) -> None:  # row 21
    module = importlib.import_module("champion.model.transformer_model")
    model = _with_plain_weights(_build(NO_DROPOUT))
    inputs = _inputs(3, 3)
    boosted = _eval(model, inputs)
    monkeypatch.setattr(module, "TINY_SIDE", 2)
    assert float((boosted - _eval(model, inputs)).abs().max()) > 1e-3
    monkeypatch.setattr(module, "TINY_SIDE", 3)
    torch.manual_seed(5)
    with_residual = model.train()(*inputs)
    monkeypatch.setattr(module, "TINY_RESIDUAL_CAP", 0.0)
    torch.manual_seed(5)
    assert float((with_residual - model.train()(*inputs)).detach().abs().max()) > 1e-3


def test_parity_without_dropout_and_context() -> None:  # row 22
    src, tgt, *pairs = _inputs()
    model = _build(NO_DROPOUT)
    trained = model.train()(src, tgt)
    assert model.training and trained.requires_grad
    torch.testing.assert_close(trained.detach(), _eval(model, (src, tgt)))
    torch.testing.assert_close(trained, model.train()(src, tgt))
    assert not torch.allclose(model(src, tgt, *pairs), model(src, tgt, *pairs))  # with context: the layer's own dropout


@pytest.mark.parametrize(("switch", "limit"), [("eval_stabilization", 50.0), ("eval_final_clamp", 20.0)])
def test_decoder_outputs_stay_in_range(switch: str, limit: float) -> None:  # row 24
    model = _with_plain_weights(_build({switch: True}))
    assert torch.allclose(_eval(model), _eval(_plain()), atol=1e-5)
    with torch.no_grad():
        model.decoder.layers[2].linear2.bias.fill_(1e4)
    _eval(model)
    assert 0.5 * limit < float(model.last_hidden.abs().max()) <= limit
    model.train()(*_inputs())
    assert float(model.last_hidden.detach().abs().max()) > 1e3


@pytest.mark.parametrize(("side", "changes"), [(3, True), (10, False), (20, True)])
def test_teacher_forcing_bias_by_size_of_the_grid(side: int, changes: bool) -> None:  # row 25
    large = {"max_h": 20, "max_w": 20, **NO_DROPOUT}
    plain, biased = _build(large), _build({**large, "context_teacher_force_bias": 0.5})
    inputs = _inputs(side, side, batch=1)
    difference = (_eval(plain, inputs) - _eval(biased, inputs)).abs().amax((0, 1, 2))
    assert (float(difference[:11].max()) > 1e-4) is changes
    assert float(difference[11:].max()) == 0.0
    tri = {"use_tri_temporal": True, "context_teacher_force_bias": 0.5}
    if side == 3:  # the one case in which the statistics of row 1 are complete
        model = _build(tri)
        _eval(model, inputs)
        assert model.tri_stats["bias_norm"] > 0.0


def test_without_target_the_context_moves_the_logits() -> None:  # row 26
    src, _, *pairs = _inputs()
    model = _plain()
    difference = _eval(model, (src, None, *pairs)) - _eval(model, (src, None))
    bias = difference[:, 0, 0, :11]
    torch.testing.assert_close(difference[..., :11], bias[:, None, None].expand(-1, 6, 6, -1), rtol=0, atol=1e-4)
    assert float(bias.abs().max()) > 1e-2 and float(difference[..., 11:].abs().max()) == 0.0


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("old", ["decoder_train", "decoder_eval"])
def test_keys_of_the_two_decoders_are_renamed(old: str, single: bool) -> None:  # row 27
    state = {name.replace("decoder.", f"{old}.", 1) if name.startswith("decoder.") else name: value + 1.0
             for name, value in _plain().state_dict().items()}  # fmt: skip
    model = _build({"use_single_decoder": single})
    if single:
        model.load_state_dict(state)
        assert torch.equal(model.decoder.layers[1].norm2.bias, torch.ones(16))
    else:
        with pytest.raises(RuntimeError, match=r"decoder\.layers"):
            model.load_state_dict(state)


def test_encoder_only() -> None:
    model = _build({"decoder_layers": 0})
    assert type(model.decoder).__name__ == "IdentityDecoder" and _eval(model).shape == (2, 6, 6, 24)


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "attention": ({"attention_type": "nonsense"}, "attention_type"),
    "bridge": ({f"{BRIDGE}.type": "nonsense"}, "bridge"),
    "context encoder": ({**LEGACY, "context_encoder_name": "nonsense"}, "context_encoder_name"),
    "heads": ({"n_head": 3}, "not divisible"),
    "loops around another encoder": ({"looped.enabled": True, "deq.enabled": True}, "vanilla"),
    "pooled keys in the decoder": (
        {"cumoe.enabled": True, "cumoe.apply_to": ["decoder"], "cumoe.premix.pool_stride": 2},
        "pool_stride",
    ),
    "place of the experts": ({"cumoe.enabled": True, "cumoe.apply_to": ["middle"]}, "apply_to"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_settings(name: str) -> None:
    overrides, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        _build(overrides)


@pytest.mark.parametrize(
    "name", ["9 bam cross", "10 cumoe everywhere", "11 ponder-phi", "15 hybrid bridge", "4 loop ponder", "3 deq"]
)
def test_double_precision(name: str) -> None:
    model = _build(SWITCHES[name].overrides).double()
    assert _eval(model).dtype == torch.float64 and _train_step(model).dtype == torch.float64
