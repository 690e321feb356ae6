"""Bridges and the identity decoder: equations against plain numpy, schedule, gates, sharing."""

from __future__ import annotations

import copy
import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

WIDTH, CONTEXT = 16, 6
CHAMPION = Path(__file__).resolve().parents[3] / "reproduction" / "configs" / "champion.yaml"
SCHEDULE = {"alpha_max": 1.2, "warmup_steps": 4, "tiny_grid_boost": True}
FILM = {"enabled": True, "gain": 1.3, "per_layer": True}


def bridges() -> Any:
    return importlib.import_module("champion.model.bridge")


def states(batch: int = 2, length: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(batch, length, WIDTH, dtype=torch.float64, generator=generator)
    return x, torch.randn(batch, CONTEXT, dtype=torch.float64, generator=generator)


def cross(**changes: Any) -> Any:
    torch.manual_seed(1)
    settings = {"tokens": 3, "heads": 4, "hidden_factor": 1.7, "dropout": 0.0, "gate_pad_positions": True, "schedule": SCHEDULE}
    return bridges().CrossAttentionBridge(WIDTH, CONTEXT, **{**settings, **changes}).double().eval()


def hybrid(**changes: Any) -> Any:
    torch.manual_seed(1)
    settings = {
        "tokens": 3,
        "heads": 4,
        "hidden_factor": 1.7,
        "dropout": 0.0,
        "schedule": SCHEDULE,
        "film": FILM,
        "n_layers": 2,
    }
    bridge = bridges().HybridBridge(WIDTH, CONTEXT, **{**settings, **changes}).double().eval()
    if bridge.film is not None:  # it starts as the identity
        nn.init.normal_(bridge.film.down.weight)
        nn.init.normal_(bridge.film.down.bias)
    return bridge


def shared_block() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(WIDTH + CONTEXT, WIDTH), nn.ReLU(), nn.LayerNorm(WIDTH)).double()


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def linear(x: np.ndarray, layer: Any) -> np.ndarray:
    return x @ array(layer.weight).T + array(layer.bias)


def layer_norm(x: np.ndarray, norm: Any) -> np.ndarray:
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + 1e-5) * array(norm.weight) + array(norm.bias)


def gelu(x: np.ndarray) -> np.ndarray:
    return np.array([value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x])


def cross_residual(bridge: Any, x: np.ndarray, context: np.ndarray) -> np.ndarray:
    """MHA(LN(x), tokens(c)) of one position, with a loop over the heads."""
    head = bridge.token_head
    raw = linear(gelu(linear(context, head.up)), head.down).reshape(head.tokens, WIDTH) + array(head.slots)
    tokens = np.stack([layer_norm(row, head.norm) for row in raw])
    weight, bias = array(bridge.attn.in_proj_weight), array(bridge.attn.in_proj_bias)
    q = weight[:WIDTH] @ layer_norm(x, bridge.query_norm) + bias[:WIDTH]
    k = tokens @ weight[WIDTH : 2 * WIDTH].T + bias[WIDTH : 2 * WIDTH]
    v = tokens @ weight[2 * WIDTH :].T + bias[2 * WIDTH :]
    heads = bridge.attn.num_heads
    mixed = np.zeros(WIDTH)
    for number in range(heads):
        cut = slice(number * WIDTH // heads, (number + 1) * WIDTH // heads)
        powers = np.exp(k[:, cut] @ q[cut] / math.sqrt(WIDTH // heads))
        mixed[cut] = powers / powers.sum() @ v[:, cut]
    return linear(mixed, bridge.attn.out_proj)


def film(bridge: Any, x: np.ndarray, context: np.ndarray, layer: int) -> np.ndarray:
    generated = linear(gelu(linear(context, bridge.film.up)), bridge.film.down)
    g, b = generated.reshape(-1, 2, WIDTH)[layer]
    return x * (1 + bridge.film.gain * np.tanh(g)) + bridge.film.gain * b


def test_identity() -> None:
    x, context = states()
    bridge = bridges().IdentityBridge(WIDTH, CONTEXT)
    assert bridge(x, context, pad_mask=None, step=3, grid_hw=(2, 2)) is x
    assert not bridge.state_dict()


def test_concat_mlp() -> None:
    x, context = states()
    block = shared_block()
    out = bridges().ConcatMLPBridge(block[0], block[2])(x, context, step=7)
    for sample in range(2):
        for position in range(5):
            joined = np.concatenate([array(x[sample, position]), array(context[sample])])
            expected = layer_norm(np.maximum(linear(joined, block[0]), 0), block[2])
            np.testing.assert_allclose(array(out[sample, position]), expected, atol=1e-12)


def test_concat_mlp_shares_its_layers() -> None:
    """The layers are named once, learn through the bridge, and a copied model shares the copied layers."""
    x, context = states()
    model: Any = nn.Module()
    model.context_integration = shared_block()
    model.bridge_dec = bridges().ConcatMLPBridge(model.context_integration[0], model.context_integration[2])
    twin = copy.deepcopy(model)
    assert all(name.startswith("context_integration.") for name in model.state_dict())
    model.bridge_dec(x, context)[..., 0].sum().backward()
    assert bool((model.context_integration[0].weight.grad != 0).any())
    before = twin.bridge_dec(x, context)
    with torch.no_grad():
        twin.context_integration[0].weight.zero_()
    assert not torch.equal(twin.bridge_dec(x, context), before)
    assert bool((model.context_integration[0].weight != 0).any())


@pytest.mark.parametrize(
    ("schedule", "step", "grid_hw", "expected"),
    [
        (SCHEDULE, None, None, 1.2),
        (SCHEDULE, 0, None, 0.3),
        (SCHEDULE, 1, None, 0.6),
        (SCHEDULE, 3, None, 1.2),
        (SCHEDULE, 400, None, 1.2),
        (SCHEDULE, 0, (3, 2), 0.45),
        (SCHEDULE, None, (3, 4), 1.2),
        ({**SCHEDULE, "tiny_grid_boost": False}, None, (1, 1), 1.2),
        ({**SCHEDULE, "warmup_steps": 0}, 0, None, 1.2),
        (None, 0, (1, 1), 1.0),
    ],
)
@pytest.mark.parametrize("wrap", [lambda node: node, OmegaConf.create], ids=["dict", "omegaconf"])
def test_alpha(schedule: Any, step: int | None, grid_hw: tuple[int, int] | None, expected: float, wrap: Any) -> None:
    alpha = bridges().AlphaSchedule.from_node(None if schedule is None else wrap(schedule))
    assert alpha(step, grid_hw) == pytest.approx(expected)
    assert bridges().AlphaSchedule.from_node(alpha) is alpha


@pytest.mark.parametrize("changes", [{}, {"tokens": 1}, {"heads": 2}, {"hidden_factor": 0.5}, {"schedule": None}], ids=str)
def test_cross_attention(changes: dict[str, Any]) -> None:
    x, context = states()
    bridge = cross(**changes)
    out = bridge(x, context, step=0)  # evaluation: the warm-up counts as over
    alpha = 1.0 if bridge.alpha.warmup_steps == 0 else 1.2
    assert bridge.last_alpha == pytest.approx(alpha)
    for sample in range(2):
        for position in range(5):
            cell = array(x[sample, position])
            expected = cell + alpha * cross_residual(bridge, cell, array(context[sample]))
            np.testing.assert_allclose(array(out[sample, position]), expected, atol=1e-12)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("build", [cross, hybrid])
def test_gate_of_padded_positions(build: Any, gated: bool) -> None:
    x, context = states()
    pad_mask = torch.zeros(2, 5, dtype=torch.bool)
    pad_mask[0, 3:] = True
    pad_mask[1] = True
    bridge = build(gate_pad_positions=gated)
    out, free = bridge(x, context, pad_mask=pad_mask), bridge(x, context)
    assert torch.equal(out[~pad_mask], free[~pad_mask])
    assert torch.equal(out[pad_mask], x[pad_mask] if gated else free[pad_mask])


def test_warm_up_while_training() -> None:
    x, context = states()
    bridge = cross().train()
    residuals = [bridge(x, context, step=step) - x for step in (0, 1, 9)]
    torch.testing.assert_close(residuals[1], 2 * residuals[0])
    torch.testing.assert_close(residuals[2], 4 * residuals[0])


def test_hybrid() -> None:
    x, context = states()
    bridge = hybrid()
    out = bridge(x, context)
    after_layer = bridge.film_layer(x, context, 1)
    for sample in range(2):
        for position in range(5):
            cell, c = array(x[sample, position]), array(context[sample])
            crossed = cell + 1.2 * cross_residual(bridge.cross, cell, c)
            np.testing.assert_allclose(array(out[sample, position]), film(bridge, crossed, c, 0), atol=1e-12)
            np.testing.assert_allclose(array(after_layer[sample, position]), film(bridge, cell, c, 2), atol=1e-12)


@pytest.mark.parametrize(
    ("node", "sets"),
    [(FILM, 3), ({**FILM, "per_layer": False}, 1), ({**FILM, "enabled": False}, 0), (None, 0)],
)
def test_sets_of_film_coefficients(node: Any, sets: int) -> None:
    x, context = states()
    bridge = hybrid(film=node if node is None else OmegaConf.create(node))
    assert (0 if bridge.film is None else len(bridge.film.coefficients(context))) == sets
    assert (bridge.film_layer(x, context, 0) is x) == (sets < 3)
    if sets == 0:
        torch.testing.assert_close(bridge(x, context), bridge.cross(x, context))


def test_film_starts_as_the_identity() -> None:
    x, context = states()
    assert torch.equal(bridges().HyperFiLM(CONTEXT, WIDTH, 1.7, gain=1.3, n_layers=2).double()(x, context, 1), x)


@pytest.mark.parametrize("build", [cross, hybrid, lambda: bridges().ConcatMLPBridge(shared_block()[0], shared_block()[2])])
def test_without_context(build: Any) -> None:
    x, _ = states()
    assert build()(x, None) is x


@pytest.mark.parametrize("build", [cross, hybrid])
def test_dropout_only_while_training(build: Any) -> None:
    x, context = states()
    bridge = build(dropout=0.5)
    assert torch.equal(bridge(x, context), bridge(x, context))
    bridge.train()
    assert not torch.equal(bridge(x, context), bridge(x, context))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_values_of_the_config(dtype: torch.dtype, scale: float) -> None:
    """Both dead bridges as the champion's config would build them; extreme contexts stay finite."""
    node = OmegaConf.load(CHAMPION).model.conditioning.bridge
    settings = {
        "tokens": node.tokens,
        "heads": node.heads,
        "hidden_factor": node.hidden_factor,
        "dropout": node.dropout,
        "gate_pad_positions": node.gate_pad_positions,
        "schedule": node.schedule,
    }
    for bridge in (
        bridges().CrossAttentionBridge(160, 32, **settings).to(dtype).train(),
        bridges().HybridBridge(160, 32, film=node.film, n_layers=3, **settings).to(dtype).train(),
    ):
        x = torch.randn(2, 9, 160, dtype=dtype, requires_grad=True)
        pad_mask = torch.arange(9).expand(2, 9) > 5
        torch.set_deterministic_debug_mode("error")
        try:
            out = bridge(x, scale * torch.randn(2, 32, dtype=dtype), pad_mask=pad_mask, step=0, grid_hw=(30, 30))
            out[..., 0].sum().backward()
        finally:
            torch.set_deterministic_debug_mode("default")
        assert out.shape == x.shape and out.dtype == dtype and bool(out.isfinite().all())
        for name, parameter in bridge.named_parameters():
            assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
        (first,) = [value for name, value in bridge.named_parameters() if name.endswith("token_head.up.weight")]
        assert bool((first.grad != 0).any())


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="not divisible by heads 3"):
        cross(heads=3)


def test_identity_decoder() -> None:
    decoder = importlib.import_module("champion.model.decoder_identity").IdentityDecoder()
    x, _ = states()
    out = decoder(x, x + 1, tgt_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None)
    assert out is x and len(decoder.layers) == decoder.num_layers == 0 and not decoder.state_dict()
    with pytest.raises(ValueError, match="batch sizes differ"):
        decoder(x, x[:1])
