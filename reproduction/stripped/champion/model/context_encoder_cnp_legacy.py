"""
Context encoder in the manner of a conditional neural process. Superseded by the PQA encoder;
kept because old checkpoints name it (``context_encoder_name: cnp``).
"""
import math
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn as nn
from torch import Tensor

from champion.model.context_encoder_pqa import ContextEncoderConfig
from champion.utils.perm_embedding import PermInvariantEmbedding
from champion.utils.positional_encoding import Grid2DPositionalEncoding


def build_mlp(d_in: int, d_hidden: int, d_out: int, depth: int, dropout: float) -> nn.Sequential:
    """``depth`` hidden layers (ReLU, dropout) and a linear layer."""
    layers: List[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(d_in, d_hidden), nn.ReLU(), nn.Dropout(dropout)]
        d_in = d_hidden
    layers.append(nn.Linear(d_in, d_out))
    return nn.Sequential(*layers)


class ContextEncoderCNP(nn.Module):
    r"""
    Conditional neural process over demonstration pairs (Garnelo et al. 2018, eq. 1-2; latent: 2018b).

    A cell of a pair is one observation, the pair is the mean of its cells, the context the mean of the pairs:

    .. math::
        r_{n,p} = h([E(X_{n,p}) + P_p;\; E(Y_{n,p}) + P_p]), \quad
        r_n = \frac{1}{|S_n|}\sum_{p \in S_n} r_{n,p}, \quad
        c = g\Big(\frac{1}{N}\sum_n r_n\Big)

    S_n are the cells that are not padding in at least one of the two grids (``weighted_pool``; otherwise
    all cells). h has ``pixel_layers``, g ``grid_layers`` hidden layers. With ``latent.enabled`` the
    mean is also read as :math:`q(z) = N(\mu, \sigma^2)`, :math:`\sigma = 0.1 + 0.9\,\mathrm{sigmoid}`;
    ``latent.use_as_context`` hands out z in place of the first ``latent.dim`` channels of c.

    The mean is what makes it a neural process, hence no attention: ``n_head``, ``attn_dropout``, ``pool_type``,
    ``pe_type``, ``set_refine`` and the order options belong to the other encoders.
    ``forward(ctx_input, ctx_output)``, both [B, N, H, W], returns ``(c, None, extra)``, c [B, d_model].
    The order of the pairs does not matter.

    [INFERRED] all of it; alternatives: whole grids as observations, a convolutional h (ConvCNP).
    """

    def __init__(self, cfg: ContextEncoderConfig) -> None:
        super().__init__()
        self.cfg = cfg
        d_model = cfg.d_model
        self.embedding = PermInvariantEmbedding(d_model, cfg.vocab_size, cfg.pad_token_id)
        self.pos_encoder = Grid2DPositionalEncoding(d_model, cfg.grid_height, cfg.grid_width)
        self.pe_dropout = nn.Dropout(cfg.pe_dropout)
        self.observe = build_mlp(2 * d_model, 4 * d_model, d_model, cfg.pixel_layers, cfg.ffn_dropout)
        self.aggregate = build_mlp(d_model, 4 * d_model, d_model, cfg.grid_layers, cfg.ffn_dropout)
        self.out_dropout = nn.Dropout(cfg.dropout_rate)
        if cfg.latent.enabled:
            self.to_latent = nn.Linear(d_model, 2 * cfg.latent.dim)

    def forward(self, ctx_input: Tensor, ctx_output: Tensor) -> Tuple[Tensor, Optional[Tensor], Dict[str, Tensor]]:
        if ctx_input.shape != ctx_output.shape or ctx_input.dim() != 4 or ctx_input.size(1) == 0:
            raise ValueError(
                f"expected two equal shapes [B, N, H, W] with N >= 1, "
                f"got {tuple(ctx_input.shape)} and {tuple(ctx_output.shape)}"
            )
        if tuple(ctx_input.shape[2:]) != (self.cfg.grid_height, self.cfg.grid_width):
            raise ValueError(f"context grids have to fill the canvas, got {tuple(ctx_input.shape[2:])}")
        inputs, outputs = ctx_input.long().flatten(2), ctx_output.long().flatten(2)  # [B, N, L]

        cells = self.observe(torch.cat([self._embed(inputs), self._embed(outputs)], dim=-1))  # [B, N, L, d]
        pad = self.cfg.pad_token_id
        filled = (inputs != pad) | (outputs != pad)
        weight = filled.to(cells.dtype) if self.cfg.weighted_pool else torch.ones_like(filled, dtype=cells.dtype)
        pairs = (cells * weight.unsqueeze(-1)).sum(dim=2) / weight.sum(dim=2).clamp(min=1.0).unsqueeze(-1)

        pair_open = filled.any(dim=2) if self.cfg.dynamic_pairs else torch.ones_like(filled[..., 0])
        share = pair_open.to(cells.dtype)
        share = share / share.sum(dim=1, keepdim=True).clamp(min=1.0)
        mean = (share.unsqueeze(-1) * pairs).sum(dim=1)  # [B, d]

        context = self.aggregate(mean)
        extra = {"pair_weights": share.detach()}
        if self.cfg.latent.enabled:
            context, extra["latent_kl"] = self._latent(mean, context)
        has_context = pair_open.any(dim=1, keepdim=True)
        return self.out_dropout(context) * has_context.to(context.dtype), None, extra

    def _embed(self, cells: Tensor) -> Tensor:
        """[B, N, L] -> [B, N, L, d]; padding keeps only its position."""
        x = self.embedding(cells.flatten(0, 1)) * math.sqrt(self.cfg.d_model)
        if self.cfg.use_positional_encoding:
            x = self.pe_dropout(self.pos_encoder(x))
        return x.view(*cells.shape, -1)

    def _latent(self, mean: Tensor, context: Tensor) -> Tuple[Tensor, Tensor]:
        mu, raw = self.to_latent(mean).chunk(2, dim=-1)
        sigma = 0.1 + 0.9 * torch.sigmoid(raw)
        divergence = 0.5 * (mu**2 + sigma**2 - 1.0 - 2.0 * sigma.log()).sum(dim=-1).mean()
        if self.cfg.latent.use_as_context:
            z = mu + sigma * torch.randn_like(mu) if self.training else mu
            context = torch.cat([z, context[:, self.cfg.latent.dim :]], dim=-1)
        return context, self.cfg.latent.elbo_weight * divergence
