"""R-Drop, weight averaging with its landscapes, loop curriculum and scheduled sampling."""

from __future__ import annotations

import csv
import importlib
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

Nodes = Callable[[str], DictConfig]


def rdrop(node: Nodes, **changes: object):  # type: ignore[no-untyped-def]
    return importlib.import_module("champion.utils.rdrop").RDrop(OmegaConf.merge(node("rdrop"), changes))


def dropped(calls: list[int]) -> Callable[..., Tensor]:
    def forward(x: Tensor, context: Tensor | None) -> Tensor:
        calls.append(len(x))
        return nn.functional.dropout(x, 0.5, training=True)

    return forward


@pytest.mark.parametrize(
    ("changes", "batches"),
    [({}, [6]), ({"k": 2}, [9]), ({"use_concat": False}, [3, 3]), ({"share_dropout_mask": True}, [3, 3])],
    ids=str,
)
def test_rdrop_passes_and_penalty(node: Nodes, changes: dict[str, object], batches: list[int]) -> None:
    module, calls = rdrop(node, **changes), []
    x = torch.randn(3, 4, 7, requires_grad=True)
    logits = module.passes(dropped(calls), x, None)
    assert calls == batches and len(logits) == module.k + 1
    assert all(z.shape == x.shape for z in logits)
    pairs = [(r, s) for r in range(len(logits)) for s in range(r)]
    expected = 0.0
    for r, s in pairs:
        p, q = torch.softmax(logits[r].detach(), -1), torch.softmax(logits[s].detach(), -1)
        expected += float(((p - q) * (p.log() - q.log())).sum(-1).mean()) / 2 / len(pairs)
    penalty = module.penalty(logits)
    assert penalty.item() == pytest.approx(0.08 * expected, rel=1e-4)
    assert (penalty.item() == 0.0) == module.share_dropout_mask
    penalty.backward()
    assert (float(x.grad.abs().sum()) > 0) != module.share_dropout_mask
    assert module.counters.steps == 1 and module.counters.mean_kl == pytest.approx(expected, rel=1e-4)


def test_rdrop_gate_mask_clip_and_damage(node: Nodes) -> None:
    logits = [torch.tensor([[[5.0, 0.0], [1.0, 1.0]]]), torch.tensor([[[0.0, 5.0], [1.0, 1.0]]])]
    mask = torch.tensor([[False, True]])
    assert rdrop(node).penalty(logits, mask).item() == 0.0
    assert rdrop(node, kl_clip_max=0.5).divergence(logits).item() == pytest.approx(0.25)
    for applies in (False, True):
        module = rdrop(node, apply_insertion_gating_for_kl=applies)
        assert (module.divergence(logits, gate=torch.zeros_like).item() == 0.0) == applies
    module = rdrop(node)
    assert module.penalty([logits[0] * math.nan, logits[1]]).item() == 0.0
    assert (module.counters.skipped, module.counters.steps, module.counters.mean_kl) == (1, 0, 0.0)
    assert module.log_val_kl
    with pytest.raises(ValueError, match="at least 1"):
        rdrop(node, k=0)


def manager(node: Nodes, max_epochs: int = 150, **changes: object):  # type: ignore[no-untyped-def]
    cfg = OmegaConf.merge(node("training.swa"), changes)
    return importlib.import_module("champion.utils.swa").SWAManager(cfg, max_epochs)


def test_swa_rates(node: Nodes) -> None:
    cyclical = manager(node, cycle_len_steps=4)
    expected = [(1 - t) * 0.05 + t * 0.001 for t in (0.25, 0.5, 0.75, 1.0, 0.25)]
    assert [cyclical.learning_rate(step) for step in range(1, 6)] == pytest.approx(expected)
    constant = manager(node, schedule="constant")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=7.0)
    constant.on_batch_start(optimizer, 111)
    assert optimizer.param_groups[0]["lr"] == 7.0 and not constant.scheduler_paused(111)
    constant.on_batch_start(optimizer, 112)
    assert optimizer.param_groups[0]["lr"] == 0.01 and constant.scheduler_paused(112)
    assert not manager(node, pause_schedulers=False).scheduler_paused(112)
    assert manager(node, start_epoch=3).start_epoch == 3


@pytest.mark.parametrize(
    ("changes", "captured"),
    [
        ({}, [3, 6]),
        ({"capture": "every_n_steps", "capture_every_n_steps": 2}, [2, 4, 6]),
        ({"capture_every_n_steps": 5}, [5]),
        ({"capture": "epoch_end"}, [4]),
    ],
    ids=str,
)
def test_swa_average_of_the_captured_weights(node: Nodes, changes: dict[str, object], captured: list[int]) -> None:
    swa, model = manager(node, start_epoch=0, cycle_len_steps=3, **changes), nn.Linear(2, 1)
    for step in range(1, 7):
        nn.init.constant_(model.weight, float(step))
        swa.on_batch_end(model, 0)
        if step == 4:
            swa.on_epoch_end(model, 0)
    assert swa.n_averaged == len(captured)
    assert swa.average["weight"][0, 0].item() == pytest.approx(sum(captured) / len(captured))
    assert not swa.on_batch_end(model, -1)


def test_swa_evaluation_finish_and_state(node: Nodes) -> None:
    swa, model = manager(node), nn.Linear(1, 1)
    with swa.evaluating(model):
        pass
    for value in (1.0, 2.0):
        nn.init.constant_(model.weight, value)
        swa.update(model)
    with swa.evaluating(model):
        assert model.weight.item() == 1.5
    assert model.weight.item() == 2.0
    with manager(node, eval_with_swa=False).evaluating(model):
        assert model.weight.item() == 2.0

    resumed, fresh = manager(node), manager(node, resume=False)
    for other in (resumed, fresh):
        other.load_state_dict(swa.state_dict())
    assert (resumed.n_averaged, fresh.n_averaged) == (2, 0)
    assert manager(node, save_swa_checkpoint=False).state_dict() == {}

    assert fresh.finish(model, None, print) is None
    base = swa.finish(model, None, print)
    assert base["weight"].item() == 2.0 and model.weight.item() == 1.5
    dropping = manager(node, keep_base_checkpoint=False)
    dropping.load_state_dict(swa.state_dict())
    assert dropping.finish(model, None, print) is None


@pytest.mark.parametrize("most", [None, 2])
def test_swa_renews_batch_norm(node: Nodes, most: int | None) -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()
    swa = manager(node, bn_max_batches=most)
    batches = [torch.randn(8, 3) + number for number in range(4)]
    swa.recompute_batch_norm(model, batches, model)
    seen = torch.stack([batch.mean(0) for batch in batches[:most]]).mean(0)
    assert model[0].running_mean.tolist() == pytest.approx(seen.tolist(), abs=1e-5)
    assert model[0].momentum == 0.1 and not model.training
    swa.recompute_batch_norm(nn.Linear(1, 1), batches, lambda batch: pytest.fail("nothing to renew"))


@pytest.mark.parametrize("mode", ["broadcast", "average"])
def test_swa_batch_norm_in_a_process_group(node: Nodes, mode: str, tmp_path: Path) -> None:
    model, batches = nn.Sequential(nn.BatchNorm1d(3)), [torch.randn(8, 3)]
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        manager(node, ddp_bn_mode=mode).recompute_batch_norm(model, batches, model)
    finally:
        torch.distributed.destroy_process_group()
    assert model[0].running_mean.tolist() == pytest.approx(batches[0].mean(0).tolist(), abs=1e-5)


@pytest.mark.parametrize("key", ["schedule", "capture", "ddp_bn_mode", "bn_recompute_loader"])
def test_swa_refuses(node: Nodes, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        manager(node, **{key: "unknown"})


def landscape(node: Nodes, **changes: object):  # type: ignore[no-untyped-def]
    cfg = OmegaConf.merge(node("training.swa.diagnostics"), {"enabled": True, "seed": 3}, changes)
    return importlib.import_module("champion.utils.swa_diagnostics").LossLandscape(cfg)


def test_landscape_on_a_parabola(node: Nodes, tmp_path: Path) -> None:
    model = nn.Linear(2, 1, bias=False).train()
    nn.init.constant_(model.weight, 7.0)
    base, average = {"weight": torch.tensor([[2.0, 0.0]])}, {"weight": torch.tensor([[0.0, 1.0]])}
    seen: list[int] = []

    def loss_of(batch: int) -> Tensor:
        seen.append(batch)
        return (model.weight**2).sum() + batch

    diagnostics = landscape(
        node,
        line_points=5,
        random_rays=2,
        ray_points=3,
        ray_t_max=0.5,
        plane_eval=True,
        plane_grid=3,
        max_batches=2,
        output_dir=str(tmp_path / "out"),
        save_plots=True,
    )
    curves = diagnostics.run(model, base, average, [0, 1, 5], loss_of)
    line = [(t, (2 * (1 - t)) ** 2 + t**2 + 0.5) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert curves["line"] == [pytest.approx(point) for point in line]
    assert set(seen) == {0, 1}
    assert [t for t, _ in curves["ray_1"]] == [0.0, 0.25, 0.5]
    # a direction is as long as the weights
    assert abs(math.sqrt(curves["ray_0"][2][1] - 0.5) - 1.0) <= 0.5
    assert len(curves["plane"]) == 9 and curves["plane"][4] == pytest.approx((0.0, 0.0, 1.5))
    assert curves["plane"][7] == pytest.approx((1.0, 0.0, 4.5))
    assert torch.equal(model.weight, torch.full((1, 2), 7.0)) and model.training
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["line.csv", "line.svg", "plane.csv", "ray_0.csv", "ray_0.svg", "ray_1.csv", "ray_1.svg"]
    with (tmp_path / "out" / "plane.csv").open() as file:
        assert next(csv.reader(file)) == ["s", "t", "loss"]


def test_landscape_off(node: Nodes) -> None:
    assert landscape(node, enabled=False).run(nn.Linear(1, 1), {}, {}, [], torch.sum) == {}
    model = nn.Linear(1, 1)
    weights = dict(model.named_parameters())
    quiet = landscape(node, line_eval=False)
    assert quiet.run(model, weights, weights, [1], torch.sum) == {} and quiet.eval_loader == "val"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(4, 2)] * 4),
        ({"b_cap": 3}, [(3, 2)] * 4),
        ({"scheduler": {"start": 1}}, [(1, 1), (2, 2), (3, 2), (4, 2)]),
        ({"scheduler": {"start": 2, "every": 2, "increment": 5}}, [(2, 2), (2, 2), (4, 2), (4, 2)]),
        ({"T": 9}, [(4, 4)] * 4),
    ],
    ids=str,
)
def test_loop_schedule(node: Nodes, changes: dict[str, object], expected: list[tuple[int, int]]) -> None:
    module = importlib.import_module("champion.utils.loop_schedule")
    schedule = module.LoopSchedule.from_config(OmegaConf.merge(node("model.looped"), changes))
    assert [schedule.at(epoch) for epoch in range(4)] == expected
    with pytest.raises(ValueError, match="at least 1"):
        module.LoopSchedule(b=0, T=1)


@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        ("linear(start=0.0, end=0.5, steps=10000)", [0, 5000, 10000, 99999], [0.0, 0.25, 0.5, 0.5]),
        ("linear( start = 0.5 , end=0.1,steps=4)", [0, 2, 9], [0.5, 0.3, 0.1]),
        ("exponential(base=0.5, end=0.8)", [0, 1, 2], [0.0, 0.4, 0.6]),
        ("inverse_sigmoid(k=10)", [0, 10, 10**6], [1 / 11, 1 - 10 / (10 + math.e), 1.0]),
        ("constant(value=2)", [7], [1.0]),
        (0.25, [0, 9], [0.25, 0.25]),
        ("linear()", [1], [1.0]),
    ],
)
def test_sampling_schedule(text: str | float, steps: list[int], expected: list[float]) -> None:
    schedule = importlib.import_module("champion.sampling.scheduled").SamplingSchedule.parse(text)
    assert [schedule.probability(step) for step in steps] == pytest.approx(expected)


@pytest.mark.parametrize("text", ["linear", "cubic(a=1)", "linear(first=1)", "linear(start=x)", "linear(3)"])
def test_sampling_schedule_refuses(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - one of them is float()'s own
        importlib.import_module("champion.sampling.scheduled").SamplingSchedule.parse(text)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_mixed_targets_keep_the_padding(probability: float) -> None:
    mix = importlib.import_module("champion.sampling.scheduled").mix_targets
    targets, predictions = torch.full((50, 40), 3), torch.full((50, 40), 4)
    targets[:, 20:] = 10
    mixed = mix(targets, predictions, probability, generator=torch.Generator().manual_seed(1))
    assert torch.equal(mixed[:, 20:], targets[:, 20:])
    assert float((mixed[:, :20] == 4).float().mean()) == pytest.approx(probability, abs=0.03)
