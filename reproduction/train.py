"""Train the champion from scratch: `python reproduction/train.py`; `--quick` to see that it works, `--resume` after a kill.

The numbers of a run follow from its settings alone, which `run.json` keeps: whether it was killed in between does not show.
In the run's folder: `config.yaml` (the config with the values used), `metrics.csv`, `last.ckpt`, `best.ckpt`, `tensorboard/`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from champion_data import (
    BatchStream,
    Item,
    Split,
    eval_loader,
    load_split,
    seed_everything,
    select_tasks,
    train_loader,
)
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from scripting import (
    COMMON_DEFAULTS,
    ScriptError,
    add_common_options,
    load_config,
    positive,
    quiet_lightning,
    run,
    task_names,
    use_tree,
    write_json,
    write_text,
)
from torch.utils.data import DataLoader
from train_callbacks import BestCheckpoint, LastCheckpoint, Metrics, MetricsFile, NotANumber, RandomState

DEFAULTS: dict[str, Any] = COMMON_DEFAULTS | {
    "resume": False,
    "quick": False,
    "seed": 42,
    "accelerator": "auto",
    "devices": "1",
    "strategy": "auto",
    "checkpoint_every": 25,
}

QUICK = {"epochs": 2, "steps_per_epoch": 20, "batch_size": 2, "limit_val_batches": 2}
"""Enough to see a loss fall."""

FREE_WHEN_RESUMED = frozenset({"out", "resume", "data", "threads", "epochs", "accelerator", "devices", "strategy", "quick"})
"""What may differ from the first start. All other settings decide the numbers, and are taken from the run."""


def main(arguments: list[str]) -> int:
    settings = resolved(vars(_parser().parse_args(arguments)))
    torch.set_num_threads(settings["threads"])
    use_tree(settings["tree"])
    task_ids = select_tasks(settings["data"], task_names(settings["tasks"]))
    folder: Path = settings["out"]
    config = load_config(folder / "config.yaml" if settings["resume"] else settings["config"])
    split = load_split(config, settings["data"], task_ids, settings["seed"])
    complete(settings, config, len(split.train))
    if _is_main_process():
        write_text(folder / "config.yaml", OmegaConf.to_yaml(config))
        saved = {key: value for key, value in settings.items() if key not in FREE_WHEN_RESUMED or key == "epochs"}
        write_json(folder / "run.json", {**saved, "config": Path(settings["config"]).name, "task_ids": task_ids})
    metrics = MetricsFile(folder / "metrics.csv")
    _prepare_further_processes(arguments, settings)
    try:
        with chdir(folder):  # the package writes logs where it runs
            fit(settings, config, split, metrics)
    except NotANumber as error:
        print(error)
    if not _is_main_process():
        return 0
    text, passed = verdict(metrics.losses())
    print(text)
    return 0 if passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the champion.", argument_default=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/champion, with --quick runs/quick)")
    parser.add_argument("--resume", action="store_true", help="go on where the run in --out was; its settings hold")
    parser.add_argument("--quick", action="store_true", help="small defaults: does it train at all?")
    parser.add_argument("--epochs", type=positive, help="default: the config's training.max_epochs")
    parser.add_argument("--steps-per-epoch", type=positive, help="default: one pass over the samples")
    parser.add_argument("--batch-size", type=positive, help="default: the config's")
    parser.add_argument("--learning-rate", type=_rate, help="default: the config's optimizer.lr")
    parser.add_argument("--seed", type=int, help="default: 42")
    parser.add_argument("--precision", help="as Lightning has it; default: the config's on CUDA, 32-true elsewhere")
    parser.add_argument("--accelerator", help="as Lightning has it (default: auto)")
    parser.add_argument("--devices", help="as Lightning has it (default: 1)")
    parser.add_argument("--strategy", help="as Lightning has it; several devices need ddp_find_unused_parameters_true")
    parser.add_argument("--val-every", type=positive, help="steps; default: an epoch, at most training.val_check_interval")
    parser.add_argument("--limit-val-batches", type=positive, help="default: the config's training.limit_val_batches")
    parser.add_argument("--checkpoint-every", type=positive, help="steps between writes of last.ckpt (default: 25)")
    add_common_options(parser)
    return parser


def _rate(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no learning rate")
    return value


def resolved(given: dict[str, Any]) -> dict[str, Any]:
    """All settings that need no config: what was given, or saved with the run, or is usual.

    Raises:
        ScriptError: the run cannot be started or resumed as asked for.
    """
    usual = DEFAULTS | (QUICK if given.get("quick") else {})
    folder = given.get("out", Path("runs") / ("quick" if given.get("quick") else "champion")).resolve()
    if not given.get("resume"):
        if (folder / "run.json").exists() and _is_main_process():
            raise ScriptError(f"{folder}: holds a run; go on with --resume, or choose another --out")
        found = usual | given
    else:
        for name in ("run.json", "config.yaml", "last.ckpt"):
            if not (folder / name).is_file():
                raise ScriptError(f"{folder}: has no {name}, so there is nothing to resume; start without --resume")
        saved = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        for key, value in given.items():
            if key not in FREE_WHEN_RESUMED and value != saved[key]:
                raise ScriptError(f"{folder}: was started with {key} {saved[key]}, not {value}; leave that option out")
        found = usual | {key: value for key, value in saved.items() if key != "task_ids"} | given
    return found | {"out": folder, "data": found["data"].resolve()}


def complete(settings: dict[str, Any], config: DictConfig, samples: int) -> None:
    """Take what was not given from the config, and write what is used into the config: the checkpoint keeps it."""
    cuda = settings["accelerator"] in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if settings.get("precision") is None:
        settings["precision"] = {16: "16-mixed"}.get(config.training.precision, str(config.training.precision))
        if not cuda and settings["precision"] == "16-mixed":
            settings["precision"] = "32-true"
            print("precision: 32-true, the config's 16 needs CUDA")
    settings.setdefault("epochs", int(config.training.max_epochs))
    settings.setdefault("batch_size", int(config.dataloader.batch_size))
    settings.setdefault("learning_rate", float(config.optimizer.lr))
    settings.setdefault("steps_per_epoch", max(1, samples // settings["batch_size"]))
    settings.setdefault("val_every", min(settings["steps_per_epoch"], int(config.training.val_check_interval)))
    settings.setdefault("limit_val_batches", int(config.training.limit_val_batches))
    precision = {"16-mixed": 16, "32-true": 32, "64-true": 64}.get(settings["precision"], settings["precision"])
    for key, value in {
        "training.max_epochs": settings["epochs"],
        "training.precision": precision,
        "training.limit_val_batches": settings["limit_val_batches"],
        "training.val_check_interval": settings["val_every"],
        "dataloader.batch_size": settings["batch_size"],
        "optimizer.lr": settings["learning_rate"],
        "data.training_data_dir": "data/tasks",
        "repro.trial_seed": settings["seed"],
    }.items():
        OmegaConf.update(config, key, value)


class ChampionData(pl.LightningDataModule):
    """Training batches in an order that the step number determines; held-out samples of all tasks by turns."""

    def __init__(self, settings: dict[str, Any], split: Split) -> None:
        super().__init__()
        self._settings, self._split = settings, split

    def train_dataloader(self) -> DataLoader[Item]:
        trainer = cast(pl.Trainer, self.trainer)
        return train_loader(
            self._split.train,
            BatchStream(
                samples=len(self._split.train),
                batch_size=self._settings["batch_size"],
                steps_per_epoch=self._settings["steps_per_epoch"],
                seed=self._settings["seed"],
                position=lambda: trainer.global_step,
                rank=trainer.global_rank,
                ranks=trainer.world_size,
            ),
        )

    def val_dataloader(self) -> DataLoader[Item]:
        trainer = cast(pl.Trainer, self.trainer)
        own = by_turns(self._split.held_out)[trainer.global_rank :: trainer.world_size]
        return eval_loader(own, self._settings["batch_size"])


def by_turns(items: Sequence[Item]) -> list[Item]:
    """One item of each task after the other, so that the first few batches are a fair sample."""
    turn: dict[int, int] = {}
    keyed: list[tuple[int, int]] = []
    for place, item in enumerate(items):
        task = int(item[4])
        turn[task] = turn.get(task, 0) + 1
        keyed.append((turn[task], place))
    return [items[place] for _, place in sorted(keyed)]


def fit(settings: dict[str, Any], config: DictConfig, split: Split, metrics: MetricsFile) -> None:
    """Build the champion and train it; everything lands in the current folder."""
    interactive = sys.stderr.isatty()
    total = settings["epochs"] * settings["steps_per_epoch"]
    watchers: list[pl.Callback] = [Metrics(metrics, total, say_every=0 if interactive else max(1, min(50, total // 20)))]
    watchers += [TQDMProgressBar()] if interactive else []
    logger = TensorBoardLogger("tensorboard", name="", version="")
    model, trainer = champion_and_trainer(settings, config, watchers, logger)
    resumed = "last.ckpt" if settings["resume"] else None
    trainer.fit(model, datamodule=ChampionData(settings, split), ckpt_path=resumed, weights_only=True)


def champion_and_trainer(
    settings: dict[str, Any], config: DictConfig, watchers: Sequence[pl.Callback], logger: TensorBoardLogger | bool
) -> tuple[pl.LightningModule, pl.Trainer]:
    """A seeded champion, and what trains it and writes its checkpoints; `watchers` are called first."""
    from champion.model.trainer import TransformerTrainer

    quiet_lightning()
    seed_everything(settings["seed"])
    model = TransformerTrainer(config)
    callbacks: list[pl.Callback] = [
        *watchers,
        RandomState(),
        LastCheckpoint(Path("last.ckpt"), settings["checkpoint_every"], settings["val_every"]),
        BestCheckpoint(Path("best.ckpt"), str(config.training.monitor_metric), str(config.training.monitor_mode)),
    ]
    trainer = pl.Trainer(
        accelerator=settings["accelerator"],
        devices=int(settings["devices"]) if settings["devices"].isdecimal() else settings["devices"],
        strategy=settings["strategy"],
        precision=settings["precision"],
        max_epochs=settings["epochs"],
        limit_val_batches=settings["limit_val_batches"],
        val_check_interval=settings["val_every"],
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=float(config.training.gradient_clip_val),
        log_every_n_steps=int(config.training.log_every_n_steps),
        logger=logger,
        callbacks=callbacks,
        enable_progress_bar=any(isinstance(callback, TQDMProgressBar) for callback in watchers),
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return model, trainer


def verdict(losses: Sequence[float]) -> tuple[str, bool]:
    """Whether training works: the loss falls and stays a number."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    quarter = max(1, len(finite) // 4)
    first, last = _mean(finite[:quarter]), _mean(finite[-quarter:])
    falls = last < first
    text = (
        f"loss: {first:.4f} in the first quarter of {len(losses)} steps, {last:.4f} in the last: "
        f"{'falls' if falls else 'DOES NOT FALL'}\n"
        f"not a number: {len(losses) - len(finite) or 'none'}\n"
        f"peak memory: {_peak_memory()}"
    )
    return text, falls and len(finite) == len(losses)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _peak_memory() -> str:
    unit = 1 if sys.platform == "darwin" else 1024
    text = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.2f} GiB"
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        text += f", {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the GPU"
    return text


def _prepare_further_processes(arguments: Sequence[str], settings: dict[str, Any]) -> None:
    """Strategies with several processes start this script once more for each, but in the run's folder."""
    names = ("out", "data") if settings["resume"] else ("out", "data", "config")
    absolute = [part for name in names for part in (f"--{name}", str(Path(settings[name]).absolute()))]
    sys.argv = [str(Path(sys.argv[0]).absolute()), *arguments, *absolute]


def _is_main_process() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0"


if __name__ == "__main__":
    sys.exit(run(main))
