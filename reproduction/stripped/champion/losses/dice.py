r"""
Soft Dice loss for grids.

Milletari et al., "V-Net" (2016), with the squares dropped as in Sudre et al. (2017).
"""

from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F


class DiceLoss(nn.Module):
    r"""
    .. math:: L = 1 - \frac{1}{|\mathcal C|} \sum_{c \in \mathcal C}
              \frac{2 \sum_i p_{ic} y_{ic} + s}{\sum_i p_{ic} + \sum_i y_{ic} + s}

    Sums run over the cells of one sample, the mean over samples and over the classes that occur in the
    sample's target (a class that is neither there nor predicted would only add a constant).

    Small objects weigh as much as the background here, which cross entropy does not give.
    """

    def __init__(self, smooth: float = 1.0, ignore_index: Optional[int] = None):
        super().__init__()
        if smooth <= 0:
            raise ValueError(f"smooth must be positive, got {smooth}")
        self.smooth = smooth
        self.ignore_index = ignore_index

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """
        Args:
            logits: [B, ..., C]
            targets: [B, ...] long; cells with ignore_index count on neither side
        """
        n_classes = logits.size(-1)
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        probs = torch.softmax(logits, dim=-1).flatten(1, -2)  # [B, N, C]
        targets = targets.flatten(1)  # [B, N]
        valid = torch.ones_like(targets, dtype=torch.bool)
        if self.ignore_index is not None:
            valid = targets != self.ignore_index
        hot = F.one_hot(targets.masked_fill(~valid, 0), n_classes).to(probs.dtype)
        weights = valid.unsqueeze(-1).to(probs.dtype)
        probs, hot = probs * weights, hot * weights

        overlap = (probs * hot).sum(1)  # [B, C]
        dice = (2.0 * overlap + self.smooth) / (probs.sum(1) + hot.sum(1) + self.smooth)
        present = (hot.sum(1) > 0).to(probs.dtype)
        return ((1.0 - dice) * present).sum() / present.sum().clamp_min(1.0)
