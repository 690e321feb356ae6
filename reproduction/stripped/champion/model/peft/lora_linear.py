"""Low-rank adapters for linear layers and for the packed q/k/v weight of torch's attention."""
import math
from typing import Iterable

import torch
import torch.nn as nn
from torch.nn.utils import parametrize


class LoRALinear(nn.Module):
    r"""
    A frozen linear layer plus a trained low-rank one (LoRA, Hu et al. 2021):

    .. math:: y = W x + b + \frac{\alpha}{r} B A\, \mathrm{drop}(x)

    A [r, in] is random, B [out, r] zero, so that wrapping changes nothing at first.
    """

    def __init__(self, base: nn.Linear, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0):
        super().__init__()
        if rank < 1:
            raise ValueError(f"the rank of an adapter is at least 1, got {rank}")
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout)
        self.lora_a = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.lora_b = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    @property
    def weight(self) -> torch.Tensor:
        """The merged weight; torch's layers look at it before they choose a kernel."""
        return self.base.weight + self.scale * self.lora_b @ self.lora_a

    @property
    def bias(self):
        return self.base.bias

    @property
    def in_features(self) -> int:
        return self.base.in_features

    @property
    def out_features(self) -> int:
        return self.base.out_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.scale * (self.dropout(x) @ self.lora_a.t()) @ self.lora_b.t()

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain layer with the adapter folded in."""
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None).to(self.base.weight)
        plain.weight.copy_(self.weight)
        if self.bias is not None:
            plain.bias.copy_(self.bias)
        return plain


class PackedLoRA(nn.Module):
    """Parametrisation of in_proj_weight [3d, d]: own adapters for the rows of q, k and/or v."""

    ROWS = {"q": 0, "k": 1, "v": 2}

    def __init__(self, weight: torch.Tensor, rank: int, alpha: float, parts: Iterable[str] = ("q", "v")):
        super().__init__()
        d = weight.size(1)
        self.parts, self.scale = tuple(parts), alpha / rank
        self.lora_a = nn.Parameter(weight.new_empty(len(self.parts), rank, d))
        self.lora_b = nn.Parameter(weight.new_zeros(len(self.parts), d, rank))
        for a in self.lora_a:
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        blocks = list(weight.chunk(3))
        for part, a, b in zip(self.parts, self.lora_a, self.lora_b):
            blocks[self.ROWS[part]] = blocks[self.ROWS[part]] + self.scale * b @ a
        return torch.cat(blocks)


def adapt_attention(attention: nn.MultiheadAttention, rank: int, alpha: float, parts=("q", "v")) -> PackedLoRA:
    """Freeze the packed weight and train a low-rank change of its parts."""
    adapter = PackedLoRA(attention.in_proj_weight, rank, alpha, parts)
    attention.in_proj_weight.requires_grad_(False)
    parametrize.register_parametrization(attention, "in_proj_weight", adapter)
    return adapter
