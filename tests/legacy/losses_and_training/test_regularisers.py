"""Penalties on attention, coordinates, predictions and hidden states."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

Nodes = Callable[[str], DictConfig]
FLOATS = [torch.float32, torch.float64]


def regularizers() -> ModuleType:
    return importlib.import_module("champion.regularisers.regularizers")


def attention_map(batch: int = 2, heads: int = 3, length: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.softmax(2 * torch.randn(batch, heads, length, length, dtype=dtype), -1)


def entropy(row: list[float]) -> float:
    return -sum(p * math.log(p) for p in row if p > 0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_token_cebr_against_loops(dtype: torch.dtype) -> None:
    attention = attention_map(dtype=dtype).requires_grad_()
    expected = []
    for head in attention.detach().flatten(0, 1).tolist():
        received = [sum(head[i][j] for i in range(5)) for j in range(5)]
        variance = sum((r - sum(received) / 5) ** 2 for r in received) / 5
        kept = sum(head[i][i] for i in range(5)) / 5
        rows = sum(entropy(row) for row in head) / 5 / math.log(5)
        expected.append(0.3 * variance + 0.5 * (1 - kept) + 0.7 * rows)
    loss = regularizers().token_cebr(attention, 0.3, 0.5, 0.7)
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)
    loss.backward()
    assert torch.isfinite(attention.grad).all() and float(attention.grad.abs().sum()) > 0


def test_token_cebr_ignores_padding() -> None:
    inner = attention_map(length=4)
    padded = torch.zeros(2, 3, 6, 6, dtype=torch.float64)
    padded[:, :, :4, :4] = inner
    padded[:, :, 4:, 0] = 1.0
    mask = torch.tensor([[False] * 4 + [True] * 2] * 2)
    token_cebr = regularizers().token_cebr
    assert float(token_cebr(padded, 1, 1, 1, mask)) == pytest.approx(float(token_cebr(inner, 1, 1, 1)))
    assert float(token_cebr(padded, 1, 1, 1, torch.ones(2, 6).bool())) == 0.0


@pytest.mark.parametrize(
    ("weights", "attention", "expected"),
    [
        ((1, 0, 0), torch.full((1, 1, 4, 4), 0.25), 0.0),
        ((0, 1, 0), torch.eye(4)[None, None], 0.0),
        ((0, 0, 1), torch.eye(4)[None, None], 0.0),
        ((0, 0, 1), torch.full((1, 1, 4, 4), 0.25), 1.0),
        ((1, 1, 1), torch.ones(1, 1, 1, 1), 0.0),
    ],
    ids=["even", "diagonal", "sharp", "diffuse", "one token"],
)
def test_token_cebr_at_its_ends(weights: tuple[float, ...], attention: Tensor, expected: float) -> None:
    attention.requires_grad_()
    loss = regularizers().token_cebr(attention, *weights)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-6)
    assert torch.isfinite(attention.grad).all()


def test_attention_has_to_be_square(node: Nodes) -> None:
    with pytest.raises(ValueError, match="self-attention"):
        regularizers().token_cebr(torch.rand(1, 1, 2, 3), 1, 1, 1)
    head = importlib.import_module("champion.regularisers.cebr_head").HeadCEBR(node("model.cebr_head"))
    with pytest.raises(ValueError, match="self-attention"):
        head(torch.rand(1, 1, 2, 3))


def test_gauge_against_numpy() -> None:
    psi = [torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    expected = 0.0
    for tensor in psi:
        values = tensor.detach().numpy()
        covariance = np.stack([np.cov(sample.T, bias=True) for sample in values])
        expected += ((covariance - np.eye(3)) ** 2).mean() + (values.mean(1) ** 2).mean()
    loss = regularizers().gauge_loss(psi, 0.03)
    assert loss.item() == pytest.approx(0.03 * expected / 2)
    loss.backward()
    assert all(float(tensor.grad.abs().sum()) > 0 for tensor in psi)
    assert float(regularizers().gauge_loss([], 0.03)) == 0.0


def test_confidence_penalty() -> None:
    logits = torch.stack([torch.zeros(8), torch.tensor([1e4] + [0.0] * 7)])
    penalty = regularizers().confidence_penalty
    assert float(penalty(logits)) == pytest.approx(0.5)
    assert float(penalty(logits, torch.tensor([False, True]))) == pytest.approx(1.0)
    assert float(penalty(logits, torch.tensor([False, False]))) == 0.0


def reference_head_cebr(attention: Tensor, cfg: DictConfig) -> float:
    """One head after the other, in plain numbers."""
    values = []
    length = attention.size(-1)
    for head in attention.flatten(0, 1).tolist():
        spread = sum(entropy(row) for row in head) / length / math.log(length)
        scale = "micro" if spread < cfg.tau_eps else "meso" if spread < cfg.tau_global else "macro"
        pi = [1 / length] * length
        for _ in range(cfg.power_iters):
            pi = [sum(pi[i] * head[i][j] for i in range(length)) for j in range(length)]
        edges = sorted(((head[i][j], i, j) for i in range(length) for j in range(length) if i != j), reverse=True)
        gaps = [
            sum(abs(a - b) for a, b in zip(head[i], head[j], strict=True)) / 2
            for weight, i, j in edges[: cfg.topk_orc]
            if weight >= cfg.p_min
        ]
        value = cfg[f"ve_alpha_{scale}"] * (1 - entropy(pi) / math.log(length))
        values.append(value + cfg[f"orc_beta_{scale}"] * (sum(gaps) / len(gaps) if gaps else 0))
    return sum(values) / len(values)


@pytest.mark.parametrize("learnable", [False, True])
@pytest.mark.parametrize("sharpness", [0.5, 3.0, 30.0])
def test_head_cebr_against_loops(node: Nodes, learnable: bool, sharpness: float) -> None:
    cfg = node("model.cebr_head")
    cfg.learnable, cfg.topk_orc = learnable, 7
    module = importlib.import_module("champion.regularisers.cebr_head").HeadCEBR(cfg)
    attention = torch.softmax(sharpness * torch.randn(2, 3, 6, 6), -1).requires_grad_()
    loss = module(attention)
    assert loss.item() == pytest.approx(reference_head_cebr(attention.detach(), cfg), rel=1e-4)
    loss.backward()
    assert torch.isfinite(attention.grad).all() and float(attention.grad.abs().sum()) > 0
    assert [name for name, _ in module.named_parameters()] == (["alpha_raw", "beta_raw"] if learnable else [])
    if learnable:
        assert float(module.alpha_raw.grad.abs().sum()) > 0


def test_head_cebr_weights_stay_in_their_limits(node: Nodes) -> None:
    cfg = node("model.cebr_head")
    cfg.learnable, cfg.alpha_max, cfg.ve_alpha_micro = True, 0.02, 5.0
    module = importlib.import_module("champion.regularisers.cebr_head").HeadCEBR(cfg)
    assert module.weights("alpha").max().item() <= 0.02
    torch.nn.init.constant_(module.alpha_raw, -1e3)
    assert module.weights("alpha").min().item() >= cfg.alpha_min - 1e-9
    cfg.tau_eps = 0.9
    with pytest.raises(ValueError, match="tau_eps"):
        importlib.import_module("champion.regularisers.cebr_head").HeadCEBR(cfg)


def test_head_cebr_ignores_padding(node: Nodes) -> None:
    module = importlib.import_module("champion.regularisers.cebr_head").HeadCEBR(node("model.cebr_head"))
    inner = attention_map(length=4, dtype=torch.float32)
    padded = torch.zeros(2, 3, 6, 6)
    padded[:, :, :4, :4] = inner
    padded[:, :, 4:, 1] = 1.0
    mask = torch.tensor([[False] * 4 + [True] * 2] * 2)
    assert float(module(padded, mask)) == pytest.approx(float(module(inner)), rel=1e-5)
    assert float(module(padded, torch.ones(2, 6).bool())) == 0.0
    assert float(module(torch.ones(1, 1, 1, 1))) == 0.0


def test_class_histogram_and_weights() -> None:
    module = importlib.import_module("champion.regularisers.histogram")
    targets = torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1, 2, 99]])
    histogram = module.class_histogram(targets, 4)
    assert histogram.tolist() == pytest.approx([6 / 9, 2 / 9, 1 / 9, 0])
    assert module.class_histogram(targets, 4, 1.0).tolist() == pytest.approx([7 / 13, 3 / 13, 2 / 13, 1 / 13])
    assert module.class_histogram(targets[:, :0], 4).tolist() == [0.25] * 4
    weights = module.inverse_frequency_weights(histogram, 0.6, 2.2)
    assert weights.tolist() == pytest.approx([0.6, 1.5, 2.2, 2.2])


def test_histogram_kl_against_numpy() -> None:
    module = importlib.import_module("champion.regularisers.histogram")
    logits = torch.randn(2, 3, 24, dtype=torch.float64, requires_grad=True)
    prior = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [False, True, True]])
    z = np.exp(logits.detach().numpy()[..., :4])[mask.numpy()]
    mean = (z / z.sum(-1, keepdims=True)).mean(0)
    floor = (prior.numpy() + 1e-8) / (1 + 4e-8)
    loss = module.histogram_kl(logits, prior, mask)
    assert loss.item() == pytest.approx(float((mean * (np.log(mean + 1e-8) - np.log(floor))).sum()))
    loss.backward()
    assert float(logits.grad[mask].abs().sum()) > 0 and float(logits.grad[~mask].abs().sum()) == 0
    assert module.histogram_kl(logits, prior, torch.zeros_like(mask)).item() == 0.0


@pytest.mark.parametrize(
    ("text", "factors", "frozen_from"),
    [
        ("warmup-2|anneal-5|freeze", [1 / 3, 2 / 3, 1.0, 0.82, 0.64, 0.46, 0.28, 0.1, 0.1], 7),
        ("warmup-1", [0.5, 1.0, 1.0], None),
        ("freeze", [1.0, 1.0], 0),
    ],
)
def test_phase_schedule(text: str, factors: list[float], frozen_from: int | None) -> None:
    schedule = importlib.import_module("champion.regularisers.frm").PhaseSchedule.parse(text)
    assert [schedule.factor(epoch) for epoch in range(len(factors))] == pytest.approx(factors)
    frozen = [schedule.frozen(epoch) for epoch in range(9)]
    assert frozen == [frozen_from is not None and epoch >= frozen_from for epoch in range(9)]


@pytest.mark.parametrize("text", ["warmup", "cool-3", "freeze-1", ""])
def test_phase_schedule_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        importlib.import_module("champion.regularisers.frm").PhaseSchedule.parse(text)


def functional_risk(node: Nodes, **changes: object) -> torch.nn.Module:
    cfg = OmegaConf.merge(node("model.frm"), changes)
    return importlib.import_module("champion.regularisers.frm").FunctionalRisk(cfg, 8)


@pytest.mark.parametrize("tokens", [5, 30], ids=["fewer tokens than channels", "more"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_spectral_risk_against_numpy(node: Nodes, tokens: int, dtype: torch.dtype) -> None:
    module = functional_risk(node, spectral_topk=3, learnable_lambda=False, use_autocast=False).to(dtype)
    module.on_epoch(2)
    hidden = torch.randn(1, tokens, 8, dtype=dtype, requires_grad=True)
    rows = hidden.detach().numpy()[0].astype(np.float64)
    top = np.sort(np.linalg.svd(rows, compute_uv=False) ** 2 / tokens)[-3:]
    loss = module(hidden, torch.nn.Identity(), 20)
    assert loss.item() == pytest.approx(1e-3 * float(np.log1p(top / 0.01).mean()) / 2, rel=1e-4)
    loss.backward()
    assert float(hidden.grad.abs().sum()) > 0
    assert float(module(hidden, torch.nn.Identity(), 21)) == 0.0


def test_variance_risk(node: Nodes) -> None:
    module = functional_risk(node, mode="variance", var_sample_count=2, learnable_lambda=False)
    module.on_epoch(2)
    head = torch.nn.Linear(8, 5)
    hidden = torch.randn(2, 3, 8, requires_grad=True)
    torch.nn.init.constant_(module.log_std, math.log(0.2))
    torch.manual_seed(4)
    loss = module(hidden, head, 1)
    torch.manual_seed(4)
    flat = hidden.detach().reshape(6, 8)
    p = torch.softmax(head(flat), -1)
    moved = [torch.log_softmax(head(flat + 0.2 * torch.randn(6, 8)), -1) for _ in range(2)]
    moving = sum((p * (p.log() - q)).sum(-1).mean().item() for q in moved) / 2
    kl = 0.5 * (4 - 1 - math.log(4))
    assert loss.item() == pytest.approx(1e-3 * (moving + kl), rel=1e-4)
    loss.backward()
    for tensor in (hidden, head.weight, module.log_std):
        assert float(tensor.grad.abs().sum()) > 0


def test_learned_lambda_settles_and_freezes(node: Nodes) -> None:
    module = functional_risk(node, spectral_every_k=1)
    module.on_epoch(2)
    hidden = torch.randn(20, 8)
    risk = float(module.spectral(hidden))
    with torch.no_grad():
        module.log_lambda.fill_(math.log(1e-3 / risk))
    module(hidden, torch.nn.Identity(), 0).backward()
    assert float(module.log_lambda.grad) == pytest.approx(0.0, abs=1e-8)
    module.on_epoch(7)
    assert not module.log_lambda.requires_grad


def test_subsample_is_spread_over_all_tokens() -> None:
    evenly_spaced = importlib.import_module("champion.regularisers.frm").evenly_spaced
    assert evenly_spaced(torch.arange(10).unsqueeze(1), 4).flatten().tolist() == [0, 2, 5, 7]
    assert evenly_spaced(torch.zeros(3, 1), 4).shape == (3, 1)
