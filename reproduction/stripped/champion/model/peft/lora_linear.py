"""Low-rank adapters for linear layers and for the packed q/k/v weight of torch's attention."""
import math
from typing import Iterable

import torch
import torch.nn as nn


class LoRALinear(nn.Module):
    r"""
    A frozen linear layer plus a trained low-rank one (LoRA, Hu et al. 2021):

    .. math:: y = W x + b + \frac{\alpha}{r} B A\, \mathrm{drop}(x)

    A [r, in] is random, B [out, r] zero, so that wrapping changes nothing at first.
    """

    def __init__(self, base: nn.Linear, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0):
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:20-28")

    @property
    def weight(self) -> torch.Tensor:
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:32-33")

    @property
    def bias(self):
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:37")

    @property
    def in_features(self) -> int:
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:41")

    @property
    def out_features(self) -> int:
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:45")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:48")

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain layer with the adapter folded in."""
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:53-57")


class PackedLoRA(nn.Module):
    """Parametrisation of in_proj_weight [3d, d]: own adapters for the rows of q, k and/or v."""

    ROWS = {"q": 0, "k": 1, "v": 2}

    def __init__(self, weight: torch.Tensor, rank: int, alpha: float, parts: Iterable[str] = ("q", "v")):
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:66-72")

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("stripped: champion/model/peft/lora_linear.py:75-78")
