"""LoRA, adaptive activations, anti-copy gating and adaptation at test time."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

LORA, NORA, PHI, WRAPPER = (f"champion.model.peft.{m}" for m in ("lora_linear", "nora", "ponder_phi", "peft_wrapper"))
ANTICOPY, SAR = "champion.anticopy.manager", "champion.tta.adapter"


def test_lora_linear() -> None:
    module = importlib.import_module(LORA)
    base = nn.Linear(5, 3).double()
    layer = module.LoRALinear(base, rank=2, alpha=6.0).double()
    x = torch.randn(4, 5).double()
    torch.testing.assert_close(layer(x), base(x))
    nn.init.normal_(layer.lora_b)
    expected = base(x) + 3.0 * torch.stack([layer.lora_b @ (layer.lora_a @ row) for row in x])
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.merged()(x), expected)
    layer(x).sum().backward()
    assert base.weight.grad is None and layer.lora_a.grad is not None
    with pytest.raises(ValueError, match="rank"):
        module.LoRALinear(base, rank=0)


def test_lora_on_packed_attention() -> None:
    module = importlib.import_module(LORA)
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    plain = attention.in_proj_weight.detach().clone()
    adapter = module.adapt_attention(attention, 2, 4.0)
    nn.init.normal_(adapter.lora_b)
    change = attention.in_proj_weight - plain
    expected = [2.0 * b @ a for a, b in zip(adapter.lora_a, adapter.lora_b, strict=True)]
    torch.testing.assert_close(change, torch.cat([expected[0], torch.zeros(4, 4), expected[1]]))
    x = torch.randn(1, 3, 4)
    attention(x, x, x)[0].sum().backward()
    assert adapter.lora_a.grad.abs().max() > 0


def small_model() -> nn.Module:
    model = nn.Module()
    model.encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, batch_first=True), 2, enable_nested_tensor=False
    )
    model.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 32, dropout=0.0, batch_first=True), 1)
    return model


def run(model: Any, x: torch.Tensor) -> torch.Tensor:
    return model.decoder(x, model.encoder(x))


@pytest.mark.parametrize(("overrides", "rank"), [({}, 8), ({"rank": 3}, 3), ({"in_features": 2}, 2), ({"out_features": 1}, 1)])
def test_wrapping_saving_and_merging(node: Any, overrides: Any, rank: int) -> None:
    module = importlib.import_module(WRAPPER)
    model, other, x = small_model(), small_model(), torch.randn(1, 3, 8)
    other.load_state_dict(model.state_dict())
    before = run(model, x)
    assert module.wrap_with_lora(model, node("model.lora", overrides)) == []
    cfg = node("model.lora", {"use_lora": True, **overrides})
    assert len(module.wrap_with_lora(model, cfg)) == 6
    torch.testing.assert_close(run(model, x), before)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {min(p.shape) for p in trained} == {rank}
    for p in trained:
        nn.init.normal_(p, std=0.1)
    path = Path("adapters") / "task.pt"
    assert module.save_adapters(model, path) == sum(p.numel() for p in trained)
    module.wrap_with_lora(other, cfg)
    module.load_adapters(other, path)
    torch.testing.assert_close(run(other, x), run(model, x))
    after = run(model, x)
    assert module.merge_adapters(other) == 6
    torch.testing.assert_close(run(other, x), after)
    with pytest.raises(KeyError):
        module.load_adapters(other, path)
    with pytest.raises(ValueError, match="ends in"):
        module.wrap_with_lora(nn.Sequential(nn.Linear(2, 2)), cfg)


@pytest.mark.parametrize(("name", "error"), [("gelu", 0.02), ("silu", 0.02), ("tanh", 0.05), ("relu", 0.08)])
def test_rational_fit(node: Any, name: str, error: float) -> None:
    module = importlib.import_module(NORA)
    p, q = module.fit_rational(name, 5, 4)
    x = torch.linspace(-4, 4, 101).double()
    bottom = 1 + sum(q[j] * x ** (j + 1) for j in range(4))
    fitted = sum(p[j] * x**j for j in range(6)) / bottom
    assert float((fitted - module.activation(name)(x)).abs().max()) < error
    assert float(bottom.min()) >= 1.0


@pytest.mark.parametrize("stable", [True, False])
def test_rational_function(node: Any, stable: bool) -> None:
    module = importlib.import_module(NORA)
    a, b = torch.randn(2, 6).double(), torch.randn(2, 4).double()
    form = module.RationalActivation(node("model.nora", {"stable_form": stable}), a, b)
    x = torch.randn(3, 2, 5).double()
    got = form(x)
    for n, g, c in [(0, 0, 0), (1, 1, 4), (2, 0, 3), (2, 1, 1)]:
        value = float(x[n, g, c])
        top = sum(float(a[g, j]) * value**j for j in range(6))
        s = sum(float(b[g, j]) * value ** (j + 1) for j in range(4))
        bottom = 1 + math.hypot(s, 1e-3) - 1e-3 if stable else math.copysign(max(abs(1 + s), 1e-3), 1 + s)
        assert float(got[n, g, c]) == pytest.approx(top / bottom)
    assert torch.isfinite(form(torch.tensor([-1e30, 0.0, 1e30]).double().expand(2, 3))).all()


def test_nora_starts_at_the_base_and_moves_with_low_rank(node: Any) -> None:
    module = importlib.import_module(NORA)
    phi = module.NoRAActivation(64, node("model.nora")).double()
    x = torch.randn(3, 64).double().requires_grad_()
    torch.testing.assert_close(phi(x), nn.functional.gelu(x))
    nn.init.normal_(phi.u_a, std=0.1)
    nn.init.normal_(phi.u_b, std=0.1)
    grouped = x.view(3, 32, 2)
    moved = phi.rational(grouped, phi.u_a @ phi.v_a, phi.u_b @ phi.v_b) - phi.rational(grouped)
    torch.testing.assert_close(phi(x), nn.functional.gelu(x) + moved.reshape(3, 64))
    assert torch.linalg.matrix_rank(phi.u_a @ phi.v_a) == 2
    phi(x).sum().backward()
    assert all(p.grad.abs().max() > 0 for p in phi.parameters())
    assert phi.last_stats["change"] > 0
    for bad in ({"groups": 7}, {"init": "zeros"}, {"base_activation": "step"}):
        with pytest.raises(ValueError, match=r"groups|init|activation"):
            module.NoRAActivation(64, node("model.nora", bad))


@pytest.mark.parametrize("ponder", [True, False])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("plus", [True, False])
def test_installed_activations(node: Any, ponder: bool, share: bool, plus: bool) -> None:
    module = importlib.import_module(NORA)
    overrides = {"ponder_phi.enabled": ponder, "share_across_layers": share, "nora_plus_lora": plus, "per_layer_lr": 0.5}
    cfg = node("model.nora", {**overrides, "weight_decay": 0.1, "base_activation": "relu"})
    model, x = small_model(), torch.randn(1, 3, 8)
    before = run(model, x)
    installed = module.install_nora(model, cfg)
    assert len(installed) == (1 if share else 3)
    torch.testing.assert_close(run(model, x), before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(run(model.eval(), x), before, atol=1e-5, rtol=1e-5)
    groups = module.nora_parameter_groups(model, cfg, lr=0.1)
    assert [g["lr"] for g in groups] == [0.5] * len(installed) + [0.1] * plus
    assert {g["weight_decay"] for g in groups} == {0.1}
    ids = [id(p) for g in groups for p in g["params"]]
    assert len(ids) == len(set(ids))
    run(model.train(), x).square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for g in groups for p in g["params"])


@pytest.mark.parametrize("places", [["encoder"], ["decoder"]])
def test_activations_where_asked(node: Any, places: list[str]) -> None:
    module = importlib.import_module(NORA)
    installed = module.install_nora(small_model(), node("model.nora", {"apply_to": places, "per_layer_lr": [1, 2]}))
    assert len(installed) == {"encoder": 2, "decoder": 1}[places[0]]


def test_ponder_phi(node: Any) -> None:
    """The expected function over slices, written out."""
    module = importlib.import_module(PHI)
    cfg = node("model.nora", {"groups": 2, "ponder_phi.T_max": 3, "ponder_phi.tau_ponder": 0.2})
    phi = module.PonderPhi(4, cfg).double()
    for slice_ in phi.slices:
        nn.init.normal_(slice_.u)
    x = torch.randn(5, 4).double()
    value, rest, expected = nn.functional.gelu(x), torch.ones(5).double(), torch.zeros(5, 4).double()
    probabilities = []
    for t, slice_ in enumerate(phi.slices):
        step = slice_(x.view(5, 2, 2)).reshape(5, 4)
        far = [slice_(x.view(5, 2, 2) + h).reshape(5, 4) for h in (0.1, -0.1)]
        value = value + step
        raw = [step.abs(), ((far[0] - 2 * step + far[1]) / 0.01).abs(), value.abs(), torch.sigmoid(x.abs() - 3)]
        feats = torch.stack([torch.log1p(r.mean(-1)) for r in raw], -1)
        stop = torch.sigmoid(feats @ phi.halt.weight[0] + phi.bias[t]) if t < 2 else torch.ones(5).double()
        expected = expected + (rest * stop).unsqueeze(-1) * value
        probabilities.append(rest * stop)
        rest = rest * (1 - stop)
    torch.testing.assert_close(phi(x), expected)
    # degrees (2, 1), (3, 2), (4, 3): 4, 6 and 8 coefficients, that is 4, 10 and 18 in all
    p = torch.stack(probabilities, -1).detach()
    prior = torch.tensor([0.6, 0.24, 0.096]).double()
    kl = (p * (p / prior * prior.sum()).log()).sum(-1).mean()
    cost = p @ torch.tensor([1.0, 2.0, 3.0]).double()
    size = p @ torch.tensor([4.0, 10.0, 18.0]).double()
    penalty = 0.05 * kl + 0.2 * cost.mean() + 0.0001 * size.mean()
    torch.testing.assert_close(phi.last_penalty.detach(), penalty)
    with torch.no_grad():
        phi.bias.fill_(30.0)
        first = nn.functional.gelu(x) + phi.slices[0](x.view(5, 2, 2)).reshape(5, 4)
        torch.testing.assert_close(phi.eval()(x), first)
    assert module.collect_penalties(nn.Linear(1, 1)) is None
    assert module.collect_penalties(nn.Sequential(phi)) is not None


class Shift(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2.0 * x + torch.tensor([0.0, 1.0, 0.0])


ACTIVE = {"enabled": True, "routing.warmup_steps": 0}


@pytest.mark.parametrize("mode", ["reparam", "gate"])
def test_copied_part_is_weakened(node: Any, mode: str) -> None:
    manager = importlib.import_module(ANTICOPY).AntiCopyManager(node("model.anticopy", {**ACTIVE, "mode": mode}))
    layer, x = Shift(), torch.randn(2, 4, 3)
    h = layer(x)
    assert manager.attach([layer]) == 1
    got = layer(x)
    for b in range(2):
        for t in range(4):
            along = h[b, t] @ x[b, t]
            if mode == "reparam":
                expected = h[b, t] - 0.05 * along / x[b, t].square().sum() * x[b, t]
            else:
                cosine = max(0.0, float(along / h[b, t].norm() / x[b, t].norm()))
                expected = (1 - 0.05 * cosine) * h[b, t]
            torch.testing.assert_close(got[b, t], expected)
    manager.detach()
    assert torch.equal(layer(x), h)
    assert torch.isfinite(layer(torch.zeros(1, 1, 3))).all()


@pytest.mark.parametrize(
    ("routing", "cap", "strengths"),
    [
        ({}, 0.1, [0.05, 0.05, 0.0]),
        ({"s_cap_global": 9.0}, 0.1, [0.05] * 3),
        ({"s_cap_global": 9.0, "s_default": 0.5}, 0.9, [0.3] * 3),
        ({"s_cap_global": 9.0, "s_default": 0.5}, 0.1, [0.1] * 3),
        ({"s_cap_global": 9.0, "force_strength": 0.7}, 1.0, [0.7] * 3),
        ({"s_cap_global": 9.0, "calibration.bias": -0.2, "s_min": 0.02}, 0.1, [0.02] * 3),
        ({"s_cap_global": 9.0, "calibration.w_risk": 0.1}, 0.9, [0.1] * 3),
        ({"s_cap_global": 9.0, "warmup_steps": 4, "force_strength": 0.4}, 1.0, [0.1] * 3),
    ],
)
def test_strength(node: Any, routing: Any, cap: float, strengths: list[float]) -> None:
    overrides = {**ACTIVE, "cap_per_layer": cap, **{f"routing.{k}": v for k, v in routing.items()}}
    manager = importlib.import_module(ANTICOPY).AntiCopyManager(node("model.anticopy", overrides))
    stack = nn.Sequential(Shift(), Shift(), Shift())
    manager.attach(stack)
    manager.set_risk(0.5)
    stack(torch.randn(2, 4, 3))
    assert [manager.last_metrics[f"strength_{i}"] for i in range(3)] == pytest.approx(strengths)


def test_anticopy_files_and_dry_run(node: Any) -> None:
    module = importlib.import_module(ANTICOPY)
    Path("registry.json").write_text(json.dumps({"0": [0, 3, 0]}), encoding="utf-8")
    Path("weights.json").write_text(json.dumps({"w_overlap": 10.0}), encoding="utf-8")
    files = {"registry_path": "registry.json", "routing.calibration_path": "weights.json"}
    overrides = {**ACTIVE, **files, "cap_per_layer": 1.0, "routing.s_cap_global": 1.0}
    layer, x = Shift(), torch.rand(2, 4, 3)
    h = layer(x)
    manager = module.AntiCopyManager(node("model.anticopy", overrides))
    manager.attach([layer])
    expected = h * torch.tensor([1.0, 0.7, 1.0])  # s_max off the second channel
    torch.testing.assert_close(layer(x), expected)
    manager.detach()
    dry = module.AntiCopyManager(node("model.anticopy", {**overrides, "routing.dry_run": True}))
    dry.attach([layer])
    assert torch.equal(layer(x), h)
    assert dry.last_metrics["strength_0"] == pytest.approx(0.3)
    assert module.AntiCopyManager(node("model.anticopy")).attach([layer]) == 0


class Grid(nn.Module):
    """Cells [B, L, 6] -> logits [B, L, 4]."""

    def __init__(self, sharpness: float = 3.0) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 4)
        with torch.no_grad():
            self.head.weight *= sharpness

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.body(x)))


def test_sharpness_aware_step(node: Any) -> None:
    module = importlib.import_module(SAR)
    model = Grid().double()
    twin = Grid().double()
    twin.load_state_dict(model.state_dict())
    x = torch.randn(6, 3, 6).double()
    threshold = 0.6 * math.log(4)
    cfg = node("model.sar", {"entropy_threshold_factor": 0.6, "recovery_threshold_factor": 0.0})
    adapter = module.SARAdapter(model, cfg)

    def loss() -> tuple[torch.Tensor, int]:
        p = torch.softmax(twin(x), -1)
        entropy = -(p * p.log()).sum(-1).mean(1)
        sure = entropy[entropy < threshold]
        return sure.mean(), len(sure)

    weights = [twin.norm.weight, twin.norm.bias]
    first, selected = loss()
    assert 0 < selected < 6
    grads = torch.autograd.grad(first, weights)
    norm = math.sqrt(sum(float(g.square().sum()) for g in grads))
    start = [w.detach().clone() for w in weights]
    with torch.no_grad():
        for w, g in zip(weights, grads, strict=True):
            w += 0.05 * g / norm
    second, _ = loss()
    grads = torch.autograd.grad(second, weights)
    with torch.no_grad():
        for w, s, g in zip(weights, start, grads, strict=True):
            w.copy_(s - 0.00025 * g)
        expected = twin(x)
        torch.testing.assert_close(adapter(x), expected)
    assert adapter.ema == pytest.approx(float(second.detach()))
    assert adapter.last_metrics == pytest.approx({"selected": selected, "entropy": float(first.detach()), "reset": 0})
    assert all(p.grad is None for p in model.parameters())


def changed(node: Any, overrides: Any, batches: int = 1, gate: Any = None) -> tuple[Any, dict[str, float]]:
    model = Grid(sharpness=8.0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    fast = {"optimizer.lr": 0.05, "recovery_threshold_factor": 0.0}
    adapter = importlib.import_module(SAR).SARAdapter(model, node("model.sar", {**fast, **overrides}), gate)
    torch.manual_seed(1)
    for _ in range(batches):
        adapter(torch.randn(8, 3, 6))
    adapter.close()
    return adapter, {n: float((p.detach() - before[n]).abs().max()) for n, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("overrides", "moved"),
    [
        ({}, {"norm.weight", "norm.bias"}),
        ({"trainable": ["head.bias"]}, {"head.bias"}),
        ({"enabled": False}, set()),
        ({"entropy_threshold_factor": 0.0}, set()),
        ({"recovery_threshold_factor": 5.0}, set()),
        ({"mode": "sar2", "alpha": 1.0}, {"norm.weight", "norm.bias"}),
    ],
)
def test_what_adaptation_moves(node: Any, overrides: Any, moved: set[str]) -> None:
    _, change = changed(node, overrides)
    assert {name for name, size in change.items() if size > 0} == moved


def test_bank_of_classes(node: Any) -> None:
    """Inequity counts once enough classes were seen; the bank then holds a mean prediction for each."""
    adapter, _ = changed(node, {"mode": "sar2", "max_adapt_steps_per_batch": 2}, batches=3)
    seen = adapter.bank[adapter.seen]
    torch.testing.assert_close(seen.sum(-1), torch.ones(len(seen)))
    skewed = adapter._inequity(torch.tensor([[[9.0, 0.0, 0.0, 0.0]]]))
    assert float(skewed) >= 0.0


def test_redundancy() -> None:
    module = importlib.import_module(SAR)
    column = torch.randn(50, 1).double()
    assert float(module.redundancy_loss(column.expand(50, 3))) == pytest.approx(1.0, abs=1e-4)
    q = torch.linalg.qr(torch.cat([torch.ones(50, 1), torch.randn(50, 3)], 1).double())[0][:, 1:]
    assert float(module.redundancy_loss(q)) == pytest.approx(0.0, abs=1e-6)
    assert float(module.redundancy_loss(column[:1])) == 0.0


@pytest.mark.parametrize("sizes", [(1, 1), (3, 5)])
def test_entropy(sizes: tuple[int, int]) -> None:
    module = importlib.import_module(SAR)
    uniform = torch.zeros(2, *sizes, 4)
    for how in ("sequence_mean", "sequence_max"):
        torch.testing.assert_close(module.sample_entropy(uniform, how), torch.full((2,), math.log(4)))
        torch.testing.assert_close(module.sample_entropy(uniform, how, [0, 2]), torch.full((2,), math.log(2)))
    assert torch.isfinite(module.sample_entropy(torch.full_like(uniform, -1e30), "sequence_mean")).all()
