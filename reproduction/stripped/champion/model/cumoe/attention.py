"""
CUMoE attention: mix tokens first, then let an expert work on the mixture.

UMoE (Yang et al. 2025, "UMoE: Unifying Attention and FFN with Shared Experts") rewrites attention so that
its value and output projections become a feed-forward expert applied to attention-weighted sums of raw
tokens. The same experts then serve as feed-forward.
"""
import math
from typing import Any, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from champion.model.attention.common import apply_masks, masked_softmax, merge_heads, split_heads, split_mask
from champion.model.cumoe.experts import ExpertBank, RoutedExperts, flatten_keep


class CUMoEAttention(nn.Module):
    r"""
    For token i and each of its k experts e:

    .. math:: q^{(e)}_i = W_q x_i + B_e A_e x_i, \quad
              u^{(e)}_i = \sum_j \mathrm{softmax}_j\Big(\tfrac{q^{(e)\top}_i W_k x_j}{\sqrt{d_h}}\Big) x_j, \quad
              y_i = \sum_e g_{ie}\, f_e\big(u^{(e)}_i\big)

    The low-rank part (``premix.low_rank_q``) is all that an expert has of its own in the premix; the keys are
    shared, heads split q, k and x alike. ``premix.pool_stride`` averages runs of keys, ``premix.global_tokens``
    learned keys and ``premix.use_prototypes`` the router's expert attributes join the keys. Called and masked like
    nn.MultiheadAttention (batch first), returns (y, None). [INFERRED] low_rank_q after the paper, the other
    premix keys from their names; alternative: prototypes as queries of a set pooling.
    """

    batch_first = True
    _qkv_same_embed_dim = False  # keeps torch's layers away from their fused kernel
    in_proj_bias = None

    def __init__(self, d_model: int, n_head: int, cfg: Any, bank: Optional[ExpertBank] = None):
        super().__init__()
        self.embed_dim, self.num_heads = d_model, n_head
        rank, n_experts = int(cfg.premix.low_rank_q), int(cfg.num_experts)
        self.q, self.k = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.down = nn.Parameter(torch.randn(n_experts, d_model, rank) / math.sqrt(d_model))
        self.up = nn.Parameter(torch.randn(n_experts, rank, d_model) / math.sqrt(max(rank, 1)))
        self.stride = int(cfg.premix.pool_stride)
        n_global = int(cfg.premix.global_tokens)
        self.global_tokens = nn.Parameter(torch.randn(n_global, d_model) * 0.02) if n_global else None
        self.use_prototypes = bool(cfg.premix.use_prototypes)
        self.experts = RoutedExperts(d_model, cfg, cfg.ponder.tmax_attn, bank)

    def _queries(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """x [N, d], index [N, k] -> [N, k, d]; every expert's low-rank part for the tokens that chose it."""
        own = x.new_zeros(*index.shape, x.size(-1))
        for e in torch.unique(index).tolist():
            where = torch.nonzero(index == e, as_tuple=True)
            own = own.index_put(where, (x[where[0]] @ self.down[e]) @ self.up[e])
        return self.q(x).unsqueeze(1) + own

    def _pool(self, source: torch.Tensor, pad: Optional[torch.Tensor], attn_mask: Optional[torch.Tensor]):
        if self.stride <= 1:
            return source, pad
        if attn_mask is not None:
            raise ValueError("cumoe.premix.pool_stride > 1 mixes future tokens: not with an attention mask")
        keep = torch.ones_like(source[..., :1]) if pad is None else (~pad).unsqueeze(-1).to(source.dtype)
        extra = -source.size(1) % self.stride
        total = F.pad(source * keep, (0, 0, 0, extra)).unflatten(1, (-1, self.stride)).sum(2)
        count = F.pad(keep, (0, 0, 0, extra)).unflatten(1, (-1, self.stride)).sum(2)
        return total / count.clamp_min(1.0), (count == 0).squeeze(-1)

    def forward(self, query, key, value, key_padding_mask=None, need_weights=False, attn_mask=None,
                average_attn_weights=True, is_causal=False):
        batch, q_len, d = query.shape
        pad, _ = split_mask(key_padding_mask)
        source, pad = self._pool(value, pad, attn_mask)
        keys = self.k(source if value is key or self.stride > 1 else key)
        extras = []
        if self.global_tokens is not None:
            extras.append(self.global_tokens)
        if self.use_prototypes:
            extras.append(self.experts.router.attributes)
        n_extra = sum(len(e) for e in extras)
        if n_extra:
            more = torch.cat(extras).expand(batch, -1, -1)
            source, keys = torch.cat([source, more], dim=1), torch.cat([keys, self.k(more)], dim=1)
            pad = None if pad is None else F.pad(pad, (0, n_extra))
            attn_mask = None if attn_mask is None else F.pad(attn_mask, (0, n_extra))

        flat = query.reshape(-1, d)
        keep = flatten_keep(key_padding_mask) if query is key else None
        route = self.experts.router(flat, keep)
        choices = route.index.size(1)
        queries = self._queries(flat, route.index).view(batch, q_len, choices, d)
        k_heads, v_heads = split_heads(keys, self.num_heads), split_heads(source, self.num_heads)
        mixed = []
        for slot in range(choices):
            scores = split_heads(queries[:, :, slot], self.num_heads) @ k_heads.transpose(-2, -1)
            scores, blocked = apply_masks(scores / math.sqrt(d // self.num_heads), attn_mask, pad)
            mixed.append(merge_heads(masked_softmax(scores, blocked) @ v_heads))
        inputs = torch.stack(mixed, dim=2).view(-1, choices, d)
        return self.experts(inputs, keep, routing=route).view(batch, q_len, d), None
