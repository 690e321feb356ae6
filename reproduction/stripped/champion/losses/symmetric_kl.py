r"""Symmetric Kullback-Leibler divergence (Jeffreys) between two sets of logits, as R-Drop uses it."""

from typing import Optional

import torch
import torch.nn.functional as F


def symmetric_kl(
    logits_p: torch.Tensor,
    logits_q: torch.Tensor,
    mask: Optional[torch.Tensor] = None,
    clip_max: float = 0.0,
    force_fp32: bool = True,
) -> torch.Tensor:
    r"""
    .. math:: D = \frac{1}{|V|} \sum_{i \in V} \tfrac12 \big( KL(p_i \| q_i) + KL(q_i \| p_i) \big)
              = \frac{1}{|V|} \sum_{i \in V} \tfrac12 \sum_k (p_{ik} - q_{ik}) (\log p_{ik} - \log q_{ik})

    The second form needs one pass and is never negative term by term.

    Args:
        logits_p, logits_q: [..., K]
        mask: [...] bool, cells that count; all of them if None, 0 if none does
        clip_max: upper bound of a cell's divergence, 0 means no bound
        force_fp32: half precision inputs are lifted to float32 first
    """
    if force_fp32:
        lifted = torch.promote_types(logits_p.dtype, torch.float32)
        logits_p, logits_q = logits_p.to(lifted), logits_q.to(lifted)
    log_p, log_q = F.log_softmax(logits_p, dim=-1), F.log_softmax(logits_q, dim=-1)
    cells = 0.5 * ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1)
    if clip_max > 0:
        cells = cells.clamp_max(clip_max)
    if mask is None:
        return cells.mean()
    weights = mask.to(cells.dtype)
    return (cells * weights).sum() / weights.sum().clamp_min(1.0)
