"""
Bayesian attention (BAM): a prior over positions next to the content of the keys.

BAM (Bianchessi et al. 2025, "Bayesian Attention Mechanism") reads attention as an expectation over
positions: the content gives a likelihood, the distance between query and key gives a prior, and in log
space the two add up. The prior is a generalised Gaussian, so one family covers Laplace (ALiBi-like,
beta = 1), Gauss (beta = 2) and long-range heads (beta < 0).
"""
import math
from typing import Any

import torch
import torch.nn as nn

from .common import BatchFirstAttention


class BAMMultiheadAttention(BatchFirstAttention):
    r"""
    Multi-head attention with distance priors:

    .. math:: A = \mathrm{softmax}\Big( \tfrac{Q K^\top}{\sqrt{d_h}} + w_1 B^{(1)}(j - i)
              + w_2 B^{(2)}(\lVert x_j - x_i \rVert) \Big)

    ``role`` says where it sits: 'encoder' (2-D prior of bam.use_2d_prior), 'decoder' (the *_seq keys) or
    'cross' (bam.cross). Self-attention always has the 1-D prior. [INFERRED] this split of the key sets;
    alternative: both 2-D priors at once in the encoder.
    """

    def __init__(self, d_model: int, n_head: int, cfg: Any, role: str = "encoder", grid_width: int = 30,
                 dropout: float = 0.0):
        raise NotImplementedError("stripped: champion/model/attention/bam_mha.py:132-158")

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
                average_attn_weights=True, is_causal=False):
        raise NotImplementedError("stripped: champion/model/attention/bam_mha.py:204-214")

    @torch.no_grad()
    def _diagnose(self, weights: torch.Tensor, bias: torch.Tensor) -> None:
        raise NotImplementedError("stripped: champion/model/attention/bam_mha.py:218-232")
