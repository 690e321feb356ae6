"""What a run does beside training: the metrics file, the checkpoint to resume from, the state of random generators."""

from __future__ import annotations

import csv
import io
import math
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from scripting import write_text


class NotANumber(ArithmeticError):
    """The loss of a step is not finite."""


class MetricsFile:
    """One CSV: a row per training step, and a row per validation with the `val_*` columns."""

    FIRST = ("step", "epoch", "loss", "lr", "seconds")

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[str, str]] = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as lines:
                self.rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(lines)]
        self._columns = self._needed()

    def forget_after(self, step: int) -> None:
        """Drop what a killed run did after its last checkpoint: it is done again."""
        self.rows = [row for row in self.rows if int(row["step"]) <= step]
        self._rewrite()

    def add(self, row: Mapping[str, float]) -> None:
        written = {key: repr(value) for key, value in row.items()}
        self.rows.append(written)
        if not self._path.is_file() or not written.keys() <= set(self._columns):
            self._rewrite()
            return
        with self._path.open("a", newline="", encoding="utf-8") as lines:
            csv.DictWriter(lines, self._columns, restval="", lineterminator="\n").writerow(written)

    def losses(self) -> list[float]:
        return [float(row["loss"]) for row in self.rows if "loss" in row]

    def last_validation(self) -> dict[str, float]:
        rows = [row for row in self.rows if "val_loss" in row]
        return {key: float(value) for key, value in rows[-1].items() if key not in ("step", "epoch")} if rows else {}

    def _needed(self) -> list[str]:
        found = {key for row in self.rows for key in row}
        return [*self.FIRST, *sorted(found - set(self.FIRST))]

    def _rewrite(self) -> None:
        self._columns = self._needed()
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self._path, text.getvalue())


class Metrics(pl.Callback):
    """Keeps the metrics file, says in plain lines how far the run is, and stops at a loss that is no number."""

    def __init__(self, file: MetricsFile, total_steps: int, say_every: int) -> None:
        self.file = file
        self._total, self._say_every = total_steps, say_every
        self._started = time.monotonic()
        self._first_step = 0
        self._earlier = 0.0
        self._rate = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._first_step = trainer.global_step
        self._started = time.monotonic()
        if trainer.is_global_zero:
            self.file.forget_after(trainer.global_step)
        self._earlier = max((float(row["seconds"]) for row in self.file.rows if "seconds" in row), default=0.0)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = float(outputs["loss"])
        step, seconds = trainer.global_step, time.monotonic() - self._started
        if trainer.is_global_zero:
            self.file.add(
                {
                    "step": step,
                    "epoch": trainer.current_epoch,
                    "loss": loss,
                    "lr": self._rate,
                    "seconds": round(self._earlier + seconds, 2),
                }
            )
            if self._say_every and (step % self._say_every == 0 or step == self._first_step + 1):
                self._say(step, loss, seconds)
        if not math.isfinite(loss):
            raise NotANumber(f"the loss of step {step} is {loss}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val_")}
        if not trainer.is_global_zero or trainer.sanity_checking or not found:
            return
        self.file.add({"step": trainer.global_step, "epoch": trainer.current_epoch, **found})
        if self._say_every:
            shown = ("val_loss", "val_cell_accuracy", "val_grid_accuracy", "val_change_recall")
            print(f"step {trainer.global_step}:", ", ".join(f"{name} {found[name]:.4f}" for name in shown if name in found))
            sys.stdout.flush()

    def _say(self, step: int, loss: float, seconds: float) -> None:
        each = seconds / (step - self._first_step)
        left = time.strftime("%H:%M:%S", time.gmtime(each * (self._total - step)))
        print(f"step {step}/{self._total}: loss {loss:.4f}, rate {self._rate:.3g}, {each:.2f} s/step, {left} left", flush=True)


class RandomState(pl.Callback):
    """Takes the random generators along in checkpoints: dropout of a resumed run is that of an unbroken one."""

    def __init__(self) -> None:
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        version, internal, gauss = random.getstate()
        kind, keys, position, has_gauss, cached = np.random.get_state()
        return {
            "python": [version, list(internal), gauss],
            "numpy": [kind, [int(key) for key in keys], position, has_gauss, cached],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if self._restored is None:
            return
        state, self._restored = self._restored, None
        version, internal, gauss = state["python"]
        random.setstate((version, tuple(internal), gauss))
        kind, keys, position, has_gauss, cached = state["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
        torch.set_rng_state(state["torch"].cpu())
        for device, cuda in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda.cpu(), device)


class LastCheckpoint(pl.Callback):
    """`last.ckpt`, from which a killed run goes on as if nothing had happened.

    Lightning would skip the validation that follows a batch when it resumes from that batch's checkpoint. Such a checkpoint
    waits for the next batch that no validation follows.
    """

    def __init__(self, path: Path, every: int, validates_every: int) -> None:
        self._path, self._every, self._validates_every = path, every, validates_every
        self._due = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._due |= trainer.global_step % self._every == 0
        if self._due and trainer.global_step % self._validates_every != 0:
            trainer.save_checkpoint(self._path)
            self._due = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self._path)


class BestCheckpoint(pl.Callback):
    """`best.ckpt`: the best value of the monitored metric, of equal values the latest.

    Lightning's own keeps the earliest, which for a grid accuracy of 0 is the least trained, and it remembers by absolute path.
    """

    def __init__(self, path: Path, monitor: str, mode: str) -> None:
        self._path, self._monitor, self._sign = path, monitor, -1.0 if mode == "min" else 1.0
        self._best = -math.inf

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        own = self._sign * float(trainer.callback_metrics.get(self._monitor, math.nan))
        value = trainer.strategy.broadcast(own)  # all processes save together or not at all
        if value >= self._best:
            self._best = value
            trainer.save_checkpoint(self._path)
