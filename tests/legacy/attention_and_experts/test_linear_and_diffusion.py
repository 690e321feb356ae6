"""Dual-state linear attention, diffusion distances and the encoders over them."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch
from torch import nn

DSLA = "champion.model.attention.dsla_encoder"
TDM = "champion.utils.tdm"
TRI = "champion.model.attention.tri_temporal_attention"
TRI_ENCODER = "champion.model.attention.tri_temporal_encoder"


@pytest.mark.parametrize("length", [1, 5, 8, 11])
def test_linear_attention_is_a_recurrence(length: int) -> None:
    module = importlib.import_module(DSLA)
    q, k, v = (torch.randn(2, 2, length, w).double() for w in (3, 3, 4))
    decay = torch.tensor([0.9, 0.5]).double()
    got = module.decayed_linear_attention(q, k, v, decay, chunk=4)
    state = torch.zeros(2, 2, 3, 4).double()
    for t in range(length):
        state = decay.view(1, 2, 1, 1) * state + k[:, :, t, :, None] * v[:, :, t, None, :]
        torch.testing.assert_close(got[:, :, t], torch.einsum("bhd,bhde->bhe", q[:, :, t], state))


def test_long_sequences_do_not_overflow() -> None:
    module = importlib.import_module(DSLA)
    q = torch.ones(1, 1, 900, 2).requires_grad_()
    out = module.decayed_linear_attention(q, q, q, torch.tensor([1e-4]))
    out.sum().backward()
    assert torch.isfinite(out).all() and torch.isfinite(q.grad).all()


@pytest.mark.parametrize("causal", [False, True])
def test_dual_state(causal: bool) -> None:
    """Both states are kernel averages with weights gamma^|i-j| phi(q_i) phi(k_j), mixed by the gate."""
    module = importlib.import_module(DSLA)
    attention = module.DSLAttention(4, 1).double()
    x = torch.randn(1, 6, 4).double()
    pad = torch.tensor([[False] * 5 + [True]])
    mask = torch.triu(torch.ones(6, 6, dtype=torch.bool), 1) if causal else None
    got, _ = attention(x, x, x, pad, attn_mask=mask)
    q, k, v = (t[0, 0] for t in attention.project(x, x, x))
    q, k = nn.functional.elu(q) + 1, nn.functional.elu(k) + 1
    gate = torch.sigmoid(attention.gate(x))[0, :, 0]
    rows = torch.zeros(6, 4).double()
    for share, gamma in zip((gate, 1 - gate), torch.sigmoid(attention.decay_logits[:, 0]), strict=True):
        for i in range(6):
            keys = [j for j in range(5) if not (causal and j > i)]
            weights = torch.stack([gamma ** abs(i - j) * (q[i] @ k[j]) for j in keys])
            rows[i] += share[i] * (weights / weights.sum()) @ v[keys]
    torch.testing.assert_close(got[0], attention.out_proj(rows))


def test_empty_samples(node: Any) -> None:
    module = importlib.import_module(DSLA)
    attention = module.DSLAttention(4, 1)
    x = torch.randn(2, 6, 4).requires_grad_()
    out, _ = attention(x, x, x, torch.tensor([[True] * 6, [False] * 6]))
    out.sum().backward()
    torch.testing.assert_close(out[0], attention.out_proj.bias.expand(6, 4))
    assert torch.isfinite(x.grad).all()


def modes(encoder: Any) -> list[str]:
    return [layer.self_attn.mode for layer in encoder.layers[: encoder.n_dsla]]


@pytest.mark.parametrize(
    ("overrides", "layers", "expected"),
    [
        ({}, 3, ["softmax"]),
        ({"hybrid_ratio": 0.5}, 3, ["softmax"] * 2),
        ({"use_adaptive_runtime": False, "hybrid_ratio": 1.0}, 3, ["linear"] * 3),
        ({"memory_threshold_mb": 0, "hybrid_ratio": 1.0}, 3, ["linear"] * 3),
        # 2 * 1 * 2 * 8 * 8 * 4 bytes = 1 KiB per layer
        ({"memory_threshold_mb": 2 / 1024, "hybrid_ratio": 1.0}, 3, ["linear", "softmax", "softmax"]),
        ({"memory_threshold_mb": 2 / 1024, "hybrid_ratio": 0.1}, 3, ["linear"]),
    ],
)
def test_layers_become_linear_when_memory_is_short(node: Any, overrides: Any, layers: int, expected: Any) -> None:
    module = importlib.import_module(DSLA)
    encoder = module.DSLAHybridEncoder(8, 2, 16, layers, node("dsla", overrides))
    assert encoder(torch.randn(1, 8, 8)).shape == (1, 8, 8)
    assert modes(encoder) == expected


@pytest.mark.parametrize("metric", ["entropy", "output_gap"])
def test_least_sensitive_goes_first(node: Any, metric: str) -> None:
    module = importlib.import_module(DSLA)
    cfg = node("dsla", {"hybrid_ratio": 1.0, "sensitivity_metric": metric})
    encoder = module.DSLAHybridEncoder(8, 2, 16, 2, cfg, dropout=0.0)
    with torch.no_grad():
        encoder.layers[0].self_attn.in_proj_weight[:8] *= 60.0  # peaked maps: a linear state cannot do that
    x = torch.randn(1, 8, 8)
    encoder(x)
    assert encoder.sensitivity[0] > encoder.sensitivity[1]
    encoder.threshold_bytes = 1024.0
    encoder(x)
    assert modes(encoder) == ["softmax", "linear"]


def test_softmax_mode_is_the_plain_layer(node: Any) -> None:
    module = importlib.import_module(DSLA)
    layer = module.DSLAEncoderLayer(8, 2, 16, dropout=0.0)
    plain = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    layer.load_state_dict(plain.state_dict(), strict=False)
    layer.self_attn.mode = "softmax"
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(layer(x), plain(x))


@pytest.mark.parametrize("tau", [0.0, 0.1, 1.0, 4.0])
def test_heat_kernel_is_the_matrix_exponential(tau: float) -> None:
    module = importlib.import_module(TDM)
    w = torch.rand(2, 6, 6).double()
    laplacian = module.normalized_laplacian(w + w.transpose(1, 2))
    expected = torch.matrix_exp(-tau * laplacian)
    torch.testing.assert_close(module.heat_kernels(laplacian, [tau], 16)[:, 0], expected, atol=1e-8, rtol=1e-6)


def test_affinity_links_near_neighbours() -> None:
    module = importlib.import_module(TDM)
    x = torch.tensor([[0.0], [1.0], [3.0], [3.5], [50.0]]).double()[None]
    pad = torch.tensor([[False] * 4 + [True]])
    got = module.knn_affinity(x, 1, pad)[0]
    sigma = [1.0, 1.0, 0.5, 0.5]
    expected = torch.zeros(5, 5).double()
    for i, j in [(0, 1), (2, 3)]:  # mutual nearest neighbours, nobody else
        expected[i, j] = expected[j, i] = math.exp(-((x[0, i] - x[0, j]) ** 2) / (sigma[i] * sigma[j]))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(module.knn_affinity(x, 1, pad, chunk=2)[0], expected)


def test_laplacian_and_distances() -> None:
    module = importlib.import_module(TDM)
    w = torch.tensor([[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(module.normalized_laplacian(w), expected)
    kernel = torch.randn(1, 2, 4, 4).double()
    got = module.diffusion_distances(kernel)
    for t, i, j in [(0, 0, 0), (0, 1, 3), (1, 2, 0)]:
        expected_distance = float((kernel[0, t, i] - kernel[0, t, j]).norm())
        assert float(got[0, t, i, j]) == pytest.approx(expected_distance, abs=1e-6)


@pytest.mark.parametrize("selector", ["random", "uniform", "farthest"])
def test_landmarks_reproduce_the_full_graph(node: Any, selector: str) -> None:
    """With every token a landmark and all components kept the approximation is exact."""
    module = importlib.import_module(TDM)
    cfg = node("model.tdm_nystrom", {"selector": selector, "m": 6, "n_components": 6, "k_nn": 6})
    tdm = module.NystromTDM(cfg)
    x = torch.randn(1, 6, 2).double()
    assert sorted(tdm.select(x)[0].tolist()) == list(range(6))
    d2 = torch.cdist(x, x).square()
    expected = torch.exp(-d2 / d2.mean())
    torch.testing.assert_close(tdm.affinity(x), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(tdm.kernels(x).sum(-1), torch.ones(1, 3, 6).double())


def test_landmark_cache(node: Any) -> None:
    module = importlib.import_module(TDM)
    x, y = torch.randn(1, 6, 2), torch.randn(1, 6, 2)
    kept, fresh = (module.NystromTDM(node("model.tdm_nystrom", {"cache_ss": on})) for on in (True, False))
    for tdm in (kept, fresh):
        tdm.affinity(x)
    assert not torch.allclose(kept.affinity(y), fresh.affinity(y))
    torch.testing.assert_close(kept.affinity(x), fresh.affinity(x))


def test_token_parameters(node: Any) -> None:
    module = importlib.import_module(TRI)
    layer = module.TokenParameterAttention(node("model.tpa", {"topk": 2}), 5, 3, 4).double()
    x = torch.randn(7, 3).double()
    rows = []
    for token in x:
        scores = layer.keys @ token
        keep = scores.abs().argsort(descending=True)[:2]
        kept = torch.zeros(5).double()
        kept[keep] = scores[keep]
        rows.append(nn.functional.gelu(kept / kept.norm() * math.sqrt(5)) @ layer.values)
    torch.testing.assert_close(layer(x), torch.stack(rows))
    assert torch.isfinite(layer(torch.zeros(1, 3).double())).all()


def test_diffusion_bias() -> None:
    module = importlib.import_module(TRI)
    cfg = module.nn.Module()
    cfg.enabled = False
    attention = module.TriTemporalAttention(4, 2, 3, cfg).double()
    x, distances = torch.randn(1, 5, 4).double(), torch.rand(1, 3, 5, 5).double()
    with torch.no_grad():
        attention.mix.copy_(torch.randn(2, 3))
        attention.scale.copy_(torch.tensor([-1.0, 2.0]))
    rows = torch.zeros(5, 4).double()
    for h in range(2):
        part = slice(2 * h, 2 * h + 2)
        share = torch.softmax(attention.mix[h], 0)
        bias = math.log1p(math.exp(float(attention.scale[h].detach()))) * sum(share[t] * distances[0, t] for t in range(3))
        q, k, v = (p(x)[0, :, part] for p in (attention.q, attention.k, attention.v))
        rows[:, part] = torch.softmax(q @ k.T / math.sqrt(2) - bias, -1) @ v
    torch.testing.assert_close(attention(x, distances)[0], attention.o(rows))


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"tri_temporal_distance": True},
        {"tdm_nystrom.enabled": True},
        {"tpa.enabled": True},
        {"use_tri_scale_ffn": True, "encoder_layers": 2},
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tri_temporal_encoder(node: Any, overrides: Any, dtype: torch.dtype) -> None:
    module = importlib.import_module(TRI_ENCODER)
    encoder = module.TriTemporalEncoder(node("model", overrides)).to(dtype)
    x = torch.randn(3, 9, 8, dtype=dtype).requires_grad_()
    pad = torch.zeros(3, 9, dtype=torch.bool)
    pad[1, 4:] = True
    pad[2] = True
    out = encoder(x, src_key_padding_mask=pad)
    out.square().mean().backward()
    assert out.shape == x.shape and out.dtype == dtype
    grads = {name: p.grad for name, p in encoder.named_parameters()}
    assert all(g is not None and torch.isfinite(g).all() for g in grads.values())
    assert float(grads["pi.0.weight"].abs().max()) > 0
    with torch.no_grad():  # what stands in the padding is invisible
        other = x.detach().clone()
        other[1, 4:] += 5.0
        encoder.eval()
        got, expected = (encoder(seen, src_key_padding_mask=pad) for seen in (other, x))
    torch.testing.assert_close(got[1, :4], expected[1, :4])


def test_equal_tokens_are_harmless(node: Any) -> None:
    encoder = importlib.import_module(TRI_ENCODER).TriTemporalEncoder(node("model", {"tri_temporal_distance": True}))
    x = torch.ones(1, 9, 8).requires_grad_()
    encoder(x).sum().backward()
    assert torch.isfinite(x.grad).all()
