"""Grid metrics, copy metrics, collected results and calibration, counted by hand."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

Nodes = Callable[[str], DictConfig]
PAD = 10


def metrics() -> ModuleType:
    return importlib.import_module("champion.utils.metrics")


def batch() -> tuple[Tensor, Tensor]:
    """Four grids: right, one cell of four wrong, only padding, one row wrong."""
    targets = torch.full((4, 3, 3), PAD)
    targets[0, :2, :2] = targets[1, :2, :2] = torch.tensor([[1, 2], [3, 4]])
    targets[3, :2, :3] = 5
    preds = targets.clone()
    preds[1, 0, 0] = 23
    preds[0, 2, 2] = 7
    preds[2] = 0
    preds[3, 1] = 15
    return preds, targets


def test_grid_metrics(node: Nodes) -> None:
    preds, targets = batch()
    found = metrics().grid_metrics(preds, targets, node("metrics").grid_tol_thresholds)
    expected = {
        "cell_accuracy": 10 / 14,
        "grid_accuracy": 2 / 4,
        "row_all_correct_rate": 4 / 6,
        "col_all_correct_rate": 3 / 7,
        "grid_tol_0p50": 1.0,
        "grid_tol_0p60": 3 / 4,
        "grid_tol_0p75": 3 / 4,
        "grid_tol_0p80": 2 / 4,
        "grid_tol_0p99": 2 / 4,
    }
    assert {name: found[name].item() for name in expected} == pytest.approx(expected, abs=1e-6)
    assert len(found) == 4 + 10
    weights = node("metrics").dense_objective_weights
    assert metrics().dense_objective(found, weights).item() == pytest.approx(0.8 * 0.5 + 0.2 * 0.5)


def test_metrics_of_nothing_but_padding() -> None:
    grids = torch.full((2, 3, 3), PAD)
    found = metrics().grid_metrics(grids, grids, [0.95])
    values = {name: value.item() for name, value in found.items()}
    assert values["grid_accuracy"] == values["grid_tol_0p95"] == 1.0
    assert values["cell_accuracy"] == values["row_all_correct_rate"] == 0.0


def test_confident_cells() -> None:
    logits = torch.full((1, 4, 12), 0.0)
    for cell, (colour, strength) in enumerate([(1, 9.0), (2, 9.0), (3, 0.1), (4, 9.0)]):
        logits[0, cell, colour] = strength
    targets = torch.tensor([[1, 3, 3, PAD]])
    found = metrics().confident_accuracy(logits, targets, 0.5)
    assert found["confident_share"].item() == pytest.approx(2 / 3)
    assert found["confident_accuracy"].item() == pytest.approx(1 / 2)
    assert metrics().confident_accuracy(logits, targets, 1.1)["confident_accuracy"].item() == 0.0


def reference_copy_metrics(src: list[int], tgt: list[int], pred: list[int]) -> dict[str, float]:
    cells = range(len(src))
    needed, made = {i for i in cells if tgt[i] != src[i]}, {i for i in cells if pred[i] != src[i]}
    recall = len(needed & made) / len(needed) if needed else 1.0
    precision = len(needed & made) / len(made) if made else 1.0
    f1 = 2 * precision * recall / (precision + recall + 1e-8)
    copied = 1 - len(made) / len(src)
    right = sum(pred[i] == tgt[i] for i in cells) / len(src)
    return {
        "copy_rate": copied,
        "change_recall": recall,
        "change_precision": precision,
        "change_f1": f1,
        "transformation_score": (1 - copied) * right,
        "transformation_quality": f1 * right,
    }


@pytest.mark.parametrize(
    ("src", "tgt", "pred"),
    [
        ([1, 2, 3, PAD], [1, 5, 5, PAD], [1, 5, 4, 7]),
        ([1, 2, 3, PAD], [1, 2, 3, PAD], [1, 2, 3, PAD]),
        ([1, 2, 3, PAD], [4, 5, 6, 7], [1, 2, 3, PAD]),
        ([1, 2, 3, PAD], [4, 2, 3, PAD], [1, 2, 3, 9]),
    ],
    ids=["partly", "identity", "copied", "elsewhere"],
)
def test_copy_metrics(src: list[int], tgt: list[int], pred: list[int]) -> None:
    one = metrics().compute_copy_metrics_on_batch(*(torch.tensor([[grid]]) for grid in (src, tgt, pred)))
    expected = reference_copy_metrics(src, tgt, pred)
    assert {name: value.item() for name, value in one.items()} == pytest.approx(expected)
    grids = (torch.tensor([[a], [src]]) for a in (src, tgt, pred))
    both = metrics().compute_copy_metrics_on_batch(*grids)
    other = reference_copy_metrics(src, src, src)
    mean = {name: (expected[name] + other[name]) / 2 for name in expected}
    assert {name: value.item() for name, value in both.items()} == pytest.approx(mean)


def test_collector_counts_over_batches(tmp_path: Path) -> None:
    preds, targets = batch()
    collector = metrics().TaskMetricsCollector()
    assert collector.compute() == {}
    collector.update(["a", "b"], preds[:2], targets[:2])
    collector.update(torch.tensor([7, 7]), preds[2:], targets[2:])
    collector.update(["b"], targets[1:2], targets[1:2])
    assert collector.compute() == {
        "a": {"samples": 1, "grid_accuracy": 1.0, "cell_accuracy": 1.0},
        "b": {"samples": 2, "grid_accuracy": 0.5, "cell_accuracy": 7 / 8},
        "7": {"samples": 2, "grid_accuracy": 0.5, "cell_accuracy": 0.5},
        "overall": {"samples": 5, "grid_accuracy": 3 / 5, "cell_accuracy": 14 / 18},
    }
    with pytest.raises(ValueError, match="task ids"):
        collector.update(["a"], preds, targets)
    collector.add_result("a", {"improvement": 0.1})
    collector.add_result("b", {"error": "out of memory"})
    assert collector.failed_tasks() == ["b"]
    collector.save(tmp_path / "new" / "results.json", {"seed": 1})
    saved = json.loads((tmp_path / "new" / "results.json").read_text())
    assert saved["a"] == {"improvement": 0.1} and saved["seed"] == 1 and "overall" in saved["metrics"]
    collector.reset()
    assert collector.compute() == {} and collector.failed_tasks() == []


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("bins", [15, 4])
def test_calibration_error_against_loops(masked: bool, bins: int) -> None:
    module = importlib.import_module("champion.calibration")
    logits, labels = 2 * torch.randn(4, 10, 5, dtype=torch.float64), torch.randint(0, 5, (4, 10))
    mask = torch.rand(4, 10) > 0.4 if masked else torch.ones(4, 10).bool()
    filled: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    nll = []
    for row, label in zip(logits[mask].tolist(), labels[mask].tolist(), strict=True):
        p = [math.exp(z) / sum(math.exp(y) for y in row) for z in row]
        filled[math.ceil(max(p) * bins) - 1].append((max(p), float(p.index(max(p)) == label)))
        nll.append(-math.log(p[label]))
    gaps = [abs(sum(c for c, _ in cell) - sum(a for _, a in cell)) for cell in filled]
    found = module.calibration_metrics(logits, labels, mask if masked else None, bins)
    assert found["ece"] == pytest.approx(sum(gaps) / len(nll))
    assert found["mce"] == pytest.approx(max(gap / len(cell) for gap, cell in zip(gaps, filled, strict=True) if cell))
    assert found["nll"] == pytest.approx(sum(nll) / len(nll))
    data = module.reliability_data(logits, labels, mask, bins)
    assert data.counts.tolist() == [len(cell) for cell in filled]
    assert len(data.as_dict()["edges"]) == bins + 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_calibration_without_cells_and_with_extremes(dtype: torch.dtype) -> None:
    module = importlib.import_module("champion.calibration")
    logits = torch.tensor([[6e4, -6e4, 0.0]], dtype=dtype)
    nothing = module.calibration_metrics(logits, torch.tensor([0]), torch.tensor([False]))
    assert nothing == {"ece": 0.0, "mce": 0.0, "nll": 0.0}
    assert module.calibration_metrics(logits, torch.tensor([0])) == {"ece": 0.0, "mce": 0.0, "nll": 0.0}
    assert module.calibration_metrics(logits, torch.tensor([2]))["ece"] == 1.0


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(true_temperature: float) -> None:
    module = importlib.import_module("champion.calibration")
    logits = 2 * torch.randn(3000, 4)
    labels = torch.multinomial(torch.softmax(logits, -1), 1).squeeze(1)
    scaler = module.TemperatureScaler()
    assert scaler.fit(logits * true_temperature, labels) == pytest.approx(true_temperature, rel=0.1)
    scaled = scaler(logits * true_temperature).detach()
    assert scaler.fitted and torch.equal(scaled.argmax(-1), logits.argmax(-1))
    best = module.negative_log_likelihood(scaled, labels).item()
    for other in (0.8, 1.25):
        assert best <= module.negative_log_likelihood(scaled * other, labels).item()


def test_temperature_of_separable_data_stays_bounded() -> None:
    scaler = importlib.import_module("champion.calibration").TemperatureScaler(2.0)
    labels = torch.arange(3)
    assert 0.05 <= scaler.fit(10 * torch.eye(3), labels) <= 20
    unfitted = importlib.import_module("champion.calibration").TemperatureScaler(2.0)
    assert unfitted.fit(torch.eye(3), labels, torch.zeros(3).bool()) == pytest.approx(2.0)
    assert not unfitted.fitted
