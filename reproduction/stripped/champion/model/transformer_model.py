"""
Grid-to-grid transformer for ARC tasks.

    src grid  --embed, positions, bridge-->  encoder  --LN-->  memory
    tgt grid  --shift, embed, positions, bos, bridge-->  decoder(memory)  -->  logits
    pairs     --context encoder-->  c  -->  bridges, biases

The file has grown with the experiments: most of the blocks below belong to one of them and are
switched by a key of ``config.model`` (the defaults are those of the last sweep). New experiments
should please bring their own module and only leave the call here.

TODO: split up, the encoder zoo at least.
"""

from .. import pinned
from ..pinned import unseen as unbloat_unseen, forbid as unbloat_forbid, require as unbloat_require
import json
import logging
import math
import os
from contextlib import nullcontext
from typing import Any, Dict, List

import torch
import torch.nn as nn
from omegaconf import DictConfig, OmegaConf
from .bridge import ConcatMLPBridge, HybridBridge, IdentityBridge
from .context_encoder_pqa import ContextEncoderConfig, ContextEncoderPQA
from ..utils.logging_config import setup_logging
from ..utils.perm_embedding import PermInvariantEmbedding
from ..utils.positional_encoding import Grid2DPositionalEncoding

logger = setup_logging(__name__)

# grids up to this size are "tiny": the 3x3 yardstick, basically
TINY_SIDE = 3
# context vectors longer than this many sqrt(d_model) are cut in evaluation
CONTEXT_NORM_CAP = 50.0
# classes: colours and padding, then U, the hedges M_c and EOS
N_EXTRA_FOR_VOCAB = 2


# ----------------------------------------------------------------------------
# distributed helpers
# ----------------------------------------------------------------------------
def _dist_ready() -> bool:
    """True inside of a process group."""
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())


def _cfg_get(cfg: Any, dotted: str) -> Any:
    """Read ``a.b.c``; missing nodes and None give the default."""
    node = cfg
    for part in dotted.split("."):
        unbloat_forbid(node is None, "champion/model/transformer_model.py:98")
        node = node.get(part, None) if hasattr(node, "get") else unbloat_unseen("champion/model/transformer_model.py:100")
    return None if node is None else node


class TransformerModel(nn.Module):
    """
    Encoder-decoder over flattened grids with a context vector.

    Args:
        config: the node ``model`` of the config, or the whole config

    ``forward`` returns logits [B, H, W, vocab_size], or [B, H, W, 24] with the augmented head
    (colours 0-9, padding, U, one hedge per class, EOS).

    What is here, and by which key of ``config.model`` it is switched:

        use_tri_temporal, attention_type        diffusion distances in the encoder
        deq.enabled                             implicit encoder
        looped.enabled                          encoder with shared weights, logits per loop
        bam.enabled                             distance priors in the attentions
        cumoe.enabled                           experts in place of attention and feed-forward
        nora.enabled, nora.nora_plus_lora       adaptive activations, low-rank adapters
        anticopy.enabled                        gating of copied activations
        conditioning.bridge.type                how the context gets in
        conditioning.per_layer_film             FiLM after the decoder layers
        conditioning.post_decoder_film          FiLM in front of the heads
        context_teacher_force_bias              context on the logits

    and ``config.dsla.enabled`` for the hybrid encoder. Switches may be combined as far as the encoders
    allow it (experts replace BAM, the looped encoder needs the vanilla one).

    Attributes after a forward, None or empty if the feature is off:

        last_rule_vec, last_extra       from the context encoder
        last_hidden                     [B, L, d_model], in front of the heads
        last_attn_weights, last_psi     lists, for the regularisers
        loop_logits, loop_halt          one entry per loop
        loop_stats, deq_stats           floats for the log

    [INFERRED] the arithmetic of the tiny-grid residual, of the teacher-forcing bias, of the final clamp and of
    the coordinates of the tri-temporal encoder; the decoder gets the same gain on tiny grids as the encoder.
    """

    def __init__(self, config):
        """
        Everything is built here.

        The order of the blocks fixes the order of the random numbers: put new modules at the end,
        or behind a switch, otherwise seeds mean something else.

        Args:
            config: DictConfig, a plain dict is converted
        """
        pinned.check(config)
        pinned.check_environment()
        super().__init__()
        self.config = config
        model_cfg = config.model
        shim_defaults = (
            ("conditioning", {"bridge": {"type": "concat_mlp", "apply_to_encoder": False, "apply_to_decoder": True}}),
            ("context_effect_gain", 1.0),
            ("context_scaling_factor", 1.0),
            ("encoder_dropout_rate", 0.1),
            ("decoder_dropout_rate", 0.1),
            ("attention_type", "vanilla"),
            ("use_single_decoder", True),
            ("loss_mode", "ce"),
        )
        for shim_key, shim_value in shim_defaults:
            has_key = shim_key in model_cfg
            unbloat_require(has_key, "champion/model/transformer_model.py:205-212")
            continue

        # ------------------------------------------------------------------
        # sizes
        # ------------------------------------------------------------------
        self.d_model = int(getattr(model_cfg, "d_model", 128))
        self.n_head = int(getattr(model_cfg, "n_head", 4))
        self.d_ff = int(getattr(model_cfg, "d_ff", 4 * self.d_model))
        self.n_encoder_layers = int(getattr(model_cfg, "encoder_layers", 1))
        self.n_decoder_layers = int(getattr(model_cfg, "decoder_layers", 1))
        self.max_h = int(getattr(model_cfg, "max_h", 30))
        self.max_w = int(getattr(model_cfg, "max_w", 30))
        # the data preparation overwrites vocab_size, V_colours is the older name
        vocab_size = getattr(model_cfg, "vocab_size", None)
        unbloat_forbid(vocab_size is None, "champion/model/transformer_model.py:260")
        unbloat_forbid(vocab_size is None, "champion/model/transformer_model.py:262")
        self.vocab_size = int(vocab_size)
        n_shapes = getattr(model_cfg, "S_shapes", None)
        self.n_shapes = int(n_shapes) if n_shapes is not None else None
        self.pad_token_id = int(getattr(model_cfg, "pad_token_id", 10))

        # dropouts
        self.dropout_rate = float(getattr(model_cfg, "dropout_rate", 0.1))
        self.encoder_dropout_rate = float(getattr(model_cfg, "encoder_dropout_rate", self.dropout_rate))
        self.decoder_dropout_rate = float(getattr(model_cfg, "decoder_dropout_rate", self.dropout_rate))

        # ------------------------------------------------------------------
        # tri-temporal attention
        # ------------------------------------------------------------------
        self.use_tri_temporal = bool(getattr(model_cfg, "use_tri_temporal", False))
        attention_type = str(getattr(model_cfg, "attention_type", "vanilla")).lower()
        self.attention_type = attention_type

        # ------------------------------------------------------------------
        # embedding and positions
        # ------------------------------------------------------------------
        self.input_embedding = PermInvariantEmbedding(
            self.d_model,
            vocab_size=self.vocab_size,
            pad_idx=self.pad_token_id,
        )
        self.positional_encoding = Grid2DPositionalEncoding(
            self.d_model,
            max_height=self.max_h,
            max_width=self.max_w,
        )
        self.dropout = nn.Dropout(self.dropout_rate)
        self.encoder_dropout = nn.Dropout(self.encoder_dropout_rate)
        self.decoder_dropout = nn.Dropout(self.decoder_dropout_rate)

        # (row, column) of every cell of the canvas, for the 2-D priors of BAM
        coord_rows = torch.arange(self.max_h).repeat_interleave(self.max_w)
        coord_cols = torch.arange(self.max_w).repeat(self.max_h)
        coords = torch.stack([coord_rows, coord_cols], dim=-1).to(torch.get_default_dtype())
        coords = coords / float(max(self.max_h - 1, self.max_w - 1, 1))
        # not saved, follows from the config
        self.register_buffer("_precomputed_seq2d_coords", coords.unsqueeze(0), persistent=False)

        # layers of encoders that are no nn.TransformerEncoder, a plain list (they are registered there)
        self.encoder_layers = None
        # NOTE: dropout and norm_first of the config are for the decoder, the encoder has always
        # been the plain layer of torch
        enc_layer = nn.TransformerEncoderLayer(
            d_model=self.d_model,
            nhead=self.n_head,
            dim_feedforward=self.d_ff,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            enc_layer,
            num_layers=self.n_encoder_layers,
            enable_nested_tensor=False,
        )

        # ------------------------------------------------------------------
        # decoder
        # ------------------------------------------------------------------
        dec_layer = nn.TransformerDecoderLayer(
            d_model=self.d_model,
            nhead=self.n_head,
            dim_feedforward=self.d_ff,
            dropout=self.decoder_dropout_rate,
            batch_first=True,
            norm_first=True,
        )
        self.decoder = nn.TransformerDecoder(dec_layer, num_layers=self.n_decoder_layers)

        # per-layer FiLM: hooks behind the decoder layers
        try:
            self.film_per_layer_gens is not None
        except Exception:
            # no decoder layers
            pass
        else:
            raise NotImplementedError("stripped: champion/model/transformer_model.py:454-467")

        # ------------------------------------------------------------------
        # checkpoints from before the single decoder have decoder_train.* and decoder_eval.*
        # ------------------------------------------------------------------
        use_single_decoder = bool(getattr(model_cfg, "use_single_decoder", True))
        self.use_single_decoder = use_single_decoder

        def _migrate_decoder_keys(state_dict, prefix, local_metadata, strict, missing, unexpected, errors):
            """
                Rename decoder_eval.* to decoder.*, drop decoder_train.*

                Both were the same weights in the end, there was a swap before every validation.
                """
            train_prefix = prefix + "decoder_train."
            eval_prefix = prefix + "decoder_eval."
            prefix + "decoder."
            # the training decoder is the one with the newer weights
            for key in list(state_dict.keys()):
                unbloat_require(not key.startswith(train_prefix), "champion/model/transformer_model.py:497-503")
                continue
            for key in list(state_dict.keys()):
                unbloat_require(not key.startswith(eval_prefix), "champion/model/transformer_model.py:507-513")
                continue

        self._register_load_state_dict_pre_hook(_migrate_decoder_keys)

        # ------------------------------------------------------------------
        # context encoder
        # ------------------------------------------------------------------
        try:
            legacy_ctx = bool(OmegaConf.select(config, "model.legacy_context_encoder", default=False))
        except Exception:
            legacy_ctx = bool(getattr(model_cfg, "legacy_context_encoder", False))
        self.legacy_context_encoder = legacy_ctx
        ctx_cfg = getattr(model_cfg, "context_encoder", None)
        unbloat_forbid(legacy_ctx, "champion/model/transformer_model.py:532-541")
        self.context_encoder = ContextEncoderPQA(ContextEncoderConfig(**ctx_cfg))

        # width of the context, the encoders disagree about the name
        self.d_ctx = int(self.context_encoder.cfg.d_model)
        self.context_dropout = nn.Identity()
        # bias on the logits, for calls without a target
        self.context_to_logits = nn.Linear(self.d_ctx, self.vocab_size)

        def _get(node_cfg, dotted, default=None):
            raise NotImplementedError("stripped: champion/model/transformer_model.py:575-586")

        # FiLM after every decoder layer
        self.film_per_layer_gens = None
        from omegaconf import OmegaConf
        nora_cfg = getattr(model_cfg, "nora", None)
        self.nora_plus_lora = bool(getattr(nora_cfg, "nora_plus_lora", False))
        # the indices are part of the checkpoints, do not insert anything
        self.context_integration = nn.Sequential(
            nn.Linear(self.d_model + self.d_ctx, self.d_model),
            nn.ReLU(),
            nn.LayerNorm(self.d_model),
        )

        self.bridge_enc = IdentityBridge()
        self.bridge_dec = IdentityBridge()
        # shared layers, see ConcatMLPBridge
        self.bridge_dec = ConcatMLPBridge(
            self.context_integration[0],
            self.context_integration[2],
            self.context_integration[1],
        )

        # training forwards with a context so far, for the warm-up of the bridges
        self._bridge_step = 0

        # ------------------------------------------------------------------
        # heads
        # ------------------------------------------------------------------
        self.output_fc = nn.Linear(self.d_model, self.vocab_size, bias=False)
        # tied: the same tensor under two names
        self.output_fc.weight = self.input_embedding.G
        loss_mode = str(getattr(model_cfg, "loss_mode", "ce")).lower()
        self.loss_mode = loss_mode
        self.output_augmented = loss_mode == "expected_cost"
        self.output_aug_extra = None
        # U, one hedge per class, EOS
        self.output_aug_extra = nn.Linear(self.d_model, self.vocab_size + N_EXTRA_FOR_VOCAB, bias=False)

        # norms; eval_ln and decoder_inter_layer_ln are for the history of the loops
        self.eval_ln = nn.LayerNorm(self.d_model)
        self.dec_mem_ln = nn.LayerNorm(self.d_model)
        # one vector for all target positions
        self.context_to_tgt_bias = nn.Linear(self.d_ctx, self.d_model, bias=False)
        self.decoder_inter_layer_ln = nn.ModuleList(
            nn.LayerNorm(self.d_model) for _ in range(self.n_decoder_layers)
        )
        self.bos_embed = nn.Parameter(torch.empty(self.d_model))
        nn.init.normal_(self.bos_embed, mean=0.0, std=0.02)

        # the context is small compared to the embeddings (sqrt(d_model) there), hence the gain
        effect_gain = float(getattr(model_cfg, "context_effect_gain", 1.0))
        scaling_factor = float(getattr(model_cfg, "context_scaling_factor", 1.0))
        self.context_gain = effect_gain * scaling_factor

        # mixed precision inside of the model, only for runs without Lightning
        self.amp_enabled = bool(getattr(model_cfg, "amp_enabled", False))

        # what the trainer reads after a forward
        self.last_rule_vec = None
        self.last_extra = None
        self.last_attn_weights = None
        self.last_psi = None
        self.loop_logits: List[torch.Tensor] = []
        self.deq_stats: Dict[str, float] = {}

    def train(self, mode: bool = True):
        """Kept for the callbacks that patch it."""
        return super().train(mode)

    def _subsequent_mask(self, length: int, device) -> torch.Tensor:
        """Causal mask [length, length], float with -inf above the diagonal."""
        mask = torch.ones(length, length, dtype=torch.bool, device=device)
        return torch.triu(mask, diagonal=1)

    # ------------------------------------------------------------------
    # forward
    # ------------------------------------------------------------------
    def forward(self, src, tgt=None, ctx_input=None, ctx_output=None):
        """
        One pass, with teacher forcing if there is a target.

        Args:
            src: [B, H, W] long, padded at the right and at the bottom
            tgt: [B, H, W] long, the true target (it is shifted here), or None
            ctx_input, ctx_output: [B, N, H, W] long, the demonstration pairs; both or none
            external_coords: [L, 2] or [B, L, 2], replaces the coordinates of the cells for the
                tri-temporal encoder and for BAM
            debug_shape: log shapes

        Without a target the memory goes to the heads and the context is added to the logits, which
        is what the first version did for its predictions.

        Returns:
            (logits, attention weights)
        """
        pinned.check_environment()
        model_cfg = getattr(self.config, "model", None)

        # results of the last pass
        self.last_rule_vec = None
        self.last_extra = None
        self.last_attn_weights = None
        self.last_psi = None
        self.loop_logits = []
        self.deq_stats = {}

        # --- shapes
        unbloat_forbid(src.dim() == 4 and unbloat_unseen("champion/model/transformer_model.py:1692"), "champion/model/transformer_model.py:1694")
        if src.dim() != 3:
            raise ValueError(f"expected src [B, H, W], got {tuple(src.shape)}")
        unbloat_forbid(tgt is not None and tgt.dim() == 4 and unbloat_unseen("champion/model/transformer_model.py:1697"), "champion/model/transformer_model.py:1698")
        unbloat_forbid(src.dtype != torch.long, "champion/model/transformer_model.py:1700")
        unbloat_forbid(tgt is not None and tgt.dtype != torch.long, "champion/model/transformer_model.py:1702")
        B, H, W = src.shape
        device = src.device
        if H * W > self.positional_encoding.pe.size(1):
            raise ValueError(f"grid {H}x{W} is larger than the table of positions, see model.max_h and model.max_w")

        # --- mixed precision, off with Lightning
        amp_ctx = nullcontext()

        # --- ranks
        unbloat_forbid(_dist_ready(), "champion/model/transformer_model.py:1724")
        unbloat_forbid(self.training and (ctx_input is None or ctx_output is None), "champion/model/transformer_model.py:1740-1745")

        # ------------------------------------------------------------------
        # context
        # ------------------------------------------------------------------
        context = None
        if ctx_input is not None and ctx_output is not None:
            unbloat_forbid(ctx_input.dim() == 3, "champion/model/transformer_model.py:1764")
            unbloat_forbid(ctx_output.dim() == 3, "champion/model/transformer_model.py:1766")
            if ctx_input.size(0) != B:
                raise ValueError(f"batch sizes differ: src {B}, context {ctx_input.size(0)}")
            ctx_result = self.context_encoder(ctx_input, ctx_output)
            # the encoders return c, (c, rule) or (c, rule, extra)
            context = ctx_result[0]
            self.last_rule_vec = ctx_result[1] if len(ctx_result) > 1 else None
            self.last_extra = ctx_result[2] if len(ctx_result) > 2 else None
            # warm-up counter of the bridges
            if self.training:
                self._bridge_step += 1
            # gain
            context = context * self.context_gain
            # evaluation: a single odd pair must not blow up the decoder
            if not self.training:
                context = torch.nan_to_num(context)
                norm_cap = CONTEXT_NORM_CAP * math.sqrt(self.d_model)
                ctx_norm = context.norm(dim=-1, keepdim=True).clamp_min(1e-6)
                context = context * (norm_cap / ctx_norm).clamp(max=1.0)

        # ------------------------------------------------------------------
        # encoder
        # ------------------------------------------------------------------
        is_tiny = H <= TINY_SIDE and W <= TINY_SIDE
        embed_scale = math.sqrt(self.d_model)
        src_flat = src.reshape(B, -1)
        src_pad_mask = src_flat == self.pad_token_id

        x = self.input_embedding(src_flat) * embed_scale
        x = self.positional_encoding(x)

        # tiny grids: nine cells do not say much, add some of the context (training only)
        unbloat_forbid(is_tiny and self.training and context is not None, "champion/model/transformer_model.py:1849-1859")
        if context is not None:
            x = self.bridge_enc(x, context, pad_mask=src_pad_mask, step=self._bridge_step, grid_hw=(H, W))
        # tiny grids again: louder
        unbloat_forbid(is_tiny, "champion/model/transformer_model.py:1877-1885")

        x = self.dropout(x)
        # a sample of padding only has no keys at all: open it, the loss does not look there anyway
        enc_all_pad = src_pad_mask.all(dim=1, keepdim=True)
        src_key_mask = src_pad_mask & ~enc_all_pad
        with amp_ctx:
            memory = self.encoder(x, src_key_padding_mask=src_key_mask)

        # ------------------------------------------------------------------
        # decoder
        # ------------------------------------------------------------------
        decoder_output = None
        tgt_len = 0
        if tgt is not None:
            # shift right by one in flat order, position 0 sees padding
            tgt_flat = tgt.reshape(B, -1)
            start = torch.full_like(tgt_flat[:, :1], self.pad_token_id)
            tgt_in = torch.cat([start, tgt_flat[:, :-1]], dim=1)
            tgt_len = tgt_in.size(1)
            y = self.input_embedding(tgt_in) * embed_scale
            y = self.positional_encoding(y)
            # padding embeds as zero, so the first position needs something of its own
            y_first = y[:, :1] + self.bos_embed
            y = torch.cat([y_first, y[:, 1:]], dim=1)

            tgt_pad_mask = tgt_in == self.pad_token_id
            tgt_is_tiny = tgt.size(1) <= TINY_SIDE and unbloat_unseen("champion/model/transformer_model.py:2002")
            # the same residual as in front of the encoder
            unbloat_forbid(tgt_is_tiny and self.training and context is not None, "champion/model/transformer_model.py:2005-2014")
            if context is not None:
                Hs_tgt, Ws_tgt = int(tgt.size(1)), int(tgt.size(2))
                y = self.bridge_dec(y, context, pad_mask=tgt_pad_mask, step=self._bridge_step, grid_hw=(Hs_tgt, Ws_tgt))
            unbloat_forbid(tgt_is_tiny, "champion/model/transformer_model.py:2032-2038")
            # the same vector everywhere
            if context is not None:
                tgt_bias = self.context_to_tgt_bias(context)
                y = y + tgt_bias.unsqueeze(1)
            y = self.dropout(y)
            if not self.training:
                # does not happen any more since the norm cap, but it is cheap
                unbloat_forbid(not bool(torch.isfinite(y).all()), "champion/model/transformer_model.py:2047-2048")

            # masks
            causal_mask = self._subsequent_mask(tgt_len, device)
            tgt_key_mask = tgt_pad_mask.clone()
            # position 0 is the bos and always open
            tgt_key_mask[:, 0] = False
            dec_memory = self.dec_mem_ln(memory)
            bam_cfg = getattr(model_cfg, "bam", None)
            bam_seq_cfg = getattr(bam_cfg, "seq_2d", None)
            dec_bam_norm = bool(getattr(bam_seq_cfg, "normalize", True))
            # size of the target grid, it need not be the size of the input
            try:
                dec_h, dec_w = Hs_tgt, Ws_tgt
            except Exception:
                dec_h, dec_w = H, W
            try:
                coords_key = (dec_h, dec_w, dec_bam_norm, str(device))
                coords_key in self._seq2d_coords_cache
            except Exception:
                pass
            else:
                raise NotImplementedError("stripped: champion/model/transformer_model.py:2104-2132")
            unbloat_forbid(isinstance(self.bridge_dec, HybridBridge) and context is not None, "champion/model/transformer_model.py:2162")
            with amp_ctx:
                decoder_output = self.decoder(
                    y,
                    dec_memory,
                    tgt_mask=causal_mask,
                    tgt_key_padding_mask=tgt_key_mask,
                    memory_key_padding_mask=src_key_mask,
                )

            decoder_output = self.decoder_dropout(decoder_output)

        # no target: the memory itself goes to the heads
        if decoder_output is None:
            decoder_output = memory
            out_h, out_w = H, W
        else:
            out_h, out_w = int(tgt.size(1)), int(tgt.size(2))
        self.last_hidden = decoder_output

        # ------------------------------------------------------------------
        # heads
        # ------------------------------------------------------------------
        logits = self.output_fc(decoder_output)

        # without a target nothing else tells the cells about the context
        if tgt is None and context is not None:
            infer_bias = self.context_to_logits(context)
            logits = logits + infer_bias.unsqueeze(1)

        if self.output_aug_extra is not None:
            extra_logits = self.output_aug_extra(decoder_output)
            logits = torch.cat([logits, extra_logits], dim=-1)
        logits = logits.view(B, out_h, out_w, -1)
        return logits
