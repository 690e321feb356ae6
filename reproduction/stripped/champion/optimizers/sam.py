r"""Sharpness-aware minimisation around any optimizer."""

from typing import Any, Callable, Dict, Iterable, Optional, Type

import torch
from torch.optim import Optimizer


class SAM(Optimizer):
    r"""
    Foret et al., "Sharpness-aware minimization" (2021); adaptive form: Kwon et al., "ASAM" (2021).

    .. math:: \hat\epsilon = \rho \frac{T_w^2 g}{\lVert T_w g \rVert_2}, \qquad
              w \leftarrow \mathrm{base}\big(w, \nabla L(w + \hat\epsilon)\big), \qquad
              T_w = I \text{ or } |w| \text{ (adaptive)}

    Two gradients per step: one to find the worst neighbour, one there, which the base optimizer applies at w.

        loss.backward(); optimizer.first_step(zero_grad=True)
        loss_there.backward(); optimizer.second_step(zero_grad=True)

    or ``optimizer.step(closure)`` with a closure that clears the gradients, runs forward and backward.
    """

    def __init__(
        self,
        params: Iterable[Any],
        base_optimizer: Type[Optimizer],
        rho: float = 0.05,
        adaptive: bool = False,
        **kwargs: Any,
    ):
        if rho < 0:
            raise ValueError(f"rho must not be negative, got {rho}")
        super().__init__(params, dict(rho=rho, adaptive=adaptive, **kwargs))
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        # one list and one dict for both: schedulers and checkpoints see this object only
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state
        self.defaults.update(self.base_optimizer.defaults)
        self._moved: Dict[torch.Tensor, torch.Tensor] = {}

    @torch.no_grad()
    def first_step(self, zero_grad: bool = False) -> None:
        """Climb to the worst neighbour. A gradient of 0 moves nothing."""
        norm = self._grad_norm()
        for group in self.param_groups:
            scale = group["rho"] / (norm + 1e-12)
            for p in group["params"]:
                if p.grad is None:
                    continue
                self._moved[p] = p.detach().clone()
                direction = p.grad * p**2 if group["adaptive"] else p.grad
                p.add_(direction * scale.to(p))
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad: bool = False) -> None:
        """Back to where first_step started, then one base step with the gradient from up there."""
        for p, before in self._moved.items():
            p.copy_(before)
        self._moved.clear()
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()

    def step(self, closure: Optional[Callable[[], torch.Tensor]] = None) -> torch.Tensor:  # type: ignore[override]
        if closure is None:
            raise ValueError("SAM needs a closure, or first_step and second_step")
        with torch.enable_grad():
            loss = closure()
        self.first_step()
        with torch.enable_grad():
            closure()
        self.second_step()
        return loss

    def _grad_norm(self) -> torch.Tensor:
        norms = [
            ((p.abs() if group["adaptive"] else 1.0) * p.grad).norm()
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        return torch.stack(norms).norm() if norms else torch.zeros(())

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.base_optimizer.param_groups = self.param_groups
        self.base_optimizer.state = self.state
