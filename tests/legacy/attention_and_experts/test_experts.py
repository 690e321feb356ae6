"""CUMoE: routing, the shared bank, unified attention and pondering, against loops over tokens."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch
from torch import nn

ROUTER, EXPERTS, ATTENTION, FFN = (f"champion.model.cumoe.{m}" for m in ("router", "experts", "attention", "ffn"))
FEW = {"num_experts": 4, "expert_hidden": 6, "premix.low_rank_q": 3, "capacity_factor_train": 9.0}


@pytest.mark.parametrize("kind", ["attribute", "linear"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_router_probabilities(node: Any, kind: str, temperature: float) -> None:
    cfg = node("model.cumoe", {**FEW, "router.type": kind, "router.temperature": temperature})
    router = importlib.import_module(ROUTER).Router(5, cfg).double()
    x = torch.randn(6, 5).double()
    route = router(x)
    for n, token in enumerate(x):
        if kind == "linear":
            z = router.attributes @ token
        else:
            query = router.query.weight @ token
            z = torch.stack([math.sqrt(5) * torch.cosine_similarity(query, a, dim=0) for a in router.attributes])
        probs = torch.softmax(z / temperature, 0)
        torch.testing.assert_close(route.probs[n], probs)
        best = probs.argsort(descending=True)[:2]
        assert route.index[n].tolist() == best.tolist()
        torch.testing.assert_close(route.weight[n], probs[best] / probs[best].sum())


def test_load_balance(node: Any) -> None:
    module = importlib.import_module(ROUTER)
    probs, index = torch.full((4, 4), 0.25), torch.arange(4).unsqueeze(1)
    assert module.load_balance(probs, index).item() == pytest.approx(1.0)
    one = nn.functional.one_hot(torch.zeros(4, dtype=torch.long), 4).float()
    assert module.load_balance(one, torch.zeros(4, 1, dtype=torch.long)).item() == pytest.approx(4.0)
    keep = torch.tensor([True, True, False, False])
    probs = torch.rand(4, 3)
    expected = 3 * sum(float((index[:2] == e).float().mean()) * float(probs[:2, e].mean()) for e in range(3))
    assert module.load_balance(probs, index.clamp(max=2), keep).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("overrides", "training", "capacity"),
    [({}, True, 2), ({}, False, 4), ({"top_k": 1}, True, 1), ({"capacity_factor_train": 0.0}, True, 1)],
)
def test_capacity(node: Any, overrides: Any, training: bool, capacity: int) -> None:
    cfg = node("model.cumoe", {**FEW, "capacity_factor_train": 1.0, **overrides})
    router = importlib.import_module(ROUTER).Router(5, cfg).train(training)
    assert router.capacity(4) == capacity


@pytest.mark.parametrize("fallback", [True, False])
def test_full_experts_refuse(node: Any, fallback: bool) -> None:
    """Six equal tokens, room for two of them per expert."""
    cfg = node("model.cumoe", {**FEW, "capacity_factor_train": 0.5, "safe_fallback": fallback})
    router = importlib.import_module(ROUTER).Router(5, cfg)
    route = router(torch.randn(1, 5).expand(6, 5))
    used = (route.weight > 0).tolist()
    assert used[:2] == [[True, True]] * 2
    assert used[2:] == [[fallback, False]] * 4


@pytest.mark.parametrize("noise", ["gaussian", "gumbel"])
def test_noise_is_for_training(node: Any, noise: str) -> None:
    router = importlib.import_module(ROUTER).Router(5, node("model.cumoe", {**FEW, "router.noise": noise}))
    x = torch.randn(3, 5)
    assert not torch.equal(router(x).probs, router(x).probs)
    router.eval()
    assert torch.equal(router(x).probs, router(x).probs)


def test_bank(node: Any) -> None:
    bank = importlib.import_module(EXPERTS).ExpertBank(5, node("model.cumoe", FEW)).double()
    x = torch.randn(3, 5).double()
    index, weight = torch.tensor([[0, 1], [3, 0], [2, 1]]), torch.tensor([[0.6, 0.4], [1.0, 0.0], [0.0, 0.0]]).double()
    got = bank(x, index, weight)
    for n in range(3):
        expected = torch.zeros(5).double()
        for e, g in zip(index[n], weight[n], strict=True):
            hidden = nn.functional.gelu(x[n] @ bank.w1[e] + bank.b1[e])
            expected += g * (hidden @ bank.w2[e] + bank.b2[e])
        torch.testing.assert_close(got[n], expected)


def attention_reference(layer: Any, query: torch.Tensor, memory: torch.Tensor, closed: Any) -> torch.Tensor:
    """One sample; every head mixes its own part of the raw tokens, then the expert sees the whole mixture."""
    d, heads = query.shape[-1], layer.num_heads
    width = d // heads
    route = layer.experts.router(query)
    rows = []
    for i, token in enumerate(query):
        y = torch.zeros(d).double()
        for e, g in zip(route.index[i].tolist(), route.weight[i], strict=True):
            q = layer.q(token) + token @ layer.down[e] @ layer.up[e]
            mixture = torch.zeros(d).double()
            for h in range(heads):
                part = slice(h * width, (h + 1) * width)
                keys = [j for j in range(len(memory)) if not closed(i, j)]
                scores = torch.stack([q[part] @ layer.k(memory[j])[part] / math.sqrt(width) for j in keys])
                mixture[part] = torch.softmax(scores, 0) @ memory[keys][:, part]
            y = y + g * layer.experts.bank.expert(e, mixture)
        rows.append(y)
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ["self", "causal", "cross"])
def test_unified_attention(node: Any, kind: str) -> None:
    layer = importlib.import_module(ATTENTION).CUMoEAttention(4, 2, node("model.cumoe", FEW)).double()
    query = torch.randn(5, 4).double()
    memory = torch.randn(3, 4).double() if kind == "cross" else query
    mask = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1) if kind == "causal" else None
    x = query[None]
    m = memory[None] if kind == "cross" else x
    got, weights = layer(x, m, m, attn_mask=mask)
    expected = attention_reference(layer, query, memory, lambda i, j: kind == "causal" and j > i)
    torch.testing.assert_close(got[0], expected)
    assert weights is None


def test_attention_ignores_padding(node: Any) -> None:
    layer = importlib.import_module(ATTENTION).CUMoEAttention(4, 2, node("model.cumoe", FEW)).double()
    x = torch.randn(2, 5, 4).double().requires_grad_()
    pad = torch.tensor([[False] * 3 + [True] * 2, [True] * 5])
    out, _ = layer(x, x, x, pad)
    assert torch.equal(out[0, 3:], torch.zeros(2, 4).double())  # PAD tokens visit no expert
    torch.testing.assert_close(out[0, :3], attention_reference(layer, x[0, :3], x[0, :3], lambda i, j: False))
    out.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_premix_keys(node: Any) -> None:
    """Pooled keys, global tokens and prototypes: as if the memory had been made of them."""
    cfg = {**FEW, "premix.pool_stride": 2, "premix.global_tokens": 2, "premix.use_prototypes": True}
    layer = importlib.import_module(ATTENTION).CUMoEAttention(4, 2, node("model.cumoe", cfg)).double()
    x = torch.randn(5, 4).double()
    pad = torch.tensor([[False] * 4 + [True]])
    pooled = [(x[0] + x[1]) / 2, (x[2] + x[3]) / 2]
    memory = torch.cat([torch.stack(pooled), layer.global_tokens, layer.experts.router.attributes])
    query = torch.randn(2, 4).double()
    got, _ = layer(query[None], x[None], x[None], pad)
    torch.testing.assert_close(got[0], attention_reference(layer, query, memory, lambda i, j: False))
    with pytest.raises(ValueError, match="pool_stride"):
        layer(x[None], x[None], x[None], attn_mask=torch.zeros(5, 5))


@pytest.mark.parametrize("share", [True, False])
def test_one_bank_for_both(node: Any, share: bool) -> None:
    cfg = node("model.cumoe", {**FEW, "share_across_attention_and_ffn": share})
    attention, ffn = importlib.import_module(FFN).build_cumoe(4, 2, cfg)
    assert (attention.experts.bank is ffn.experts.bank) is share


PONDER = {"ponder.enabled": True, "ponder.loss.use_ponder_cost": True, "ponder.tau_ponder": 0.1}


def test_pondering_visits_new_experts(node: Any) -> None:
    module = importlib.import_module(EXPERTS)
    cfg = node("model.cumoe", {**FEW, **PONDER, "top_k": 1, "capacity_factor_eval": 9.0})
    experts = module.RoutedExperts(4, cfg, 3).double()
    x = torch.randn(5, 4).double()
    got = experts(x)
    totals, lambdas = torch.zeros(3, 5, 4).double(), torch.zeros(3, 5).double()
    for n in range(5):
        visited: list[int] = []
        total = torch.zeros(4).double()
        for t in range(3):
            probs = experts.router(x[n : n + 1] + total).probs[0].clone()
            probs[visited] = -1.0
            visited.append(int(probs.argmax()))
            total = total + experts.bank.expert(visited[-1], x[n] + total)
            totals[t, n], lambdas[t, n] = total, torch.sigmoid(experts.halt(x[n] + total))[0]
    p = [lambdas[0], (1 - lambdas[0]) * lambdas[1], (1 - lambdas[0]) * (1 - lambdas[1])]
    torch.testing.assert_close(got, sum(p[t].unsqueeze(-1) * totals[t] for t in range(3)))
    torch.testing.assert_close(experts.last_halting, torch.stack(p, -1))
    assert float(experts.aux_loss.detach()) > 0
    with torch.no_grad():
        experts.halt.bias.fill_(20.0)
        torch.testing.assert_close(experts.eval()(x), totals[0])


@pytest.mark.parametrize("kind", ["none", "film", "lora"])
def test_adapters_start_as_identity_and_learn(node: Any, kind: str) -> None:
    module = importlib.import_module(EXPERTS)
    cfg = node("model.cumoe", {**FEW, **PONDER, "ponder.adapter_kind": kind}).ponder
    adapter, y = module.StepAdapter(4, 2, cfg), torch.randn(3, 4)
    torch.testing.assert_close(adapter(y, 1), y)
    for parameter in adapter.parameters():
        nn.init.normal_(parameter)
    if kind == "film":
        film = adapter.film[1]
        torch.testing.assert_close(adapter(y, 1), (1 + film[:4]) * y + film[4:])
    elif kind == "lora":
        torch.testing.assert_close(adapter(y, 1), y + y @ adapter.a[1] @ adapter.b[1])


@pytest.mark.parametrize("keys", [[], ["task"]])
def test_conditions_steer_the_film(node: Any, keys: list[str]) -> None:
    module = importlib.import_module(EXPERTS)
    overrides = {"adapter_kind": "film", "use_condition_embed": True, "cond_static_keys": keys, "film_use_bias": False}
    adapter = module.StepAdapter(4, 1, node("model.cumoe.ponder", overrides))
    y, seen = torch.randn(3, 4), []
    for condition in ({"task": 1, "size": "a"}, {"task": 1, "size": "b"}, {"task": 2, "size": "a"}):
        adapter.condition = condition
        seen.append(adapter(y, 0))
    same_task = torch.equal(seen[0], seen[1])
    assert same_task is bool(keys)
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_installed_in_torch_layers(node: Any, share: bool, training: bool) -> None:
    ffn, experts = importlib.import_module(FFN), importlib.import_module(EXPERTS)
    cfg = node("model.cumoe", {**FEW, "apply_to": ["both"], "share_across_attention_and_ffn": share})
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).train(training)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 1).train(training)
    assert ffn.install_cumoe(encoder, node("model.cumoe", {"apply_to": ["decoder"]}), "encoder") == 0
    assert ffn.install_cumoe(encoder, cfg, "encoder") == 2
    assert ffn.install_cumoe(decoder, cfg, "decoder") == 1
    x, pad = torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    with torch.set_grad_enabled(training):
        memory = encoder(x, src_key_padding_mask=pad)
        mask = nn.Transformer.generate_square_subsequent_mask(5)
        out = decoder(x, memory, tgt_mask=mask, memory_key_padding_mask=pad.float().masked_fill(pad, -math.inf))
    loss, count = experts.collect_aux_loss(nn.ModuleList([encoder, decoder]))
    assert out.shape == x.shape and torch.isfinite(out).all()
    assert count == 7 and float(loss.detach()) > 0
    if training:
        (out.sum() + loss).backward()
        assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_diagnostics_every_n_calls(node: Any) -> None:
    cfg = node("model.cumoe", {**FEW, "diagnostics.enabled": True, "diagnostics.log_every_n_steps": 2})
    cfg.diagnostics.max_tokens = 3
    router = importlib.import_module(ROUTER).Router(5, cfg)
    router(torch.randn(4, 5))
    first = router.last_diagnostics
    assert int(first["load"].sum()) == 3 * 2
    router(torch.randn(4, 5))
    assert router.last_diagnostics is first
    router(torch.randn(4, 5))
    assert router.last_diagnostics is not first
