r"""R-Drop: two passes with different dropout have to agree."""

from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Sequence, Tuple

import torch

from champion.losses.symmetric_kl import symmetric_kl

Forward = Callable[..., torch.Tensor]


@dataclass
class RDropCounters:
    """What the trainer reports at the end of the training."""

    steps: int = 0
    skipped: int = 0  # penalty was not finite
    kl_sum: float = 0.0

    @property
    def mean_kl(self) -> float:
        return self.kl_sum / self.steps if self.steps else 0.0


class RDrop:
    r"""
    Liang et al., "R-Drop: regularized dropout for neural networks" (2021).

    .. math:: L = \frac{1}{n} \sum_{r=1}^{n} \mathrm{task}(z_r) + \alpha \, \frac{2}{n (n - 1)} \sum_{r < s}
              \tfrac12 \big( KL(p_r \| p_s) + KL(p_s \| p_r) \big), \qquad n = k + 1

    Reads the keys of the config's ``rdrop`` node: use_concat puts all passes into one batch;
    share_dropout_mask starts every pass from the same random state, force_fp32_kl and kl_clip_max (0: none)
    go to the divergence, apply_insertion_gating_for_kl compares the logits behind the gate instead of the raw
    ones, log_val_kl says whether the validation measures the divergence as well.

    [INFERRED] share_dropout_mask: equal masks make the penalty 0 in exact arithmetic, so it is the control of
    an ablation, and it needs separate passes (use_concat is ignored then). Alternative considered: one mask
    for all cells of a pass. k counts the extra passes; alternative: all passes.
    """

    def __init__(self, cfg: Any):
        self.alpha = float(cfg["alpha"])
        self.k = int(cfg["k"])
        if self.k < 1:
            raise ValueError(f"rdrop.k must be at least 1, got {self.k}")
        self.use_concat = bool(cfg["use_concat"])
        self.share_dropout_mask = bool(cfg["share_dropout_mask"])
        self.force_fp32_kl = bool(cfg["force_fp32_kl"])
        self.kl_clip_max = float(cfg["kl_clip_max"])
        self.apply_gating = bool(cfg["apply_insertion_gating_for_kl"])
        self.log_val_kl = bool(cfg["log_val_kl"])
        self.counters = RDropCounters()

    def passes(self, forward: Forward, *inputs: Optional[torch.Tensor]) -> List[torch.Tensor]:
        """
        k + 1 times the logits of the same batch.

        forward: called with the inputs, returns [B, ..., K]; inputs: tensors with the batch first, or None.
        """
        n = self.k + 1
        if self.share_dropout_mask:
            state = torch.get_rng_state()
            drawn = []
            for _ in range(n):
                torch.set_rng_state(state)
                drawn.append(forward(*inputs))
            return drawn
        if self.use_concat:
            repeated = [None if x is None else x.repeat(n, *[1] * (x.dim() - 1)) for x in inputs]
            return list(forward(*repeated).chunk(n, dim=0))
        return [forward(*inputs) for _ in range(n)]

    def divergence(
        self,
        logits: Sequence[torch.Tensor],
        mask: Optional[torch.Tensor] = None,
        gate: Optional[Callable[[torch.Tensor], torch.Tensor]] = None,
    ) -> torch.Tensor:
        """Mean symmetric KL over all pairs of passes; gate: insertion gating, used if the config says so."""
        if self.apply_gating and gate is not None:
            logits = [gate(z) for z in logits]
        pairs: List[Tuple[int, int]] = [(r, s) for s in range(len(logits)) for r in range(s)]
        kls = [
            symmetric_kl(logits[r], logits[s], mask, self.kl_clip_max, self.force_fp32_kl) for r, s in pairs
        ]
        return torch.stack(kls).mean()

    def penalty(
        self,
        logits: Sequence[torch.Tensor],
        mask: Optional[torch.Tensor] = None,
        gate: Optional[Callable[[torch.Tensor], torch.Tensor]] = None,
    ) -> torch.Tensor:
        """alpha times the divergence; a value that is not finite is counted and replaced by 0."""
        kl = self.divergence(logits, mask, gate)
        if not bool(torch.isfinite(kl)):
            self.counters.skipped += 1
            return logits[0].new_zeros(())
        self.counters.steps += 1
        self.counters.kl_sum += float(kl.detach())
        return self.alpha * kl
