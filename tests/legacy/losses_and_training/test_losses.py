"""Every loss against a plain reference, and at the edges of what can be fed to it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

Nodes = Callable[[str], DictConfig]
PAD, UNDECIDED, HEDGE, EOS = 10, 11, 12, 23
PRICES = {"a": 0.2, "b": 0.3, "c": 0.4, "d": 0.9, "d_finish": 0.8}
FLOATS = [torch.float32, torch.float64]


def expected_cost():  # type: ignore[no-untyped-def]
    return importlib.import_module("champion.losses.expected_cost_loss")


def slot_costs(y: Tensor, state: Tensor) -> Tensor:
    return expected_cost().build_slot_costs(y, state, 11, **PRICES)


def price(y: int, k: int, open_slot: bool) -> float:
    if not open_slot:
        return 0.0 if k == EOS else PRICES["d_finish"]
    if k == y:
        return 0.0
    if k == EOS:
        return PRICES["d_finish"]
    if k == UNDECIDED:
        return PRICES["b"]
    if k >= HEDGE:
        return PRICES["a"] if k - HEDGE == y else PRICES["c"]
    return PRICES["d"]


@pytest.mark.parametrize("open_slot", [True, False])
def test_price_of_every_class(open_slot: bool) -> None:
    y = torch.arange(11).reshape(1, 11, 1)
    costs = slot_costs(y, torch.full_like(y, open_slot, dtype=torch.bool))
    assert costs.shape == (1, 11, 1, 24)
    for true in range(11):
        expected = [price(true, k, open_slot) for k in range(24)]
        assert costs[0, true, 0].tolist() == pytest.approx(expected)


def test_prices_refuse_another_layout() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        expected_cost().build_slot_costs(torch.zeros(1).long(), torch.ones(1).bool(), 11, **PRICES, K=25)


@pytest.mark.parametrize(("progress", "warm"), [(0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.9, 1.0), (-1.0, 0.0)], ids=str)
def test_risk_exponent(progress: float, warm: float) -> None:
    logits = torch.randn(2, 3, 24, dtype=torch.float64, requires_grad=True)
    found = expected_cost().risk_from_entropy(logits, 0.6, 0.9, 1.2, 0.2, progress)
    assert not found.requires_grad
    for row, t in zip(logits.reshape(-1, 24).tolist(), found.flatten().tolist(), strict=True):
        total = sum(math.exp(z) for z in row)
        entropy = -sum(math.exp(z) / total * math.log(math.exp(z) / total) for z in row) / math.log(24)
        assert t == pytest.approx(1 + warm * (0.6 + 0.3 * entropy**1.2 - 1))


@pytest.mark.parametrize(("logit", "expected"), [(0.0, 0.9), (1e4, 0.6), (math.inf, 0.6)])
def test_risk_exponent_of_sure_and_undecided_cells(logit: float, expected: float) -> None:
    logits = torch.zeros(1, 24)
    logits[0, 3] = min(logit, 1e30)
    t = expected_cost().risk_from_entropy(logits, 0.6, 0.9, 1.2, 0.0, 0.0)
    assert float(t) == pytest.approx(expected, abs=1e-5)


def test_risk_scaling_is_a_power_that_spares_the_free_class() -> None:
    costs, t = torch.tensor([[0.0, 0.25, 0.9]]), torch.tensor([0.5])
    scaled = expected_cost().apply_risk_scaling(costs, t)
    assert scaled.tolist()[0] == pytest.approx([0.0, 0.5, 0.9**0.5])
    lifted = expected_cost().apply_risk_scaling(costs, t, mask_zero=False)
    assert 0 < float(lifted[0, 0]) < 1e-3


def reference_loss(logits: Tensor, y: Tensor, state: Tensor, valid: Tensor, alpha: float, beta: float) -> float:
    paid, floors, anchored, cells = 0.0, [], [], 0
    for row, true, is_open, counts in zip(logits.tolist(), y.tolist(), state.tolist(), valid.tolist(), strict=True):
        if not counts:
            continue
        total = sum(math.exp(z) for z in row)
        p = [math.exp(z) / total for z in row]
        cells += 1
        paid += sum(p[k] * price(true, k, is_open) for k in range(24))
        # In a finished slot every colour costs the same, and the first counts as the cheapest.
        cheapest = true if is_open else 0
        if cheapest != PAD:
            floors.append(max(0.0, 0.05 + sum(q * math.log(q) for q in p) / math.log(24)))
        if is_open:
            anchored.append(-math.log(p[true]))

    def mean(values: list[float]) -> float:
        return sum(values) / max(1, len(values))

    return paid / max(1, cells) + alpha * mean(anchored) + beta * mean(floors)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (0.23, 0.0), (0.0, 0.32), (0.23, 0.32)])
def test_expected_cost(dtype: torch.dtype, alpha: float, beta: float) -> None:
    logits = (torch.randn(14, 24) * torch.linspace(0.1, 5, 14).unsqueeze(1)).to(dtype).requires_grad_()
    y = torch.randint(0, 11, (14,))
    y[:3] = PAD
    state, valid = torch.rand(14) > 0.3, torch.rand(14) > 0.2
    loss = expected_cost().expected_cost_loss(logits, slot_costs(y, state), valid, alpha, beta, PAD, 11, anchor_mask=state)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(reference_loss(logits, y, state, valid, alpha, beta), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert bool(logits.grad[valid].abs().sum(-1).gt(0).all())
    assert bool((logits.grad[~valid] == 0).all())


@pytest.mark.parametrize("extreme", [1e4, -1e4, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_expected_cost_stays_finite(extreme: float, dtype: torch.dtype) -> None:
    logits = torch.zeros(2, 24, dtype=dtype)
    logits[:, 4] = extreme if extreme != math.inf else 1e30
    logits.requires_grad_()
    y = torch.tensor([4, 7])
    costs = slot_costs(y, torch.ones(2).bool())
    loss = expected_cost().expected_cost_loss(logits, costs, None, 0.2, 0.3, PAD, 11, None)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_expected_cost_without_valid_cells_is_zero() -> None:
    logits = torch.randn(3, 24, requires_grad=True)
    costs = slot_costs(torch.tensor([1, 2, PAD]), torch.ones(3).bool())
    loss = expected_cost().expected_cost_loss(logits, costs, torch.zeros(3).bool(), 0.2, 0.3)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert float(logits.grad.abs().sum()) == 0.0


def trained_on_expected_cost(cost: DictConfig, target: Tensor) -> Tensor:
    """Logits after 30 steps of the champion's loss."""
    module = expected_cost()
    logits = torch.zeros(*target.shape, 24, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.6)
    state = torch.ones_like(target, dtype=torch.bool)
    costs = module.build_slot_costs(target, state, 11, cost.a, cost.b, cost.c, cost.d, cost.d_finish)
    risk = cost.risk
    for step in range(30):
        t = module.risk_from_entropy(logits, risk.t_min, risk.t_max, risk.alpha, risk.warmup_frac, step / 30)
        loss = module.expected_cost_loss(
            logits,
            module.apply_risk_scaling(costs, t, mask_zero=True),
            valid_mask=None,
            anchor_ce_alpha=cost.anchor_ce_alpha,
            entropy_floor_beta=cost.entropy_floor_beta,
            pad_token_id=PAD,
            base_vocab=11,
            anchor_mask=state,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return logits.detach()


def test_champions_numbers_lead_to_the_right_colours(node: Nodes) -> None:
    target = torch.randint(0, 11, (2, 3, 3))
    cost = node("model.loss.expected_cost")
    with_floor = trained_on_expected_cost(cost, target)
    assert torch.equal(with_floor.argmax(-1), target)
    cost.entropy_floor_beta = 0.0
    without = trained_on_expected_cost(cost, target)
    entropy = expected_cost().normalised_entropy
    assert bool((entropy(with_floor) > entropy(without)).all())


def test_dice_against_loops() -> None:
    dice = importlib.import_module("champion.losses.dice").DiceLoss(smooth=0.5, ignore_index=PAD)
    logits = torch.randn(2, 3, 4, 12, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 11, (2, 3, 4))
    target[0, 0] = PAD
    scores = []
    for sample in range(2):
        p = torch.softmax(logits[sample], -1).reshape(-1, 12).tolist()
        y = target[sample].flatten().tolist()
        cells = [i for i in range(12) if y[i] != PAD]
        for c in sorted({y[i] for i in cells}):
            overlap = sum(p[i][c] for i in cells if y[i] == c)
            size = sum(p[i][c] for i in cells) + sum(y[i] == c for i in cells)
            scores.append(1 - (2 * overlap + 0.5) / (size + 0.5))
    loss = dice(logits, target)
    assert loss.item() == pytest.approx(sum(scores) / len(scores))
    loss.backward()
    assert bool((logits.grad[target == PAD] == 0).all()) and float(logits.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("target", "ignore", "expected"),
    [([[3, 4]], None, 0.0), ([[PAD, PAD]], PAD, 0.0), ([[5, 5]], None, 2 / 3)],
    ids=["right", "nothing left", "wrong"],
)
def test_dice_at_its_ends(target: list[list[int]], ignore: int | None, expected: float) -> None:
    dice = importlib.import_module("champion.losses.dice").DiceLoss(ignore_index=ignore)
    logits = torch.full((1, 2, 11), -1e4)
    logits[0, 0, 3] = logits[0, 1, 4] = 1e4
    assert float(dice(logits, torch.tensor(target))) == pytest.approx(expected)
    assert dice(logits.bfloat16(), torch.tensor(target)).dtype == torch.float32
    with pytest.raises(ValueError, match="smooth"):
        type(dice)(smooth=0.0)


def cosines(left: Tensor, right: Tensor, tau: float) -> list[list[float]]:
    return [[float(torch.dot(a, b) / (a.norm() * b.norm())) / tau for b in right.double()] for a in left.double()]


def test_info_nce_against_loops() -> None:
    info_nce = importlib.import_module("champion.losses.contrastive").info_nce
    left = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    right = torch.randn(5, 7, dtype=torch.float64)
    s = cosines(left.detach(), right, 0.3)
    expected = 0.0
    for i in range(5):
        row = sum(math.exp(s[i][j]) for j in range(5))
        column = sum(math.exp(s[j][i]) for j in range(5))
        expected -= (2 * s[i][i] - math.log(row) - math.log(column)) / 10
    loss = info_nce(left, right, 0.3)
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert float(left.grad.abs().sum()) > 0
    assert info_nce(left[:1], right[:1]).item() == 0.0
    with pytest.raises(ValueError, match="differ"):
        info_nce(left, right[:2])


def test_supervised_contrastive_against_loops() -> None:
    loss_of = importlib.import_module("champion.losses.contrastive").supervised_contrastive
    features = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    labels = [0, 0, 1, 1, 1, 2]
    s = cosines(features.detach(), features.detach(), 0.2)
    rows = []
    for i in range(6):
        partners = [j for j in range(6) if j != i and labels[j] == labels[i]]
        if partners:
            total = math.log(sum(math.exp(s[i][j]) for j in range(6) if j != i))
            rows.append(-sum(s[i][j] - total for j in partners) / len(partners))
    loss = loss_of(features, torch.tensor(labels), 0.2)
    assert loss.item() == pytest.approx(sum(rows) / len(rows))
    loss.backward()
    assert torch.isfinite(features.grad).all() and float(features.grad.abs().sum()) > 0


@pytest.mark.parametrize("labels", [[4], [1, 2, 3]])
def test_supervised_contrastive_without_partners(labels: list[int]) -> None:
    loss_of = importlib.import_module("champion.losses.contrastive").supervised_contrastive
    features = torch.randn(len(labels), 4, requires_grad=True)
    loss = loss_of(features, torch.tensor(labels))
    loss.backward()
    assert float(loss.detach()) == 0.0 and torch.isfinite(features.grad).all()


@pytest.mark.parametrize(("clip", "masked"), [(0.0, False), (1.0, False), (0.0, True)])
def test_symmetric_kl_against_loops(clip: float, masked: bool) -> None:
    symmetric_kl = importlib.import_module("champion.losses.symmetric_kl").symmetric_kl
    left = torch.randn(9, 5, dtype=torch.float64, requires_grad=True)
    right = torch.randn(9, 5, dtype=torch.float64)
    mask = torch.arange(9) % 2 == 0 if masked else None
    values = []
    for i in range(9):
        p, q = torch.softmax(left[i], 0).tolist(), torch.softmax(right[i], 0).tolist()
        forth = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        back = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
        value = (forth + back) / 2
        if mask is None or mask[i]:
            values.append(min(value, clip) if clip else value)
    loss = symmetric_kl(left, right, mask, clip)
    assert loss.item() == pytest.approx(sum(values) / len(values))
    loss.backward()
    assert float(left.grad.abs().sum()) > 0


def test_symmetric_kl_precision_and_empty_mask() -> None:
    symmetric_kl = importlib.import_module("champion.losses.symmetric_kl").symmetric_kl
    left, right = torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e4]])
    assert symmetric_kl(left.half(), right.half()).dtype == torch.float32
    assert symmetric_kl(left.bfloat16(), right.bfloat16(), force_fp32=False).dtype == torch.bfloat16
    assert torch.isfinite(symmetric_kl(left, right))
    assert float(symmetric_kl(left, right, torch.zeros(1).bool())) == 0.0
    assert float(symmetric_kl(left, left)) == 0.0
