"""Pondering, the looped encoder and the equilibrium encoder."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

PONDER = "champion.model.looped.ponder"
LOOPED = "champion.model.looped.looped_transformer"
DEQ = "champion.model.implicit.deq_encoder"


def test_halting_distribution() -> None:
    module = importlib.import_module(PONDER)
    lambdas = torch.rand(3, 4).double()
    for row, got in zip(lambdas.tolist(), module.halting_distribution(lambdas).tolist(), strict=True):
        expected, rest = [], 1.0
        for value in row[:-1]:
            expected.append(value * rest)
            rest *= 1 - value
        assert got == pytest.approx([*expected, rest])


def test_prior_kl_and_expected_steps() -> None:
    module = importlib.import_module(PONDER)
    prior = module.geometric_prior(0.7, 3, torch.zeros(1).double()).tolist()
    raw = [0.7, 0.21, 0.063]
    assert prior == pytest.approx([v / sum(raw) for v in raw])
    p = [0.5, 0.0, 0.5]
    kl = sum(a * math.log(a / b) for a, b in zip(p, prior, strict=True) if a)
    row = torch.tensor([p]).double().requires_grad_()
    assert module.halting_kl(row, 0.7).item() == pytest.approx(kl)
    module.halting_kl(row, 0.7).sum().backward()
    assert torch.isfinite(row.grad).all()
    assert module.expected_steps(row).item() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("p", "eps", "step"), [([0.5, 0.46, 0.04], 0.05, 1), ([0.9, 0.05, 0.05], 0.2, 0), ([0.3, 0.3, 0.4], 0.0, 2)]
)
def test_stop_step(p: list[float], eps: float, step: int) -> None:
    assert importlib.import_module(PONDER).stop_step(torch.tensor([p]), eps).tolist() == [step]


@pytest.mark.parametrize(
    ("overrides", "task"),
    [
        ({"loss.aggregation": "per_sample"}, (0.5 * 1 + 0.5 * 3 + 1.0 * 2) / 2),
        ({}, 0.75 * 1.5 + 0.25 * 3.5),
        ({"loss.use_expected_task": False}, 3.5),
    ],
)
def test_ponder_loss(node: Any, overrides: Any, task: float) -> None:
    module = importlib.import_module(PONDER)
    cfg = node("model.looped.ponder", {"loss.use_ponder_cost": True, "tau_ponder": 0.1, **overrides})
    p = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).double()
    terms = module.ponder_loss(p, [torch.tensor([1.0, 2.0]).double(), torch.tensor([3.0, 4.0]).double()], cfg)
    prior = [0.7 / 0.91, 0.21 / 0.91]
    kl = [0.5 * math.log(0.5 / prior[0]) + 0.5 * math.log(0.5 / prior[1]), math.log(1 / prior[0])]
    regulariser = 0.05 * sum(kl) / 2 + 0.1 * 1.25
    assert terms.task.item() == pytest.approx(task)
    assert terms.regulariser.item() == pytest.approx(regulariser)
    assert terms.total.item() == pytest.approx(task + regulariser)
    assert terms.steps.item() == pytest.approx(1.25)


@pytest.mark.parametrize(("quantile", "alive"), [(0.9, [True, True, False]), (0.5, [True, False, False])])
def test_rare_steps_get_no_gradient(node: Any, quantile: float, alive: list[bool]) -> None:
    module = importlib.import_module(PONDER)
    cfg = node("model.looped.ponder", {"loss.adaptive_tbptt": True, "loss.tbptt_quantile": quantile})
    losses = [torch.ones(1).requires_grad_() for _ in range(3)]
    module.ponder_loss(torch.tensor([[0.6, 0.35, 0.05]]), losses, cfg).total.backward()
    assert [loss.grad is not None and float(loss.grad) > 0 for loss in losses] == alive


@pytest.mark.parametrize("feature", ["mean", "max", "first"])
def test_halting_head_ignores_padding(feature: str) -> None:
    head = importlib.import_module(PONDER).HaltingHead(3, feature).double()
    with torch.no_grad():
        head.linear.weight.normal_()
    h = torch.randn(2, 4, 3).double()
    pad = torch.tensor([[False, False, True, True], [True] * 4])
    open_part = h[0, :2]
    pooled = {"mean": open_part.mean(0), "max": open_part.amax(0), "first": h[0, 0]}[feature]
    got = head(h, pad).detach()
    assert float(got[0]) == pytest.approx(torch.sigmoid(head.linear(pooled)).item())
    assert torch.isfinite(got).all()


class Linear(nn.Module):
    """The smallest block: h -> W h."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.5 * torch.randn(4, 4))
        self.dropout = nn.Dropout(0.5)
        self.drops = False

    def forward(self, x: torch.Tensor, src_key_padding_mask: torch.Tensor | None = None) -> torch.Tensor:
        y = x @ self.weight
        return self.dropout(y) if self.drops else y


@pytest.mark.parametrize("mode", ["pre", "post", None])
@pytest.mark.parametrize(("b", "window", "cap"), [(4, 2, None), (4, 9, None), (3, 1, None), (5, 2, 3)])
def test_loops(node: Any, mode: str | None, b: int, window: int, cap: int | None) -> None:
    module = importlib.import_module(LOOPED)
    cfg = node("model.looped", {"b": b, "T": window, "b_cap": cap, "input_injection": mode is not None})
    cfg.injection_mode = mode or "pre"
    block = Linear()
    out = module.LoopedTransformer(block, 4, cfg)(x := torch.randn(2, 3, 4))
    loops = min(b, cap or b)
    h, states = (torch.zeros_like(x) if mode == "pre" else x), []
    for _ in range(loops):
        h = {"pre": (h + x) @ block.weight, "post": h @ block.weight + x, None: h @ block.weight}[mode]
        states.append(h)
    torch.testing.assert_close(out.memory, states[-1])
    assert out.loops == loops and len(out.history) == min(window, loops)
    assert out.halting is None
    # the loops in front of the window are constants
    first = states[-len(out.history) - 1].detach() if len(out.history) < loops else None
    got = torch.autograd.grad(out.memory.sum(), block.weight)[0]
    h = first if first is not None else (torch.zeros_like(x) if mode == "pre" else x)
    for _ in range(len(out.history)):
        h = {"pre": (h + x) @ block.weight, "post": h @ block.weight + x, None: h @ block.weight}[mode]
    torch.testing.assert_close(got, torch.autograd.grad(h.sum(), block.weight)[0])


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_changes_nothing(node: Any, reentrant: bool) -> None:
    module = importlib.import_module(LOOPED)
    block, x, grads = Linear(), torch.randn(1, 2, 4).requires_grad_(), []
    for on in (False, True):
        cfg = node("model.looped", {"checkpointing.enabled": on, "checkpointing.use_reentrant": reentrant, "T": 9})
        memory = module.LoopedTransformer(block, 4, cfg)(x).memory
        grads.append(torch.autograd.grad(memory.square().sum(), block.weight) if not (on and reentrant) else None)
        if grads[-1] is None:  # reentrant checkpoints work with backward() only
            memory.square().sum().backward()
            grads[-1] = (block.weight.grad,)
    torch.testing.assert_close(grads[0], grads[1])


def test_pondering_loops(node: Any) -> None:
    module = importlib.import_module(LOOPED)
    cfg = node("model.looped", {"ponder.enabled": True, "ponder.tmax_loop": 3, "ponder.halting_feature": "max"})
    looped = module.LoopedTransformer(Linear(), 4, cfg)
    x = torch.randn(2, 3, 4)
    out = looped(x)
    p = out.halting
    torch.testing.assert_close(p, torch.tensor([[0.5, 0.25, 0.25]] * 2))
    expected = sum(p[:, t, None, None] * out.history[t] for t in range(3))
    torch.testing.assert_close(out.memory, expected)
    out.memory.sum().backward()
    assert looped.halt.linear.weight.grad.abs().max() > 0
    with torch.no_grad():
        looped.halt.linear.bias.fill_(9.0)
    out = looped.eval()(x)
    torch.testing.assert_close(out.memory, out.history[0])


def test_dropout_in_eval_and_diagnostics(node: Any) -> None:
    module = importlib.import_module(LOOPED)
    x = torch.randn(1, 3, 4)
    for disabled in (True, False):
        cfg = node("model.looped", {"eval_disable_dropout": disabled, "diagnostics.log_deltas": True})
        block = Linear()
        block.drops = True
        looped = module.LoopedTransformer(block, 4, cfg).eval()
        assert torch.equal(looped(x).memory, looped(x).memory) is disabled
        assert len(looped.last_deltas) == 4
        assert looped.iteration_losses([x], x, nn.functional.mse_loss) == []
    looped.cfg.diagnostics.log_per_iter_loss = True
    assert looped.iteration_losses([x, x + 1], x, nn.functional.mse_loss) == pytest.approx([0.0, 1.0], abs=1e-6)
    looped.set_loops(0)
    assert looped(x).loops == 1


def test_loops_around_a_torch_encoder(node: Any) -> None:
    module = importlib.import_module(LOOPED)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    looped = module.LoopedTransformer(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), 8, node("model.looped"))
    pad = torch.tensor([[False, False, True]])
    assert looped(torch.randn(1, 3, 8), src_key_padding_mask=pad).memory.shape == (1, 3, 8)


@pytest.mark.parametrize("solver", ["broyden", "picard"])
@pytest.mark.parametrize("line_search", [False, True])
@pytest.mark.parametrize("norm", ["max", "l2", "relative"])
def test_fixed_point_of_a_linear_map(solver: str, line_search: bool, norm: str) -> None:
    module = importlib.import_module(DEQ)
    a = 0.4 * torch.eye(5).double() + 0.05 * torch.randn(5, 5).double()
    b = torch.randn(2, 5).double()
    found = module.solve_fixed_point(
        lambda z: z @ a.T + b,
        torch.zeros(2, 5).double(),
        solver=solver,
        tol=1e-9,
        max_iter=60,
        line_search=line_search,
        norm=norm,
    )
    assert found.converged
    torch.testing.assert_close(found.value, torch.linalg.solve(torch.eye(5).double() - a, b.T).T)


def test_broyden_beats_plain_iteration() -> None:
    module = importlib.import_module(DEQ)
    steps = {}
    for solver in ("broyden", "picard"):
        found = module.solve_fixed_point(
            lambda z: 0.95 * z.roll(1, -1) + 1, torch.zeros(1, 4).double(), solver=solver, tol=1e-8, max_iter=400
        )
        steps[solver] = found.iterations
    assert steps["broyden"] < steps["picard"] / 10


def deq(cfg: Any, dropout: float = 0.0) -> Any:
    encoder = importlib.import_module(DEQ).DEQEncoder(8, 2, 16, cfg, dropout).double()
    with torch.no_grad():  # a clear contraction
        for p in encoder.cell.parameters():
            p.mul_(0.5)
    return encoder


TIGHT = {"max_iter_fwd": 80, "forward_tol": 1e-11, "max_iter_bwd": 80, "backward_tol": 1e-12}


@pytest.mark.parametrize(("init", "size"), [("learned", 1.0), ("zeros", 1e-9), ("input", 1e6)])
def test_implicit_gradient_is_that_of_the_unrolled_loop(node: Any, init: str, size: float) -> None:
    encoder = deq(node("model.deq", {**TIGHT, "init": init}))
    x = torch.randn(2, 3, 8).double()
    pad = torch.tensor([[False, False, True], [False] * 3])
    z = x
    for _ in range(50):
        z = encoder.cell(z, x, pad)
    weights = list(encoder.cell.parameters())
    expected = torch.autograd.grad(z.square().sum(), weights)
    out = encoder(x, src_key_padding_mask=pad)
    torch.testing.assert_close(out, z, atol=1e-8, rtol=1e-6)
    for got, want in zip(torch.autograd.grad(size * out.square().sum(), weights), expected, strict=True):
        torch.testing.assert_close(got / size, want, atol=1e-6, rtol=1e-5)
    assert encoder.last_stats["fwd_converged"] == encoder.last_stats["bwd_converged"] == 1.0


def test_unrolled_fallback_and_warm_start(node: Any) -> None:
    x = torch.randn(1, 3, 8).double()
    short = {"max_iter_fwd": 1, "forward_tol": 0.0}
    encoder = deq(node("model.deq", {**short, "fallback_unroll_depth": 2, "init": "zeros", "solver": "picard"}))
    z = encoder.cell(torch.zeros_like(x), x)
    z = encoder.cell(encoder.cell(z.detach(), x), x)
    out = encoder(x)
    torch.testing.assert_close(out, z)
    weights = list(encoder.cell.parameters())
    for got, want in zip(
        torch.autograd.grad(out.square().sum(), weights), torch.autograd.grad(z.square().sum(), weights), strict=True
    ):
        torch.testing.assert_close(got, want)
    assert "bwd_iterations" not in encoder.last_stats
    warm = deq(node("model.deq", {**TIGHT, "warm_start_across_batches": True}))
    warm(x)
    first = warm.last_stats["fwd_iterations"]
    warm(x)
    assert warm.last_stats["fwd_iterations"] == 0 < first
    assert warm.start.abs().max() > 0


def test_residual_without_padding(node: Any) -> None:
    """A sample of padding only cannot hold the solver up."""
    x, pad = torch.randn(1, 3, 8).double(), torch.ones(1, 3, dtype=torch.bool)
    stats = {}
    for aware in (True, False):
        encoder = deq(node("model.deq", {"mask_aware_residual": aware}))
        with torch.no_grad():
            encoder(torch.cat([x, x]), src_key_padding_mask=torch.cat([pad, pad & False]))
            encoder(x, src_key_padding_mask=pad)
        stats[aware] = encoder.last_stats["fwd_iterations"]
    assert stats[True] == 0 < stats[False]


def test_solver_runs_without_gradient_sync(node: Any) -> None:
    entered: list[bool] = []

    class Wrapper:
        @contextlib.contextmanager
        def no_sync(self) -> Iterator[None]:
            entered.append(True)
            yield

    x = torch.randn(1, 3, 8).double()
    for on in (True, False):
        encoder = deq(node("model.deq", {"ddp_no_sync": on}))
        encoder.ddp_wrapper = Wrapper()
        encoder(x).sum().backward()
    assert entered == [True, True]  # once for the solution, once for its gradient
