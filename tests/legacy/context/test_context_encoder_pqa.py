"""The champion's context encoder: tensors of the checkpoint, every equation against plain numpy, edges."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

PAD = 10
SMALL = {
    "grid_height": 3,
    "grid_width": 4,
    "d_model": 16,
    "n_head": 2,
    "pixel_layers": 1,
    "grid_layers": 1,
    "pe_type": "sinusoidal",
}
PLAIN = {"attn_dropout": 0.0, "ffn_dropout": 0.0, "set_refine": None, "latent": None}
CHAMPION = Path(__file__).resolve().parents[3] / "reproduction" / "configs" / "champion.yaml"

LAYER = (
    ("self_attn.in_proj_weight", (96, 32)),
    ("self_attn.in_proj_bias", (96,)),
    ("self_attn.out_proj.weight", (32, 32)),
    ("self_attn.out_proj.bias", (32,)),
    ("linear1.weight", (128, 32)),
    ("linear1.bias", (128,)),
    ("linear2.weight", (32, 128)),
    ("linear2.bias", (32,)),
    ("norm1.weight", (32,)),
    ("norm1.bias", (32,)),
    ("norm2.weight", (32,)),
    ("norm2.bias", (32,)),
)
CHECKPOINT = {
    "embedding.G": (11, 32),
    "pos_encoder.pe": (1, 900, 32),
    **{
        f"{stack}.layers.{layer}.{name}": shape
        for stack in ("pixel_q", "pixel_ctx")
        for layer in (0, 1)
        for name, shape in LAYER
    },
    "grid_type_embedding.weight": (2, 32),
    "cross_attn.in_proj_weight": (96, 32),
    "cross_attn.in_proj_bias": (96,),
    "cross_attn.out_proj.weight": (32, 32),
    "cross_attn.out_proj.bias": (32,),
    "attn_proj.weight": (1, 32),
}


def pqa() -> Any:
    return importlib.import_module("champion.model.context_encoder_pqa")


def build(**changes: Any) -> Any:
    """A small encoder in float64, in eval mode."""
    torch.manual_seed(3)
    encoder = pqa().ContextEncoderPQA(pqa().ContextEncoderConfig(**{**SMALL, **PLAIN, **changes}))
    return encoder.double().eval()


def champion_encoder() -> Any:
    torch.manual_seed(3)
    node = OmegaConf.load(CHAMPION).model.context_encoder
    return pqa().ContextEncoderPQA(pqa().ContextEncoderConfig(**node))


def grids(batch: int = 2, pairs: int = 3, height: int = 3, width: int = 4, seed: int = 0) -> torch.Tensor:
    """Colours with padding at the right and at the bottom of every second grid."""
    made = torch.randint(0, 10, (batch, pairs, height, width), generator=torch.Generator().manual_seed(seed))
    made[:, ::2, :, -1] = PAD
    made[:, ::2, -1, :] = PAD
    return made


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def layer_norm(x: np.ndarray, norm: Any) -> np.ndarray:
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + 1e-5) * array(norm.weight) + array(norm.bias)


def turned(vector: np.ndarray, row: int, column: int) -> np.ndarray:
    """The first half of the channel pairs turned by the row, the second by the column, as complex numbers."""
    pairs = len(vector) // 2
    out = np.empty_like(vector)
    for pair in range(pairs):
        place, index = (row, pair) if pair < pairs // 2 else (column, pair - pairs // 2)
        angle = place * 10000.0 ** (-2 * index / pairs)
        value = complex(vector[2 * pair], vector[2 * pair + 1]) * np.exp(1j * angle)
        out[2 * pair], out[2 * pair + 1] = value.real, value.imag
    return out


def attention(
    queries: np.ndarray, keys: np.ndarray, attn: Any, is_open: np.ndarray, heads: int, places: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Multi-head attention with loops over heads and queries; `places` turns queries and keys."""
    d_model = queries.shape[1]
    width = d_model // heads
    weight, bias = array(attn.in_proj_weight), array(attn.in_proj_bias)
    part = [slice(i * d_model, (i + 1) * d_model) for i in range(3)]
    q, k, v = (x @ weight[s].T + bias[s] for x, s in zip((queries, keys, keys), part, strict=True))
    mixed, weights = np.zeros_like(q), np.zeros((heads, len(q), len(k)))
    for head in range(heads):
        cut = slice(head * width, (head + 1) * width)
        q_head, k_head = q[:, cut].copy(), k[:, cut].copy()
        if places is not None:
            q_head = np.stack([turned(x, *place) for x, place in zip(q_head, places, strict=True)])
            k_head = np.stack([turned(x, *place) for x, place in zip(k_head, places, strict=True)])
        for i in range(len(q)):
            scores = np.array([q_head[i] @ k_head[j] / np.sqrt(width) for j in range(len(k))])
            weights[head, i] = softmax(np.where(is_open, scores, -np.inf))
            mixed[i, cut] = weights[head, i] @ v[:, cut]
    return mixed @ array(attn.out_proj.weight).T + array(attn.out_proj.bias), weights


def grid_vector(encoder: Any, cells: np.ndarray, stack: Any, grid_type: int) -> np.ndarray:
    cfg = encoder.cfg
    height, width = cells.shape
    flat = cells.reshape(-1)
    x = array(encoder.embedding.G)[flat] * np.sqrt(cfg.d_model)
    places = None
    if cfg.use_positional_encoding:
        x = x + array(encoder.pos_encoder.pe)[0]
        places = [(r, c) for r in range(height) for c in range(width)] if cfg.pe_type == "rotary" else None
    filled = flat != PAD
    is_open = filled if filled.any() else np.ones_like(filled)
    for layer in stack.layers:
        mixed, _ = attention(x, x, layer.self_attn, is_open, cfg.n_head, places)
        x = np.stack([layer_norm(row, layer.norm1) for row in x + mixed])
        hidden = np.maximum(x @ array(layer.linear1.weight).T + array(layer.linear1.bias), 0)
        hidden = hidden @ array(layer.linear2.weight).T + array(layer.linear2.bias)
        x = np.stack([layer_norm(row, layer.norm2) for row in x + hidden])
    weight = filled.astype(float) if cfg.weighted_pool else np.ones(len(flat))
    pooled = sum(w * row for w, row in zip(weight, x, strict=True)) / max(weight.sum(), 1.0)
    return pooled + array(encoder.grid_type_embedding.weight)[grid_type]


def reference(encoder: Any, inputs: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Context and averaged grid attention of one sample."""
    cfg = encoder.cfg
    g_in = np.stack([grid_vector(encoder, grid, encoder.pixel_ctx, 0) for grid in inputs])
    g_out = np.stack([grid_vector(encoder, grid, encoder.pixel_q, 1) for grid in outputs])
    is_open = np.array([(i != PAD).any() or (o != PAD).any() for i, o in zip(inputs, outputs, strict=True)])
    is_open = is_open if cfg.dynamic_pairs else np.ones_like(is_open)
    hidden = g_out
    for _ in range(cfg.grid_layers):
        crossed, weights = attention(hidden, g_in, encoder.cross_attn, is_open, cfg.n_head)
        hidden = hidden + crossed
    features = hidden
    if cfg.order_sensitive:
        parts = {"cross": hidden - g_out, "out": g_out, "diff": g_out - g_in, "prod": g_out * g_in}
        joined = np.concatenate([parts[name] for name in cfg.comp_mode.split("_")], axis=1)
        features = joined @ array(encoder.comp_proj.weight).T + array(encoder.comp_proj.bias)
        if cfg.order_comp_use_layernorm:
            features = np.stack([layer_norm(row, encoder.comp_norm) for row in features])
    scores = np.tanh(features) @ array(encoder.attn_proj.weight)[0]
    pooling = {
        "attn": lambda: softmax(np.where(is_open, scores, -np.inf)) @ features,
        "mean": lambda: features[is_open].mean(axis=0),
        "max": lambda: features[is_open].max(axis=0),
    }
    return pooling[cfg.pool_type](), weights.mean(axis=0)


def test_tensors_of_the_checkpoint() -> None:
    encoder = champion_encoder()
    state = encoder.state_dict()
    assert list(state) == list(CHECKPOINT) and len(state) == 56
    assert {name: tuple(value.shape) for name, value in state.items()} == CHECKPOINT
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 55_488
    assert encoder.cfg.d_model == 32 and encoder.cfg.set_refine.K == 4 and encoder.cfg.latent.dim == 32


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pe_type": "rotary"},
        {"pe_type": "rotary", "pixel_layers": 2, "grid_layers": 2},
        {"use_positional_encoding": False},
        {"weighted_pool": False},
        {"dynamic_pairs": False},
        {"pool_type": "mean"},
        {"pool_type": "max"},
        {"order_sensitive": True, "order_comp_use_layernorm": False},
        *(
            {"order_sensitive": True, "comp_mode": mode}
            for mode in (
                "cross",
                "cross_out",
                "cross_diff",
                "cross_prod",
                "cross_out_diff",
                "cross_out_prod",
                "cross_diff_prod",
                "cross_out_diff_prod",
            )
        ),
    ],
    ids=lambda changes: json.dumps(changes),
)
def test_forward_against_loops(changes: dict[str, Any]) -> None:
    encoder = build(**changes)
    inputs, outputs = grids(seed=1), grids(seed=2)
    inputs[1, 2] = outputs[1, 2] = PAD  # a filler pair
    context, rule, extra = encoder(inputs, outputs)
    assert rule is None and context.shape == (2, 16)
    for sample in range(2):
        expected, weights = reference(encoder, inputs[sample].numpy(), outputs[sample].numpy())
        np.testing.assert_allclose(array(context[sample]), expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(array(extra["grid_attn"][sample]), weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"set_refine": {"enabled": True, "K": 1, "layers": 1, "heads": 2, "dropout": 0.0}},
        {"pe_type": "rotary"},
        {"use_positional_encoding": False},
        {"n_head": 4},
        {"grid_layers": 2},
        {"pixel_layers": 2},
        {"pool_type": "max"},
        {"weighted_pool": False},
        {"dynamic_pairs": False},
        {"order_sensitive": True},
        {"order_sensitive": True, "comp_mode": "cross"},
    ],
    ids=lambda changes: json.dumps(changes),
)
def test_settings_change_the_context(changes: dict[str, Any]) -> None:
    inputs, outputs = grids(seed=1), grids(seed=2)
    inputs[:, 2] = outputs[:, 2] = PAD
    before, after = (encoder(inputs, outputs)[0] for encoder in (build(), build(**changes)))
    assert not torch.allclose(before, after)


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout_rate": 0.5},
        {"attn_dropout": 0.5},
        {"ffn_dropout": 0.5},
        {"pe_dropout": 0.5},
        {"set_refine": {"enabled": True, "dropout": 0.5}},
        {"latent": {"enabled": True, "dim": 8, "use_as_context": True}},
    ],
    ids=lambda changes: json.dumps(changes),
)
def test_noise_only_while_training(changes: dict[str, Any]) -> None:
    encoder = build(**changes)
    inputs, outputs = grids(seed=1), grids(seed=2)
    assert torch.equal(encoder(inputs, outputs)[0], encoder(inputs, outputs)[0])
    encoder.train()
    assert not torch.equal(encoder(inputs, outputs)[0], encoder(inputs, outputs)[0])


def test_weight_of_the_latent() -> None:
    once, twice = (build(latent={"enabled": True, "dim": 4, "elbo_weight": weight}) for weight in (1.0, 2.0))
    inputs, outputs = grids(seed=1), grids(seed=2)
    first, second = (encoder(inputs, outputs)[2]["latent_kl"] for encoder in (once, twice))
    assert first.item() > 0
    torch.testing.assert_close(second, 2 * first)


def test_fillers_and_order_of_the_pairs_do_not_matter() -> None:
    encoder = build(set_refine={"enabled": True, "K": 2}, latent={"enabled": True, "dim": 16})
    inputs, outputs = grids(seed=1), grids(seed=2)
    filler = torch.full_like(inputs[:, :1], PAD)
    plain = encoder(inputs, outputs)[0]
    filled = encoder(torch.cat([inputs, filler], dim=1), torch.cat([outputs, filler], dim=1))[0]
    turned_round = encoder(inputs.flip(1), outputs.flip(1))[0]
    torch.testing.assert_close(plain, filled)
    torch.testing.assert_close(plain, turned_round)
    assert not torch.allclose(plain, encoder(outputs, inputs)[0])


def test_small_grids_are_put_on_the_canvas() -> None:
    encoder = build()
    small = grids(height=2, width=2, seed=4).clamp(max=9)
    padded = torch.nn.functional.pad(small, (0, 2, 0, 1), value=PAD)
    assert torch.equal(encoder(small, small)[0], encoder(padded, padded)[0])


@pytest.mark.parametrize("weighted", [True, False])
def test_empty_cells_are_left_out_only_where_nobody_looks(weighted: bool) -> None:
    """A batch gives what its samples give alone, though the samples use different cells."""
    encoder = build(pe_type="rotary", weighted_pool=weighted)
    inputs, outputs = grids(seed=1), grids(seed=2)
    inputs[0, :, 1:], outputs[0, :, :, 2:] = PAD, PAD
    together = encoder(inputs, outputs)[0]
    alone = [encoder(inputs[sample, None], outputs[sample, None])[0][0] for sample in range(2)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_every_head_on_request() -> None:
    encoder = build()
    inputs, outputs = grids(seed=1), grids(seed=2)
    averaged = encoder(inputs, outputs)[2]["grid_attn"]
    encoder.grid_attn_per_head = True
    per_head = encoder(inputs, outputs)[2]["grid_attn"]
    assert per_head.shape == (2, 2, 3, 3)
    torch.testing.assert_close(per_head.mean(dim=1), averaged)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_no_context_is_zero_and_nothing_overflows(dtype: torch.dtype, scale: float) -> None:
    encoder = build(pe_type="rotary", set_refine={"enabled": True}, latent={"enabled": True, "dim": 16}).to(dtype).train()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(scale)
    inputs, outputs = grids(seed=1), grids(seed=2)
    inputs[0] = outputs[0] = PAD
    context, _, extra = encoder(inputs, outputs)
    context.sum().backward()
    assert torch.equal(context[0], torch.zeros_like(context[0]))
    assert context.dtype == dtype and bool(context.isfinite().all()) and bool(extra["latent_kl"].isfinite())
    assert all(bool(parameter.grad.isfinite().all()) for parameter in encoder.parameters() if parameter.grad is not None)


def test_champion_trains_under_deterministic_algorithms() -> None:
    encoder = champion_encoder().train()
    inputs, outputs = (torch.full((1, 2, 30, 30), PAD) for _ in range(2))
    inputs[..., :5, :6], outputs[..., :4, :3] = grids(1, 2, 5, 6, seed=1), grids(1, 2, 4, 3, seed=2)
    torch.set_deterministic_debug_mode("error")
    try:
        gradients = []
        for _ in range(2):
            torch.manual_seed(1)
            encoder.zero_grad()
            context, rule, extra = encoder(inputs, outputs)
            context.square().sum().backward()
            gradients.append({name: parameter.grad.clone() for name, parameter in encoder.named_parameters()})
    finally:
        torch.set_deterministic_debug_mode("default")
    assert context.shape == (1, 32) and rule is None and extra["grid_attn"].shape == (1, 2, 2)
    assert all(bool((gradient != 0).any()) for gradient in gradients[0].values())
    assert torch.equal(gradients[0]["embedding.G"][PAD], torch.zeros(32))
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"comp_mode": "concat"}, "comp_mode"),
        ({"pe_type": "learned"}, "pe_type"),
        ({"pool_type": "sum"}, "pool_type"),
        ({"n_head": 3}, "n_head"),
        ({"n_head": 8, "pe_type": "rotary"}, "head width"),
        ({"set_refine": {"enabled": True, "heads": 3}}, "set_refine.heads"),
        ({"latent": {"enabled": True, "dim": 17}}, "latent.dim"),
    ],
)
def test_impossible_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((1, 0, 3, 4), (1, 0, 3, 4), "N >= 1"),
        ((1, 2, 3, 4), (1, 1, 3, 4), "shapes differ"),
        ((1, 2, 4, 4), (1, 2, 4, 4), "larger than the canvas"),
        ((2, 3, 4), (2, 3, 4), "expected context grids"),
    ],
)
def test_impossible_grids(first: tuple[int, ...], second: tuple[int, ...], message: str) -> None:
    encoder = build()
    with pytest.raises(ValueError, match=message):
        encoder(torch.zeros(first, dtype=torch.long), torch.zeros(second, dtype=torch.long))
