"""Stand-in for the decoder stack of encoder-only runs (``decoder_layers: 0``)."""
from typing import Any, Optional

import torch.nn as nn
from torch import Tensor


class IdentityDecoder(nn.Module):
    """
    Hands the target sequence through; has the call and the attributes of ``nn.TransformerDecoder``.

    Masks and whatever else a decoder takes are accepted and have nothing to act on: nothing is mixed.
    [INFERRED] target, not memory: logits keep their shape and the causal order of the positions
    (alternative: return the memory).
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.num_layers = 0
        self.norm: Optional[nn.Module] = None

    def forward(self, tgt: Tensor, memory: Tensor, **_masks: Any) -> Tensor:
        if tgt.size(0) != memory.size(0):
            raise ValueError(f"batch sizes differ: target {tgt.size(0)}, memory {memory.size(0)}")
        return tgt
