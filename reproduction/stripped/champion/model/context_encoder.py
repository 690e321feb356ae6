"""Context encoder: demonstration pairs -> one vector per sample."""
import logging
import math

import torch
import torch.nn as nn

from champion.utils.logging_config import setup_logging
from champion.utils.perm_embedding import PermInvariantEmbedding
from champion.utils.positional_encoding import Grid2DPositionalEncoding

logger = setup_logging(__name__)


class ContextEncoderModule(nn.Module):
    """
    Pixels -> grids -> pairs -> context vector [B, d_model].

    Takes the node ``model.context_encoder``. Every grid goes through the pixel encoder on its own,
    the grids of a sample see each other in the grid encoder, outputs ask inputs, pairs are pooled.
    Returns (c, rule_vec, extra) like the new encoder; there is no rule vector.
    """

    def __init__(self, config):
        super().__init__()
        # the trainer reads the width from here
        self.cfg = config
        self.d_model = config.d_model
        self.pad_token_id = config.pad_token_id
        # these came later and are not in every config, hence the defaults; they are the values of
        # the runs before the key existed
        self.comp_mode = getattr(config, "comp_mode", "cross_out")
        self.order_sensitive = bool(getattr(config, "order_sensitive", False))
        self.use_layernorm = bool(getattr(config, "order_comp_use_layernorm", True))
        self.weighted_pool = bool(getattr(config, "weighted_pool", True))
        pe_type = getattr(config, "pe_type", "sinusoidal")
        try:
            self.pool_type = str(getattr(config, "pool_type", "attn")).lower()
        except Exception:
            self.pool_type = "attn"
        # sweeps hand in None for the dropouts every now and then
        try:
            attn_dropout = float(config.attn_dropout)
            ffn_dropout = float(config.ffn_dropout)
        except Exception:
            attn_dropout = 0.1
            ffn_dropout = 0.1

        self.embedding = PermInvariantEmbedding(
            self.d_model,
            vocab_size=config.vocab_size,
            pad_idx=config.pad_token_id,
        )

        # positions
        self.pos_encoder = None
        self.pos_table = None
        if config.use_positional_encoding:
            n_cells = config.grid_height * config.grid_width
            # the learned table never beat the fixed one on the 30x30 canvas, but some of the old
            # checkpoints have it
            if pe_type == "learned":
                self.pos_table = nn.Parameter(torch.zeros(1, n_cells, self.d_model))
                nn.init.normal_(self.pos_table, std=0.02)
            else:
                # rotary lives in the new encoder only
                logger.debug("pe_type %s, using the fixed table", pe_type)
                self.pos_encoder = Grid2DPositionalEncoding(
                    self.d_model,
                    max_height=config.grid_height,
                    max_width=config.grid_width,
                )
        try:
            self.pe_dropout = nn.Dropout(float(config.pe_dropout))
        except Exception:
            self.pe_dropout = nn.Identity()

        # pixels, within every grid: all cells of the canvas are tokens, so this is by far the most
        # expensive part of the encoder (900 x 900 attention per grid, layer and head)
        pixel_layer = nn.TransformerEncoderLayer(
            d_model=self.d_model,
            nhead=config.n_head,
            dim_feedforward=4 * self.d_model,
            dropout=ffn_dropout,
            batch_first=True,
        )
        self.pixel_encoder = nn.TransformerEncoder(
            pixel_layer,
            num_layers=config.pixel_layers,
            enable_nested_tensor=False,
        )

        # 0 input, 1 output
        self.grid_type_embedding = nn.Embedding(2, self.d_model)

        # grids, all inputs and outputs of one sample together (0 layers switch it off, which is
        # what the runs before the sweep had)
        self.grid_encoder = None
        grid_layers = int(getattr(config, "grid_layers", 0) or 0)
        if grid_layers > 0:
            grid_layer = nn.TransformerEncoderLayer(
                d_model=self.d_model,
                nhead=config.n_head,
                dim_feedforward=4 * self.d_model,
                dropout=ffn_dropout,
                batch_first=True,
            )
            self.grid_encoder = nn.TransformerEncoder(
                grid_layer,
                num_layers=grid_layers,
                enable_nested_tensor=False,
            )

        self.cross_attn = nn.MultiheadAttention(
            self.d_model,
            config.n_head,
            dropout=attn_dropout,
            batch_first=True,
        )
        self.attn_proj = nn.Linear(self.d_model, 1, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)

        # composition of input and output, see _compose
        self.comp_proj = None
        self.comp_norm = nn.Identity()
        if self.order_sensitive:
            # how many vectors of width d_model end up in the concatenation; keep in step with
            # _compose (the sum of the parts was tried as well, the projection was always better)
            n_parts_by_mode = {
                "cross": 1,
                "cross_out": 2,
                "cross_diff": 2,
                "cross_prod": 2,
                "cross_out_diff": 3,
                "cross_out_prod": 3,
                "cross_diff_prod": 3,
                "cross_out_diff_prod": 4,
            }
            if self.comp_mode not in n_parts_by_mode:
                raise ValueError(f"unknown comp_mode: {self.comp_mode}, use one of {sorted(n_parts_by_mode)}")
            n_parts = n_parts_by_mode[self.comp_mode]
            self.comp_proj = nn.Linear(n_parts * self.d_model, self.d_model)
            # without the norm the product part blows up at the higher learning rates
            if self.use_layernorm:
                self.comp_norm = nn.LayerNorm(self.d_model)

    def _encode_grids(self, grids, type_index):
        """Grids [B, N, H, W] -> one vector per grid [B, N, d]."""
        batch, n_pairs, height, width = grids.shape
        cells = grids.long().view(batch * n_pairs, height * width)
        pad_mask = cells == self.pad_token_id

        x = self.embedding(cells)
        x = x * math.sqrt(self.d_model)
        if self.pos_encoder is not None:
            x = self.pos_encoder(x)
        elif self.pos_table is not None:
            x = x + self.pos_table[:, : x.size(1)]
        x = self.pe_dropout(x)

        # a grid of padding only would give nan, open its mask
        all_pad = pad_mask.all(dim=1, keepdim=True)
        key_mask = pad_mask & ~all_pad
        x = self.pixel_encoder(x, src_key_padding_mask=key_mask)

        # pool the cells of a grid into one vector; a grid without any cell gives zeros here and
        # is told apart by its type embedding only
        if self.weighted_pool:
            keep = (~pad_mask).to(x.dtype).unsqueeze(-1)
            total = (x * keep).sum(dim=1)
            count = keep.sum(dim=1)
            count = count.clamp(min=1.0)
            pooled = total / count
        else:
            # padding counts like any other colour
            pooled = x.mean(dim=1)
        pooled = pooled.view(batch, n_pairs, self.d_model)
        # same vector for all grids of one type
        type_vector = self.grid_type_embedding.weight[type_index]
        return pooled + type_vector

    def _mix_grids(self, g_in, g_out, pair_pad):
        """Self attention over the 2N grids of one sample; does not know which grids form a pair."""
        n_pairs = g_in.size(1)
        tokens = torch.cat([g_in, g_out], dim=1)
        mask = torch.cat([pair_pad, pair_pad], dim=1)
        tokens = self.grid_encoder(tokens, src_key_padding_mask=mask)
        return tokens[:, :n_pairs], tokens[:, n_pairs:]

    def _compose(self, crossed, g_in, g_out):
        """One feature per pair out of the two grids and what they have in common. [B, N, d]"""
        # order sensitive: swapping input and output has to change the result
        # (crossed already knows about both, the other parts are cheap)
        diff = g_out - g_in
        prod = g_out * g_in
        parts = None
        if self.comp_mode == "cross":
            parts = [crossed]
        elif self.comp_mode == "cross_out":
            # the default of the first sweep
            parts = [crossed, g_out]
        elif self.comp_mode == "cross_diff":
            parts = [crossed, diff]
        elif self.comp_mode == "cross_prod":
            parts = [crossed, prod]
        elif self.comp_mode == "cross_out_diff":
            parts = [crossed, g_out, diff]
        elif self.comp_mode == "cross_out_prod":
            parts = [crossed, g_out, prod]
        elif self.comp_mode == "cross_diff_prod":
            # without the output itself, was never better
            parts = [crossed, diff, prod]
        elif self.comp_mode == "cross_out_diff_prod":
            # everything we have
            parts = [crossed, g_out, diff, prod]
        joined = torch.cat(parts, dim=-1)
        feat = self.comp_proj(joined)
        feat = self.comp_norm(feat)
        return feat

    def _pool_pairs(self, feat, pair_pad):
        """Features of the pairs [B, N, d] -> context [B, d] and the weights of the pairs [B, N]."""
        closed = pair_pad.unsqueeze(-1)
        if self.pool_type == "attn":
            # additive attention without a query
            scores = self.attn_proj(torch.tanh(feat))
            scores = scores.squeeze(-1)
            scores = scores.masked_fill(pair_pad, float("-inf"))
            weights = torch.softmax(scores, dim=1)
        elif self.pool_type in ("mean", "max"):
            weights = (~pair_pad).to(feat.dtype)
            n_open = weights.sum(dim=1, keepdim=True)
            weights = weights / n_open
        else:
            raise ValueError(f"unknown pool_type: {self.pool_type}")
        if self.pool_type == "max":
            # weights are for the log only then
            feat = feat.masked_fill(closed, float("-inf"))
            return feat.max(dim=1).values, weights
        context = (weights.unsqueeze(-1) * feat).sum(dim=1)
        return context, weights

    def forward(self, ctx_input, ctx_output):
        """ctx_input, ctx_output: [B, N, H, W] long."""
        # fillers are all padding, with static pairs they stay in
        empty_in = (ctx_input == self.pad_token_id).flatten(2).all(dim=2)
        empty_out = (ctx_output == self.pad_token_id).flatten(2).all(dim=2)
        pair_pad = empty_in & empty_out
        try:
            dynamic_pairs = bool(self.cfg.dynamic_pairs)
        except Exception:
            # configs from before the switch
            dynamic_pairs = True
        if not dynamic_pairs:
            pair_pad = torch.zeros_like(pair_pad)
        # a sample without any pair: open its mask, erase the result at the end
        no_context = pair_pad.all(dim=1, keepdim=True)
        pair_pad = pair_pad & ~no_context

        g_in = self._encode_grids(ctx_input, 0)
        g_out = self._encode_grids(ctx_output, 1)
        if self.grid_encoder is not None:
            g_in, g_out = self._mix_grids(g_in, g_out, pair_pad)

        # outputs ask the inputs, of all pairs: what an output has in common with the input of
        # another pair is often the rule
        crossed, grid_attn = self.cross_attn(
            g_out,
            g_in,
            g_in,
            key_padding_mask=pair_pad,
        )
        if self.order_sensitive:
            feat = self._compose(crossed, g_in, g_out)
        else:
            # symmetric enough for most tasks
            feat = crossed + g_out

        context, weights = self._pool_pairs(feat, pair_pad)
        context = self.dropout(context)
        context = context.masked_fill(no_context, 0.0)
        extra = {"grid_attn": grid_attn.detach(), "pair_weights": weights.detach()}
        return context, None, extra
