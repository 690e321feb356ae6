"""
Pixel-query-attention (PQA) encoder of the demonstration pairs.

N pairs of grids go in, one vector per sample comes out:

    cells --pixel stacks--> one vector per grid --cross attention--> one per pair --pooling--> c
"""

from .. import pinned
from ..pinned import forbid as unbloat_forbid
import math
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..utils.perm_embedding import PermInvariantEmbedding
from ..utils.positional_encoding import Grid2DPositionalEncoding

FFN_FACTOR = 4
TYPE_INPUT, TYPE_OUTPUT = 0, 1

PE_TYPES = ("rotary", "sinusoidal")
POOL_TYPES = ("attn", "mean", "max")

# What is concatenated for a pair; only read with order_sensitive=True.
COMPOSITIONS: Dict[str, Tuple[str, ...]] = {
    "cross": ("cross",),
    "cross_out": ("cross", "out"),
    "cross_diff": ("cross", "diff"),
    "cross_prod": ("cross", "prod"),
    "cross_out_diff": ("cross", "out", "diff"),
    "cross_out_prod": ("cross", "out", "prod"),
    "cross_diff_prod": ("cross", "diff", "prod"),
    "cross_out_diff_prod": ("cross", "out", "diff", "prod"),
}


@dataclass
class SetRefineConfig:
    """Refinement of the set of pair features, see ``refine_set``."""

    enabled: bool = False
    K: int = 4
    layers: int = 1
    heads: int = 2
    dropout: float = 0.0


@dataclass
class LatentConfig:
    """Gaussian reading of the context vector, see ``latent_posterior``."""

    enabled: bool = False
    dim: int = 32
    elbo_weight: float = 1.0
    use_as_context: bool = False


@dataclass
class ContextEncoderConfig:
    """All keys of ``model.context_encoder``; the two nested nodes may be mappings or None."""

    vocab_size: int = 11
    pad_token_id: int = 10
    grid_height: int = 30
    grid_width: int = 30
    d_model: int = 32
    n_head: int = 4
    pixel_layers: int = 2
    grid_layers: int = 2
    dropout_rate: float = 0.0
    attn_dropout: float = 0.1
    ffn_dropout: float = 0.1
    pe_dropout: float = 0.0
    pe_type: str = "rotary"
    use_positional_encoding: bool = True
    pool_type: str = "attn"
    weighted_pool: bool = True
    dynamic_pairs: bool = True
    order_sensitive: bool = False
    comp_mode: str = "cross_out_diff_prod"
    order_comp_use_layernorm: bool = True
    set_refine: Any = field(default_factory=SetRefineConfig)
    latent: Any = field(default_factory=LatentConfig)

    def __post_init__(self) -> None:
        self.set_refine = SetRefineConfig(**(self.set_refine or {}))
        self.latent = LatentConfig(**(self.latent or {}))
        for name, known in (("pe_type", PE_TYPES), ("pool_type", POOL_TYPES), ("comp_mode", tuple(COMPOSITIONS))):
            if getattr(self, name) not in known:
                raise ValueError(f"context_encoder.{name} must be one of {known}, got {getattr(self, name)!r}")
        if self.set_refine.enabled and self.d_model % self.set_refine.heads != 0:
            raise ValueError(f"d_model {self.d_model} is not divisible by set_refine.heads {self.set_refine.heads}")
        if self.latent.enabled and not 1 <= self.latent.dim <= self.d_model:
            raise ValueError(f"latent.dim must lie in 1..{self.d_model}, got {self.latent.dim}")


def rotary_table(height: int, width: int, head_width: int) -> Tuple[Tensor, Tensor]:
    r"""
    Cosines and sines for rotary positions on a grid (Su et al. 2021, RoFormer, eq. 34, once per axis).

    The first half of the channel pairs turns with the row, the second half with the column:
    :math:`\theta_i = \mathrm{pos} \cdot 10000^{-2i/(w/2)}`. Both tables are [height*width, head_width/2].
    """
    per_axis = head_width // 4
    # double precision until the end: the rounded table is then the same on every processor
    freq = 10000.0 ** (-torch.arange(per_axis, dtype=torch.float64) * 2 / (head_width // 2))
    rows = torch.arange(height, dtype=torch.float64).repeat_interleave(width)
    cols = torch.arange(width, dtype=torch.float64).repeat(height)
    angle = torch.cat([rows[:, None] * freq, cols[:, None] * freq], dim=-1)
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn every channel pair (2i, 2i+1) of x [..., L, w] by its angle; cos, sin [L, w/2]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class PixelLayer(nn.Module):
    r"""
    Post-norm transformer layer over the cells of one grid (Vaswani et al. 2017).

    .. math::
        x \leftarrow \mathrm{LN}_1(x + \mathrm{MHA}(x)), \qquad
        x \leftarrow \mathrm{LN}_2(x + W_2\,\mathrm{relu}(W_1 x))

    Parameters are named as in ``nn.TransformerEncoderLayer``. That class is not used, because
    queries and keys have to be rotated between the projection and the attention.
    [INFERRED] post-norm and ReLU; alternatives: pre-norm (would want a final norm), GELU.
    """

    def __init__(self, d_model: int, n_head: int, d_ff: int, attn_dropout: float, ffn_dropout: float) -> None:
        super().__init__()
        self.n_head = n_head
        self.self_attn = nn.MultiheadAttention(d_model, n_head, dropout=attn_dropout, batch_first=True)
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(ffn_dropout)

    def forward(self, x: Tensor, key_open: Tensor, rotary: Optional[Tuple[Tensor, Tensor]]) -> Tensor:
        """x [M, L, d]; key_open [M, L], True where a cell may be looked at."""
        pinned.check_given('rotary', rotary, 'champion/model/context_encoder_pqa.py:160')
        x = self.norm1(x + self._attend(x, key_open, rotary))
        return self.norm2(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))

    def _attend(self, x: Tensor, key_open: Tensor, rotary: Optional[Tuple[Tensor, Tensor]]) -> Tensor:
        batch, length, d_model = x.shape
        attn = self.self_attn
        projected = F.linear(x, attn.in_proj_weight, attn.in_proj_bias)
        query, key, value = projected.view(batch, length, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)  # [M, heads, L, w]
        cos, sin = (table.to(query.dtype) for table in rotary)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=key_open[:, None, None, :],
            dropout_p=attn.dropout if self.training else 0.0,
        )
        return attn.out_proj(mixed.transpose(1, 2).reshape(batch, length, d_model))


class PixelStack(nn.Module):
    """``pixel_layers`` layers, no final norm."""

    def __init__(self, cfg: ContextEncoderConfig) -> None:
        super().__init__()
        d_ff = FFN_FACTOR * cfg.d_model
        self.layers = nn.ModuleList(
            PixelLayer(cfg.d_model, cfg.n_head, d_ff, cfg.attn_dropout, cfg.ffn_dropout)
            for _ in range(cfg.pixel_layers)
        )

    def forward(self, x: Tensor, key_open: Tensor, rotary: Optional[Tuple[Tensor, Tensor]]) -> Tensor:
        pinned.check_given('rotary', rotary, 'champion/model/context_encoder_pqa.py:160')
        for layer in self.layers:
            x = layer(x, key_open, rotary)
        return x


def refine_set(features: Tensor, pair_open: Tensor, cfg: SetRefineConfig, training: bool) -> Tensor:
    r"""
    Let every pair move towards the pairs that look like it; has no parameters.

    .. math::
        f^{(h)} \leftarrow \tfrac12\Big(f^{(h)} +
        \mathrm{softmax}_{\text{top-}K}\big(f^{(h)} f^{(h)\top} / \sqrt{d/H}\big)\, f^{(h)}\Big)

    A set attention block (Lee et al. 2019) without projections, limited to the K best partners,
    ``layers`` times. The half keeps the scale: a single pair is a fixed point.
    features [B, N, d], pair_open [B, N].
    [INFERRED] the checkpoint holds no tensors for it; alternatives: not built at all, K learned
    slots (would have keys).
    """
    batch, pairs, d_model = features.shape
    width = d_model // cfg.heads
    for _ in range(cfg.layers):
        heads = features.view(batch, pairs, cfg.heads, width).transpose(1, 2)  # [B, H, N, w]
        scores = heads @ heads.transpose(-1, -2) / math.sqrt(width)
        scores = scores.masked_fill(~pair_open[:, None, None, :], -math.inf)
        unbloat_forbid(cfg.K < pairs, "champion/model/context_encoder_pqa.py:211-212")
        weights = F.dropout(scores.softmax(dim=-1), cfg.dropout, training)
        mixed = (weights @ heads).transpose(1, 2).reshape(batch, pairs, d_model)
        features = 0.5 * (features + mixed)
    return features


def latent_posterior(features: Tensor, weights: Tensor, context: Tensor, dim: int) -> Tuple[Tensor, Tensor, Tensor]:
    r"""
    Read the first ``dim`` channels of the context as a Gaussian (neural process, Garnelo et al. 2018b).

    .. math:: \mu = c, \quad \sigma^2 = \frac{1 + N \sum_n w_n (f_n - c)^2}{1 + N}, \quad
              \mathrm{KL} = \tfrac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \ln \sigma_j^2)

    One pseudo observation of variance 1 keeps the variance positive when the pairs agree.
    features [B, N, d], weights [B, N], context [B, d] -> mean [B, dim], variance [B, dim], KL [B].
    [INFERRED] no tensors in the checkpoint; alternatives: ignored, heads for mean and variance.
    """
    count = (weights > 0).sum(dim=1, keepdim=True).to(features.dtype)
    mean = context[:, :dim]
    scatter = (weights.unsqueeze(-1) * (features[..., :dim] - mean.unsqueeze(1)) ** 2).sum(dim=1)
    variance = (1.0 + count * scatter) / (1.0 + count)
    divergence = 0.5 * (mean**2 + variance - 1.0 - variance.log()).sum(dim=-1)
    return mean, variance, divergence


class ContextEncoderPQA(nn.Module):
    r"""
    Encode demonstration pairs (X_n, Y_n), n = 1..N, into one context vector.

    .. math::
        g^{in}_n  &= \mathrm{pool}(\mathrm{pixel\_ctx}(X_n)) + t_0, \qquad
        g^{out}_n = \mathrm{pool}(\mathrm{pixel\_q}(Y_n)) + t_1 \\
        h^{(l+1)} &= h^{(l)} + \mathrm{MHA}(q = h^{(l)}, kv = g^{in}), \qquad h^{(0)} = g^{out} \\
        f &= \mathrm{refine}(h^{(L)}), \qquad
        c = \sum_n \mathrm{softmax}_n(a^\top \tanh f_n)\, f_n

    L = ``grid_layers`` rounds share one attention. With ``order_sensitive`` the features of a pair are
    instead :math:`\mathrm{LN}(W [h^{(L)} - g^{out};\, g^{out};\, g^{out} - g^{in};\, g^{out} \odot g^{in}])`,
    or the part of it that ``comp_mode`` names.

    ``forward(ctx_input, ctx_output)``, both [B, N, H, W], returns ``(c, rule_vec, extra)``: c [B, d_model],
    rule_vec None (there is no rule head), extra with ``grid_attn`` [B, N, N] (query output, key input;
    [B, heads, N, N] if ``grid_attn_per_head``), ``pair_weights`` [B, N] and, with a latent, ``latent_kl`` (scalar).

    [INFERRED] everything that the tensor names leave open: outputs are the queries (or inputs),
    attention between grids (or between cells), shared rounds for ``grid_layers`` (or ignored),
    table and rotation together for ``rotary`` (or the table only), no rule vector (or c itself),
    ``comp_mode`` only with ``order_sensitive`` (or a sum of the parts).
    """

    rotary_cos: Tensor
    rotary_sin: Tensor

    def __init__(self, cfg: ContextEncoderConfig) -> None:
        super().__init__()
        self.cfg = cfg
        d_model = cfg.d_model

        self.embedding = PermInvariantEmbedding(d_model, cfg.vocab_size, cfg.pad_token_id)
        self.pos_encoder = Grid2DPositionalEncoding(d_model, cfg.grid_height, cfg.grid_width)
        self.pixel_q = PixelStack(cfg)
        self.pixel_ctx = PixelStack(cfg)
        self.grid_type_embedding = nn.Embedding(2, d_model)
        self.cross_attn = nn.MultiheadAttention(d_model, cfg.n_head, dropout=cfg.attn_dropout, batch_first=True)
        self.attn_proj = nn.Linear(d_model, 1, bias=False)
        unbloat_forbid(cfg.order_sensitive, "champion/model/context_encoder_pqa.py:280-281")

        self.pe_dropout = nn.Dropout(cfg.pe_dropout)
        self.out_dropout = nn.Dropout(cfg.dropout_rate)
        # not saved, it follows from the config
        cos, sin = rotary_table(cfg.grid_height, cfg.grid_width, d_model // cfg.n_head)
        self.register_buffer("rotary_cos", cos, persistent=False)
        self.register_buffer("rotary_sin", sin, persistent=False)

    def forward(self, ctx_input: Tensor, ctx_output: Tensor) -> Tuple[Tensor, Optional[Tensor], Dict[str, Tensor]]:
        inputs, outputs = self._on_canvas(ctx_input), self._on_canvas(ctx_output)  # [B, N, L]
        if inputs.shape != outputs.shape:
            raise ValueError(f"context shapes differ: {tuple(ctx_input.shape)} and {tuple(ctx_output.shape)}")

        pair_open = self._open_pairs(inputs, outputs)  # [B, N]
        has_context = pair_open.any(dim=1, keepdim=True)
        # a row of the softmax must not be closed everywhere; its result is erased below
        pair_open = pair_open | ~has_context

        g_in = self._encode_grids(inputs, self.pixel_ctx, TYPE_INPUT)  # [B, N, d]
        g_out = self._encode_grids(outputs, self.pixel_q, TYPE_OUTPUT)

        features, grid_attn = self._compose(g_in, g_out, pair_open)
        if self.cfg.set_refine.enabled:
            features = refine_set(features, pair_open, self.cfg.set_refine, self.training)

        context, weights = self._pool_pairs(features, pair_open)
        extra = {"grid_attn": grid_attn.detach(), "pair_weights": weights.detach()}
        if self.cfg.latent.enabled:
            context, extra["latent_kl"] = self._latent(features, weights, context)
        context = self.out_dropout(context) * has_context.to(context.dtype)
        return context, None, extra

    def _on_canvas(self, grids: Tensor) -> Tensor:
        """[B, N, h, w] -> [B, N, H*W]; the table of positions is right for the full canvas only."""
        if grids.dim() != 4 or grids.size(1) == 0:
            raise ValueError(f"expected context grids [B, N, h, w] with N >= 1, got {tuple(grids.shape)}")
        missing_rows = self.cfg.grid_height - grids.size(2)
        missing_cols = self.cfg.grid_width - grids.size(3)
        if missing_rows < 0 or missing_cols < 0:
            raise ValueError(f"context grid {tuple(grids.shape[2:])} is larger than the canvas")
        return F.pad(grids.long(), (0, missing_cols, 0, missing_rows), value=self.cfg.pad_token_id).flatten(2)

    def _open_pairs(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Which pairs are real: fillers consist of padding. Without ``dynamic_pairs`` all of them count."""
        pad = self.cfg.pad_token_id
        return ((inputs != pad) | (outputs != pad)).any(dim=-1)

    def _encode_grids(self, grids: Tensor, stack: PixelStack, grid_type: int) -> Tensor:
        """Cells [B, N, L] -> one vector per grid [B, N, d]."""
        cells = grids.flatten(0, 1)  # [M, L]
        # cells that are padding in every grid are nobody's key and have no weight: leave them out
        filled = cells != self.cfg.pad_token_id
        used = filled.any(dim=0)
        used[0] = True  # one cell at least, for calls without any colour
        used = used.nonzero().flatten()
        cells, filled = cells[:, used], filled[:, used]

        x = self.embedding(cells) * math.sqrt(self.cfg.d_model)
        x = self.pe_dropout(x + self.pos_encoder.pe[:, used])
        rotary = (self.rotary_cos[used], self.rotary_sin[used])
        x = stack(x, filled | ~filled.any(dim=1, keepdim=True), rotary)  # [M, U, d]

        weight = filled.to(x.dtype)
        pooled = (x * weight.unsqueeze(-1)).sum(dim=1) / weight.sum(dim=1, keepdim=True).clamp(min=1.0)
        return pooled.view(*grids.shape[:2], -1) + self.grid_type_embedding.weight[grid_type]

    def _compose(self, g_in: Tensor, g_out: Tensor, pair_open: Tensor) -> Tuple[Tensor, Tensor]:
        """Features of the pairs [B, N, d] and the attention of the last round."""
        hidden = g_out
        pairs = g_out.size(1)
        grid_attn = g_out.new_zeros(g_out.size(0), self.cfg.n_head, pairs, pairs)
        for _ in range(self.cfg.grid_layers):
            crossed, grid_attn = self.cross_attn(
                hidden, g_in, g_in, key_padding_mask=~pair_open, average_attn_weights=False
            )
            hidden = hidden + crossed
        grid_attn = grid_attn.mean(dim=1)
        return hidden, grid_attn

    def _pool_pairs(self, features: Tensor, pair_open: Tensor) -> Tuple[Tensor, Tensor]:
        """Context [B, d] and the weights of the pairs [B, N]."""
        closed = ~pair_open
        scores = self.attn_proj(torch.tanh(features)).squeeze(-1)
        weights = scores.masked_fill(closed, -math.inf).softmax(dim=1)
        return (weights.unsqueeze(-1) * features).sum(dim=1), weights

    def _latent(self, features: Tensor, weights: Tensor, context: Tensor) -> Tuple[Tensor, Tensor]:
        """Weighted KL term; the context is replaced by a sample (eval: the mean) only if asked for."""
        latent = self.cfg.latent
        mean, variance, divergence = latent_posterior(features, weights, context, latent.dim)
        unbloat_forbid(latent.use_as_context and self.training, "champion/model/context_encoder_pqa.py:388-389")
        return context, latent.elbo_weight * divergence.mean()
