r"""
Functional risk minimisation.

After Alet et al., "Functional risk minimization" (2024): every example has its own function near the shared
one, so the loss should see how far predictions move when the function does. Two readings of that idea are
offered, both on the hidden states in front of the output layer.

[INFERRED] Known are the keys of model.frm and "extra spectral/variance regulariser" on the stored hidden
state.
Alternatives considered: the full Jacobian kernel instead of the last layer's; the trace of the curvature
(Hutchinson).
"""

import math
from dataclasses import dataclass
from typing import Any, Callable, List

import torch
import torch.nn as nn
import torch.nn.functional as F

# what annealing leaves of the weight
ANNEAL_TO = 0.1


@dataclass(frozen=True)
class PhaseSchedule:
    """
    'warmup-2|anneal-5|freeze': the factor of the penalty climbs for 2 epochs, falls to ANNEAL_TO within 5,
    then stays.

    [INFERRED] Alternative considered: annealing towards 0.
    """

    warmup: int
    anneal: int
    freeze: bool

    @classmethod
    def parse(cls, text: str) -> "PhaseSchedule":
        lengths = {"warmup": 0, "anneal": 0}
        freeze = False
        for part in text.split("|"):
            name, _, length = part.strip().partition("-")
            if name == "freeze" and not length:
                freeze = True
            elif name in lengths and length.isdigit():
                lengths[name] = int(length)
            else:
                raise ValueError(f"cannot read {part!r} in the schedule {text!r}")
        return cls(lengths["warmup"], lengths["anneal"], freeze)

    def factor(self, epoch: int) -> float:
        if epoch < self.warmup:
            return (epoch + 1) / (self.warmup + 1)
        if self.anneal == 0:
            return 1.0
        done = min(1.0, (epoch - self.warmup) / self.anneal)
        return 1.0 + done * (ANNEAL_TO - 1.0)

    def frozen(self, epoch: int) -> bool:
        return self.freeze and epoch >= self.warmup + self.anneal


class FunctionalRisk(nn.Module):
    r"""
    .. math:: L = f(e) \big( \lambda R - \lambda_0 \log (\lambda / \lambda_0) \big)

    f(e) is the schedule's factor at epoch e. The logarithm belongs to a learnable lambda only and keeps it
    from running to 0: the optimum is :math:`\lambda = \lambda_0 / R`. R by mode:

    * 'spectral': :math:`\frac{1}{k} \sum_{i \le k} \tfrac12 \log (1 + \sigma_i / s^2)`, the k = spectral_topk
      largest eigenvalues of the (last-layer) tangent kernel :math:`H H^\top / N` of at most ntk_subsample_max
      tokens, with the prior's s = var_prior_std. A step that is no multiple of spectral_every_k gives 0.
    * 'variance':
      :math:`\overline{KL(p(h) \| p(h + \sigma \odot \epsilon))} + w \, KL(N(0, \sigma^2) \| N(0, s^2))`,
      averaged over var_sample_count draws and at most var_sample_tokens_max tokens, sigma a learned vector, w
      = var_kl_weight.
    """

    def __init__(self, cfg: Any, d_model: int):
        super().__init__()
        self.mode = str(cfg["mode"])
        if self.mode not in ("spectral", "variance"):
            raise ValueError(f"unknown mode {self.mode!r} of frm")
        self.schedule = PhaseSchedule.parse(str(cfg["schedule"]))
        self.every_k = max(1, int(cfg["spectral_every_k"]))
        self.topk = int(cfg["spectral_topk"])
        self.kernel_tokens = int(cfg["ntk_subsample_max"])
        self.sample_tokens = int(cfg["var_sample_tokens_max"])
        self.sample_count = max(1, int(cfg["var_sample_count"]))
        self.kl_weight = float(cfg["var_kl_weight"])
        self.prior_std = float(cfg["var_prior_std"])
        self.use_autocast = bool(cfg["use_autocast"])
        self.lambda_init = float(cfg["lambda_init"])
        self.learnable = bool(cfg["learnable_lambda"])
        self.log_lambda = nn.Parameter(torch.tensor(math.log(self.lambda_init)), requires_grad=self.learnable)
        if self.mode == "variance":
            self.log_std = nn.Parameter(torch.full((d_model,), math.log(self.prior_std)))
        self.epoch = 0

    def on_epoch(self, epoch: int) -> None:
        """Set the epoch; a frozen lambda takes no gradient any more."""
        self.epoch = epoch
        self.log_lambda.requires_grad_(self.learnable and not self.schedule.frozen(epoch))

    def forward(
        self, hidden: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor], step: int
    ) -> torch.Tensor:
        """
        Args:
            hidden: [..., d], states in front of the output layer
            head: the output layer, [N, d] -> [N, K] (only read by 'variance')
            step: global step
        """
        tokens = hidden.reshape(-1, hidden.size(-1))
        if self.mode == "spectral" and step % self.every_k != 0:
            return tokens.new_zeros(())
        if self.use_autocast:
            risk = self._risk(tokens, head)
        else:
            with torch.autocast(tokens.device.type, enabled=False):
                risk = self._risk(tokens.float() if tokens.dtype == torch.float16 else tokens, head)
        penalty = self.log_lambda.exp() * risk
        if self.learnable:
            penalty = penalty - self.lambda_init * (self.log_lambda - math.log(self.lambda_init))
        return self.schedule.factor(self.epoch) * penalty

    def _risk(self, tokens: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        if self.mode == "spectral":
            return self.spectral(evenly_spaced(tokens, self.kernel_tokens))
        return self.variance(evenly_spaced(tokens, self.sample_tokens), head)

    def spectral(self, tokens: torch.Tensor) -> torch.Tensor:
        # the d x d side has the same non-zero eigenvalues as the N x N kernel
        gram = tokens.T @ tokens if tokens.size(0) >= tokens.size(1) else tokens @ tokens.T
        gram = gram.to(torch.promote_types(gram.dtype, torch.float32)) / tokens.size(0)
        values = torch.linalg.eigvalsh(gram).clamp_min(0.0)
        top = values[-min(self.topk, values.numel()) :]
        return 0.5 * torch.log1p(top / self.prior_std**2).mean()

    def variance(self, tokens: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        std = self.log_std.exp().to(tokens.dtype)
        log_p = F.log_softmax(head(tokens), dim=-1)
        drawn: List[torch.Tensor] = []
        for _ in range(self.sample_count):
            moved = F.log_softmax(head(tokens + std * torch.randn_like(tokens)), dim=-1)
            drawn.append((log_p.exp() * (log_p - moved)).sum(-1).mean())
        ratio = (std / self.prior_std) ** 2
        kl = 0.5 * (ratio - 1.0 - ratio.log()).mean()
        return torch.stack(drawn).mean() + self.kl_weight * kl


def evenly_spaced(tokens: torch.Tensor, most: int) -> torch.Tensor:
    """At most ``most`` rows, spread over all of them (no random numbers: the run stays repeatable)."""
    if tokens.size(0) <= most:
        return tokens
    places = torch.arange(most, device=tokens.device) * tokens.size(0) // most
    return tokens[places]
