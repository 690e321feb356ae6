r"""
Metrics on grids.

Predictions are classes, so anything above the PAD class (hedges, EOS) is simply wrong. Cells whose target is
PAD do not count, except in the copy metrics, which look at the whole canvas.
"""

from ..pinned import unseen as unbloat_unseen, forbid as unbloat_forbid

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

import torch

PAD = 10


def _correct_and_valid(
    preds: torch.Tensor, targets: torch.Tensor, pad: int
) -> Tuple[torch.Tensor, torch.Tensor]:
    valid = targets != pad
    return (preds == targets) & valid, valid


def cell_accuracy(preds: torch.Tensor, targets: torch.Tensor, pad: int = PAD) -> torch.Tensor:
    raise NotImplementedError("stripped: champion/utils/metrics.py:26-28")


def grid_accuracy(preds: torch.Tensor, targets: torch.Tensor, pad: int = PAD) -> torch.Tensor:
    raise NotImplementedError("stripped: champion/utils/metrics.py:41-43")


def compute_copy_metrics_on_batch(
    src: torch.Tensor, tgt: torch.Tensor, preds: torch.Tensor
) -> Dict[str, torch.Tensor]:
    r"""
    Does the model copy its input, and does it change what has to change?

    With A = [tgt != src] and P = [pred != src] on the whole canvas of a sample, PAD included:

    .. math:: copy = \overline{[pred = src]}, \quad recall = |P \cap A| / |A|, \quad precision = |P \cap A| /
              |P|, \quad F_1 = \frac{2 p r}{p + r + 10^{-8}}

    recall and precision are 1 if their denominator is 0. transformation_score = (1 - copy) * acc,
    transformation_quality = F_1 * acc, acc over all cells. Means over the batch.

    A cell that is changed to a wrong colour is a change here: these are about *where*, acc is about *what*.
    """
    src, tgt, preds = src.flatten(1), tgt.flatten(1), preds.flatten(1)
    needed, made = tgt != src, preds != src
    hits = (needed & made).float().sum(1)
    recall = _ratio_or_one(hits, needed.float().sum(1))
    precision = _ratio_or_one(hits, made.float().sum(1))
    f1 = 2.0 * precision * recall / (precision + recall + 1e-8)
    copy_rate = (~made).float().mean(1)
    accuracy = (preds == tgt).float().mean(1)
    return {
        "copy_rate": copy_rate.mean(),
        "change_recall": recall.mean(),
        "change_precision": precision.mean(),
        "change_f1": f1.mean(),
        "transformation_score": ((1.0 - copy_rate) * accuracy).mean(),
        "transformation_quality": (f1 * accuracy).mean(),
    }


def _ratio_or_one(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    return torch.where(whole > 0, part / whole.clamp_min(1.0), torch.ones_like(whole))


class TaskMetricsCollector:
    """
    Collects predictions task by task, exact over batches of any size.

    ``update`` takes whole batches, ``compute`` gives {task: metrics} plus 'overall'. Results of the
    fine-tuner (anything that goes into JSON) are kept next to them by ``add_result`` and written by ``save``.

    [INFERRED] Known is the name and that trainer and fine-tuner use it.
    """

    def __init__(self, pad: int = PAD):
        self.pad = pad
        self.counts: "OrderedDict[str, Dict[str, float]]" = OrderedDict()
        self.results: "OrderedDict[str, Dict[str, Any]]" = OrderedDict()

    def update(self, task_ids: Iterable[Any], preds: torch.Tensor, targets: torch.Tensor) -> None:
        """task_ids: B names or indices; preds, targets: [B, H, W]."""
        correct, valid = _correct_and_valid(preds, targets, self.pad)
        correct_cells, cells = correct.flatten(1).sum(1).tolist(), valid.flatten(1).sum(1).tolist()
        names = [str(int(name)) if isinstance(name, torch.Tensor) else unbloat_unseen("champion/utils/metrics.py:158") for name in task_ids]
        if len(names) != len(cells):
            raise ValueError(f"{len(names)} task ids for {len(cells)} samples")
        for name, right, total in zip(names, correct_cells, cells):
            task = self.counts.setdefault(name, {"samples": 0, "grids": 0, "right": 0, "cells": 0})
            task["samples"] += 1
            task["grids"] += int(right == total)
            task["right"] += right
            task["cells"] += total

    def compute(self) -> Dict[str, Dict[str, float]]:
        """{task: {samples, grid_accuracy, cell_accuracy}}, 'overall' over all of them; {} if empty."""
        unbloat_forbid(not self.counts, "champion/utils/metrics.py:171")
        summed = {
            key: sum(task[key] for task in self.counts.values())
            for key in ("samples", "grids", "right", "cells")
        }
        named = [*self.counts.items(), ("overall", summed)]
        return {
            name: {
                "samples": task["samples"],
                "grid_accuracy": task["grids"] / task["samples"],
                "cell_accuracy": task["right"] / task["cells"] if task["cells"] else 1.0,
            }
            for name, task in named
        }

    def add_result(self, task_id: str, result: Mapping[str, Any]) -> None:
        self.results[task_id] = dict(result)

    def failed_tasks(self) -> List[str]:
        """Tasks whose result is an error."""
        return [task_id for task_id, result in self.results.items() if "error" in result]

    def save(self, path: Path, extra: Optional[Mapping[str, Any]] = None) -> None:
        raise NotImplementedError("stripped: champion/utils/metrics.py:194-199")

    def reset(self) -> None:
        raise NotImplementedError("stripped: champion/utils/metrics.py:202-203")
