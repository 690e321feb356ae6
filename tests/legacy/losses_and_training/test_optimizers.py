"""Optimizers, schedules and learned weights against their papers' equations in plain numbers."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

Nodes = Callable[[str], DictConfig]
START = [1.0, -2.0, 0.5]
CURVATURE = torch.tensor([1.0, 4.0, 0.25], dtype=torch.float64)


def quadratic(p: torch.Tensor) -> torch.Tensor:
    return 0.5 * (CURVATURE.to(p) * p**2).sum()


def parameter(dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(START, dtype=dtype))


def closure_of(optimizer: torch.optim.Optimizer, p: torch.nn.Parameter) -> Callable[[], torch.Tensor]:
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = quadratic(p)
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("with_closure", [False, True])
def test_sam_step(adaptive: bool, with_closure: bool) -> None:
    p = parameter()
    sam = importlib.import_module("champion.optimizers.sam")
    optimizer = sam.SAM([p], torch.optim.SGD, rho=0.1, adaptive=adaptive, lr=0.2)
    w, k = np.array(START), CURVATURE.numpy()
    for _ in range(3):
        g = k * w
        scale = np.abs(w) if adaptive else np.ones(3)
        there = w + 0.1 * scale**2 * g / np.linalg.norm(scale * g)
        w = w - 0.2 * k * there
        closure = closure_of(optimizer, p)
        if with_closure:
            optimizer.step(closure)
        else:
            closure()
            optimizer.first_step(zero_grad=True)
            assert p.grad is None
            closure()
            optimizer.second_step(zero_grad=True)
    assert p.tolist() == pytest.approx(w.tolist())


def test_sam_at_a_minimum_and_without_closure() -> None:
    p = torch.nn.Parameter(torch.zeros(3))
    optimizer = importlib.import_module("champion.optimizers.sam").SAM([p], torch.optim.SGD, lr=0.2)
    optimizer.step(lambda: quadratic(p).backward())
    assert p.tolist() == [0.0] * 3
    with pytest.raises(ValueError, match="closure"):
        optimizer.step()
    with pytest.raises(ValueError, match="rho"):
        importlib.import_module("champion.optimizers.sam").SAM([p], torch.optim.SGD, rho=-1, lr=0.2)


def test_sam_follows_a_scheduler_and_comes_back_from_a_checkpoint() -> None:
    sam = importlib.import_module("champion.optimizers.sam")
    ends = []
    for restart in (False, True):
        p = parameter()
        optimizer = sam.SAM([p], torch.optim.Adam, lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        for step in range(4):
            if restart and step == 2:
                state, old = optimizer.state_dict(), scheduler.state_dict()
                optimizer = sam.SAM([p], torch.optim.Adam, lr=9.0)
                scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
                optimizer.load_state_dict(state)
                scheduler.load_state_dict(old)

            optimizer.step(closure_of(optimizer, p))
            scheduler.step()
        assert optimizer.base_optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 16)
        ends.append(p.detach().clone())
    assert torch.equal(*ends)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("vector", [True, False])
def test_hypergradient_steps(kind: str, vector: bool) -> None:
    options = {"beta": 1e-3, "alpha_min": 1e-6, "alpha_max": 0.05, "alpha_inf": 0.01, "transition_steps": 5}
    p = parameter()
    optimizer = importlib.import_module("champion.optimizers.hypergrad").HyperGradient(
        [p],
        lr=0.02,
        kind=kind,
        vector_alphas=vector,
        betas=(0.9, 0.99),
        eps=1e-8,
        weight_decay=0.1,
        **options,
    )
    w, u, m, v = np.array(START), np.zeros(3), np.zeros(3), np.zeros(3)
    alpha = np.full(3 if vector else 1, 0.02)
    for t in range(8):
        g = CURVATURE.numpy() * w + 0.1 * w
        product = g * u if vector else (g * u).sum()
        alpha = np.clip(alpha + 1e-3 * product, 1e-6, 0.05)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        corrected = m / (1 - 0.9 ** (t + 1)), v / (1 - 0.99 ** (t + 1))
        u = g if kind == "sgd" else corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
        delta = (1 + t / 5) ** -2
        w = w - (delta * alpha + (1 - delta) * 0.01) * u
        optimizer.step(closure_of(optimizer, p))
    assert p.tolist() == pytest.approx(w.tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_hypergradient_from_the_config(node: Nodes, dtype: torch.dtype) -> None:
    module, cfg = importlib.import_module("champion.optimizers.hypergrad"), node("optimizer")
    p, unused = parameter(dtype), parameter(dtype)
    optimizer = module.build_hypergrad([p, unused], cfg)
    before = quadratic(p).item()
    for _ in range(20):
        optimizer.zero_grad()
        quadratic(p).backward()
        optimizer.step()
    assert quadratic(p).item() < before
    assert unused.tolist() == START
    alpha = optimizer.state[p]["alpha"]
    assert alpha.shape == p.shape and float(alpha.max()) <= cfg.alpha_max * 1.001
    assert optimizer.param_groups[0]["betas"] == tuple(cfg.base.betas)


@pytest.mark.parametrize(("changes", "message"), [({"kind": "lion"}, "lion"), ({"alpha_min": 1.0}, "alpha_min")])
def test_hypergradient_refuses(changes: dict[str, object], message: str) -> None:
    module = importlib.import_module("champion.optimizers.hypergrad")
    with pytest.raises(ValueError, match=message):
        module.HyperGradient([parameter()], lr=0.1, **changes)


def weights(node: Nodes, **schedule: object):  # type: ignore[no-untyped-def]
    cfg = OmegaConf.merge(node("regulariser_hypergrad"), {"schedule": schedule})
    return importlib.import_module("champion.optimizers.regulariser_hypergrad").RegulariserHypergrad(cfg)


def test_penalty_weights_follow_the_angle(node: Nodes) -> None:
    learned = weights(node, type="constant", warmup_steps=4)
    assert learned.values == dict(node("regulariser_hypergrad.init"))
    task = [torch.tensor([1.0, 0.0]), torch.tensor([[2.0]])]
    against = [torch.tensor([-1.0, 3.0]), torch.tensor([[0.0]])]
    learned.update(task, {"cebr_alpha": task, "cebr_beta": against, "gauge_alpha": [torch.zeros(2), torch.zeros(1)]})
    assert learned.values["cebr_alpha"] == pytest.approx(0.035 * math.exp(0.001 / 4))
    assert learned.values["cebr_beta"] == pytest.approx(0.07 * math.exp(-0.001 / 4 / math.sqrt(5 * 10)))
    assert learned.values["gauge_alpha"] == 0.03 and learned.values["cebr_gamma"] == 0.03
    copy = weights(node)
    copy.load_state_dict(learned.state_dict())
    assert copy.values == learned.values and copy.steps == 1


def test_penalty_weights_stay_in_their_limits(node: Nodes) -> None:
    learned = weights(node, type="constant", warmup_steps=0)
    learned.rho["cebr_alpha"] = learned.rho["cebr_beta"] = 100.0
    task = [torch.tensor([1.0])]
    learned.update(task, {"cebr_alpha": task, "cebr_beta": [-task[0]], "cebr_gamma": [task[0] * math.nan]})
    assert (learned.values["cebr_alpha"], learned.values["cebr_beta"]) == (10.0, 1e-6)
    assert learned.values["cebr_gamma"] == 0.03


@pytest.mark.parametrize(
    ("kind", "factors"),
    [
        ("cosine", [0.5, 1.0, 1.0, 0.75, 0.25, 0.0, 0.0]),
        ("linear", [0.5, 1.0, 1.0, 2 / 3, 1 / 3, 0.0, 0.0]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_schedule_of_the_penalty_weights(node: Nodes, kind: str, factors: list[float]) -> None:
    learned = weights(node, type=kind, warmup_steps=2, total_steps=5)
    assert [learned.factor(step) for step in range(7)] == pytest.approx(factors)
    with pytest.raises(ValueError, match="schedule"):
        weights(node, type="steps")


def test_gradients_of_a_penalty() -> None:
    gradients = importlib.import_module("champion.optimizers.regulariser_hypergrad").gradients
    used, unused = parameter(), parameter()
    loss = quadratic(used)
    for _ in range(2):
        found = gradients(loss, [used, unused])
        assert torch.equal(found[0], CURVATURE * used) and float(found[1].abs().sum()) == 0.0
    assert float(gradients(torch.tensor(3.0), [used])[0].abs().sum()) == 0.0


def warm_restarts(lr: float, eta_min: float, first: int, mult: int, epoch: int) -> float:
    r"""Loshchilov and Hutter, "SGDR" (2017): eta_min + (lr - eta_min) (1 + cos(pi * T_cur / T_i)) / 2."""
    length = first
    while epoch >= length:
        epoch -= length
        length *= mult
    return eta_min + (lr - eta_min) * (1 + math.cos(math.pi * epoch / length)) / 2


@pytest.mark.parametrize("mult", [1, 2])
def test_warm_restarts_of_the_champion(node: Nodes, mult: int) -> None:
    cfg, lr = node("scheduler"), node("optimizer").lr
    optimizer = torch.optim.Adam([parameter()], lr=lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, cfg.T_0, mult, cfg.eta_min)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([warm_restarts(lr, cfg.eta_min, cfg.T_0, mult, e) for e in range(40)])
    if mult == 1:
        assert rates[0] == rates[6] == lr and rates[3] == pytest.approx((lr + cfg.eta_min) / 2)
