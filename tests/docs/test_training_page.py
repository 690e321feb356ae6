"""docs/training.md from the records of a run."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
METRICS = """\
step,epoch,loss,lr,seconds,val_cell_accuracy,val_change_recall,val_grid_accuracy,val_loss
1,0,3.0,0.001,1.5,,,,
2,0,1.0,0.001,3600.0,,,,
2,0,,,,0.5,0.25,0.0,2.5
3,1,0.5,0.001,7200.0,,,,
3,1,,,,0.75,0.5,0.0,1.25
"""
SETTINGS = {"seed": 42, "batch_size": 2, "limit_val_batches": 45, "task_ids": ["05269061", "88a62173"]}


def _found(cell: float) -> dict[str, float]:
    return {"cell_accuracy": cell, "grid_accuracy": 0.125, "change_recall": 0.5, "copy_rate": 0.1, "change_precision": 0.2}


def _row() -> dict[str, Any]:
    return {"pairs": 8, "model": _found(0.9), "decided": _found(0.95), "copy": _found(0.7), "cell before": _found(0.8)}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A run and an evaluation, as the scripts write them."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "metrics.csv").write_text(METRICS)
    (tmp_path / "training" / "run.json").write_text(json.dumps(SETTINGS))
    report = {
        "tasks": {"05269061": _row() | {"category": "A1"}},
        "categories": {"A1": _row()},
        "all": {"all": _row()},
        "checkpoint": {"file": "best.ckpt", "step": 3},
    }
    (tmp_path / "evaluation" / "panels").mkdir(parents=True)
    (tmp_path / "evaluation" / "panels" / "05269061.png").touch()
    (tmp_path / "evaluation" / "evaluation.json").write_text(json.dumps(report))
    return tmp_path


def test_page_and_pictures(weights: Path, tmp_path: Path) -> None:
    pages = importlib.import_module("training_page").training_pages(weights, tmp_path)
    page = pages.pop(tmp_path / "training.md")
    for line in (
        "| batch size | 2 |",
        "| task files | 2 |",
        "| hours | 2.0 |",
        "| 3 | 1.2500 | 75.00 % | 0.00 % | 50.00 % |",
        "| samples seen | 6 |",
        "| model | 90.00 % | 12.50 % | 50.00 % |",
        "![05269061](evaluation/panels/05269061.png)",
        "| `05269061` | A1 | 8 | 90.00 % | 12.50 % | 50.00 % | 80.00 % (cell before) |",
    ):
        assert line in page
    pictures = ["training-loss", "validation-loss", "cell-accuracy", "grid-accuracy", "change-recall"]
    assert [path.relative_to(tmp_path).as_posix() for path in pages] == [f"pictures/{name}.svg" for name in pictures]
    assert all(f"(pictures/{name}.svg)" in page for name in pictures)
    for text in pages.values():
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"


def test_no_run_no_page(tmp_path: Path) -> None:
    assert importlib.import_module("training_page").training_pages(tmp_path, tmp_path) == {}


def test_the_figures_are_those_that_the_scripts_write() -> None:
    module = importlib.import_module("training_page")
    tree = ast.parse((ROOT / "reproduction" / "evaluate.py").read_text())
    values = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    assert module.FIGURES.keys() <= set(ast.literal_eval(values["FIGURES"]))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1, 3300, [0, 1000, 2000, 3000, 4000]),
        (0.0, 0.0111, [0.0, 0.005, 0.01, 0.015]),
        (0.0, 0.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks(low: float, high: float, expected: list[float]) -> None:
    assert importlib.import_module("curves").ticks(low, high) == expected


def test_bins_keep_every_point() -> None:
    means, band = importlib.import_module("curves").binned([(step, float(step)) for step in range(5)], bins=3)
    assert means == [(0.5, 0.5), (2.5, 2.5), (4.0, 4.0)]
    assert band == [(0.0, 1.0), (2.0, 3.0), (4.0, 4.0)]
