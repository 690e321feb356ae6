"""
NoRA: adapt the activation function instead of the weights.

NoRA (Yin et al. 2025, "Don't Forget the Nonlinearity: Unlocking Activation Functions in Efficient
Fine-Tuning") turns the fixed activation into a rational function per group of channels and trains a
low-rank change of its coefficients. NoRA++ adds LoRA on the weights.
"""
from typing import Any

import torch
import torch.nn as nn
LORA_RANK, LORA_ALPHA, LORA_DROPOUT = 8, 16.0, 0.0


def activation(name: str):
    raise NotImplementedError("stripped: champion/model/peft/nora.py:23-25")


class NoRAActivation(nn.Module):
    r"""
    :math:`\phi(x) = \phi_0(x) + R(x; a + \Delta a, b + \Delta b) - R(x; a, b)` with low-rank
    :math:`\Delta = U V`, U [groups, rank] zero at first, so training starts exactly at ``base_activation``.

    (a, b) are fitted to the activation that ``init`` names ('gelu_rational') with degrees ``deg_p``, ``deg_q``.
    ``log_stats`` keeps the size of the change in ``last_stats``. [INFERRED] the difference form;
    alternative: the rational function alone (it differs from gelu by the error of the fit).
    """

    def __init__(self, channels: int, cfg: Any):
        raise NotImplementedError("stripped: champion/model/peft/nora.py:104-118")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("stripped: champion/model/peft/nora.py:121-129")
