"""The champion's config made small, trainers of it, and what is seen of them: in evaluation and in a training step."""

from __future__ import annotations

import copy
import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

CONFIG = Path(__file__).resolve().parents[3] / "reproduction" / "configs" / "champion.yaml"
PAD, CLASSES, SIDE, WIDTH = 10, 24, 4, 16
DROPOUTS = ("dropout_rate", "encoder_dropout_rate", "decoder_dropout_rate", "context_encoder.attn_dropout")
SMALL: dict[str, object] = {
    **{f"model.{name}": SIDE for name in ("max_h", "max_w", "context_encoder.grid_height", "context_encoder.grid_width")},
    **{f"model.{name}": 0.0 for name in (*DROPOUTS, "context_encoder.ffn_dropout")},
    "model.d_model": WIDTH,
    "model.d_ff": 32,
    "model.decoder_layers": 1,
    "model.context_encoder.pixel_layers": 1,
    "model.cumoe.expert_hidden": 8,
    "model.nora.groups": 4,
    "model.k_nn": 4,
    "model.d_pi": 4,
    "logging.log_dir": "logs",
}
ELSEWHERE = frozenset(
    {"optuna", "mks", "sleep", "speculative_decoding", "cumoe", "infodrop", "grokfast", "karl", "poe", "cagrad", "callbacks"}
)
"""Nodes that only other programs read: with them every build is slow."""

Batch = list[Tensor]


@functools.cache
def pinned() -> dict[str, Any]:
    with CONFIG.open(encoding="utf-8") as file:
        values: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    return {name: node for name, node in values.items() if name not in ELSEWHERE}


def champion(switch: Mapping[str, object] | None = None) -> DictConfig:
    """The pinned config, made small, with dotted keys put in; new keys are allowed."""
    values = copy.deepcopy(pinned())
    for dotted, value in {**SMALL, **(switch or {})}.items():
        *path, last = dotted.split(".")
        functools.reduce(lambda node, name: node.setdefault(name, {}), path, values)[last] = value
    return OmegaConf.create(values)


def package(name: str) -> ModuleType:
    return importlib.import_module(f"champion.{name}")


def build(switch: Mapping[str, object] | None = None) -> Any:
    """A trainer without any dropout; `logged` has what it logs, as no Lightning trainer is behind it."""
    torch.manual_seed(7)
    trainer = package("model.trainer").TransformerTrainer(champion(switch))
    for module in trainer.model.encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "dropout"):
            module.dropout = module.dropout if isinstance(module.dropout, nn.Module) else 0.0
    trainer.logged = {}
    trainer.log = lambda name, value, **_: trainer.logged.__setitem__(name, float(torch.as_tensor(value).detach()))
    return trainer


def grids(seed: int, *lead: int, side: int = SIDE) -> Tensor:
    drawn = torch.randint(0, 10, (*lead, side, side), generator=torch.Generator().manual_seed(seed))
    drawn[..., -1, :] = PAD
    return drawn


def batch(side: int = SIDE) -> Batch:
    return [grids(1, 2, side=side), grids(2, 2, side=side), grids(3, 2, 2), grids(4, 2, 2), torch.arange(2)]


def answer(trainer: Any, arguments: Batch | None = None, **keywords: object) -> Tensor:
    with torch.no_grad():
        logits: Tensor = trainer.model.eval()(*(batch()[:4] if arguments is None else arguments), **keywords)
    return logits


def step(trainer: Any, seed: int = 5) -> float:
    """Loss of a training step after its backward pass, always with the same random numbers."""
    torch.manual_seed(seed)
    trainer.zero_grad()
    loss = trainer.train().training_step(batch(), 0)
    loss.backward()
    return float(loss.detach())


@dataclass(frozen=True)
class Seen:
    trainer: Any
    logits: Tensor
    loss: float
    logged: dict[str, float]
    gradients: dict[str, bool]
    """Of every parameter: is there one that is not zero?"""

    def further(self, part: str) -> list[str]:
        """Parameters with this in their names that the champion does not have."""
        return [name for name in self.gradients if part in name and name not in plain().gradients]


def see(switch: Mapping[str, object]) -> Seen:
    trainer = build(switch)
    if switch:
        own, shared = trainer.state_dict(), plain().trainer.state_dict()
        fitting = {name: value for name, value in shared.items() if name in own and own[name].shape == value.shape}
        trainer.load_state_dict(fitting, strict=False)
    logits, loss = answer(trainer), step(trainer)
    assert bool(logits.isfinite().all()) and torch.isfinite(torch.tensor(loss))
    gradients = {name: value.grad is not None and bool(value.grad.any()) for name, value in trainer.named_parameters()}
    return Seen(trainer, logits, loss, trainer.logged, gradients)


@functools.cache
def plain() -> Seen:
    return see({})


def optimizer(trainer: Any) -> Any:
    found = trainer.configure_optimizers()
    return found["optimizer"] if isinstance(found, dict) else found
