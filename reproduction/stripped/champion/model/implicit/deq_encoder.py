"""
Deep equilibrium encoder (Bai, Kolter & Koltun 2019): one layer, applied until it changes nothing.

The output is the fixed point :math:`z^* = f(z^*, x)`. Gradients do not go through the iterations: by the
implicit function theorem :math:`\\partial L/\\partial x = g^\\top \\partial f/\\partial x` with g the solution of
:math:`g = (\\partial f / \\partial z)^\\top g + \\partial L / \\partial z^*`, another fixed point.
"""
import contextlib
from typing import Any, Callable, Dict, NamedTuple, Optional

import torch
import torch.nn as nn

NORMS = ("max", "l2", "relative")
INITS = ("learned", "zeros", "input")
SOLVERS = ("broyden", "picard")
LINE_SEARCH_HALVINGS = 4
START_RATE = 0.05


class Solution(NamedTuple):
    value: torch.Tensor
    iterations: int
    residual: float
    converged: bool


def residual_norm(g: torch.Tensor, z: torch.Tensor, kind: str) -> float:
    if kind == "max":
        return float(g.abs().amax()) if g.numel() else 0.0
    if kind == "l2":
        return float(g.norm())
    return float(g.norm() / z.norm().clamp_min(1e-12))


class _InverseJacobian:
    """Broyden's inverse Jacobian of f(z) - z per sample: -I plus one rank-one term per step."""

    def __init__(self):
        self.terms = []

    def times(self, v: torch.Tensor) -> torch.Tensor:
        out = -v
        for u, w in self.terms:
            out = out + u * (w * v).sum(-1, keepdim=True)
        return out

    def row_times(self, v: torch.Tensor) -> torch.Tensor:
        out = -v
        for u, w in self.terms:
            out = out + w * (u * v).sum(-1, keepdim=True)
        return out

    def update(self, dz: torch.Tensor, dg: torch.Tensor) -> None:
        w = self.row_times(dz)
        bottom = (w * dg).sum(-1, keepdim=True)
        usable = bottom.abs() > 1e-12
        u = (dz - self.times(dg)) / torch.where(usable, bottom, torch.ones_like(bottom))
        self.terms.append((u * usable, w))


def solve_fixed_point(
    f: Callable[[torch.Tensor], torch.Tensor], z0: torch.Tensor, *, solver: str, tol: float, max_iter: int,
    damping: float = 1.0, line_search: bool = False, norm: str = "max",
    weigh: Callable[[torch.Tensor], torch.Tensor] = lambda g: g,
) -> Solution:
    r"""
    Find z = f(z). 'picard' steps by the residual, 'broyden' by good Broyden's inverse Jacobian
    :math:`\Delta z = -J^{-1} g`. ``damping`` scales the step, ``line_search`` halves it while the residual
    grows. ``weigh`` hides parts of the residual from the stopping rule. The best point seen is returned.
    """
    if solver not in SOLVERS:
        raise ValueError(f"model.deq.solver must be one of {SOLVERS}, got {solver!r}")
    shape, size = z0.shape, z0.size(0)
    z = z0.reshape(size, -1)

    def residual(point):
        return f(point.view(shape)).reshape(size, -1) - point

    def measure(g, point):
        return residual_norm(weigh(g.view(shape)), point, norm)

    inverse = _InverseJacobian()
    g = residual(z)
    now = measure(g, z)
    best = Solution(z.view(shape), 0, now, now <= tol)
    for iteration in range(1, max_iter + 1):
        if best.converged:
            break
        direction = g if solver == "picard" else -inverse.times(g)
        step = damping
        z_new = z + step * direction
        g_new = residual(z_new)
        if line_search:
            for _ in range(LINE_SEARCH_HALVINGS):
                if measure(g_new, z_new) <= now:
                    break
                step = step / 2
                z_new = z + step * direction
                g_new = residual(z_new)
        if solver == "broyden":
            inverse.update(z_new - z, g_new - g)
        z, g, now = z_new, g_new, measure(g_new, z_new)
        if now < best.residual:
            best = Solution(z.view(shape), iteration, now, now <= tol)
    return best._replace(iterations=iteration if max_iter and not best.converged else best.iterations)


class DEQCell(nn.Module):
    """Post-norm transformer layer with the input injected in front; no dropout inside the iteration."""

    def __init__(self, d_model: int, n_head: int, d_ff: int):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, n_head, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)

    def forward(self, z, x, key_padding_mask=None):
        h = z + x
        h = self.norm1(h + self.self_attn(h, h, h, key_padding_mask=key_padding_mask, need_weights=False)[0])
        return self.norm2(h + self.linear2(torch.relu(self.linear1(h))))


class DEQEncoder(nn.Module):
    """
    Implicit encoder, called like nn.TransformerEncoder; ``cfg`` is model.deq.

    ``init``: start at a learned vector (running mean of the solutions: the fixed point does not depend on the
    start, so there is no gradient to learn it from), at zero or at the input; ``warm_start_across_batches``
    starts at the last solution while the shape stays. ``mask_aware_residual`` stops by the non-PAD tokens alone. If
    the solver did not converge and ``fallback_unroll_depth`` > 0, that many plain steps with gradients replace the
    implicit gradient. ``ddp_no_sync``: the solver runs under the no_sync() of the module put into
    ``ddp_wrapper``. Dropout acts on the injected input only, once per pass, so that f stays a function.
    ``last_stats`` holds iterations and residuals if ``log_metrics``. [INFERRED] the cell, the place of
    dropout and how the start is learned; alternatives: variational dropout inside the layer, a parameter.
    """

    def __init__(self, d_model: int, n_head: int, d_ff: int, cfg: Any, dropout: float = 0.1):
        super().__init__()
        if cfg.residual_norm not in NORMS or cfg.init not in INITS:
            raise ValueError(f"model.deq: residual_norm in {NORMS}, init in {INITS}")
        self.cfg = cfg
        self.cell = DEQCell(d_model, n_head, d_ff)
        self.dropout = nn.Dropout(dropout)
        if cfg.init == "learned":
            self.register_buffer("start", torch.zeros(d_model))
        self.ddp_wrapper: Optional[Any] = None
        self.last_stats: Dict[str, float] = {}
        self._last: Optional[torch.Tensor] = None

    def _begin(self, x: torch.Tensor) -> torch.Tensor:
        if self.cfg.warm_start_across_batches and self._last is not None and self._last.shape == x.shape:
            return self._last.to(x)
        if self.cfg.init == "input":
            return x.detach()
        return self.start.expand_as(x) if self.cfg.init == "learned" else torch.zeros_like(x)

    def _quiet(self):
        if self.cfg.ddp_no_sync and self.ddp_wrapper is not None:
            return self.ddp_wrapper.no_sync()
        return contextlib.nullcontext()

    def forward(self, src, mask=None, src_key_padding_mask=None):
        cfg, x = self.cfg, self.dropout(src)

        def f(z):
            with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=bool(cfg.amp_enabled)):
                return self.cell(z, x, src_key_padding_mask).to(x.dtype)

        def visible(g):
            if not cfg.mask_aware_residual or src_key_padding_mask is None:
                return g
            pad = src_key_padding_mask
            pad = pad if pad.dtype == torch.bool else torch.isneginf(pad)
            return g.masked_fill(pad.unsqueeze(-1), 0.0)

        with torch.no_grad(), self._quiet():
            found = solve_fixed_point(
                f, self._begin(x), solver=cfg.solver, tol=float(cfg.forward_tol), max_iter=int(cfg.max_iter_fwd),
                damping=float(cfg.damping), line_search=bool(cfg.line_search), norm=cfg.residual_norm,
                weigh=visible,
            )
        self._last = found.value.detach()
        if self.training and cfg.init == "learned":
            self.start.lerp_(self._last.mean(dim=(0, 1)), START_RATE)
        self._log("fwd", found)
        if not torch.is_grad_enabled():
            return found.value
        if not found.converged and cfg.fallback_unroll_depth > 0:
            z = found.value
            for _ in range(cfg.fallback_unroll_depth):
                z = f(z)
            return z
        z = f(found.value)
        if z.requires_grad:
            z.register_hook(self._implicit_hook(f, found.value))
        return z

    def _implicit_hook(self, f, z_star: torch.Tensor):
        point = z_star.detach().requires_grad_()
        image = f(point)

        def hook(grad: torch.Tensor) -> torch.Tensor:
            # the tolerance is absolute, gradients are of any size: solve for the unit-sized one
            size = grad.abs().amax().clamp_min(torch.finfo(grad.dtype).tiny)
            unit = grad / size

            def backward_map(g):
                return torch.autograd.grad(image, point, g, retain_graph=True)[0] + unit

            with self._quiet():
                found = solve_fixed_point(
                    backward_map, unit, solver=self.cfg.solver, tol=float(self.cfg.backward_tol),
                    max_iter=int(self.cfg.max_iter_bwd), norm=self.cfg.residual_norm,
                )
            self._log("bwd", found)
            return found.value * size

        return hook

    def _log(self, phase: str, found: Solution) -> None:
        if self.cfg.log_metrics:
            self.last_stats[f"{phase}_iterations"] = found.iterations
            self.last_stats[f"{phase}_residual"] = found.residual
            self.last_stats[f"{phase}_converged"] = float(found.converged)
