"""Class frequencies: the prior of the data, class weights from it, and a penalty for leaving it."""

from typing import Optional

import torch
import torch.nn.functional as F


def class_histogram(targets: torch.Tensor, num_classes: int, smoothing_eps: float = 0.0) -> torch.Tensor:
    """
    Relative frequency of every class, [num_classes], sums to 1.

    smoothing_eps is added to every count; without any cell the result is uniform. Values outside the classes
    are skipped.
    """
    flat = targets.flatten()
    flat = flat[(flat >= 0) & (flat < num_classes)]
    # not bincount: it has no deterministic kernel on every device
    counts = F.one_hot(flat, num_classes).sum(0).to(torch.get_default_dtype()) + smoothing_eps
    if float(counts.sum()) == 0.0:
        counts = torch.ones_like(counts)
    return counts / counts.sum()


def inverse_frequency_weights(
    histogram: torch.Tensor,
    min_weight: float = 0.2,
    max_weight: float = 2.2,
) -> torch.Tensor:
    r"""
    .. math:: w_c = \mathrm{clip}\Big(\frac{1}{n_{seen} \, f_c}, w_{min}, w_{max}\Big)

    A class with its fair share weighs 1. Classes that never occur get max_weight.

    histogram: [C] relative frequencies. Returns [C]. Bounds: training.class_balanced_{min,max}_weight.
    """
    seen = histogram > 0
    fair = 1.0 / seen.sum().clamp_min(1).to(histogram.dtype)
    weights = fair / histogram.clamp_min(torch.finfo(histogram.dtype).tiny)
    return torch.where(seen, weights, torch.full_like(weights, max_weight)).clamp(min_weight, max_weight)


def histogram_kl(
    logits: torch.Tensor,
    prior: torch.Tensor,
    valid_mask: Optional[torch.Tensor] = None,
    eps: float = 1e-8,
) -> torch.Tensor:
    r"""
    .. math:: L = \sum_c q_c \log \frac{q_c}{\pi_c}, \qquad q = \frac{1}{|V|} \sum_{i \in V}
              \mathrm{softmax}(z_i)

    The average prediction of a batch should have the colour statistics of the data (label-shift view of
    Saerens et al., 2002); one cell alone may say what it wants.

    Args:
        logits: [..., K]; only the classes of the prior are used if K is larger
        prior: [C] with C <= K, relative frequencies
        valid_mask: [...] bool; 0 if no cell is valid
    """
    probs = torch.softmax(logits[..., : prior.numel()], dim=-1).flatten(0, -2)  # [N, C]
    if valid_mask is None:
        valid_mask = torch.ones(probs.size(0), dtype=torch.bool, device=probs.device)
    weights = valid_mask.flatten().to(probs.dtype).unsqueeze(-1)
    n_valid = weights.sum()
    mean = (probs * weights).sum(0) / n_valid.clamp_min(1.0)
    prior = prior.to(mean.dtype) + eps
    prior = prior / prior.sum()
    divergence = (mean * ((mean + eps).log() - prior.log())).sum()
    return divergence * (n_valid > 0).to(divergence.dtype)
