"""
Learned numbers of steps (PonderNet, Banino, Balaguer & Blundell 2021).

After step t the model stops with probability lambda_t. What is optimised is the loss expected under the
resulting distribution over steps, plus its distance from a geometric prior.
"""
from typing import Any, NamedTuple, Optional, Sequence

import torch
import torch.nn as nn

FEATURES = ("mean", "max", "first")


def halting_distribution(lambdas: torch.Tensor) -> torch.Tensor:
    r"""
    :math:`p_t = \lambda_t \prod_{s<t} (1 - \lambda_s)`, the rest of the mass on the last step.

    [..., T] -> [..., T], rows sum to 1.
    """
    going_on = torch.cumprod(1.0 - lambdas, dim=-1)
    before = torch.cat([torch.ones_like(going_on[..., :1]), going_on[..., :-1]], dim=-1)
    return torch.cat([(lambdas * before)[..., :-1], before[..., -1:]], dim=-1)


def geometric_prior(pi: float, steps: int, like: torch.Tensor) -> torch.Tensor:
    """Geometric distribution with success rate pi, cut at ``steps`` and renormalised."""
    t = torch.arange(steps, device=like.device, dtype=like.dtype)
    prior = pi * (1.0 - pi) ** t
    return prior / prior.sum()


def expected_steps(p: torch.Tensor) -> torch.Tensor:
    return (p * torch.arange(1, p.size(-1) + 1, device=p.device, dtype=p.dtype)).sum(-1)


def halting_kl(p: torch.Tensor, pi: float) -> torch.Tensor:
    r""":math:`\mathrm{KL}(p \,\Vert\, \mathrm{Geom}(\pi))` per row; steps without mass count zero."""
    prior = geometric_prior(pi, p.size(-1), p)
    return (torch.xlogy(p, p.clamp_min(1e-30)) - p * torch.log(prior.clamp_min(1e-30))).sum(-1)


def stop_step(p: torch.Tensor, eps_halt: float) -> torch.Tensor:
    """First step (0-based) at which at most ``eps_halt`` of the mass is left, per row."""
    reached = torch.cumsum(p, dim=-1) >= 1.0 - eps_halt - 1e-6
    last = torch.zeros_like(reached)
    last[..., -1] = True
    return (reached | last).to(torch.uint8).argmax(dim=-1)


def ponder_regulariser(p: torch.Tensor, cfg: Any) -> torch.Tensor:
    """beta_kl * KL (loss.use_kl) + tau_ponder * E[steps] (loss.use_ponder_cost), mean over rows."""
    total = p.new_zeros(())
    if cfg.loss.use_kl:
        total = total + float(cfg.beta_kl) * halting_kl(p, float(cfg.pi_prior)).mean()
    if cfg.loss.use_ponder_cost:
        total = total + float(cfg.tau_ponder) * expected_steps(p).mean()
    return total


class HaltingHead(nn.Module):
    """lambda from a pooled state: feature 'mean', 'max' over the open tokens or the 'first' token."""

    def __init__(self, d_model: int, feature: str = "mean"):
        super().__init__()
        if feature not in FEATURES:
            raise ValueError(f"halting_feature must be one of {FEATURES}, got {feature!r}")
        self.feature = feature
        self.linear = nn.Linear(d_model, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: torch.Tensor, pad: Optional[torch.Tensor] = None) -> torch.Tensor:
        """[B, L, d] -> [B]"""
        if self.feature == "first":
            pooled = h[:, 0]
        elif self.feature == "max":
            low = torch.finfo(h.dtype).min
            pooled = h.amax(1) if pad is None else h.masked_fill(pad.unsqueeze(-1), low).amax(1)
            if pad is not None:
                pooled = pooled.masked_fill(pad.all(1, keepdim=True), 0.0)
        elif pad is None:
            pooled = h.mean(1)
        else:
            keep = (~pad).unsqueeze(-1).to(h.dtype)
            pooled = (h * keep).sum(1) / keep.sum(1).clamp_min(1.0)
        return torch.sigmoid(self.linear(pooled)).squeeze(-1)


class PonderTerms(NamedTuple):
    total: torch.Tensor
    task: torch.Tensor
    regulariser: torch.Tensor
    steps: torch.Tensor


def ponder_loss(p: torch.Tensor, step_losses: Sequence[torch.Tensor], cfg: Any) -> PonderTerms:
    r"""
    :math:`L = \sum_t p_t L_t + \beta\,\mathrm{KL}(p \Vert \mathrm{Geom}) + \tau\,E[t]`; cfg is looped.ponder.

    p [B, T], T losses of shape [B]. ``use_expected_task`` off: the last step's loss alone.
    ``aggregation`` 'single' weighs with one distribution, the mean of the batch; 'per_sample' with each
    sample's own. ``adaptive_tbptt`` cuts the gradient of the steps behind the ``tbptt_quantile`` of the
    (batch mean) distribution: they are hardly ever used. [INFERRED] these two readings; alternatives:
    'single' = one loss on the mixed logits, tbptt = number of loops kept in the graph.
    """
    if cfg.loss.aggregation not in ("single", "per_sample"):
        raise ValueError(f"unknown ponder.loss.aggregation {cfg.loss.aggregation!r}")
    losses = torch.stack(list(step_losses), dim=-1)
    if cfg.loss.adaptive_tbptt:
        limit = int(stop_step(p.detach().mean(0), 1.0 - float(cfg.loss.tbptt_quantile)))
        losses = torch.cat([losses[:, : limit + 1], losses[:, limit + 1:].detach()], dim=-1)
    if not cfg.loss.use_expected_task:
        task = losses[:, -1].mean()
    elif cfg.loss.aggregation == "single":
        task = (p.mean(0) * losses.mean(0)).sum()
    else:
        task = (p * losses).sum(-1).mean()
    regulariser = ponder_regulariser(p, cfg)
    return PonderTerms(task + regulariser, task, regulariser, expected_steps(p).mean())
