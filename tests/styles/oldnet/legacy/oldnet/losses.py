import torch
from torch import nn
from torch.nn import functional as F

from .registry import LOSSES


@LOSSES.register()
class SmoothCE(nn.Module):
    def __init__(self, smoothing=0.1, reduction="mean"):
        super().__init__()
        self.smoothing = smoothing
        self.reduction = reduction

    def forward(self, logits, y):
        return F.cross_entropy(logits, y, label_smoothing=self.smoothing, reduction=self.reduction)


@LOSSES.register()
class Focal(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, logits, y):
        ce = F.cross_entropy(logits, y, reduction="none")
        return ((1 - torch.exp(-ce)) ** self.gamma * ce).mean()
