"""Answers of a checkpoint for held-out pairs: `python infer.py --checkpoint FILE --out answers.json`.

As everywhere in the champion, answers are teacher-forced: when a cell is predicted, the target's cells before it are given.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from champion_data import PAD, Item, collate, load_split, seed_everything, select_tasks
from scripting import (
    COMMON_DEFAULTS,
    add_common_options,
    load_config,
    load_weights,
    positive,
    read_checkpoint,
    run,
    task_names,
    use_tree,
    write_json,
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Answer held-out pairs.")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the answers")
    parser.add_argument("--pairs", type=positive, help="held-out pairs per task (default: all)")
    parser.add_argument("--seed", type=int, default=42, help="draws the contexts; use the training's (default: 42)")
    add_common_options(parser)
    parser.set_defaults(**COMMON_DEFAULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    use_tree(options.tree)
    task_ids = select_tasks(options.data, task_names(options.tasks))
    config = load_config(options.config)
    config.logging.log_dir = str(options.out.parent / "logs")
    checkpoint = read_checkpoint(options.checkpoint)
    from champion.model.trainer import TransformerTrainer

    seed_everything(options.seed)
    model = TransformerTrainer(config)
    load_weights(model, checkpoint["state_dict"], options.checkpoint)
    model.eval()
    split = load_split(config, options.data, task_ids, options.seed, held_out=options.pairs)
    found: dict[str, list[dict[str, Any]]] = {task_id: [] for task_id in task_ids}
    for item in split.held_out:
        found[task_ids[int(item[4])]].append(answer(model, item))
    write_json(options.out, found)
    right, cells = (sum(one[count] for answers in found.values() for one in answers) for count in ("right", "cells"))
    print(f"{len(split.held_out)} pairs, {right} of {cells} cells right")
    return 0


def answer(model: Any, item: Item) -> dict[str, Any]:
    """The class of each cell of the target's extent, and how many are the target's colour."""
    source, target, context_in, context_out, _ = collate([item])
    with torch.inference_mode():
        guess = model(source, target, context_in, context_out).argmax(dim=-1)[0]
    inside = target[0] != PAD
    height, width = int(inside.any(1).sum()), int(inside.any(0).sum())
    right = int((guess == target[0])[inside].sum())
    return {"answer": guess[:height, :width].tolist(), "right": right, "cells": int(inside.sum())}


if __name__ == "__main__":
    sys.exit(run(main))
