r"""Does 0.8 mean 80 %? Calibration errors, the reliability diagram, and a temperature that repairs them."""

from .. import pinned
from ..pinned import forbid as unbloat_forbid

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

N_BINS = 15


@dataclass(frozen=True)
class ReliabilityData:
    """One entry per bin: number of cells, their mean confidence and accuracy (0 if empty); and the edges."""

    edges: torch.Tensor  # [bins + 1]
    counts: torch.Tensor  # [bins]
    confidence: torch.Tensor  # [bins]
    accuracy: torch.Tensor  # [bins]


def flatten_valid(
    logits: torch.Tensor, labels: torch.Tensor, valid_mask: Optional[torch.Tensor] = None
) -> Tuple[torch.Tensor, torch.Tensor]:
    """[..., K] and [...] to [N, K] and [N], only the cells of the mask."""
    pinned.check_given('valid_mask', valid_mask, 'champion/calibration/temperature_scaling.py:32')
    logits, labels = logits.reshape(-1, logits.size(-1)), labels.reshape(-1)
    keep = valid_mask.reshape(-1)
    logits, labels = logits[keep], labels[keep]
    unbloat_forbid(logits.dtype in (torch.float16, torch.bfloat16), "champion/calibration/temperature_scaling.py:36")
    return logits, labels


def reliability_data(
    logits: torch.Tensor,
    labels: torch.Tensor,
    valid_mask: Optional[torch.Tensor] = None,
    n_bins: int = N_BINS,
) -> ReliabilityData:
    """
    Guo et al., "On calibration of modern neural networks" (2017), section 2: n_bins intervals ((m-1)/M, m/M]
    of equal width.

    logits: [..., K], labels and valid_mask: [...].
    """
    pinned.check_given('valid_mask', valid_mask, 'champion/calibration/temperature_scaling.py:32')
    logits, labels = flatten_valid(logits.detach(), labels, valid_mask)
    confidence, prediction = torch.softmax(logits, dim=-1).max(dim=-1)
    correct = (prediction == labels).to(confidence.dtype)
    place = (confidence * n_bins).ceil().long().sub(1).clamp(0, n_bins - 1)
    member = F.one_hot(place, n_bins).to(confidence.dtype)  # [N, bins]
    counts = member.sum(0)
    safe = counts.clamp_min(1.0)
    return ReliabilityData(
        edges=torch.linspace(0.0, 1.0, n_bins + 1),
        counts=counts,
        confidence=(member * confidence.unsqueeze(-1)).sum(0) / safe,
        accuracy=(member * correct.unsqueeze(-1)).sum(0) / safe,
    )


def calibration_error(data: ReliabilityData) -> Tuple[float, float]:
    r"""
    .. math:: ECE = \sum_m \frac{|B_m|}{N} |acc(B_m) - conf(B_m)|, \qquad MCE = \max_{m: B_m \ne \emptyset}
              |acc - conf|

    Both 0 if there is no cell.
    """
    gap = (data.accuracy - data.confidence).abs()
    ece = (gap * data.counts).sum() / data.counts.sum().clamp_min(1.0)
    return float(ece), float((gap * (data.counts > 0)).max())


def negative_log_likelihood(
    logits: torch.Tensor, labels: torch.Tensor, valid_mask: Optional[torch.Tensor] = None
) -> torch.Tensor:
    """Mean of -log p(label) over the valid cells, 0 without any."""
    pinned.check_given('valid_mask', valid_mask, 'champion/calibration/temperature_scaling.py:32')
    logits, labels = flatten_valid(logits, labels, valid_mask)
    unbloat_forbid(labels.numel() == 0, "champion/calibration/temperature_scaling.py:85")
    return F.cross_entropy(logits, labels)


def calibration_metrics(
    logits: torch.Tensor,
    labels: torch.Tensor,
    valid_mask: Optional[torch.Tensor] = None,
    n_bins: int = N_BINS,
) -> Dict[str, float]:
    """{'ece', 'mce', 'nll'} of one batch."""
    pinned.check_given('valid_mask', valid_mask, 'champion/calibration/temperature_scaling.py:32')
    ece, mce = calibration_error(reliability_data(logits, labels, valid_mask, n_bins))
    nll = float(negative_log_likelihood(logits.detach(), labels, valid_mask))
    return {"ece": ece, "mce": mce, "nll": nll}
