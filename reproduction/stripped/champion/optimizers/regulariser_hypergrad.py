r"""Weights of the penalties, learned with their hyper-gradient while the model trains."""

import math
from typing import Any, Iterable, List, Mapping, Sequence

import torch


def gradients(loss: torch.Tensor, params: Iterable[torch.Tensor]) -> List[torch.Tensor]:
    raise NotImplementedError("stripped: champion/optimizers/regulariser_hypergrad.py:72-79")
