"""BAM against plain loops over queries and keys."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch
from torch import nn

MODULE = "champion.model.attention.bam_mha"
GRID = 3


def bam(cfg: Any, role: str = "encoder", d_model: int = 8, heads: int = 2) -> Any:
    module = importlib.import_module(MODULE)
    return module.BAMMultiheadAttention(d_model, heads, cfg, role, grid_width=GRID).double()


@torch.no_grad()
def reference(attention: Any, query: torch.Tensor, memory: torch.Tensor, bias: Any, closed: Any) -> torch.Tensor:
    """Attention of one sample, element by element."""
    d, heads = query.shape[-1], attention.num_heads
    width = d // heads
    wq, wk, wv = attention.in_proj_weight.chunk(3)
    bq, bk, bv = attention.in_proj_bias.chunk(3)
    q, k, v = query @ wq.T + bq, memory @ wk.T + bk, memory @ wv.T + bv
    rows = torch.zeros_like(query)
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        for i in range(len(query)):
            scores = {
                j: float(q[i, part] @ k[j, part]) / math.sqrt(width) + bias(h, i, j)
                for j in range(len(memory))
                if not closed(i, j)
            }
            total = sum(math.exp(s) for s in scores.values())
            for j, s in scores.items():
                rows[i, part] += math.exp(s) / total * v[j, part]
    return rows @ attention.out_proj.weight.T + attention.out_proj.bias


def ggd(delta: float, alpha: float, beta: float, mu: float = 0.0, gain: float = 0.9875) -> float:
    return -gain * min(((abs(delta - mu) + 1e-5) / math.exp(alpha)) ** beta, 80.0)


def spot(i: int) -> tuple[int, int]:
    return divmod(i, GRID)


@pytest.mark.parametrize(
    ("role", "overrides", "weight_1d", "weight_2d"),
    [
        ("encoder", {"prior_2d_weight": 0.3}, 1.0, 0.3),
        ("encoder", {"use_2d_prior": False}, 1.0, 0.0),
        ("decoder", {"prior_2d_weight_seq": 0.7}, 1.0, 0.7),
        ("cross", {}, 0.0, 0.0),
        ("cross", {"cross.use_1d_prior": True, "cross.prior_1d_weight": 0.4}, 0.4, 0.0),
        ("cross", {"cross.use_2d_prior": True}, 0.0, 0.5),
    ],
)
def test_priors_join_the_scores(node: Any, role: str, overrides: Any, weight_1d: float, weight_2d: float) -> None:
    attention = bam(node("model.bam", overrides), role)
    query, memory = torch.randn(7, 8).double(), torch.randn(7, 8).double()
    if role != "cross":
        memory = query
    extent = 2  # seven cells of a grid three wide: rows and columns 0..2

    def bias(h: int, i: int, j: int) -> float:
        (r1, c1), (r2, c2) = spot(i), spot(j)
        planar = math.hypot(r1 - r2, c1 - c2) / extent
        return weight_1d * ggd(j - i, -0.83, 1.2) + weight_2d * ggd(planar, -0.83, 1.2)

    expected = reference(attention, query, memory, bias, lambda i, j: j == 6 or (role == "decoder" and j > i))
    pad = torch.tensor([[False] * 6 + [True]])
    causal = torch.triu(torch.ones(7, 7, dtype=torch.bool), 1) if role == "decoder" else None
    got, _ = attention(query[None], memory[None], memory[None], key_padding_mask=pad, attn_mask=causal)
    torch.testing.assert_close(got[0], expected)


@pytest.mark.parametrize(("prior", "beta"), [("ggd", 1.2), ("laplace", 1.0), ("gaussian", 2.0), ("uniform", None)])
def test_family_of_priors(node: Any, prior: str, beta: float | None) -> None:
    module = importlib.import_module(MODULE)
    law = module.GGDPrior(2, node("model.bam", {"prior": prior, "initialization.mu_init": 0.5})).double()
    line = torch.arange(-3.0, 4.0).double()[None, :]
    expected = [0.0 if beta is None else ggd(x, -0.83, beta, 0.5) for x in line[0].tolist()]
    torch.testing.assert_close(law(line)[0, 0], torch.tensor(expected).double())


def test_plain_without_priors(node: Any) -> None:
    """With everything off BAM is nn.MultiheadAttention, weights moved over."""
    attention = bam(node("model.bam"), "cross")
    plain = nn.MultiheadAttention(8, 2, batch_first=True).double()
    attention.copy_weights(plain)
    x, y = torch.randn(2, 5, 8).double(), torch.randn(2, 4, 8).double()
    pad = torch.tensor([[False] * 4, [False, False, True, True]])
    for got, expected in zip(attention(x, y, y, pad), plain(x, y, y, pad), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(
    ("overrides", "scale"),
    [
        ({}, 0.7 * math.log(4)),
        ({"ssmax_cross.s_init": 9.0}, 2.0 * math.log(4)),
        ({"ssmax_cross.s_init": 9.0, "ssmax_cross.scale_max": 1.5}, 1.5),
    ],
)
def test_ssmax_scales_with_the_open_keys(node: Any, overrides: Any, scale: float) -> None:
    attention = bam(node("model.bam", {"ssmax_cross.enabled": True, **overrides}), "cross")
    bare = bam(node("model.bam"), "cross").copy_weights(attention)
    x = torch.randn(1, 5, 8).double()
    pad = torch.tensor([[False] * 4 + [True]])
    with torch.no_grad():  # scaling the scores is scaling the queries
        bare.in_proj_weight[:8] *= scale
        bare.in_proj_bias[:8] *= scale
    torch.testing.assert_close(attention(x, x, x, pad)[0], bare(x, x, x, pad)[0])


@pytest.mark.parametrize("chunk", [None, 1, 4])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_distance_in_chunks(node: Any, chunk: int | None, metric: str) -> None:
    attention = bam(node("model.bam", {"seq_2d.distance_chunk_size": chunk, "seq_2d.metric": metric}))
    measure = {"euclidean": math.hypot, "manhattan": lambda a, b: a + b, "chebyshev": max}[metric]
    got = attention.position_bias(9, 9, torch.zeros(1).double()).detach()
    for i, j in [(0, 0), (0, 8), (3, 7), (8, 2)]:
        (r1, c1), (r2, c2) = spot(i), spot(j)
        planar = measure(abs(r1 - r2), abs(c1 - c2)) / 2
        expected = ggd(j - i, -0.83, 1.2) + 0.5 * ggd(planar, -0.83, 1.2)
        assert float(got[0, i, j]) == pytest.approx(expected)


def test_external_coordinates_and_centre_mode(node: Any) -> None:
    attention = bam(node("model.bam", {"seq_2d.source": "external", "seq_2d.normalize": False}))
    with pytest.raises(RuntimeError, match="set_coordinates"):
        attention.position_bias(2, 2, torch.zeros(1).double())
    points = torch.tensor([[0.0, 0.0], [0.0, 9.0]])
    attention.set_coordinates(points)
    got = attention.position_bias(2, 2, torch.zeros(1).double()).detach()
    assert float(got[0, 0, 1]) == pytest.approx(ggd(1, -0.83, 1.2) + 0.5 * ggd(9, -0.83, 1.2))
    centred = bam(node("model.bam", {"cross.mode": "per_key", "cross.use_1d_prior": True}), "cross")
    rows = centred.position_bias(5, 5, torch.zeros(1).double()).detach()
    torch.testing.assert_close(rows[:, 0], rows[:, 4])
    assert float(rows[0, 0, 2]) > float(rows[0, 0, 0])


@pytest.mark.parametrize("alpha", [-50.0, 50.0])
@pytest.mark.parametrize("beta", [-40.0, 0.0, 60.0])
def test_extreme_priors_stay_finite(node: Any, alpha: float, beta: float) -> None:
    cfg = node("model.bam", {"initialization.alpha_init": alpha, "initialization.beta_init": beta, "learn_mu": True})
    attention = bam(cfg)
    x = (1e3 * torch.randn(2, 9, 8)).double().requires_grad_()
    pad = torch.zeros(2, 9, dtype=torch.bool)
    pad[1] = True
    out, weights = attention(x, x, x, pad)
    out.square().mean().backward()
    assert torch.equal(weights[1], torch.zeros_like(weights[1]))
    assert float(attention.position_bias(9, 9, x.detach()).detach().abs().max()) <= 80.0
    assert all(torch.isfinite(p.grad).all() for p in [x, *attention.parameters()] if p.grad is not None)


def test_gradients_reach_the_priors(node: Any) -> None:
    attention = bam(node("model.bam", {"learn_mu": True, "ssmax.enabled": True}))
    x = torch.randn(2, 9, 8).double()
    attention(x, x, x)[0].square().sum().backward()
    names = ["prior_1d.alpha", "prior_1d.beta", "prior_1d.mu", "prior_2d.alpha", "prior_2d.beta", "ssmax.s"]
    for name in names:
        assert attention.get_parameter(name).grad.abs().min() > 0, name


@pytest.mark.parametrize(
    ("fraction", "betas", "after", "lifted"),
    [
        (0.05, [-1.0, 0.5, -2.0, 1.0], [0.0, 0.5, 0.0, 1.0], 2),
        (0.25, [-1.0, 0.5, -2.0, 1.0], [0.0, 0.5, -2.0, 1.0], 1),
        (0.5, [-1.0, 0.5, -2.0, 1.0], [-1.0, 0.5, -2.0, 1.0], 0),
    ],
)
def test_few_heads_may_look_away(node: Any, fraction: float, betas: Any, after: Any, lifted: int) -> None:
    module = importlib.import_module(MODULE)
    overrides = {"use_2d_prior": False, "enforce_beta_fraction": True, "beta_neg_fraction_max": fraction}
    attention = bam(node("model.bam", overrides), heads=4)
    with torch.no_grad():
        attention.prior_1d.beta.copy_(torch.tensor(betas))
    assert module.enforce_beta_fraction(attention) == lifted
    assert attention.prior_1d.beta.tolist() == after
    assert module.enforce_beta_fraction(bam(node("model.bam"))) == 0


@pytest.mark.parametrize("training", [True, False])
def test_installed_in_torch_layers(node: Any, training: bool) -> None:
    """Torch's fused kernels do not pass the priors by, in training or in eval."""
    module = importlib.import_module(MODULE)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).train(training)
    x, pad = torch.randn(2, 9, 8), torch.tensor([[False] * 9, [False] * 5 + [True] * 4])
    with torch.no_grad():
        before = stack(x, src_key_padding_mask=pad)
        assert module.install_bam(stack, node("model.bam", {"apply_to": "decoder"}), "encoder") == 0
        assert module.install_bam(stack, node("model.bam"), "encoder") == 2
        after = stack(x, src_key_padding_mask=pad)
        for attention in [layer.self_attn for layer in stack.layers]:
            attention.prior_1d.gain = attention.prior_2d.gain = 0.0
        neutral = stack(x, src_key_padding_mask=pad)
    assert not torch.allclose(before[0], after[0])
    torch.testing.assert_close(neutral[~pad], before[~pad])


def test_installed_in_a_decoder(node: Any) -> None:
    module = importlib.import_module(MODULE)
    stack = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 1)
    assert module.install_bam(stack, node("model.bam", {"cross.use_2d_prior": True}), "decoder") == 2
    layer = stack.layers[0]
    assert (layer.self_attn.role, layer.multihead_attn.role) == ("decoder", "cross")
    mask = nn.Transformer.generate_square_subsequent_mask(9)
    assert stack(torch.randn(1, 9, 8), torch.randn(1, 4, 8), tgt_mask=mask).shape == (1, 9, 8)


def test_diagnostics(node: Any) -> None:
    on = {f"diagnostics.{k}": True for k in ("enabled", "save_attention", "save_bias", "z_metrics")}
    attention = bam(node("model.bam", {**on, "diagnostics.curve_sample_heads": 1}))
    x = torch.randn(3, 5, 8).double()
    attention(x, x, x)
    seen = attention.last_diagnostics
    assert seen["curve"].shape == (1, 64)
    assert seen["attention"].shape == (2, 2, 5, 5)
    assert {"bias", "log_z", "alpha_1d", "beta_2d"} <= set(seen)
