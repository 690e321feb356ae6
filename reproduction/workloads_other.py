"""What the legacy is asked to do for configs other than the champion's; there are no checkpoints of them.

The workload files of these configs are a line for each function here, since a config is a subject of its own.
"""

from __future__ import annotations

from pathlib import Path

import torch
from champion_data import champion_config, check_tasks, collate, load_split, seed_everything
from champion_runs import Recorder
from places import TASKS
from scripting import quiet_lightning
from workloads import FINETUNE_PAIRS, FINETUNE_TASKS, SEED, SHOWN_PAIRS, copy_tasks, prepared, stacked_by_context, train_in


def prepare_for(golden: Recorder, config_file: Path) -> None:
    """Two short tasks through the package's data preparation."""
    tasks = golden.workdir / "tasks"
    copy_tasks(FINETUNE_TASKS, FINETUNE_PAIRS, tasks)
    check_tasks(tasks, len(FINETUNE_TASKS))
    train, validation, task_ids = prepared(golden, champion_config(tasks, config_file))
    for name, items in (("train", train), ("validation", validation)):
        golden.record(f"{name}.count", len(items))
        if items:
            golden.record(name, stacked_by_context(items))
    golden.record("task_ids", task_ids)


def forward_for(golden: Recorder, config_file: Path) -> None:
    """A seeded model and its answers, with and without contexts and targets."""
    from champion.model.trainer import TransformerTrainer

    quiet_lightning()
    seed_everything(SEED)
    config = champion_config(Path("tasks"), config_file)
    model = TransformerTrainer(config).eval()
    golden.model("built", model)
    golden.rng("built.rng")
    items = load_split(config, TASKS, FINETUNE_TASKS, SEED, pairs=SHOWN_PAIRS).train[1:3]
    source, target, inputs, outputs, _ = collate(items)
    for name, arguments in {
        "both": (source, target, inputs, outputs),
        "no_contexts": (source[:1], target[:1]),
        "no_target": (source[:1], None, inputs[:1], outputs[:1]),
    }.items():
        with torch.no_grad():
            golden.record(f"{name}.logits", model(*arguments))
    golden.rng("end.rng")


def train_for(golden: Recorder, config_file: Path) -> None:
    """Training from scratch: three epochs, the fewest after which averaged weights are an average."""
    train_in(golden, torch.float32, epochs=3, steps=2, config_file=config_file)
