r"""
Soft Dice loss for grids.

Milletari et al., "V-Net" (2016), with the squares dropped as in Sudre et al. (2017).
"""

from typing import Optional

import torch
import torch.nn as nn


class DiceLoss(nn.Module):
    r"""
    .. math:: L = 1 - \frac{1}{|\mathcal C|} \sum_{c \in \mathcal C}
              \frac{2 \sum_i p_{ic} y_{ic} + s}{\sum_i p_{ic} + \sum_i y_{ic} + s}

    Sums run over the cells of one sample, the mean over samples and over the classes that occur in the
    sample's target (a class that is neither there nor predicted would only add a constant).

    Small objects weigh as much as the background here, which cross entropy does not give.
    """

    def __init__(self, *, ignore_index: Optional[int] = None):
        super().__init__()

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("stripped: champion/losses/dice.py:33-53")
