"""Container for the context pairs of one sample."""
import logging
from dataclasses import dataclass
from typing import Any, Optional

import torch

logger = logging.getLogger(__name__)

# two pairs on the padded canvas
DEFAULT_SHAPE = (2, 30, 30)


@dataclass
class ContextPair:
    """Demonstration pairs, inputs and outputs as [B, k, 30, 30] tensors."""

    context_input: Optional[torch.Tensor] = None
    context_output: Optional[torch.Tensor] = None

    def __post_init__(self):
        """Fill in missing tensors (long zeros) and validate shapes."""
        if self.context_input is None:
            self.context_input = torch.zeros(DEFAULT_SHAPE)
        if self.context_output is None:
            self.context_output = torch.zeros(DEFAULT_SHAPE)
        if not isinstance(self.context_input, torch.Tensor):
            raise TypeError(f"context_input must be a tensor, got {type(self.context_input)}")
        if self.context_input.shape != self.context_output.shape:
            raise ValueError(
                f"context shapes differ: {tuple(self.context_input.shape)} "
                f"and {tuple(self.context_output.shape)}"
            )

    @property
    def num_pairs(self) -> int:
        return self.context_input.shape[0]

    def to(self, device, non_blocking: bool = False) -> "ContextPair":
        raise NotImplementedError("stripped: champion/data/context_data.py:41-45")

    def clone(self) -> "ContextPair":
        raise NotImplementedError("stripped: champion/data/context_data.py:53")

    def __len__(self) -> int:
        return self.num_pairs
