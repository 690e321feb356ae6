"""
Bridges: how the context vector gets into a sequence of hidden states.

    identity     x
    concat_mlp   LN(relu(W [x ; c]))                      the oldest one
    cross_attn   x + alpha * MHA(LN(x), tokens(c))
    hybrid       cross_attn, then FiLM with generated gain and bias

All bridges share one call,

    bridge(x, context, pad_mask=None, step=None, grid_hw=None) -> x'

with x [B, L, d_model], context [B, d_ctx] or None, pad_mask [B, L] (True = padding), step the number
of training steps so far and grid_hw the size of the grid.
"""
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Dict, List, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

# grids up to this size get more context, there is so little else to go by
TINY_SIDE = 3
TINY_FACTOR = 1.5


class Bridge(nn.Module, ABC):
    """Common interface, see the module docstring."""

    @abstractmethod
    def forward(self, x, context, pad_mask=None, step=None, grid_hw=None):
        """x [B, L, d_model] -> same shape."""


class IdentityBridge(Bridge):
    """No context at all. Accepts every argument so that it can stand in for the others."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, x, context=None, pad_mask=None, step=None, grid_hw=None):
        return x


def _node_get(node: Any, key: str, default: Any) -> Any:
    """Value of a config node, the node may be None, a dict or an OmegaConf node."""
    if node is None:
        return default
    if isinstance(node, Mapping):
        value = node.get(key)
    else:
        value = getattr(node, key, None)
    return default if value is None else value


class AlphaSchedule:
    """
    Warm-up of the bridge strength.

        alpha(t) = alpha_max * min(1, (t + 1) / warmup_steps)

    [INFERRED] linear; alternatives: cosine ramp, sigmoid ramp, learned gate.
    Without a step (evaluation) the warm-up counts as finished.
    """

    def __init__(self, alpha_max=1.0, warmup_steps=0, tiny_grid_boost=False):
        self.alpha_max = float(alpha_max)
        self.warmup_steps = int(warmup_steps)
        self.tiny_grid_boost = bool(tiny_grid_boost)

    @classmethod
    def from_node(cls, node):
        """``node`` may be an AlphaSchedule already."""
        if isinstance(node, cls):
            return node
        return cls(
            alpha_max=_node_get(node, "alpha_max", 1.0),
            warmup_steps=_node_get(node, "warmup_steps", 0),
            tiny_grid_boost=_node_get(node, "tiny_grid_boost", False),
        )

    def __call__(self, step: Optional[int] = None, grid_hw: Optional[Tuple[int, int]] = None) -> float:
        alpha = self.alpha_max
        if step is not None and self.warmup_steps > 0:
            # first step is not zero, otherwise the token head gets no gradient
            progress = (int(step) + 1) / self.warmup_steps
            alpha = alpha * min(1.0, progress)
        if self.tiny_grid_boost and grid_hw is not None and max(grid_hw) <= TINY_SIDE:
            alpha = alpha * TINY_FACTOR
        return alpha


class ConcatMLPBridge(Bridge):
    """
    x' = LN(relu(W [x ; c])), the context vector is repeated at all positions. Replaces x, no residual.

    The layers belong to the model (``context_integration``) and are shared with it. They are kept in
    a plain dict, so that they do not show up a second time in the state dict.
    """

    def __init__(self, linear, norm, activation=None):
        super().__init__()
        self._shared: Dict[str, nn.Module] = {
            "linear": linear,
            "activation": activation if activation is not None else nn.ReLU(),
            "norm": norm,
        }

    def forward(self, x, context, pad_mask=None, step=None, grid_hw=None):
        if context is None:
            return x
        batch, length, _ = x.shape
        repeated = context.unsqueeze(1).expand(batch, length, context.size(-1))
        joined = torch.cat([x, repeated.to(x.dtype)], dim=-1)
        hidden = self._shared["activation"](self._shared["linear"](joined))
        return self._shared["norm"](hidden)


class TokenHead(nn.Module):
    """
    Context vector -> a few key/value tokens, c [B, d_ctx] -> [B, tokens, d_model].

        t = LN(reshape(W2 dropout(gelu(W1 c))) + slot)

    The hidden width is hidden_factor * d_model. The slots tell the tokens apart.
    """

    def __init__(self, d_ctx, d_model, tokens, hidden_factor, dropout):
        super().__init__()
        self.tokens = int(tokens)
        self.d_model = int(d_model)
        d_hidden = max(1, int(round(float(hidden_factor) * d_model)))
        self.up = nn.Linear(d_ctx, d_hidden)
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(d_hidden, self.tokens * self.d_model)
        self.slots = nn.Parameter(torch.empty(self.tokens, self.d_model))
        nn.init.normal_(self.slots, std=0.02)
        self.norm = nn.LayerNorm(self.d_model)

    def forward(self, context):
        hidden = self.drop(F.gelu(self.up(context)))
        tokens = self.down(hidden).view(-1, self.tokens, self.d_model)
        return self.norm(tokens + self.slots)


class CrossAttentionBridge(Bridge):
    """
    Every position asks the context tokens (Vaswani et al. 2017; tokens as in Perceiver IO, Jaegle 2021):

        x' = x + alpha(t) * m * dropout(MHA(q = LN(x), k = v = tokens(c)))

    m is 0 at padded positions with ``gate_pad_positions``, else 1. alpha: see AlphaSchedule.
    [INFERRED] residual with a pre-norm query; alternatives: post-norm, replacing x.

    Args:
        d_model, d_ctx: widths of x and of the context
        tokens, heads, hidden_factor, dropout, gate_pad_positions: as in the config
        schedule: node with alpha_max, warmup_steps, tiny_grid_boost (or None)
    """

    def __init__(
        self,
        d_model,
        d_ctx,
        tokens=2,
        heads=8,
        hidden_factor=2.0,
        dropout=0.1,
        gate_pad_positions=True,
        schedule=None,
    ):
        super().__init__()
        if d_model % heads != 0:
            raise ValueError(f"bridge: d_model {d_model} is not divisible by heads {heads}")
        self.d_model = int(d_model)
        self.d_ctx = int(d_ctx)
        self.gate_pad_positions = bool(gate_pad_positions)
        self.alpha = AlphaSchedule.from_node(schedule)

        self.token_head = TokenHead(d_ctx, d_model, tokens, hidden_factor, dropout)
        self.query_norm = nn.LayerNorm(d_model)
        self.attn = nn.MultiheadAttention(
            d_model,
            heads,
            dropout=dropout,
            batch_first=True,
        )
        self.drop = nn.Dropout(dropout)
        # for the run script's plots
        self.last_alpha: Optional[float] = None

    def context_residual(self, x, context, pad_mask=None):
        """What is added to x, before alpha. [B, L, d_model]"""
        tokens = self.token_head(context.to(x.dtype))
        query = self.query_norm(x)
        update, _ = self.attn(
            query,
            tokens,
            tokens,
            need_weights=False,
        )
        update = self.drop(update)
        if self.gate_pad_positions and pad_mask is not None:
            update = update.masked_fill(pad_mask.unsqueeze(-1), 0.0)
        return update

    def forward(self, x, context, pad_mask=None, step=None, grid_hw=None):
        if context is None:
            return x
        # evaluation never warms up, whatever the counter says
        warm_step = step if self.training else None
        alpha = self.alpha(warm_step, grid_hw)
        self.last_alpha = alpha
        return x + alpha * self.context_residual(x, context, pad_mask)


class HyperFiLM(nn.Module):
    """
    Feature-wise gain and bias, generated from the context (FiLM, Perez et al. 2018; hyper-networks, Ha 2017).

        [g ; b] = W2 gelu(W1 c),     x' = x * (1 + gain * tanh(g)) + gain * b

    The last layer starts at zero, i.e. as the identity. ``n_layers`` sets of (g, b) come out of one
    generator: layer i has its own rows of W2.
    """

    def __init__(self, d_ctx, d_model, hidden_factor, gain=1.0, n_layers=1):
        super().__init__()
        self.gain = float(gain)
        self.n_layers = max(1, int(n_layers))
        self.d_model = int(d_model)
        d_hidden = max(1, int(round(float(hidden_factor) * d_model)))
        self.up = nn.Linear(d_ctx, d_hidden)
        self.down = nn.Linear(d_hidden, self.n_layers * 2 * self.d_model)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def coefficients(self, context) -> List[Tuple[torch.Tensor, torch.Tensor]]:
        """(g, b) of every layer, each [B, 1, d_model]."""
        out = self.down(F.gelu(self.up(context)))
        out = out.view(-1, self.n_layers, 2, 1, self.d_model)
        pairs = []
        for layer in range(self.n_layers):
            pairs.append((out[:, layer, 0], out[:, layer, 1]))
        return pairs

    def forward(self, x, context, layer=0):
        g, b = self.coefficients(context.to(x.dtype))[layer]
        return x * (1.0 + self.gain * torch.tanh(g)) + self.gain * b


class HybridBridge(Bridge):
    """
    Cross attention for what to look at, FiLM for how much of it.

        x' = FiLM_0(x + alpha(t) * m * MHA(LN(x), tokens(c)))

    With ``film.per_layer`` the model calls ``film_layer(x, c, i)`` after decoder layer i = 0..n_layers-1, too;
    these have coefficients of their own (FiLM_{i+1}). Without, ``film_layer`` leaves x alone.
    Padded positions keep their value if ``gate_pad_positions``.
    [INFERRED] attention first; alternatives: FiLM first, both in parallel.

    Args:
        film: node with enabled, gain, per_layer (or None: off)
        n_layers: number of decoder layers
        others: see CrossAttentionBridge
    """

    def __init__(
        self,
        d_model,
        d_ctx,
        tokens=2,
        heads=8,
        hidden_factor=2.0,
        dropout=0.1,
        gate_pad_positions=True,
        schedule=None,
        film=None,
        n_layers=1,
    ):
        super().__init__()
        self.cross = CrossAttentionBridge(
            d_model,
            d_ctx,
            tokens=tokens,
            heads=heads,
            hidden_factor=hidden_factor,
            dropout=dropout,
            gate_pad_positions=gate_pad_positions,
            schedule=schedule,
        )
        self.per_layer = bool(_node_get(film, "per_layer", False))
        self.film = None
        if _node_get(film, "enabled", False):
            n_sets = 1 + int(n_layers) if self.per_layer else 1
            self.film = HyperFiLM(
                d_ctx,
                d_model,
                hidden_factor,
                gain=_node_get(film, "gain", 1.0),
                n_layers=n_sets,
            )

    def _apply_film(self, x, context, layer, pad_mask):
        modulated = self.film(x, context, layer)
        if self.cross.gate_pad_positions and pad_mask is not None:
            return torch.where(pad_mask.unsqueeze(-1), x, modulated)
        return modulated

    def film_layer(self, x, context, layer, pad_mask=None):
        """Hidden states after decoder layer ``layer``, see the class."""
        if self.film is None or not self.per_layer or context is None:
            return x
        return self._apply_film(x, context, layer + 1, pad_mask)

    def forward(self, x, context, pad_mask=None, step=None, grid_hw=None):
        if context is None:
            return x
        x = self.cross(x, context, pad_mask=pad_mask, step=step, grid_hw=grid_hw)
        if self.film is not None:
            x = self._apply_film(x, context, 0, pad_mask)
        return x
