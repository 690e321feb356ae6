"""Fine-tune a checkpoint on one task after the other: `python reproduction/finetune.py --checkpoint FILE --out FOLDER`.

`results.json` is written after every task, and a run that was killed goes on with the first task that is not in it. A task's
numbers depend on the settings and the task alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from champion_data import Samples, Split, load_split, seed_everything, select_tasks
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import Progress
from scripting import (
    COMMON_DEFAULTS,
    ScriptError,
    add_common_options,
    load_config,
    load_weights,
    positive,
    quiet_lightning,
    read_checkpoint,
    run,
    sha256,
    task_names,
    use_tree,
    write_json,
)
from torch.utils.data import DataLoader

RESULTS, SETTINGS = "results.json", "run.json"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Fine-tune a checkpoint, task by task.")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; one that has some is gone on with")
    parser.add_argument("--epochs", type=positive, help="default: the config's finetuning.max_epochs")
    parser.add_argument(
        "--pairs", type=positive, help="first pairs of each task, the last fifth of them held out (default: all)"
    )
    parser.add_argument("--seed", type=int, default=42)
    add_common_options(parser)
    parser.set_defaults(**COMMON_DEFAULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    use_tree(options.tree, "champion.model.finetune")
    task_ids = select_tasks(options.data, task_names(options.tasks))
    config = load_config(options.config)
    if options.epochs is not None:
        config.finetuning.max_epochs = options.epochs
    checkpoint = read_checkpoint(options.checkpoint)
    folder: Path = options.out.resolve()
    settings = {
        "checkpoint": sha256(options.checkpoint),
        "config": OmegaConf.to_container(config, resolve=True),
        "pairs": options.pairs,
        "seed": options.seed,
        "tree": options.tree,
    }
    results = earlier_results(folder, settings)
    base = base_model(config, checkpoint["state_dict"], options.checkpoint)
    left = [task_id for task_id in task_ids if "error" in results.get(task_id, {"error": ""})]
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("tasks", total=len(task_ids), completed=len(task_ids) - len(left))
        for task_id in left:
            progress.update(bar, description=task_id)
            split = load_split(config, options.data.resolve(), [task_id], options.seed, pairs=options.pairs)
            with chdir(folder):
                results[task_id] = tuned(config, base, split, options.seed)
            write_json(folder / RESULTS, results)
            progress.console.print(line(task_id, results[task_id]), highlight=False)
            progress.advance(bar)
    return 1 if any("error" in results[task_id] for task_id in task_ids) else 0


def earlier_results(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier run of the same settings has finished.

    Raises:
        ScriptError: the folder belongs to a run with other settings, or its results are damaged.
    """
    known = folder / SETTINGS
    if not known.is_file():
        write_json(known, settings)
        return {}
    earlier = _read(known)
    for name, value in settings.items():
        if earlier.get(name) != value:
            raise ScriptError(f"{folder}: was made with another {name}; choose another --out, or the same settings")
    return _read(folder / RESULTS) if (folder / RESULTS).is_file() else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ScriptError(f"{path}: is damaged; choose another --out")
    return found


def base_model(config: DictConfig, state: Mapping[str, Any], path: Path) -> Any:
    """The champion with the checkpoint's weights, every one of them."""
    from champion.model.trainer import TransformerTrainer

    if not torch.cuda.is_available() and config.training.precision == 16:
        config.training.precision = 32  # half precision needs CUDA
    model = TransformerTrainer(config.copy())
    load_weights(model, state, path)
    return model.eval()


def tuned(config: DictConfig, base: Any, split: Split, seed: int) -> dict[str, Any]:
    """Fine-tune on the one task of `split`; the result as the fine-tuner writes it."""
    from champion.model.finetune import TaskFineTuner

    task_id = split.task_ids[0]
    own = config.copy()
    own.finetuning.save_dir = "checkpoints"
    own.finetuning.results_path = f"checkpoints/{task_id}/result.json"
    quiet_lightning()
    seed_everything(seed)
    loaders = (DataLoader(Samples(items)) for items in (split.train, split.held_out))
    with _bars():
        tuner = TaskFineTuner(base, own)
        tuner.selected_tasks = [task_id]
        tuner.run_all_tasks(*loaders, {task_id: 0})
    found: dict[str, Any] = _read(Path(own.finetuning.results_path))[task_id]
    return found


@contextlib.contextmanager
def _bars() -> Any:
    """Lightning's own bars are for a terminal; elsewhere they go into a file."""
    if sys.stdout.isatty():
        yield
        return
    with Path("lightning.log").open("a", encoding="utf-8") as log, redirect_stdout(log):
        yield


def line(task_id: str, result: Mapping[str, Any]) -> str:
    if "error" in result:
        return f"{task_id}: error: {result['error']}"
    before, after = (100 * result[name]["accuracy"] for name in ("base_model", "fine_tuned_model"))
    return f"{task_id}: cell accuracy {before:.2f} % -> {after:.2f} %, {result['fine_tuned_model']['converged_epoch']} epochs"


if __name__ == "__main__":
    sys.exit(run(main))
