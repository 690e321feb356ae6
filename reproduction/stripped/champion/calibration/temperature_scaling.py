r"""Does 0.8 mean 80 %? Calibration errors, the reliability diagram, and a temperature that repairs them."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

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

    def as_dict(self) -> Dict[str, List[float]]:
        """Plain lists, for the JSON next to the diagram."""
        return {name: getattr(self, name).tolist() for name in ("edges", "counts", "confidence", "accuracy")}


def flatten_valid(
    logits: torch.Tensor, labels: torch.Tensor, valid_mask: Optional[torch.Tensor] = None
) -> Tuple[torch.Tensor, torch.Tensor]:
    """[..., K] and [...] to [N, K] and [N], only the cells of the mask."""
    logits, labels = logits.reshape(-1, logits.size(-1)), labels.reshape(-1)
    if valid_mask is not None:
        keep = valid_mask.reshape(-1)
        logits, labels = logits[keep], labels[keep]
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
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
    logits, labels = flatten_valid(logits, labels, valid_mask)
    if labels.numel() == 0:
        return logits.sum()
    return F.cross_entropy(logits, labels)


def calibration_metrics(
    logits: torch.Tensor,
    labels: torch.Tensor,
    valid_mask: Optional[torch.Tensor] = None,
    n_bins: int = N_BINS,
) -> Dict[str, float]:
    """{'ece', 'mce', 'nll'} of one batch."""
    ece, mce = calibration_error(reliability_data(logits, labels, valid_mask, n_bins))
    nll = float(negative_log_likelihood(logits.detach(), labels, valid_mask))
    return {"ece": ece, "mce": mce, "nll": nll}


class TemperatureScaler(nn.Module):
    r"""
    Guo et al. (2017), section 4.2: :math:`\hat q = \max_k \mathrm{softmax}(z / T)_k` with one T for all
    classes.

    The arg max does not change, so accuracy does not either. T is kept as its logarithm and bounded to [0.05,
    20], since perfectly separable data would otherwise send it to 0.
    """

    LOWEST, HIGHEST = 0.05, 20.0

    def __init__(self, temperature: float = 1.0):
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(float(temperature)).log())
        self.fitted = False

    @property
    def temperature(self) -> torch.Tensor:
        return self.log_temperature.exp().clamp(self.LOWEST, self.HIGHEST)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return logits / self.temperature.to(logits.dtype)

    def fit(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        valid_mask: Optional[torch.Tensor] = None,
        max_iter: int = 50,
    ) -> float:
        """Minimise the NLL over T with L-BFGS on held-out logits. Returns T, unchanged without cells."""
        logits, labels = flatten_valid(logits.detach(), labels, valid_mask)
        if labels.numel() == 0:
            return self.temperature.item()
        optimizer = torch.optim.LBFGS(
            [self.log_temperature], max_iter=max_iter, line_search_fn="strong_wolfe"
        )

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(self(logits), labels)
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        self.fitted = True
        return self.temperature.item()
