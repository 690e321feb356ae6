"""
Dual-state linear attention and the hybrid encoder that uses it.

DSLA (Ro et al. 2025, "On-the-Fly Adaptive Distillation of Transformer to Dual-State Linear Attention")
keeps two running states, one that hardly forgets and one that forgets fast, so that a linear attention
does not lose the recent tokens. Layers are turned from softmax to linear one by one, the least sensitive
first, when memory asks for it.
"""
import math
from typing import Any, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from champion.model.attention.common import BatchFirstAttention, apply_masks, masked_softmax, merge_heads, split_mask

CHUNK = 64
SENSITIVITY_METRICS = ("entropy", "output_gap")


def decayed_linear_attention(q, k, v, decay: torch.Tensor, chunk: int = CHUNK) -> torch.Tensor:
    r"""
    Causal linear attention with a forgetting state, :math:`o_t = q_t^\top S_t`,

    .. math:: S_t = \gamma_h S_{t-1} + k_t v_t^\top

    q, k [B, H, L, D], v [B, H, L, E], decay [H] in (0, 1]. Worked off in chunks: inside a chunk as a small
    matrix product, between chunks through S. All powers of gamma are non-negative, so nothing overflows.
    """
    batch, heads, length, _ = q.shape
    log_decay = torch.log(decay).view(1, heads, 1)
    state = q.new_zeros(batch, heads, k.size(-1), v.size(-1))
    out = []
    for start in range(0, length, chunk):
        qc, kc, vc = (x[:, :, start:start + chunk] for x in (q, k, v))
        n = qc.size(2)
        place = torch.arange(n, device=q.device, dtype=q.dtype)
        gap = (place[:, None] - place[None, :]).clamp_min(0.0)
        within = torch.tril(torch.exp(log_decay.unsqueeze(-1) * gap))
        from_state = torch.exp(log_decay * (place + 1)).unsqueeze(-1)
        to_state = torch.exp(log_decay * (n - 1 - place)).unsqueeze(-1)
        out.append(((qc @ kc.transpose(-2, -1)) * within) @ vc + from_state * (qc @ state))
        state = torch.exp(log_decay * n).unsqueeze(-1) * state + (kc * to_state).transpose(-2, -1) @ vc
    return torch.cat(out, dim=2)


class DSLAttention(BatchFirstAttention):
    r"""
    Softmax attention ('softmax') or its two-state linear form ('linear') on the same projections:

    .. math:: o_t = g_t \frac{\phi(q_t)^\top H_t}{\phi(q_t)^\top h_t}
              + (1 - g_t) \frac{\phi(q_t)^\top R_t}{\phi(q_t)^\top r_t}, \qquad \phi = \mathrm{elu} + 1

    H is the history state (gamma near 1), R the recency state; h, r are their normalisers and
    g_t = sigmoid(W_g x_t) per head. Without a causal mask both directions are read. [INFERRED] constant
    learned decays per head; alternative: decays computed from the token.
    """

    def __init__(self, d_model: int, n_head: int, dropout: float = 0.0):
        super().__init__(d_model, n_head, dropout=dropout)
        self.gate = nn.Linear(d_model, n_head)
        self.decay_logits = nn.Parameter(
            torch.tensor([math.log(0.999 / 0.001), math.log(0.9 / 0.1)]).repeat(n_head, 1).t().contiguous()
        )
        self.mode = "linear"
        self.measure = "entropy"
        self.last_sensitivity: Optional[float] = None

    def _linear(self, query, q, k, v, key_padding_mask, causal: bool) -> torch.Tensor:
        q, k = F.elu(q) + 1, F.elu(k) + 1
        padded, _ = split_mask(key_padding_mask)
        if padded is not None:
            k = k.masked_fill(padded[:, None, :, None], 0.0)
        ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
        own = (q * k).sum(-1, keepdim=True) * ones
        outs = []
        for decay in torch.sigmoid(self.decay_logits):
            total = decayed_linear_attention(q, k, ones, decay)
            if not causal:
                back = decayed_linear_attention(q.flip(2), k.flip(2), ones.flip(2), decay).flip(2)
                total = total + back - own
            outs.append(total[..., :-1] / total[..., -1:].clamp_min(1e-6))
        gate = torch.sigmoid(self.gate(query)).transpose(1, 2).unsqueeze(-1)
        return gate * outs[0] + (1 - gate) * outs[1]

    def forward(self, query, key, value, key_padding_mask=None, need_weights=False, attn_mask=None,
                average_attn_weights=True, is_causal=False):
        q, k, v = self.project(query, key, value)
        causal = is_causal or attn_mask is not None
        if self.mode == "linear":
            heads = self._linear(query, q, k, v, key_padding_mask, causal)
            return self.out_proj(merge_heads(heads)), None
        scores, blocked = apply_masks(self.scores(q, k), attn_mask, key_padding_mask)
        weights = masked_softmax(scores, blocked)
        self._measure(query, q, k, v, weights, key_padding_mask, causal)
        return self.finish(weights, v, need_weights, average_attn_weights)

    @torch.no_grad()
    def _measure(self, query, q, k, v, weights, key_padding_mask, causal: bool) -> None:
        """How much a linear state would lose here: peaked maps (low entropy) or a large change of output."""
        if self.measure == "entropy":
            entropy = -torch.xlogy(weights, weights).sum(-1).mean()
            self.last_sensitivity = 1.0 - float(entropy) / math.log(max(weights.size(-1), 2))
        else:
            exact, linear = weights @ v, self._linear(query, q, k, v, key_padding_mask, causal)
            self.last_sensitivity = float((exact - linear).norm() / exact.norm().clamp_min(1e-12))


class DSLAEncoderLayer(nn.TransformerEncoderLayer):
    """nn.TransformerEncoderLayer (post-norm, ReLU) around a DSLAttention."""

    def __init__(self, d_model: int, n_head: int, d_ff: int, dropout: float = 0.1):
        super().__init__(d_model, n_head, d_ff, dropout, batch_first=True)
        self.self_attn = DSLAttention(d_model, n_head, dropout)


class DSLAHybridEncoder(nn.Module):
    """
    The first ceil(n * ``hybrid_ratio``) layers are DSLA layers, the others plain ones.

    With ``use_adaptive_runtime`` the DSLA layers run as softmax attention as long as the attention maps of
    all layers fit into ``memory_threshold_mb``; beyond that they become linear, the least sensitive first
    (``sensitivity_metric``, measured on the last softmax pass). Without it they are always linear.
    [INFERRED] the estimate of two score-sized tensors per softmax layer; alternative: ask the allocator.
    """

    def __init__(self, d_model: int, n_head: int, d_ff: int, n_layers: int, cfg: Any, dropout: float = 0.1):
        super().__init__()
        if cfg.sensitivity_metric not in SENSITIVITY_METRICS:
            raise ValueError(f"dsla.sensitivity_metric must be one of {SENSITIVITY_METRICS}")
        self.n_head = n_head
        self.n_dsla = min(n_layers, math.ceil(n_layers * float(cfg.hybrid_ratio)))
        self.threshold_bytes = float(cfg.memory_threshold_mb) * 2**20
        self.adaptive = bool(cfg.use_adaptive_runtime)
        self.layers = nn.ModuleList(
            DSLAEncoderLayer(d_model, n_head, d_ff, dropout) if i < self.n_dsla
            else nn.TransformerEncoderLayer(d_model, n_head, d_ff, dropout, batch_first=True)
            for i in range(n_layers)
        )
        self.register_buffer("sensitivity", torch.zeros(self.n_dsla), persistent=False)
        for layer in self.layers[: self.n_dsla]:
            layer.self_attn.measure = cfg.sensitivity_metric

    def plan(self, batch: int, length: int, itemsize: int) -> int:
        """Set the mode of every DSLA layer for this batch; returns how many run linear."""
        linear = self.n_dsla
        if self.adaptive:
            per_layer = 2 * batch * self.n_head * length * length * itemsize
            affordable = int(self.threshold_bytes // per_layer)
            linear = min(self.n_dsla, max(0, len(self.layers) - affordable))
        order = torch.argsort(self.sensitivity, stable=True).tolist()
        for rank, index in enumerate(order):
            self.layers[index].self_attn.mode = "linear" if rank < linear else "softmax"
        return linear

    def forward(self, x, mask=None, src_key_padding_mask=None):
        self.plan(x.size(0), x.size(1), x.element_size())
        for index, layer in enumerate(self.layers):
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
            if index < self.n_dsla and layer.self_attn.mode == "softmax":
                self.sensitivity[index] = layer.self_attn.last_sensitivity
        return x
