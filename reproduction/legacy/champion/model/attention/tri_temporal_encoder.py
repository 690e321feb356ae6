"""Encoder stack over tri-temporal attention."""
from typing import Any, Optional

import torch
import torch.nn as nn

from champion.model.attention.common import split_mask
from champion.model.attention.tri_temporal_attention import TriTemporalAttention, projection
from champion.utils.tdm import (
    NystromTDM,
    diffusion_distances,
    heat_kernels,
    knn_affinity,
    log_affinity_distances,
    normalized_laplacian,
)

CHEBYSHEV_ORDER = 8


class TriScaleFFN(nn.Module):
    r"""
    Feed-forward of three widths side by side, :math:`y = \sum_s \pi_s W^{(s)}_2\,\mathrm{relu}(W^{(s)}_1 x)`
    with learned shares pi (softmax). Widths d_ff/4, d_ff/4 and d_ff/2, so it costs what one costs.
    """

    def __init__(self, d_model: int, d_ff: int, dropout: float = 0.0):
        super().__init__()
        widths = (d_ff // 4, d_ff // 4, d_ff - 2 * (d_ff // 4))
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(d_model, w), nn.ReLU(), nn.Dropout(dropout), nn.Linear(w, d_model))
            for w in widths
        )
        self.shares = nn.Parameter(torch.zeros(len(widths)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = torch.softmax(self.shares, dim=0)
        return sum(share * branch(x) for share, branch in zip(shares, self.branches))


class TriTemporalLayer(nn.Module):
    """Post-norm layer, like torch's default, around TriTemporalAttention."""

    def __init__(self, cfg: Any, n_taus: int, dropout: float):
        super().__init__()
        d = cfg.d_model
        self.attention = TriTemporalAttention(d, cfg.n_head, n_taus, cfg.tpa, dropout)
        if cfg.use_tri_scale_ffn:
            self.ffn = TriScaleFFN(d, cfg.d_ff, dropout)
        elif cfg.tpa.enabled:  # one bank of parameter tokens takes the place of the whole feed-forward
            self.ffn = projection(cfg.tpa, "ffn", d, d)
        else:
            self.ffn = nn.Sequential(nn.Linear(d, cfg.d_ff), nn.ReLU(), nn.Dropout(dropout), nn.Linear(cfg.d_ff, d))
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, distances, key_padding_mask=None, attn_mask=None):
        x = self.norm1(x + self.dropout(self.attention(x, distances, key_padding_mask, attn_mask)))
        return self.norm2(x + self.dropout(self.ffn(x)))


class TriTemporalEncoder(nn.Module):
    """
    Coordinates pi(x) in ``d_pi`` dimensions -> graph of the ``k_nn`` nearest tokens -> heat kernels at
    ``taus`` -> distances, once; then ``encoder_layers`` layers that share them.

    ``tri_temporal_distance`` chooses the diffusion distance between kernel rows; without it the log
    affinity of the kernel itself is the bias. ``tdm_nystrom`` replaces the full graph by landmarks and
    brings its own times. Takes the config's model node. Called like nn.TransformerEncoder. [INFERRED] what
    tri_temporal_distance switches; alternative: it turns the bias off altogether.
    """

    def __init__(self, cfg: Any, dropout: float = 0.1):
        super().__init__()
        self.nystrom = NystromTDM(cfg.tdm_nystrom) if cfg.tdm_nystrom.enabled else None
        self.taus = self.nystrom.taus if self.nystrom else [float(t) for t in cfg.taus]
        self.k_nn, self.chunk = int(cfg.k_nn), cfg.distance_chunk_size
        self.as_distance = bool(cfg.tri_temporal_distance)
        self.pi = nn.Sequential(nn.Linear(cfg.d_model, cfg.d_pi), nn.Tanh(), nn.Linear(cfg.d_pi, cfg.d_pi))
        self.layers = nn.ModuleList(
            TriTemporalLayer(cfg, len(self.taus), dropout) for _ in range(cfg.encoder_layers)
        )

    def distances(self, x: torch.Tensor, pad: Optional[torch.Tensor] = None) -> torch.Tensor:
        """[B, T, L, L]"""
        points = self.pi(x)
        if self.nystrom is not None:
            kernels = self.nystrom.kernels(points, pad)
        else:
            laplacian = normalized_laplacian(knn_affinity(points, self.k_nn, pad, self.chunk))
            kernels = heat_kernels(laplacian, self.taus, CHEBYSHEV_ORDER)
        return diffusion_distances(kernels) if self.as_distance else log_affinity_distances(kernels)

    def forward(self, src, mask=None, src_key_padding_mask=None):
        pad, _ = split_mask(src_key_padding_mask)
        distances = self.distances(src, pad)
        for layer in self.layers:
            src = layer(src, distances, src_key_padding_mask, mask)
        return src
