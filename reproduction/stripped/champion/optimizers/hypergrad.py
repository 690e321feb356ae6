r"""Learning rates that follow their own gradient."""

from typing import Any, Callable, Iterable, Optional, Tuple

import torch
from torch.optim import Optimizer

KINDS = ("adam", "sgd")


class HyperGradient(Optimizer):
    r"""
    Baydin et al., "Online learning rate adaptation with hypergradient descent" (2018): SGD-HD and
    Adam-HD, with the paper's transition to a fixed rate.

    .. math:: \alpha_t = \mathrm{clip}(\alpha_{t-1} + \beta \, g_t \cdot u_{t-1}, \alpha_{min}, \alpha_{max}),
              \qquad \gamma_t = \delta_t \alpha_t + (1 - \delta_t) \alpha_\infty, \qquad
              \theta_t = \theta_{t-1} - \gamma_t u_t

    u is the base optimizer's direction (Adam's m/sqrt(v), or the gradient). As long as steps agree with the
    next gradient the rate grows. delta falls from 1 to 0, so in the end the rate is alpha_inf and convergence
    is plain.

    [INFERRED] Known are the keys of the config's ``optimizer`` node. :math:`\delta_t = (1 + t/\tau)^{-2}`
    with tau = transition_steps (the paper's 1/t^2, stretched). With vector_alphas every weight has its own
    rate and the dot product becomes an element-wise product. Alternatives considered: a linear transition;
    one rate per tensor.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        beta: float = 5e-5,
        alpha_min: float = 1e-12,
        alpha_max: float = 1e-4,
        alpha_inf: float = 5e-5,
        transition_steps: int = 100,
        vector_alphas: bool = True,
        kind: str = "adam",
        betas: Tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        if kind not in KINDS:
            raise ValueError(f"unknown base optimizer {kind!r}, expected one of {KINDS}")
        if not 0.0 < alpha_min <= alpha_max:
            raise ValueError(f"need 0 < alpha_min <= alpha_max, got {alpha_min} and {alpha_max}")
        super().__init__(
            params,
            dict(
                lr=lr,
                beta=beta,
                alpha_min=alpha_min,
                alpha_max=alpha_max,
                alpha_inf=alpha_inf,
                transition_steps=transition_steps,
                vector_alphas=vector_alphas,
                kind=kind,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
            ),
        )

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], torch.Tensor]] = None) -> Optional[torch.Tensor]:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad, group)
        return loss

    def _update(self, p: torch.Tensor, grad: torch.Tensor, group: Any) -> None:
        if group["weight_decay"] != 0:
            grad = grad.add(p, alpha=group["weight_decay"])
        state = self.state[p]
        if not state:
            # a rate outside the limits starts at the nearest one
            start = min(max(group["lr"], group["alpha_min"]), group["alpha_max"])
            state["step"] = 0
            state["alpha"] = torch.full_like(p if group["vector_alphas"] else p.new_zeros(()), start)
            state["direction"] = torch.zeros_like(p)
            if group["kind"] == "adam":
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        agreement = grad * state["direction"]
        if not group["vector_alphas"]:
            agreement = agreement.sum()
        state["alpha"] = (state["alpha"] + group["beta"] * agreement).clamp(
            group["alpha_min"], group["alpha_max"]
        )
        state["step"] += 1
        state["direction"] = self._direction(grad, state, group)
        delta = (1.0 + (state["step"] - 1) / max(1, group["transition_steps"])) ** -2
        rate = delta * state["alpha"] + (1.0 - delta) * group["alpha_inf"]
        p.sub_(rate * state["direction"])

    @staticmethod
    def _direction(grad: torch.Tensor, state: Any, group: Any) -> torch.Tensor:
        if group["kind"] == "sgd":
            return grad.clone()
        beta1, beta2 = group["betas"]
        state["exp_avg"].lerp_(grad, 1.0 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1.0 - beta2)
        mean: torch.Tensor = state["exp_avg"] / (1.0 - beta1 ** state["step"])
        square = state["exp_avg_sq"] / (1.0 - beta2 ** state["step"])
        return mean / (square.sqrt() + group["eps"])


def build_hypergrad(params: Iterable[Any], cfg: Any) -> HyperGradient:
    """From the config's ``optimizer`` node; the base optimizer's numbers come from ``optimizer.base``."""
    base = cfg["base"]
    kind = str(base["_target_"]).rpartition(".")[2].lower()
    return HyperGradient(
        params,
        lr=float(cfg["lr"]),
        beta=float(cfg["beta"]),
        alpha_min=float(cfg["alpha_min"]),
        alpha_max=float(cfg["alpha_max"]),
        alpha_inf=float(cfg["alpha_inf"]),
        transition_steps=int(cfg["transition_steps"]),
        vector_alphas=bool(cfg["vector_alphas"]),
        kind=kind,
        betas=(float(base["betas"][0]), float(base["betas"][1])),
        eps=float(base["eps"]),
        weight_decay=float(base["weight_decay"]),
    )
