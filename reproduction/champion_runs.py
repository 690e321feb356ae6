"""Small runs of the champion for the golden workloads, watched step by step; each in single and in double precision.

What a run writes is recorded by content: a checkpoint's bytes hold versions and the names of folders, and floating values
of another machine differ in the last bits. Log files are left out, since what is logged is not what is promised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
import pytorch_lightning as pl
import torch
from places import CHECKPOINT
from scripting import read_checkpoint, refuse_pickles

LOGS = "logs"

PRECISION: Mapping[torch.dtype, Any] = {torch.float32: "32-true", torch.float64: "64-true"}


class Recorder(Protocol):
    """The part of the golden recorder that the workloads use."""

    workdir: Path

    def record(self, name: str, value: object) -> None: ...

    def rng(self, name: str) -> None: ...

    def files(self, name: str, folder: Path) -> None: ...

    def model(self, name: str, module: torch.nn.Module) -> None: ...

    def gradients(self, name: str, module: torch.nn.Module) -> None: ...

    def optimizer(self, name: str, optimizer: torch.optim.Optimizer) -> None: ...


def champion_checkpoint() -> dict[str, Any]:
    """The committed checkpoint; from here on, nothing that is loaded is unpickled.

    Raises:
        ScriptError: it is missing or broken.
    """
    refuse_pickles()
    return read_checkpoint(CHECKPOINT)


def parameters(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Each parameter once: the state dict holds the core model under two names."""
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Parameters drawn in single precision and widened afterwards would differ between processors."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Watch(pl.Callback):
    """Records a training run: batches, losses, metrics, rates and random state of every step, and parameters at the end.

    `closely` adds gradients, parameters and optimizer state of every step.
    """

    def __init__(self, golden: Recorder, name: str, *, closely: bool) -> None:
        self._golden, self._name, self._closely = golden, name, closely
        self._validations = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._golden.rng(f"{self._name}.start.rng")

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        self._step = f"{self._name}.step{trainer.global_step + 1}"
        self._golden.record(f"{self._step}.batch", list(batch))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if self._closely:
            self._golden.gradients(f"{self._step}.gradients", pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        (optimizer,) = trainer.optimizers
        self._golden.record(f"{self._step}.loss", outputs["loss"])
        self._golden.record(f"{self._step}.rates", [group["lr"] for group in optimizer.param_groups])
        self._golden.record(f"{self._step}.metrics", dict(trainer.callback_metrics))
        self._golden.rng(f"{self._step}.rng")
        if self._closely:
            self._golden.record(f"{self._step}.parameters", parameters(pl_module))
            self._golden.optimizer(f"{self._step}.optimizer", optimizer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validations += 1

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._golden.record(f"{self._name}.validation{self._validations}.batch{batch_idx}", list(batch))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._golden.record(f"{self._name}.validation{self._validations}.metrics", dict(trainer.callback_metrics))
        self._golden.rng(f"{self._name}.validation{self._validations}.rng")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._golden.record(f"{self._name}.epoch{trainer.current_epoch}.metrics", dict(trainer.callback_metrics))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._golden.record(f"{self._name}.end.metrics", dict(trainer.callback_metrics))
        if not self._closely:
            self._golden.record(f"{self._name}.end.parameters", parameters(pl_module))
        self._golden.rng(f"{self._name}.end.rng")


@contextmanager
def watched_fits(golden: Recorder, names: Sequence[str]) -> Iterator[None]:
    """Watches trainers that the package itself makes: one fit for each name, in order."""
    left = list(names)
    original = pl.Trainer.fit

    def fit(self: Any, *arguments: Any, **options: Any) -> None:
        # First, since Lightning keeps checkpoints at the end.
        self.callbacks.insert(0, Watch(golden, left.pop(0), closely=False))
        original(self, *arguments, **options)

    with patch.object(pl.Trainer, "fit", fit):
        yield


def record_written(golden: Recorder, name: str, folder: Path) -> None:
    """Names of all files but logs, and what is in checkpoints and JSON files."""
    found = {file.relative_to(folder): file for file in sorted(folder.rglob("*")) if file.is_file()}
    kept = {relative.as_posix(): file for relative, file in found.items() if relative.parts[0] != LOGS}
    golden.record(name, list(kept))
    for relative, file in kept.items():
        if file.suffix == ".ckpt":
            record_checkpoint(golden, f"{name}/{relative}", file)
        elif file.suffix == ".json":
            golden.record(f"{name}/{relative}", compact(json.loads(file.read_text(encoding="utf-8"))))


def record_checkpoint(golden: Recorder, name: str, file: Path) -> None:
    """Everything in it but the version of Lightning; each tensor once, with all its names."""
    content = torch.load(file, map_location="cpu", weights_only=True)
    golden.record(f"{name}.keys", list(content))
    names: dict[int, list[str]] = {}
    for key, tensor in content["state_dict"].items():
        names.setdefault(tensor.data_ptr(), []).append(key)
    golden.record(f"{name}.names", "\n".join(" = ".join(same) for same in names.values()))
    golden.record(f"{name}.state", {same[0]: content["state_dict"][same[0]] for same in names.values()})
    for key, value in content.items():
        if key in ("hyper_parameters", "loops"):
            golden.record(f"{name}.{key}", json.dumps(value))
        elif key not in ("state_dict", "pytorch-lightning_version"):
            golden.record(f"{name}.{key}", compact(value))


def compact(value: Any) -> Any:
    """Grids and states of random generators are nested lists: one array each instead of an entry a number."""
    if isinstance(value, Mapping):
        return {key: compact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [compact(item) for item in value] if _shape(value) is None else np.array(value)
    return value


def _shape(value: Any) -> tuple[int, ...] | None:
    """Of a number or of equally long lists of numbers; None for anything else."""
    if not isinstance(value, list | tuple):
        return () if isinstance(value, int | float) and not isinstance(value, bool) else None
    shapes = {_shape(item) for item in value}
    inner = shapes.pop() if len(shapes) == 1 else None
    return None if inner is None else (len(value), *inner)
