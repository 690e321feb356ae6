r"""Weights of the penalties, learned with their hyper-gradient while the model trains."""

import math
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

import torch

SCHEDULES = ("constant", "linear", "cosine")


class RegulariserHypergrad:
    r"""
    One step of look-ahead, as in Luketina et al., "Scalable gradient-based tuning of continuous
    regularization hyperparameters" (2016): after
    :math:`\theta' = \theta - \eta (\nabla L + \sum_i \lambda_i \nabla R_i)` the task loss has
    :math:`\partial L(\theta') / \partial \lambda_i \approx -\eta \nabla L \cdot \nabla R_i`.

    .. math:: \lambda_i \leftarrow \mathrm{clip}\Big(\lambda_i \exp\big(\rho_i \, s_t \cos(\nabla L, \nabla
              R_i)\big), \alpha_{min}, \alpha_{max}\Big)

    A penalty that pulls the same way as the task gains weight, one that pulls against it loses weight. rho_i
    is the rate of penalty i, s_t the schedule's factor.

    [INFERRED] Known are the keys of regulariser_hypergrad. Alternatives considered: an additive step with the
    raw dot product (its size depends on the scale of the loss); gradients from a validation batch.
    """

    def __init__(self, cfg: Any):
        self.values: Dict[str, float] = {name: float(value) for name, value in cfg["init"].items()}
        self.rho: Dict[str, float] = {name: float(cfg["rho"][name]) for name in self.values}
        self.low, self.high = float(cfg["alpha_min"]), float(cfg["alpha_max"])
        schedule = cfg["schedule"]
        self.kind = str(schedule["type"])
        if self.kind not in SCHEDULES:
            raise ValueError(f"unknown schedule {self.kind!r}, expected one of {SCHEDULES}")
        self.warmup_steps = int(schedule["warmup_steps"])
        self.total_steps = int(schedule["total_steps"])
        self.steps = 0

    def factor(self, step: int) -> float:
        """Rises linearly over the warm-up, then falls to 0 at total_steps (or stays, for 'constant')."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.kind == "constant":
            return 1.0
        done = min(1.0, (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))
        return 1.0 - done if self.kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))

    def update(
        self, task_grads: Sequence[torch.Tensor], penalty_grads: Mapping[str, Sequence[torch.Tensor]]
    ) -> None:
        """
        One update of every weight named in ``penalty_grads`` (gradients of the penalty *without* its weight).

        Gradients that vanish, or are not finite, leave their weight alone.
        """
        scale = self.factor(self.steps)
        for name, grads in penalty_grads.items():
            exponent = self.rho[name] * scale * cosine(task_grads, grads)
            self.values[name] = min(max(self.values[name] * math.exp(exponent), self.low), self.high)
        self.steps += 1

    def state_dict(self) -> Dict[str, Any]:
        return {"values": dict(self.values), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.values = {name: float(state["values"][name]) for name in self.values}
        self.steps = int(state["steps"])


def gradients(loss: torch.Tensor, params: Iterable[torch.Tensor]) -> List[torch.Tensor]:
    """Gradient of ``loss`` for every parameter, zeros where it does not depend on one; the graph is kept."""
    params = list(params)
    if not loss.requires_grad:
        return [torch.zeros_like(p) for p in params]
    found: Sequence[Optional[torch.Tensor]] = torch.autograd.grad(
        loss, params, retain_graph=True, allow_unused=True
    )
    return [torch.zeros_like(p) if g is None else g for p, g in zip(params, found)]


def cosine(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> float:
    """Cosine of two lists of tensors read as one vector each; 0 if it has no value."""
    dot = sum(float((a.detach().double() * b.detach().double()).sum()) for a, b in zip(left, right))
    square_left = sum(float((a.detach().double() ** 2).sum()) for a in left)
    square_right = sum(float((b.detach().double() ** 2).sum()) for b in right)
    norm = math.sqrt(square_left) * math.sqrt(square_right)
    if not math.isfinite(dot) or not math.isfinite(norm) or norm == 0.0:
        return 0.0
    return dot / norm
