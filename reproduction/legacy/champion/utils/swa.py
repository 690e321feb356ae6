r"""Stochastic weight averaging with its own learning rate, batch-norm statistics and checkpoint state."""

import copy
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

START_AT = 0.75  # of max_epochs, if start_epoch is null
SCHEDULES = ("cyclical", "constant")
CAPTURES = ("min_lr", "every_n_steps", "epoch_end")
BN_MODES = ("broadcast", "average")


class SWAManager:
    r"""
    Izmailov et al., "Averaging weights leads to wider optima and better generalization" (2018), algorithm 1.

    .. math:: w_{SWA} \leftarrow \frac{n \, w_{SWA} + w}{n + 1}, \qquad
              \alpha(i) = (1 - t(i)) \alpha_1 + t(i) \alpha_2, \quad t(i) = \frac{1}{c} ((i - 1) \bmod c + 1)

    i counts from 1, c = cycle_len_steps. 'constant' uses alpha_const. Weights are captured at the end of a
    cycle (capture 'min_lr'), every capture_every_n_steps ('every_n_steps', or whenever that is > 0) or at the
    end of an epoch.

    Reads every key of training.swa except diagnostics (swa_diagnostics.py) and enabled (the caller's
    business).

    [INFERRED] The keys are known, their values' names beyond the config's own are not: capture
    'every_n_steps' and 'epoch_end', ddp_bn_mode 'average'. start_epoch null means 75 % of max_epochs as in
    the paper.
    """

    def __init__(self, cfg: Any, max_epochs: int):
        self.schedule = _one_of("schedule", cfg["schedule"], SCHEDULES)
        self.capture = _one_of("capture", cfg["capture"], CAPTURES)
        self.bn_mode = _one_of("ddp_bn_mode", cfg["ddp_bn_mode"], BN_MODES)
        self.bn_loader = _one_of("bn_recompute_loader", cfg["bn_recompute_loader"], ("train", "val"))
        self.alpha1, self.alpha2 = float(cfg["alpha1"]), float(cfg["alpha2"])
        self.alpha_const = float(cfg["alpha_const"])
        self.cycle = int(cfg["cycle_len_steps"])
        self.every_n = int(cfg["capture_every_n_steps"])
        self.bn_recompute = bool(cfg["bn_recompute"])
        self.bn_max_batches: Optional[int] = cfg["bn_max_batches"]
        self.sync_bn = bool(cfg["ddp_sync_bn_update"])
        self.eval_with_swa = bool(cfg["eval_with_swa"])
        self.keep_base = bool(cfg["keep_base_checkpoint"])
        self.save_swa = bool(cfg["save_swa_checkpoint"])
        self.resume = bool(cfg["resume"])
        self.pause_schedulers = bool(cfg["pause_schedulers"])
        start = cfg["start_epoch"]
        self.start_epoch = int(START_AT * max_epochs) if start is None else int(start)
        if self.cycle < 1:
            raise ValueError(f"cycle_len_steps must be at least 1, got {self.cycle}")
        self.steps = 0
        self.n_averaged = 0
        self.average: Dict[str, torch.Tensor] = {}

    def active(self, epoch: int) -> bool:
        return epoch >= self.start_epoch

    def scheduler_paused(self, epoch: int) -> bool:
        """True while the ordinary scheduler must not touch the rate."""
        return self.pause_schedulers and self.active(epoch)

    def learning_rate(self, step: int) -> float:
        """Rate of the step-th step (from 1) since the averaging began."""
        if self.schedule == "constant":
            return self.alpha_const
        share = ((step - 1) % self.cycle + 1) / self.cycle
        return (1.0 - share) * self.alpha1 + share * self.alpha2

    def on_batch_start(self, optimizer: Optimizer, epoch: int) -> None:
        if self.active(epoch):
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(self.steps + 1)

    def on_batch_end(self, model: nn.Module, epoch: int) -> bool:
        """Count the step; returns True if the weights were captured."""
        if not self.active(epoch):
            return False
        self.steps += 1
        interval = self.every_n if self.every_n > 0 else self.cycle
        if self.every_n == 0 and self.capture != "min_lr":
            return False
        if self.steps % interval != 0:
            return False
        self.update(model)
        return True

    def on_epoch_end(self, model: nn.Module, epoch: int) -> bool:
        if not self.active(epoch) or self.capture != "epoch_end" or self.every_n > 0:
            return False
        self.update(model)
        return True

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the present weights into the average. Not the buffers: batch norm is recomputed instead."""
        for name, p in model.named_parameters():
            if self.n_averaged == 0:
                self.average[name] = p.detach().clone()
            else:
                self.average[name].add_((p.detach() - self.average[name]) / (self.n_averaged + 1))
        self.n_averaged += 1

    @torch.no_grad()
    def load_average(self, model: nn.Module) -> None:
        for name, p in model.named_parameters():
            p.copy_(self.average[name])

    @contextmanager
    def evaluating(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model carries the average (if wanted and there is one), afterwards its own weights."""
        if not self.eval_with_swa or self.n_averaged == 0:
            yield
            return
        before = copy.deepcopy(model.state_dict())
        self.load_average(model)
        try:
            yield
        finally:
            model.load_state_dict(before)

    def finish(
        self, model: nn.Module, loader: Optional[Iterable[Any]], step: Callable[[Any], Any]
    ) -> Optional[Dict[str, Any]]:
        """
        Put the average into the model for good and renew its batch-norm statistics.

        loader: the one named by bn_recompute_loader; step: runs the model on a batch. Returns the state dict
        from before if keep_base_checkpoint, else None.
        """
        if self.n_averaged == 0:
            return None
        base = copy.deepcopy(model.state_dict()) if self.keep_base else None
        self.load_average(model)
        if self.bn_recompute and loader is not None:
            self.recompute_batch_norm(model, loader, step)
        return base

    @torch.no_grad()
    def recompute_batch_norm(
        self, model: nn.Module, loader: Iterable[Any], step: Callable[[Any], Any]
    ) -> None:
        """Cumulative mean and variance over the loader, at most bn_max_batches; no-op without batch norm."""
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        if not norms:
            return
        was_training = model.training
        momenta = [m.momentum for m in norms]
        model.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative average
        for number, batch in enumerate(loader):
            if self.bn_max_batches is not None and number >= self.bn_max_batches:
                break
            step(batch)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
            if self.sync_bn and dist.is_available() and dist.is_initialized():
                self._synchronise(norm)
        model.train(was_training)

    def _synchronise(self, norm: _BatchNorm) -> None:
        for buffer in (norm.running_mean, norm.running_var):
            assert buffer is not None
            if self.bn_mode == "broadcast":
                dist.broadcast(buffer, src=0)
            else:
                dist.all_reduce(buffer)
                buffer.div_(dist.get_world_size())

    def state_dict(self) -> Dict[str, Any]:
        """For the checkpoint; {} if save_swa_checkpoint is off."""
        if not self.save_swa:
            return {}
        return {"steps": self.steps, "n_averaged": self.n_averaged, "average": dict(self.average)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue a saved average; ignored if resume is off or nothing was saved."""
        if self.resume and state:
            self.steps, self.n_averaged = int(state["steps"]), int(state["n_averaged"])
            self.average = {name: value.clone() for name, value in state["average"].items()}


def _one_of(key: str, value: Any, choices: Iterable[str]) -> str:
    if value not in choices:
        raise ValueError(f"unknown training.swa.{key} {value!r}, expected one of {tuple(choices)}")
    return str(value)
