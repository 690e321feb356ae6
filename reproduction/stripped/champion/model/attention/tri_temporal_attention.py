"""Attention at three diffusion times, and token-parameter projections."""
import math
from typing import Any, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from champion.model.attention.common import apply_masks, masked_softmax, merge_heads, split_heads


class TokenParameterAttention(nn.Module):
    r"""
    A linear layer whose weights are tokens (Pattention, Wang et al. 2024, "TokenFormer"):

    .. math:: y = \Theta\big(X K_P^\top\big) V_P, \qquad
              \Theta(S) = \mathrm{gelu}\Big(\frac{S}{\lVert S \rVert_2} \sqrt{n}\Big)

    K_P [n, d_k] and V_P [n, d_out] are the learned parameter tokens. With ``sparse`` only the ``topk``
    largest scores of a token (by magnitude) are kept. ``use_lora`` adds a plain path of rank ``rank``.
    Sizes not given by the caller come from ``in_features`` / ``out_features``. [INFERRED] use of d_k
    (a projection of the input if set) and rank; alternative: rank factorises K_P.
    """

    def __init__(self, cfg: Any, n_param: int, in_features: Optional[int] = None,
                 out_features: Optional[int] = None):
        super().__init__()
        d_in, d_out = in_features or cfg.in_features, out_features or cfg.out_features
        d_k = cfg.d_k or d_in
        self.down = nn.Identity() if d_k == d_in else nn.Linear(d_in, d_k, bias=False)
        self.keys = nn.Parameter(torch.randn(n_param, d_k) / math.sqrt(d_k))
        self.values = nn.Parameter(torch.randn(n_param, d_out) / math.sqrt(n_param))
        self.topk = min(int(cfg.topk), n_param) if cfg.sparse else None
        self.lora = None
        if cfg.use_lora:
            self.lora = nn.Sequential(nn.Linear(d_in, cfg.rank, bias=False), nn.Linear(cfg.rank, d_out, bias=False))
            nn.init.zeros_(self.lora[1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.down(x) @ self.keys.t()
        n = scores.size(-1)
        if self.topk is not None and self.topk < n:
            kept = scores.detach().abs().topk(self.topk, dim=-1).indices
            scores = scores * torch.zeros_like(scores).scatter(-1, kept, 1.0)
        gates = F.gelu(F.normalize(scores, dim=-1, eps=1e-6) * math.sqrt(n))
        out = gates @ self.values
        return out if self.lora is None else out + self.lora(x)


def projection(cfg: Any, which: str, d_in: int, d_out: int) -> nn.Module:
    """The q/k/v/o/ffn projection: parameter tokens if model.tpa is on, a plain linear layer otherwise."""
    if cfg.enabled:
        return TokenParameterAttention(cfg, cfg[f"n_param_{which}"], d_in, d_out)
    return nn.Linear(d_in, d_out)


class TriTemporalAttention(nn.Module):
    r"""
    Self-attention that looks at how far tokens are apart for a diffusion of three lengths:

    .. math:: A_h = \mathrm{softmax}\Big( \tfrac{Q K^\top}{\sqrt{d_h}}
              - \mathrm{softplus}(s_h) \sum_\tau \omega_{h\tau} D_\tau \Big), \quad
              \omega_h = \mathrm{softmax}(u_h)

    Every head mixes the times on its own (u) and has its own strength s (the learned scale). D [B, T, L, L]
    comes from the encoder, which computes it once for all layers. [INFERRED] mixing per head; alternative:
    one time per group of heads.
    """

    def __init__(self, d_model: int, n_head: int, n_taus: int, tpa: Any, dropout: float = 0.0):
        super().__init__()
        if d_model % n_head:
            raise ValueError(f"d_model {d_model} is not divisible by n_head {n_head}")
        self.n_head, self.dropout = n_head, dropout
        self.q = projection(tpa, "q", d_model, d_model)
        self.k = projection(tpa, "k", d_model, d_model)
        self.v = projection(tpa, "v", d_model, d_model)
        self.o = projection(tpa, "o", d_model, d_model)
        self.mix = nn.Parameter(torch.zeros(n_head, n_taus))
        self.scale = nn.Parameter(torch.zeros(n_head))

    def forward(self, x, distances, key_padding_mask=None, attn_mask=None) -> torch.Tensor:
        q, k, v = (split_heads(p(x), self.n_head) for p in (self.q, self.k, self.v))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
        strength = F.softplus(self.scale).unsqueeze(-1) * torch.softmax(self.mix, dim=-1)
        scores = scores - torch.einsum("ht,btij->bhij", strength, distances)
        weights = masked_softmax(*apply_masks(scores, attn_mask, key_padding_mask))
        weights = F.dropout(weights, self.dropout, self.training)
        return self.o(merge_heads(weights @ v))
