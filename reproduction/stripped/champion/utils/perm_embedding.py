"""Colour embedding that does not prefer any order of the colours."""
import math

import torch
import torch.nn as nn


class PermInvariantEmbedding(nn.Module):
    """Table ``G`` [vocab, d_model]; the pad row is zero and stays zero (value and gradient)."""

    def __init__(self, d_model, vocab_size=11, pad_idx=10):
        super().__init__()
        self.pad_idx = pad_idx
        self.G = nn.Parameter(torch.empty(vocab_size, d_model))
        nn.init.kaiming_uniform_(self.G, a=math.sqrt(5))
        if pad_idx is not None and 0 <= pad_idx < vocab_size:
            with torch.no_grad():
                self.G[pad_idx].zero_()
            self.G.register_hook(self._zero_pad_grad)

    def _zero_pad_grad(self, grad):
        grad = grad.clone()
        grad[self.pad_idx] = 0
        return grad

    def forward(self, idx):
        out = self.G[idx]
        if self.pad_idx is not None:
            out = out.masked_fill((idx == self.pad_idx).unsqueeze(-1), 0.0)
        return out
