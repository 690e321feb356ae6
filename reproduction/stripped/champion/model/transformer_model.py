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
import json
import logging
import math
import os
from contextlib import nullcontext
from typing import Any, Dict, List, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from omegaconf import DictConfig, ListConfig, OmegaConf

from champion.anticopy.manager import AntiCopyManager
from champion.config_schema import as_config
from champion.model.attention.bam_mha import BAMMultiheadAttention, enforce_beta_fraction
from champion.model.attention.dsla_encoder import DSLAHybridEncoder, DSLAttention
from champion.model.attention.tri_temporal_attention import TriTemporalAttention
from champion.model.attention.tri_temporal_encoder import TriTemporalEncoder
from champion.model.bridge import ConcatMLPBridge, CrossAttentionBridge, HybridBridge, HyperFiLM, IdentityBridge
from champion.model.context_encoder import ContextEncoderModule
from champion.model.context_encoder_cnp_legacy import ContextEncoderCNP
from champion.model.context_encoder_pqa import ContextEncoderConfig, ContextEncoderPQA
from champion.model.cumoe.attention import CUMoEAttention
from champion.model.cumoe.experts import ExpertBank, collect_aux_loss
from champion.model.cumoe.ffn import CUMoEFFN
from champion.model.decoder_identity import IdentityDecoder
from champion.model.looped.looped_transformer import LoopedTransformer
from champion.model.peft.lora_linear import LoRALinear, adapt_attention
from champion.model.peft.nora import NoRAActivation
from champion.model.peft.ponder_phi import PonderPhi, collect_penalties
from champion.utils.logging_config import setup_logging
from champion.utils.perm_embedding import PermInvariantEmbedding
from champion.utils.positional_encoding import Grid2DPositionalEncoding

# the implicit encoder used to need an extra package, some of the machines do not have it
try:
    from champion.model.implicit.deq_encoder import DEQEncoder
except ImportError:
    DEQEncoder = None

logger = setup_logging(__name__)

# grids up to this size are "tiny": the 3x3 yardstick, basically
TINY_SIDE = 3
TINY_GAIN = 1.5
TINY_RESIDUAL_CAP = 0.5
# from here on a grid is "large" for the teacher-forcing bias
LARGE_SIDE = 20
# context vectors longer than this many sqrt(d_model) are cut in evaluation
CONTEXT_NORM_CAP = 50.0
# decoder outputs beyond this are clamped with eval_stabilization / eval_final_clamp
EVAL_CLAMP = 50.0
FINAL_CLAMP = 20.0
# classes: colours and padding, then U, the hedges M_c and EOS
N_EXTRA_FOR_VOCAB = 2


# ----------------------------------------------------------------------------
# distributed helpers
# ----------------------------------------------------------------------------
def _dist_ready() -> bool:
    """True inside of a process group."""
    try:
        return bool(torch.distributed.is_available() and torch.distributed.is_initialized())
    except Exception:
        return False


def _is_rank_zero() -> bool:
    """Rank zero or no process group at all."""
    try:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank() == 0
    except Exception:
        # happens when the group is torn down while a logger still runs
        return True
    return True


def _cfg_get(cfg: Any, dotted: str, default: Any = None) -> Any:
    """Read ``a.b.c``; missing nodes and None give the default."""
    node = cfg
    for part in dotted.split("."):
        if node is None:
            return default
        try:
            node = node.get(part, None) if hasattr(node, "get") else getattr(node, part, None)
        except Exception:
            return default
    return default if node is None else node


def _cfg_attr_node(cfg: Any, name: str) -> Any:
    """Child node or None, for nodes that may be missing."""
    try:
        return getattr(cfg, name, None)
    except Exception:
        return None


def _tensor_report(name: str, value: Optional[torch.Tensor]) -> str:
    """One line for the forced-debug probes: norm, extremes and the number of NaNs."""
    if value is None:
        return f"{name}: none"
    detached = value.detach().float()
    n_bad = int((~torch.isfinite(detached)).sum())
    return (
        f"{name}: shape={tuple(detached.shape)} norm={float(detached.norm()):.4f} "
        f"min={float(detached.min()):.4f} max={float(detached.max()):.4f} nonfinite={n_bad}"
    )


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
        super().__init__()
        if isinstance(config, dict):
            config = as_config(config)
        self.config = config

        # ------------------------------------------------------------------
        # config shims: old run configs lack some of the nodes
        # ------------------------------------------------------------------
        if getattr(config, "model", None) is None:
            raise ValueError("TransformerModel needs the whole config, there is no node 'model'")
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
            has_key = True
            try:
                has_key = shim_key in model_cfg
            except Exception:
                has_key = hasattr(model_cfg, shim_key)
            if has_key:
                continue
            # struct configs (hydra) refuse new keys
            try:
                OmegaConf.set_struct(config, False)
                OmegaConf.update(config, f"model.{shim_key}", shim_value, force_add=True)
            except Exception:
                try:
                    setattr(model_cfg, shim_key, shim_value)
                except Exception as e:
                    logger.warning("could not add model.%s to the config: %s", shim_key, e)
        if getattr(model_cfg.conditioning, "bridge", None) is None:
            try:
                OmegaConf.update(config, "model.conditioning.bridge", {"type": "concat_mlp"}, force_add=True)
            except Exception:
                try:
                    model_cfg.conditioning.bridge = {"type": "concat_mlp"}
                except Exception:
                    pass

        # JARC_CTX_GAIN: quick scans of the context gain without a new config
        self._ctx_gain_env = None
        env_gain = os.environ.get("JARC_CTX_GAIN")
        if env_gain is not None and env_gain.strip() != "":
            try:
                self._ctx_gain_env = float(env_gain)
            except Exception:
                logger.warning("JARC_CTX_GAIN=%r is not a number, ignored", env_gain)
            if self._ctx_gain_env is not None:
                try:
                    OmegaConf.update(config, "model.context_effect_gain", self._ctx_gain_env)
                except Exception:
                    try:
                        model_cfg.context_effect_gain = self._ctx_gain_env
                    except Exception:
                        pass
                if _is_rank_zero():
                    logger.info("context gain from the environment: %.4f", self._ctx_gain_env)

        # ------------------------------------------------------------------
        # sizes
        # ------------------------------------------------------------------
        self.d_model = int(getattr(model_cfg, "d_model", 128)) if isinstance(getattr(model_cfg, "d_model", None), (int, float)) else 128
        self.n_head = int(getattr(model_cfg, "n_head", 4)) if isinstance(getattr(model_cfg, "n_head", None), (int, float)) else 4
        self.d_ff = int(getattr(model_cfg, "d_ff", 4 * self.d_model)) if isinstance(getattr(model_cfg, "d_ff", None), (int, float)) else 4 * self.d_model
        self.n_encoder_layers = int(getattr(model_cfg, "encoder_layers", 1)) if isinstance(getattr(model_cfg, "encoder_layers", None), (int, float)) else 1
        self.n_decoder_layers = int(getattr(model_cfg, "decoder_layers", 1)) if isinstance(getattr(model_cfg, "decoder_layers", None), (int, float)) else 1
        if self.d_model % self.n_head != 0:
            raise ValueError(f"model.d_model={self.d_model} is not divisible by model.n_head={self.n_head}")
        try:
            self.max_h = int(getattr(model_cfg, "max_h", 30)) if isinstance(getattr(model_cfg, "max_h", None), (int, float)) else 30
            self.max_w = int(getattr(model_cfg, "max_w", 30)) if isinstance(getattr(model_cfg, "max_w", None), (int, float)) else 30
        except Exception:
            # null in some of the sweeps
            self.max_h, self.max_w = 30, 30
        # the data preparation overwrites vocab_size, V_colours is the older name
        vocab_size = getattr(model_cfg, "vocab_size", None)
        if vocab_size is None:
            vocab_size = getattr(model_cfg, "V_colours", None)
        if vocab_size is None:
            vocab_size = 11
        self.vocab_size = int(vocab_size)
        try:
            n_shapes = getattr(model_cfg, "S_shapes", None)
            self.n_shapes = int(n_shapes) if n_shapes is not None else None
        except Exception:
            self.n_shapes = None
        self.pad_token_id = int(getattr(model_cfg, "pad_token_id", 10)) if isinstance(getattr(model_cfg, "pad_token_id", None), (int, float)) else 10

        # dropouts
        try:
            self.dropout_rate = float(getattr(model_cfg, "dropout_rate", 0.1)) if isinstance(getattr(model_cfg, "dropout_rate", None), (int, float)) else 0.1
        except Exception:
            self.dropout_rate = 0.1
        try:
            self.encoder_dropout_rate = float(getattr(model_cfg, "encoder_dropout_rate", self.dropout_rate)) if isinstance(getattr(model_cfg, "encoder_dropout_rate", None), (int, float)) else self.dropout_rate
        except Exception:
            self.encoder_dropout_rate = self.dropout_rate
        try:
            self.decoder_dropout_rate = float(getattr(model_cfg, "decoder_dropout_rate", self.dropout_rate)) if isinstance(getattr(model_cfg, "decoder_dropout_rate", None), (int, float)) else self.dropout_rate
        except Exception:
            self.decoder_dropout_rate = self.dropout_rate

        # ------------------------------------------------------------------
        # tri-temporal attention
        # ------------------------------------------------------------------
        try:
            self.use_tri_temporal = bool(getattr(model_cfg, "use_tri_temporal", False))
        except Exception:
            self.use_tri_temporal = False
        try:
            attention_type = str(getattr(model_cfg, "attention_type", "vanilla")).lower()
        except Exception:
            attention_type = "vanilla"
        if attention_type in ("tri_temporal", "tritemporal", "tdm"):
            self.use_tri_temporal = True
        elif attention_type not in ("vanilla", "none", ""):
            raise ValueError(f"unknown model.attention_type {attention_type!r}")
        self.attention_type = attention_type
        self.tri_stats: Dict[str, float] = {}

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

        # coordinates for the tri-temporal encoder: where a token is, not only what it is like
        self.tri_coord_proj = None
        if self.use_tri_temporal:
            self.tri_coord_proj = nn.Linear(2, self.d_model, bias=False)
            self.tri_coord_scale = nn.Parameter(torch.full((1,), 0.1))

        # (row, column) of every cell of the canvas, for the 2-D priors of BAM
        try:
            bam_cfg = getattr(model_cfg, "bam", None)
            bam_norm = bool(getattr(getattr(bam_cfg, "seq_2d", None), "normalize", True))
            coord_rows = torch.arange(self.max_h).repeat_interleave(self.max_w)
            coord_cols = torch.arange(self.max_w).repeat(self.max_h)
            coords = torch.stack([coord_rows, coord_cols], dim=-1).to(torch.get_default_dtype())
            if bam_norm:
                coords = coords / float(max(self.max_h - 1, self.max_w - 1, 1))
            # not saved, follows from the config
            self.register_buffer("_precomputed_seq2d_coords", coords.unsqueeze(0), persistent=False)
        except Exception:
            pass

        # ------------------------------------------------------------------
        # encoder
        # ------------------------------------------------------------------
        dsla_enabled = False
        try:
            dsla_cfg = getattr(config, "dsla", None)
            dsla_enabled = bool(getattr(dsla_cfg, "enabled", False)) if dsla_cfg is not None else False
        except Exception:
            dsla_enabled = False
        self.dsla_enabled = dsla_enabled

        # layers of encoders that are no nn.TransformerEncoder, a plain list (they are registered there)
        self.encoder_layers = None
        self.encoder_kind = "vanilla"
        if self.use_tri_temporal:
            try:
                self.encoder = TriTemporalEncoder(model_cfg, dropout=self.encoder_dropout_rate)
                self.encoder_kind = "tri_temporal"
                if dsla_enabled and _is_rank_zero():
                    logger.warning("dsla is ignored with the tri-temporal encoder")
                n_scales = 0
                for tri_module in self.encoder.modules():
                    if isinstance(tri_module, TriTemporalAttention):
                        n_scales += 1
                if _is_rank_zero():
                    logger.info("tri-temporal encoder, %d layers, taus %s", n_scales, self.encoder.taus)
            except Exception as e:
                logger.error("tri-temporal encoder failed: %s", e)
                raise
        elif dsla_enabled:
            # the first ceil(n * ratio) layers are linear
            self.encoder = DSLAHybridEncoder(
                self.d_model,
                self.n_head,
                self.d_ff,
                self.n_encoder_layers,
                dsla_cfg,
                dropout=self.encoder_dropout_rate,
            )
            self.encoder_kind = "dsla"
            self.encoder_layers = list(self.encoder.layers)
        else:
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

        # implicit encoder (DEQ), takes the place of whatever was built above
        self.deq_enabled = False
        self.deq_log_metrics = False
        try:
            deq_cfg = getattr(model_cfg, "deq", None)
            self.deq_enabled = bool(getattr(deq_cfg, "enabled", False)) if deq_cfg is not None else False
            self.deq_log_metrics = bool(getattr(deq_cfg, "log_metrics", False)) if deq_cfg is not None else False
        except Exception:
            self.deq_enabled = False
        if self.deq_enabled:
            if DEQEncoder is None:
                raise ImportError("model.deq.enabled, but the implicit encoder could not be imported")
            self.encoder = DEQEncoder(
                self.d_model,
                self.n_head,
                self.d_ff,
                deq_cfg,
                dropout=self.encoder_dropout_rate,
            )
            self.encoder_kind = "deq"
            self.encoder_layers = None
            if _is_rank_zero():
                logger.info("implicit encoder, solver %s", getattr(deq_cfg, "solver", "?"))

        # looped encoder, weights shared over the loops
        self.looped_enabled = False
        try:
            looped_cfg = getattr(model_cfg, "looped", None)
            self.looped_enabled = bool(getattr(looped_cfg, "enabled", False)) if looped_cfg is not None else False
        except Exception:
            self.looped_enabled = False
        if self.looped_enabled:
            if not isinstance(self.encoder, nn.TransformerEncoder):
                raise ValueError(f"model.looped works with the vanilla encoder only, not with {self.encoder_kind}")
            self.encoder = LoopedTransformer(self.encoder, self.d_model, looped_cfg)
            self.encoder_kind = "looped"
            self.encoder_layers = list(self.encoder.block.layers)

        # ------------------------------------------------------------------
        # decoder
        # ------------------------------------------------------------------
        if self.n_decoder_layers > 0:
            dec_layer = nn.TransformerDecoderLayer(
                d_model=self.d_model,
                nhead=self.n_head,
                dim_feedforward=self.d_ff,
                dropout=self.decoder_dropout_rate,
                batch_first=True,
                norm_first=True,
            )
            self.decoder = nn.TransformerDecoder(dec_layer, num_layers=self.n_decoder_layers)
        else:
            # encoder-only ablation
            self.decoder = IdentityDecoder()

        # per-layer FiLM: hooks behind the decoder layers
        try:
            if self.film_per_layer_gens is not None:
                for film_index, film_layer in enumerate(self.decoder.layers):

                    def _make_film_hook(index):
                        def _film_hook(module, inputs, output):
                            # coefficients of this pass, put there by forward
                            coeffs = self._film_layer_coeffs
                            if coeffs is None or index >= len(coeffs):
                                return None
                            gain, bias = coeffs[index]
                            return output * (1.0 + gain) + bias

                        return _film_hook

                    film_layer.register_forward_hook(_make_film_hook(film_index))
        except Exception:
            # no decoder layers
            pass

        # ------------------------------------------------------------------
        # checkpoints from before the single decoder have decoder_train.* and decoder_eval.*
        # ------------------------------------------------------------------
        try:
            use_single_decoder = bool(getattr(model_cfg, "use_single_decoder", True))
        except Exception:
            use_single_decoder = True
        self.use_single_decoder = use_single_decoder
        if use_single_decoder:

            def _migrate_decoder_keys(state_dict, prefix, local_metadata, strict, missing, unexpected, errors):
                """
                Rename decoder_eval.* to decoder.*, drop decoder_train.*

                Both were the same weights in the end, there was a swap before every validation.
                """
                train_prefix = prefix + "decoder_train."
                eval_prefix = prefix + "decoder_eval."
                new_prefix = prefix + "decoder."
                renamed = 0
                dropped = 0
                # the training decoder is the one with the newer weights
                for key in list(state_dict.keys()):
                    if not key.startswith(train_prefix):
                        continue
                    new_key = new_prefix + key[len(train_prefix):]
                    value = state_dict.pop(key)
                    if new_key not in state_dict:
                        state_dict[new_key] = value
                        renamed += 1
                    else:
                        dropped += 1
                for key in list(state_dict.keys()):
                    if not key.startswith(eval_prefix):
                        continue
                    new_key = new_prefix + key[len(eval_prefix):]
                    value = state_dict.pop(key)
                    if new_key not in state_dict:
                        state_dict[new_key] = value
                        renamed += 1
                    else:
                        dropped += 1
                if renamed or dropped:
                    logger.warning("old decoder keys: %d renamed, %d dropped", renamed, dropped)

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
        if ctx_cfg is None:
            raise ValueError("the config has no node model.context_encoder")
        if legacy_ctx:
            # name of the old encoder, only these two are left
            try:
                ctx_name = str(getattr(model_cfg, "context_encoder_name", "legacy")).lower()
            except Exception:
                ctx_name = "legacy"
            if ctx_name == "cnp":
                self.context_encoder = ContextEncoderCNP(ContextEncoderConfig(**ctx_cfg))
            elif ctx_name in ("legacy", "default"):
                self.context_encoder = ContextEncoderModule(ctx_cfg)
            else:
                raise ValueError(f"unknown model.context_encoder_name {ctx_name!r}")
        else:
            self.context_encoder = ContextEncoderPQA(ContextEncoderConfig(**ctx_cfg))

        # alternate attention mode: per-head maps of the context encoder for the attention plots
        self.alternate_attention = False
        try:
            alt_cfg = getattr(model_cfg, "alternate_attention_mode", None)
            alt_enabled = bool(getattr(alt_cfg, "enabled", False)) if alt_cfg is not None else False
            per_head = bool(getattr(getattr(alt_cfg, "context_grid", None), "per_head", False))
            if alt_enabled and per_head:
                if hasattr(self.context_encoder, "grid_attn_per_head"):
                    self.context_encoder.grid_attn_per_head = True
                    self.alternate_attention = True
                else:
                    logger.warning("alternate attention mode: this context encoder has no per-head maps")
        except Exception:
            self.alternate_attention = False

        # width of the context, the encoders disagree about the name
        try:
            self.d_ctx = int(self.context_encoder.cfg.d_model)
        except Exception:
            self.d_ctx = int(getattr(ctx_cfg, "d_model", 32)) if isinstance(getattr(ctx_cfg, "d_model", None), (int, float)) else 32
        # built for the first sweep; the encoder has its own dropout by now
        try:
            ctx_dropout = float(getattr(ctx_cfg, "dropout_rate", 0.0)) if isinstance(getattr(ctx_cfg, "dropout_rate", None), (int, float)) else 0.0
        except Exception:
            ctx_dropout = 0.0
        self.context_dropout = nn.Dropout(ctx_dropout) if ctx_dropout > 0.0 else nn.Identity()
        # bias on the logits, for calls without a target
        self.context_to_logits = nn.Linear(self.d_ctx, self.vocab_size)

        def _get(node_cfg, dotted, default=None):
            """As _cfg_get, but knows lists of nodes and plain dicts."""
            current = node_cfg
            for name in dotted.split("."):
                if current is None:
                    return default
                if isinstance(current, dict):
                    current = current.get(name)
                elif isinstance(current, (list, ListConfig)):
                    current = current[int(name)] if name.isdigit() and int(name) < len(current) else None
                else:
                    current = getattr(current, name, None)
            return current if current is not None else default

        # FiLM in front of the heads
        self.film_post_decoder = None
        try:
            cond_cfg = getattr(model_cfg, "conditioning", None)
            post_film_cfg = getattr(cond_cfg, "post_decoder_film", None)
            post_film_enabled = bool(getattr(post_film_cfg, "enabled", False)) if post_film_cfg is not None else False
        except Exception:
            post_film_enabled = False
        if post_film_enabled:
            self.film_post_decoder = HyperFiLM(
                self.d_ctx,
                self.d_model,
                hidden_factor=float(_get(model_cfg, "conditioning.bridge.hidden_factor", 1.0)),
                gain=float(getattr(post_film_cfg, "gain", 1.0)),
            )

        # FiLM after every decoder layer
        self.film_per_layer_gens = None
        self._film_layer_coeffs = None
        self.film_per_layer_gain = 1.0
        try:
            layer_film_cfg = getattr(getattr(model_cfg, "conditioning", None), "per_layer_film", None)
            layer_film_enabled = bool(getattr(layer_film_cfg, "enabled", False)) if layer_film_cfg is not None else False
        except Exception:
            layer_film_enabled = False
        if layer_film_enabled:
            try:
                self.film_per_layer_gain = float(getattr(layer_film_cfg, "gain", 1.0)) if isinstance(getattr(layer_film_cfg, "gain", None), (int, float)) else 1.0
            except Exception:
                self.film_per_layer_gain = 1.0
            self.film_per_layer_gens = nn.ModuleList(
                nn.Linear(self.d_ctx, 2 * self.d_model) for _ in range(self.n_decoder_layers)
            )
            for film_gen in self.film_per_layer_gens:
                nn.init.normal_(film_gen.weight, std=0.02)
                nn.init.zeros_(film_gen.bias)

        # JARC_FORCED_DEBUG=1: norms and NaNs of everything, whatever the log level says
        self._forced_debug = False
        try:
            self._forced_debug = os.environ.get("JARC_FORCED_DEBUG", "0") == "1"
            if self._forced_debug and _is_rank_zero():
                n_numbers = sum(p.numel() for p in self.context_encoder.parameters())
                logger.setLevel(logging.INFO)
                logger.info("[forced-debug] encoder=%s d_model=%d heads=%d", self.encoder_kind, self.d_model, self.n_head)
                logger.info("[forced-debug] context encoder %s, %d parameters", type(self.context_encoder).__name__, n_numbers)
                for debug_name, debug_param in self.context_encoder.named_parameters():
                    if not bool(torch.isfinite(debug_param).all()):
                        logger.error("[forced-debug] %s is not finite after its init", debug_name)
        except Exception:
            pass

        # settings of the looped encoder that forward and the trainer ask for
        self.looped_ponder = False
        self.looped_expected_task = True
        self.looped_aggregation = "single"
        self.looped_window = 1
        try:
            from omegaconf import OmegaConf

            looped_node = OmegaConf.select(config, "model.looped", default=None)
            if looped_node is not None:
                ponder_cfg = getattr(looped_node, "ponder", None)
                self.looped_ponder = bool(getattr(ponder_cfg, "enabled", False)) if ponder_cfg is not None else False
                ponder_loss_cfg = getattr(ponder_cfg, "loss", None)
                self.looped_expected_task = bool(getattr(ponder_loss_cfg, "use_expected_task", True)) if ponder_loss_cfg is not None else True
                self.looped_aggregation = str(getattr(ponder_loss_cfg, "aggregation", "single"))
                self.looped_window = int(getattr(looped_node, "T", 1) or 1)
        except Exception:
            pass

        # ------------------------------------------------------------------
        # BAM: distance priors in the attentions
        # ------------------------------------------------------------------
        self.bam_enabled = False
        self.bam_apply_to = "both"
        self.bam_cross_enabled = False
        # (container, layer, module), filled below
        self._bam_registry: List[Tuple[str, int, nn.Module]] = []
        self.bam_stats: Dict[str, float] = {}
        try:
            bam_cfg = getattr(model_cfg, "bam", None)
            self.bam_enabled = bool(getattr(bam_cfg, "enabled", False)) if bam_cfg is not None else False
            self.bam_apply_to = str(getattr(bam_cfg, "apply_to", "both")).lower()
        except Exception:
            self.bam_enabled = False
        try:
            bam_cross_cfg = getattr(bam_cfg, "cross", None)
            self.bam_cross_mode = str(getattr(bam_cross_cfg, "mode", "per_pair"))
            self.bam_cross_2d = bool(getattr(bam_cross_cfg, "use_2d_prior", False)) if bam_cross_cfg is not None else False
        except Exception:
            self.bam_cross_mode = "per_pair"
            self.bam_cross_2d = False
        try:
            bam_seq_cfg = getattr(bam_cfg, "seq_2d", None)
            self.bam_seq_source = str(getattr(bam_seq_cfg, "source", "grid"))
            self.bam_seq_normalize = bool(getattr(bam_seq_cfg, "normalize", True)) if bam_seq_cfg is not None else True
        except Exception:
            self.bam_seq_source = "grid"
            self.bam_seq_normalize = True
        if self.bam_enabled:
            if self.bam_apply_to not in ("both", "encoder", "decoder"):
                self.bam_apply_to = "both"
            try:
                use_1d = bool(getattr(bam_cross_cfg, "use_1d_prior", False)) if bam_cross_cfg is not None else False
                ssmax_cross_cfg = getattr(bam_cfg, "ssmax_cross", None)
                ssmax_cross = bool(getattr(ssmax_cross_cfg, "enabled", False)) if ssmax_cross_cfg is not None else False
                self.bam_cross_enabled = bool(use_1d or self.bam_cross_2d or ssmax_cross)
            except Exception:
                self.bam_cross_enabled = False

            # encoder
            if self.bam_apply_to in ("both", "encoder"):
                if isinstance(self.encoder, nn.TransformerEncoder):
                    for layer_index, layer in enumerate(self.encoder.layers):
                        old_attn = getattr(layer, "self_attn", None)
                        if old_attn is None or isinstance(old_attn, BAMMultiheadAttention):
                            continue
                        try:
                            new_attn = BAMMultiheadAttention(
                                old_attn.embed_dim,
                                old_attn.num_heads,
                                bam_cfg,
                                role="encoder",
                                grid_width=self.max_w,
                                dropout=old_attn.dropout,
                            )
                            layer.self_attn = new_attn.copy_weights(old_attn)
                            self._bam_registry.append(("encoder", layer_index, layer.self_attn))
                        except Exception:
                            # the attention of torch stays
                            pass
                elif self.encoder_layers is not None:
                    # looped and hybrid encoders, same again
                    for layer_index, layer in enumerate(self.encoder_layers):
                        old_attn = getattr(layer, "self_attn", None)
                        if old_attn is None or isinstance(old_attn, BAMMultiheadAttention):
                            continue
                        if isinstance(old_attn, DSLAttention):
                            # linear attention has no scores to put a prior on
                            logger.warning("BAM: layer %d is a DSLA layer, left alone", layer_index)
                            continue
                        try:
                            new_attn = BAMMultiheadAttention(
                                old_attn.embed_dim,
                                old_attn.num_heads,
                                bam_cfg,
                                role="encoder",
                                grid_width=self.max_w,
                                dropout=old_attn.dropout,
                            )
                            layer.self_attn = new_attn.copy_weights(old_attn)
                            self._bam_registry.append(("encoder", layer_index, layer.self_attn))
                        except Exception:
                            # the attention of torch stays
                            pass
                else:
                    logger.warning("BAM: nothing to replace in a %s encoder", self.encoder_kind)

            # decoder, self-attention
            if self.bam_apply_to in ("both", "decoder"):
                for layer_index, layer in enumerate(self.decoder.layers if hasattr(self.decoder, "layers") else []):
                    old_attn = getattr(layer, "self_attn", None)
                    if old_attn is None or isinstance(old_attn, BAMMultiheadAttention):
                        continue
                    try:
                        new_attn = BAMMultiheadAttention(
                            old_attn.embed_dim,
                            old_attn.num_heads,
                            bam_cfg,
                            role="decoder",
                            grid_width=self.max_w,
                            dropout=old_attn.dropout,
                        )
                        layer.self_attn = new_attn.copy_weights(old_attn)
                        self._bam_registry.append(("decoder", layer_index, layer.self_attn))
                    except Exception:
                        # the attention of torch stays
                        pass
                # decoder, cross-attention
                if self.bam_cross_enabled:
                    for layer_index, layer in enumerate(self.decoder.layers if hasattr(self.decoder, "layers") else []):
                        old_attn = getattr(layer, "multihead_attn", None)
                        if old_attn is None or isinstance(old_attn, BAMMultiheadAttention):
                            continue
                        try:
                            new_attn = BAMMultiheadAttention(
                                old_attn.embed_dim,
                                old_attn.num_heads,
                                bam_cfg,
                                role="cross",
                                grid_width=self.max_w,
                                dropout=old_attn.dropout,
                            )
                            layer.multihead_attn = new_attn.copy_weights(old_attn)
                            self._bam_registry.append(("cross", layer_index, layer.multihead_attn))
                        except Exception:
                            # the attention of torch stays
                            pass
            # packed batches are for torch's own attention
            try:
                from champion.model.attention.common import keep_padding

                keep_padding(self.encoder)
            except Exception:
                pass
            if _is_rank_zero():
                n_priors = len(self._bam_registry)
                logger.info("BAM in %d attentions (%s)", n_priors, self.bam_apply_to)

        # signature of the architecture, compared over the ranks in the first forward
        self._arch_signature = self._build_arch_signature()
        self._arch_checked = False

        # ------------------------------------------------------------------
        # CUMoE: experts in place of attention and feed-forward
        # ------------------------------------------------------------------
        self.cumoe_enabled = False
        self._cumoe_modules: List[nn.Module] = []
        self.cumoe_replaced = {"encoder": 0, "encoder_layers": 0, "decoder": 0, "cross": 0}
        try:
            cumoe_cfg = getattr(model_cfg, "cumoe", None)
            self.cumoe_enabled = bool(getattr(cumoe_cfg, "enabled", False)) if cumoe_cfg is not None else False
        except Exception:
            cumoe_cfg = None
            self.cumoe_enabled = False
        if self.cumoe_enabled:
            # a broken expert layer is worse than none: stop, unless the config says otherwise
            try:
                cumoe_fail_fast = bool(getattr(cumoe_cfg, "fail_fast", True)) if cumoe_cfg is not None else True
            except Exception:
                cumoe_fail_fast = True
            # 0 experts or a place that is not there: say so before anything is replaced
            try:
                from champion.model.cumoe.ffn import applies_to

                if not (applies_to(cumoe_cfg, "encoder") or applies_to(cumoe_cfg, "decoder")):
                    logger.warning("cumoe is enabled, but applies to nothing")
            except Exception:
                # apply_to is a plain string in the older configs
                pass
            # apply_to: list or one string
            try:
                cumoe_apply = getattr(cumoe_cfg, "apply_to", ["encoder"])
                if isinstance(cumoe_apply, str):
                    cumoe_places = [cumoe_apply.lower()]
                elif isinstance(cumoe_apply, (list, tuple, ListConfig)):
                    cumoe_places = [str(place).lower() for place in cumoe_apply]
                else:
                    cumoe_places = ["encoder"]
            except Exception:
                cumoe_places = ["encoder"]
            unknown_places = [place for place in cumoe_places if place not in ("encoder", "decoder", "both")]
            if unknown_places:
                raise ValueError(f"model.cumoe.apply_to knows encoder, decoder and both, not {unknown_places}")
            cumoe_in_encoder = "both" in cumoe_places or "encoder" in cumoe_places
            cumoe_in_decoder = "both" in cumoe_places or "decoder" in cumoe_places
            try:
                cumoe_share = bool(getattr(cumoe_cfg, "share_across_attention_and_ffn", True)) if cumoe_cfg is not None else True
            except Exception:
                cumoe_share = True
            try:
                cumoe_experts = int(getattr(cumoe_cfg, "num_experts", 8)) if isinstance(getattr(cumoe_cfg, "num_experts", None), (int, float)) else 8
                cumoe_top_k = int(getattr(cumoe_cfg, "top_k", 2)) if isinstance(getattr(cumoe_cfg, "top_k", None), (int, float)) else 2
            except Exception:
                cumoe_experts, cumoe_top_k = 8, 2
            try:
                premix_cfg = getattr(cumoe_cfg, "premix", None)
                cumoe_stride = int(getattr(premix_cfg, "pool_stride", 1)) if isinstance(getattr(premix_cfg, "pool_stride", None), (int, float)) else 1
            except Exception:
                cumoe_stride = 1
            if cumoe_stride > 1 and cumoe_in_decoder:
                # pooled keys would show the decoder the cells it has to predict
                raise ValueError("model.cumoe.premix.pool_stride > 1 works in the encoder only")

            # static conditions for the ponder adapters, read from the model node
            cumoe_condition: Optional[Dict[str, Any]] = None
            try:
                cumoe_ponder_cfg = getattr(cumoe_cfg, "ponder", None)
                cumoe_ponder = bool(getattr(cumoe_ponder_cfg, "enabled", False)) if cumoe_ponder_cfg is not None else False
                use_condition = bool(getattr(cumoe_ponder_cfg, "use_condition_embed", False)) if cumoe_ponder_cfg is not None else False
                if cumoe_ponder and use_condition:
                    static_keys = list(getattr(cumoe_ponder_cfg, "cond_static_keys", None) or [])
                    cumoe_condition = {}
                    for static_key in static_keys:
                        static_value = _cfg_get(model_cfg, str(static_key), None)
                        if static_value is None:
                            logger.warning("cumoe: no model.%s to condition on", static_key)
                            static_value = "none"
                        if not isinstance(static_value, int):
                            static_value = str(static_value)
                        cumoe_condition[str(static_key)] = static_value
                    if not cumoe_condition:
                        cumoe_condition = None
            except Exception as e:
                logger.warning("cumoe: conditions not read: %s", e)
                cumoe_condition = None

            def _condition_experts(*modules):
                for expert_module in modules:
                    if cumoe_condition is not None:
                        expert_module.experts.set_condition(cumoe_condition)

            # --- encoder
            if cumoe_in_encoder and isinstance(self.encoder, nn.TransformerEncoder):
                for layer_index, layer in enumerate(self.encoder.layers):
                    old_parts = None
                    try:
                        old_attn = layer.self_attn
                        old_parts = (old_attn, layer.linear1, layer.activation, layer.linear2)
                        d_layer = int(getattr(old_attn, "embed_dim", self.d_model))
                        h_layer = int(getattr(old_attn, "num_heads", self.n_head))
                        bank = ExpertBank(d_layer, cumoe_cfg) if cumoe_share else None
                        expert_attn = CUMoEAttention(d_layer, h_layer, cumoe_cfg, bank)
                        expert_ffn = CUMoEFFN(d_layer, cumoe_cfg, bank)
                        _condition_experts(expert_attn, expert_ffn)
                        layer.self_attn = expert_attn
                        # torch calls linear2(dropout(activation(linear1(x))))
                        layer.linear1 = nn.Identity()
                        layer.activation = nn.Identity()
                        layer.linear2 = expert_ffn
                        # keeps torch's fused kernel away
                        layer.activation_relu_or_gelu = 0
                        self._cumoe_modules.append(expert_attn)
                        self._cumoe_modules.append(expert_ffn)
                        self.cumoe_replaced["encoder"] += 1
                    except Exception as e:
                        logger.error("cumoe: encoder layer %d: %s", layer_index, e)
                        if cumoe_fail_fast:
                            raise
                        # put back what was there
                        if old_parts is not None:
                            layer.self_attn = old_parts[0]
                            layer.linear1 = old_parts[1]
                            layer.activation = old_parts[2]
                            layer.linear2 = old_parts[3]
            # --- encoder_layers (looped, hybrid)
            elif cumoe_in_encoder and self.encoder_layers is not None:
                for layer_index, layer in enumerate(self.encoder_layers):
                    old_parts = None
                    try:
                        old_attn = layer.self_attn
                        old_parts = (old_attn, layer.linear1, layer.activation, layer.linear2)
                        d_layer = int(getattr(old_attn, "embed_dim", self.d_model))
                        h_layer = int(getattr(old_attn, "num_heads", self.n_head))
                        bank = ExpertBank(d_layer, cumoe_cfg) if cumoe_share else None
                        expert_ffn = CUMoEFFN(d_layer, cumoe_cfg, bank)
                        if isinstance(old_attn, DSLAttention):
                            # the hybrid encoder switches the mode of its attentions, only the FFN then
                            _condition_experts(expert_ffn)
                        else:
                            expert_attn = CUMoEAttention(d_layer, h_layer, cumoe_cfg, bank)
                            _condition_experts(expert_attn, expert_ffn)
                            layer.self_attn = expert_attn
                            self._cumoe_modules.append(expert_attn)
                        layer.linear1 = nn.Identity()
                        layer.activation = nn.Identity()
                        layer.linear2 = expert_ffn
                        layer.activation_relu_or_gelu = 0
                        self._cumoe_modules.append(expert_ffn)
                        self.cumoe_replaced["encoder_layers"] += 1
                    except Exception as e:
                        logger.error("cumoe: encoder layer %d: %s", layer_index, e)
                        if cumoe_fail_fast:
                            raise
                        if old_parts is not None:
                            layer.self_attn = old_parts[0]
                            layer.linear1 = old_parts[1]
                            layer.activation = old_parts[2]
                            layer.linear2 = old_parts[3]
            elif cumoe_in_encoder:
                logger.warning("cumoe: nothing to replace in a %s encoder", self.encoder_kind)

            # --- decoder
            if cumoe_in_decoder:
                for layer_index, layer in enumerate(self.decoder.layers if hasattr(self.decoder, "layers") else []):
                    old_parts = None
                    try:
                        old_attn = layer.self_attn
                        old_parts = (old_attn, layer.linear1, layer.activation, layer.linear2)
                        d_layer = int(getattr(old_attn, "embed_dim", self.d_model))
                        h_layer = int(getattr(old_attn, "num_heads", self.n_head))
                        bank = ExpertBank(d_layer, cumoe_cfg) if cumoe_share else None
                        expert_attn = CUMoEAttention(d_layer, h_layer, cumoe_cfg, bank)
                        expert_ffn = CUMoEFFN(d_layer, cumoe_cfg, bank)
                        _condition_experts(expert_attn, expert_ffn)
                        layer.self_attn = expert_attn
                        layer.linear1 = nn.Identity()
                        layer.activation = nn.Identity()
                        layer.linear2 = expert_ffn
                        layer.activation_relu_or_gelu = 0
                        self._cumoe_modules.append(expert_attn)
                        self._cumoe_modules.append(expert_ffn)
                        self.cumoe_replaced["decoder"] += 1
                    except Exception as e:
                        logger.error("cumoe: decoder layer %d: %s", layer_index, e)
                        if cumoe_fail_fast:
                            raise
                        if old_parts is not None:
                            layer.self_attn = old_parts[0]
                            layer.linear1 = old_parts[1]
                            layer.activation = old_parts[2]
                            layer.linear2 = old_parts[3]
                # --- cross-attention, on the bank of its layer
                for layer_index, layer in enumerate(self.decoder.layers if hasattr(self.decoder, "layers") else []):
                    old_cross = None
                    try:
                        old_cross = layer.multihead_attn
                        d_layer = int(getattr(old_cross, "embed_dim", self.d_model))
                        h_layer = int(getattr(old_cross, "num_heads", self.n_head))
                        bank = None
                        if cumoe_share and isinstance(layer.linear2, CUMoEFFN):
                            bank = layer.linear2.experts.bank
                        expert_cross = CUMoEAttention(d_layer, h_layer, cumoe_cfg, bank)
                        _condition_experts(expert_cross)
                        layer.multihead_attn = expert_cross
                        self._cumoe_modules.append(expert_cross)
                        self.cumoe_replaced["cross"] += 1
                    except Exception as e:
                        logger.error("cumoe: cross-attention of layer %d: %s", layer_index, e)
                        if cumoe_fail_fast:
                            raise
                        if old_cross is not None:
                            layer.multihead_attn = old_cross
            # BAM may have been in there
            if self._bam_registry:
                alive = {id(m) for m in self.modules()}
                n_before = len(self._bam_registry)
                self._bam_registry = [entry for entry in self._bam_registry if id(entry[2]) in alive]
                if len(self._bam_registry) < n_before:
                    logger.warning("cumoe replaced %d BAM attentions", n_before - len(self._bam_registry))
            if _is_rank_zero():
                logger.info("cumoe: %s of %d experts, replaced %s", cumoe_top_k, cumoe_experts, self.cumoe_replaced)

        # ------------------------------------------------------------------
        # NoRA: adaptive activations
        # ------------------------------------------------------------------
        self.nora_enabled = False
        self.nora_plus_lora = False
        self._nora_modules: List[nn.Module] = []
        try:
            nora_cfg = getattr(model_cfg, "nora", None)
            self.nora_enabled = bool(getattr(nora_cfg, "enabled", False)) if nora_cfg is not None else False
        except Exception:
            nora_cfg = None
            self.nora_enabled = False
        try:
            self.nora_plus_lora = bool(getattr(nora_cfg, "nora_plus_lora", False)) if nora_cfg is not None else False
        except Exception:
            self.nora_plus_lora = False
        nora_places: List[str] = []
        if self.nora_enabled or self.nora_plus_lora:
            try:
                nora_apply = getattr(nora_cfg, "apply_to", None)
                if isinstance(nora_apply, str):
                    nora_places = [nora_apply.lower()]
                elif isinstance(nora_apply, (list, tuple, ListConfig)):
                    nora_places = [str(place).lower() for place in nora_apply]
                else:
                    nora_places = ["encoder", "decoder"]
            except Exception:
                nora_places = ["encoder", "decoder"]
            if "both" in nora_places:
                nora_places = ["encoder", "decoder"]
            nora_places = [place for place in nora_places if place in ("encoder", "decoder")]
        if self.nora_enabled:
            try:
                nora_ponder = bool(getattr(getattr(nora_cfg, "ponder_phi", None), "enabled", False))
            except Exception:
                nora_ponder = False
            try:
                nora_share = bool(getattr(nora_cfg, "share_across_layers", False)) if nora_cfg is not None else False
            except Exception:
                nora_share = False
            # one module per width if shared
            nora_shared: Dict[int, nn.Module] = {}

            # --- encoder
            if "encoder" in nora_places and isinstance(self.encoder, nn.TransformerEncoder):
                for layer_index, layer in enumerate(self.encoder.layers):
                    linear1 = getattr(layer, "linear1", None)
                    if not isinstance(linear1, nn.Linear):
                        # experts have no activation of that kind
                        logger.warning("nora: encoder layer %d has no linear1", layer_index)
                        continue
                    width = int(linear1.out_features)
                    phi = nora_shared.get(width) if nora_share else None
                    if phi is None:
                        try:
                            if nora_ponder:
                                phi = PonderPhi(width, nora_cfg)
                            else:
                                phi = NoRAActivation(width, nora_cfg)
                        except Exception:
                            # the groups do not divide the width
                            continue
                        phi = phi.to(linear1.weight)
                        if nora_share:
                            nora_shared[width] = phi
                        self._nora_modules.append(phi)
                    layer.activation = phi
                    layer.activation_relu_or_gelu = 0
            # --- encoder_layers (looped, hybrid)
            elif "encoder" in nora_places and self.encoder_layers is not None:
                for layer_index, layer in enumerate(self.encoder_layers):
                    linear1 = getattr(layer, "linear1", None)
                    if not isinstance(linear1, nn.Linear):
                        logger.warning("nora: encoder layer %d has no linear1", layer_index)
                        continue
                    width = int(linear1.out_features)
                    phi = nora_shared.get(width) if nora_share else None
                    if phi is None:
                        try:
                            if nora_ponder:
                                phi = PonderPhi(width, nora_cfg)
                            else:
                                phi = NoRAActivation(width, nora_cfg)
                        except Exception:
                            # the groups do not divide the width
                            continue
                        phi = phi.to(linear1.weight)
                        if nora_share:
                            nora_shared[width] = phi
                        self._nora_modules.append(phi)
                    layer.activation = phi
                    layer.activation_relu_or_gelu = 0
            elif "encoder" in nora_places:
                logger.warning("nora: no activations to replace in a %s encoder", self.encoder_kind)
            # --- decoder
            if "decoder" in nora_places:
                for layer_index, layer in enumerate(self.decoder.layers if hasattr(self.decoder, "layers") else []):
                    linear1 = getattr(layer, "linear1", None)
                    if not isinstance(linear1, nn.Linear):
                        logger.warning("nora: decoder layer %d has no linear1", layer_index)
                        continue
                    width = int(linear1.out_features)
                    phi = nora_shared.get(width) if nora_share else None
                    if phi is None:
                        try:
                            if nora_ponder:
                                phi = PonderPhi(width, nora_cfg)
                            else:
                                phi = NoRAActivation(width, nora_cfg)
                        except Exception:
                            # the groups do not divide the width
                            continue
                        phi = phi.to(linear1.weight)
                        if nora_share:
                            nora_shared[width] = phi
                        self._nora_modules.append(phi)
                    layer.activation = phi
                    layer.activation_relu_or_gelu = 0
            if _is_rank_zero():
                nora_kind = "ponder-phi" if nora_ponder else "rational"
                n_nora = sum(p.numel() for m in self._nora_modules for p in m.parameters())
                logger.info("nora: %d %s activations, %d parameters", len(self._nora_modules), nora_kind, n_nora)

        # ------------------------------------------------------------------
        # NoRA++: LoRA on the weights, on top
        # ------------------------------------------------------------------
        self.lora_wrapped = 0
        if self.nora_plus_lora:
            try:
                nora_lora_cfg = getattr(nora_cfg, "lora", None)
                lora_rank = int(_get(nora_lora_cfg, "rank", 8))
                lora_alpha = float(_get(nora_lora_cfg, "alpha", 16.0))
                lora_dropout = float(_get(nora_lora_cfg, "dropout", 0.0))
            except Exception:
                lora_rank, lora_alpha, lora_dropout = 8, 16.0, 0.0
            lora_rank = lora_rank if lora_rank >= 1 else 1

            def _lora_layers(stack, spare):
                """Layers of a container, wherever it keeps them."""
                if hasattr(stack, "layers"):
                    return list(stack.layers)
                return list(spare) if spare is not None else []

            # --- encoder
            if "encoder" in nora_places:
                for layer_index, layer in enumerate(_lora_layers(self.encoder, self.encoder_layers)):
                    try:
                        if isinstance(getattr(layer, "linear1", None), nn.Linear):
                            layer.linear1 = LoRALinear(layer.linear1, lora_rank, lora_alpha, lora_dropout)
                            self.lora_wrapped += 1
                        if isinstance(getattr(layer, "linear2", None), nn.Linear):
                            layer.linear2 = LoRALinear(layer.linear2, lora_rank, lora_alpha, lora_dropout)
                            self.lora_wrapped += 1
                        attn = getattr(layer, "self_attn", None)
                        if isinstance(attn, nn.MultiheadAttention) and attn.in_proj_weight is not None:
                            adapt_attention(attn, lora_rank, lora_alpha)
                            self.lora_wrapped += 1
                    except Exception:
                        pass
            # --- decoder
            if "decoder" in nora_places:
                for layer_index, layer in enumerate(self.decoder.layers if hasattr(self.decoder, "layers") else []):
                    try:
                        if isinstance(getattr(layer, "linear1", None), nn.Linear):
                            layer.linear1 = LoRALinear(layer.linear1, lora_rank, lora_alpha, lora_dropout)
                            self.lora_wrapped += 1
                        if isinstance(getattr(layer, "linear2", None), nn.Linear):
                            layer.linear2 = LoRALinear(layer.linear2, lora_rank, lora_alpha, lora_dropout)
                            self.lora_wrapped += 1
                        attn = getattr(layer, "self_attn", None)
                        if isinstance(attn, nn.MultiheadAttention) and attn.in_proj_weight is not None:
                            adapt_attention(attn, lora_rank, lora_alpha)
                            self.lora_wrapped += 1
                        cross = getattr(layer, "multihead_attn", None)
                        if isinstance(cross, nn.MultiheadAttention) and cross.in_proj_weight is not None:
                            adapt_attention(cross, lora_rank, lora_alpha)
                            self.lora_wrapped += 1
                    except Exception:
                        pass
            if self.lora_wrapped == 0:
                logger.warning("nora++ found nothing to wrap")
            elif _is_rank_zero():
                logger.info("nora++: %d adapters of rank %d", self.lora_wrapped, lora_rank)

        # ------------------------------------------------------------------
        # anti-copy gating
        # ------------------------------------------------------------------
        self.anticopy_manager = None
        self._anticopy_layers = 0
        try:
            anticopy_cfg = getattr(model_cfg, "anticopy", None)
            anticopy_enabled = bool(getattr(anticopy_cfg, "enabled", False)) if anticopy_cfg is not None else False
        except Exception:
            anticopy_enabled = False
        if anticopy_enabled:
            try:
                anticopy_targets = self.encoder.layers if hasattr(self.encoder, "layers") else None
                if anticopy_targets is None:
                    anticopy_targets = self.encoder_layers
                if anticopy_targets is None:
                    raise ValueError(f"no layers to hook in a {self.encoder_kind} encoder")
                self.anticopy_manager = AntiCopyManager(anticopy_cfg)
                self._anticopy_layers = self.anticopy_manager.attach(anticopy_targets)
                if _is_rank_zero():
                    logger.info("anti-copy gating on %d layers", self._anticopy_layers)
            except FileNotFoundError:
                # a registry that is not there is a typo, not a fallback
                raise
            except Exception as e:
                logger.error("anti-copy gating is off: %s", e)
                self.anticopy_manager = None

        # ------------------------------------------------------------------
        # context integration and bridges
        # ------------------------------------------------------------------
        self.context_integration_disabled = bool(getattr(model_cfg, "disable_context_integration", False))
        if self.context_integration_disabled:
            self.context_integration = nn.Identity()
        else:
            # the indices are part of the checkpoints, do not insert anything
            self.context_integration = nn.Sequential(
                nn.Linear(self.d_model + self.d_ctx, self.d_model),
                nn.ReLU(),
                nn.LayerNorm(self.d_model),
            )

        self.bridge_enc = IdentityBridge()
        self.bridge_dec = IdentityBridge()
        try:
            bridge_cfg = getattr(getattr(model_cfg, "conditioning", None), "bridge", None)
            bridge_type = str(getattr(bridge_cfg, "type", "concat_mlp")).lower()
        except Exception:
            bridge_cfg = None
            bridge_type = "concat_mlp"
        try:
            bridge_to_encoder = bool(getattr(bridge_cfg, "apply_to_encoder", False)) if bridge_cfg is not None else False
        except Exception:
            bridge_to_encoder = False
        try:
            bridge_to_decoder = bool(getattr(bridge_cfg, "apply_to_decoder", True)) if bridge_cfg is not None else True
        except Exception:
            bridge_to_decoder = True
        self.bridge_type = bridge_type
        if bridge_type == "cross_attn":
            # defaults as in the first cross-attention runs
            try:
                bridge_tokens = int(getattr(bridge_cfg, "tokens", 2)) if isinstance(getattr(bridge_cfg, "tokens", None), (int, float)) else 2
            except Exception:
                bridge_tokens = 2
            try:
                bridge_heads = int(getattr(bridge_cfg, "heads", 8)) if isinstance(getattr(bridge_cfg, "heads", None), (int, float)) else 8
            except Exception:
                bridge_heads = 8
            try:
                bridge_hidden = float(getattr(bridge_cfg, "hidden_factor", 2.0)) if isinstance(getattr(bridge_cfg, "hidden_factor", None), (int, float)) else 2.0
            except Exception:
                bridge_hidden = 2.0
            try:
                bridge_dropout = float(getattr(bridge_cfg, "dropout", 0.1)) if isinstance(getattr(bridge_cfg, "dropout", None), (int, float)) else 0.1
            except Exception:
                bridge_dropout = 0.1
            try:
                bridge_gate = bool(getattr(bridge_cfg, "gate_pad_positions", True)) if bridge_cfg is not None else True
            except Exception:
                bridge_gate = True
            bridge_schedule = getattr(bridge_cfg, "schedule", None)
            if bridge_to_encoder:
                self.bridge_enc = CrossAttentionBridge(
                    self.d_model,
                    self.d_ctx,
                    tokens=bridge_tokens,
                    heads=bridge_heads,
                    hidden_factor=bridge_hidden,
                    dropout=bridge_dropout,
                    gate_pad_positions=bridge_gate,
                    schedule=bridge_schedule,
                )
            if bridge_to_decoder:
                self.bridge_dec = CrossAttentionBridge(
                    self.d_model,
                    self.d_ctx,
                    tokens=bridge_tokens,
                    heads=bridge_heads,
                    hidden_factor=bridge_hidden,
                    dropout=bridge_dropout,
                    gate_pad_positions=bridge_gate,
                    schedule=bridge_schedule,
                )
        elif bridge_type == "hybrid":
            try:
                bridge_tokens = int(getattr(bridge_cfg, "tokens", 2)) if isinstance(getattr(bridge_cfg, "tokens", None), (int, float)) else 2
            except Exception:
                bridge_tokens = 2
            try:
                bridge_heads = int(getattr(bridge_cfg, "heads", 8)) if isinstance(getattr(bridge_cfg, "heads", None), (int, float)) else 8
            except Exception:
                bridge_heads = 8
            try:
                bridge_hidden = float(getattr(bridge_cfg, "hidden_factor", 2.0)) if isinstance(getattr(bridge_cfg, "hidden_factor", None), (int, float)) else 2.0
            except Exception:
                bridge_hidden = 2.0
            try:
                bridge_dropout = float(getattr(bridge_cfg, "dropout", 0.1)) if isinstance(getattr(bridge_cfg, "dropout", None), (int, float)) else 0.1
            except Exception:
                bridge_dropout = 0.1
            try:
                bridge_gate = bool(getattr(bridge_cfg, "gate_pad_positions", True)) if bridge_cfg is not None else True
            except Exception:
                bridge_gate = True
            bridge_schedule = getattr(bridge_cfg, "schedule", None)
            bridge_film = getattr(bridge_cfg, "film", None)
            if bridge_to_encoder:
                self.bridge_enc = HybridBridge(
                    self.d_model,
                    self.d_ctx,
                    tokens=bridge_tokens,
                    heads=bridge_heads,
                    hidden_factor=bridge_hidden,
                    dropout=bridge_dropout,
                    gate_pad_positions=bridge_gate,
                    schedule=bridge_schedule,
                    film=bridge_film,
                    n_layers=self.n_encoder_layers,
                )
            if bridge_to_decoder:
                self.bridge_dec = HybridBridge(
                    self.d_model,
                    self.d_ctx,
                    tokens=bridge_tokens,
                    heads=bridge_heads,
                    hidden_factor=bridge_hidden,
                    dropout=bridge_dropout,
                    gate_pad_positions=bridge_gate,
                    schedule=bridge_schedule,
                    film=bridge_film,
                    n_layers=self.n_decoder_layers,
                )
        elif bridge_type == "concat_mlp":
            # shared layers, see ConcatMLPBridge
            if not self.context_integration_disabled:
                if bridge_to_encoder:
                    self.bridge_enc = ConcatMLPBridge(
                        self.context_integration[0],
                        self.context_integration[2],
                        self.context_integration[1],
                    )
                if bridge_to_decoder:
                    self.bridge_dec = ConcatMLPBridge(
                        self.context_integration[0],
                        self.context_integration[2],
                        self.context_integration[1],
                    )
        elif bridge_type not in ("identity", "none"):
            raise ValueError(f"unknown model.conditioning.bridge.type {bridge_type!r}")

        # training forwards with a context so far, for the warm-up of the bridges
        self._bridge_step = 0

        # ------------------------------------------------------------------
        # heads
        # ------------------------------------------------------------------
        self.output_fc = nn.Linear(self.d_model, self.vocab_size, bias=False)
        # tied: the same tensor under two names
        self.output_fc.weight = self.input_embedding.G
        try:
            loss_mode = str(getattr(model_cfg, "loss_mode", "ce")).lower()
        except Exception:
            loss_mode = "ce"
        try:
            augmented_flag = bool(getattr(model_cfg, "output_augmented", False))
        except Exception:
            augmented_flag = False
        self.loss_mode = loss_mode
        self.output_augmented = augmented_flag or loss_mode == "expected_cost"
        self.output_aug_extra = None
        if self.output_augmented:
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
        try:
            effect_gain = float(getattr(model_cfg, "context_effect_gain", 1.0)) if isinstance(getattr(model_cfg, "context_effect_gain", None), (int, float)) else 1.0
        except Exception:
            effect_gain = 1.0
        if self._ctx_gain_env is not None:
            effect_gain = self._ctx_gain_env
        try:
            scaling_factor = float(getattr(model_cfg, "context_scaling_factor", 1.0)) if isinstance(getattr(model_cfg, "context_scaling_factor", None), (int, float)) else 1.0
        except Exception:
            scaling_factor = 1.0
        self.context_gain = effect_gain * scaling_factor

        # mixed precision inside of the model, only for runs without Lightning
        try:
            self.amp_enabled = bool(getattr(model_cfg, "amp_enabled", False))
        except Exception:
            self.amp_enabled = False

        # what the trainer reads after a forward
        self.last_rule_vec = None
        self.last_extra = None
        self.last_hidden = None
        self.last_attn_weights = None
        self.last_psi = None
        self.loop_logits: List[torch.Tensor] = []
        self.loop_halt: List[torch.Tensor] = []
        self.loop_stats: Dict[str, float] = {}
        self.deq_stats: Dict[str, float] = {}
        # set after the fit if the temperature was calibrated
        self.calibrator = None

        if self._forced_debug and _is_rank_zero():
            n_total = sum(p.numel() for p in self.parameters())
            n_train = sum(p.numel() for p in self.parameters() if p.requires_grad)
            logger.info("[forced-debug] %d parameters, %d trainable", n_total, n_train)

    # ------------------------------------------------------------------
    # architecture signature
    # ------------------------------------------------------------------
    def _build_arch_signature(self) -> str:
        """
        JSON of the settings that have to agree on all ranks.

        Ranks with different overrides train happily and average nonsense; that cost us a week once.
        Only settings that change shapes or the meaning of weights are in here, not the rates and
        the dropouts. Keep the names, they are in the logs of the old runs.

        Returns:
            hash of the settings
        """
        model_cfg = getattr(self.config, "model", None)

        def _cfg_attr(node_cfg, name, default=None):
            try:
                value = getattr(node_cfg, name, default)
            except Exception:
                return default
            if isinstance(value, (DictConfig, ListConfig)):
                return str(value)
            return value

        from omegaconf import OmegaConf

        bam_cfg = _cfg_attr_node(model_cfg, "bam")
        seq_cfg = _cfg_attr_node(bam_cfg, "seq_2d")
        cross_cfg = _cfg_attr_node(bam_cfg, "cross")
        ssmax_cfg = _cfg_attr_node(bam_cfg, "ssmax")
        cond_cfg = _cfg_attr_node(model_cfg, "conditioning")
        bridge_cfg = _cfg_attr_node(cond_cfg, "bridge")

        signature: Dict[str, Any] = {}
        signature["d_model"] = self.d_model
        signature["n_head"] = self.n_head
        signature["d_ff"] = self.d_ff
        signature["encoder_layers"] = self.n_encoder_layers
        signature["decoder_layers"] = self.n_decoder_layers
        signature["vocab_size"] = self.vocab_size
        signature["encoder_kind"] = self.encoder_kind
        signature["context_encoder"] = type(self.context_encoder).__name__
        signature["d_ctx"] = self.d_ctx
        signature["loss_mode"] = _cfg_attr(model_cfg, "loss_mode")
        signature["output_augmented"] = bool(_cfg_attr(model_cfg, "output_augmented", False))
        signature["bridge"] = _cfg_attr(bridge_cfg, "type")
        signature["bridge_enc"] = bool(_cfg_attr(bridge_cfg, "apply_to_encoder", False))
        signature["bridge_dec"] = bool(_cfg_attr(bridge_cfg, "apply_to_decoder", True))
        # loops
        signature["is_looped"] = isinstance(self.encoder, LoopedTransformer)
        signature["loop_b"] = OmegaConf.select(self.config, "model.looped.b", default=None)
        signature["loop_T"] = _cfg_get(model_cfg, "looped.T")
        # tri-temporal
        signature["tri_distance"] = bool(_cfg_attr(model_cfg, "tri_temporal_distance", False))
        signature["distance_chunk"] = _cfg_attr(model_cfg, "distance_chunk_size")
        # priors
        signature["bam"] = self.bam_enabled
        signature["bam_apply_to"] = self.bam_apply_to
        signature["bam_prior"] = _cfg_attr(bam_cfg, "prior")
        signature["bam_gain"] = _cfg_attr(bam_cfg, "bias_gain")
        signature["bam_2d"] = _cfg_attr(bam_cfg, "use_2d_prior")
        signature["bam_2d_seq"] = _cfg_attr(bam_cfg, "use_2d_prior_seq")
        signature["bam_2d_weight"] = _cfg_attr(bam_cfg, "prior_2d_weight")
        signature["bam_2d_weight_seq"] = _cfg_attr(bam_cfg, "prior_2d_weight_seq")
        signature["bam_metric"] = _cfg_attr(seq_cfg, "metric")
        signature["bam_source"] = _cfg_attr(seq_cfg, "source")
        signature["bam_cross_mode"] = _cfg_attr(cross_cfg, "mode")
        signature["ssmax"] = bool(_cfg_attr(ssmax_cfg, "enabled", False))
        for ssmax_key in ("s_init", "s_max", "scale_max"):
            signature[f"ssmax_{ssmax_key}"] = _cfg_attr(ssmax_cfg, ssmax_key)
        # what really sits in the layers
        n_bam = 0
        for module in self.modules():
            if isinstance(module, BAMMultiheadAttention):
                n_bam += 1
        signature["bam_modules"] = n_bam
        return json.dumps(signature, sort_keys=True, default=str)

    def _check_arch_signature(self) -> None:
        """
        Compare the signatures of all ranks, once per model.

        Differences are logged. A failed gather is no reason to stop: some of the backends cannot
        send objects.

        Raises:
            ValueError: on all ranks
        """
        import torch.distributed as dist

        if self._arch_checked or not _dist_ready():
            return
        self._arch_checked = True
        world = dist.get_world_size()
        gathered: List[Optional[str]] = [None for _ in range(world)]
        try:
            dist.all_gather_object(gathered, self._arch_signature)
            if str(dist.get_backend()) == "nccl":
                # the gather is asynchronous there
                dist.barrier()
        except Exception as e:
            logger.warning("architecture signatures not compared: %s", e)
            return
        different = [rank for rank, other in enumerate(gathered) if other != gathered[0]]
        if different:
            first = json.loads(gathered[0])
            other = json.loads(gathered[different[0]])
            keys = sorted(key for key in first if first.get(key) != other.get(key))
            raise RuntimeError(f"ranks {different} have another architecture than rank 0, see {keys}")
        if _is_rank_zero():
            logger.info("architecture signatures agree on %d ranks", world)

    # ------------------------------------------------------------------
    # for the trainer
    # ------------------------------------------------------------------
    def bam_modules(self) -> list:
        """All BAM attentions, encoder first."""
        return [module for _, _, module in self._bam_registry]

    def bam_beta_clamp(self) -> None:
        """
        Called at the end of an epoch, see enforce_beta_fraction.

        Does nothing unless model.bam.enforce_beta_fraction.
        """
        if not self.bam_enabled:
            return
        lifted = enforce_beta_fraction(self)
        if lifted and _is_rank_zero():
            logger.info("BAM: %d negative shapes lifted", lifted)

    def moe_aux_loss(self) -> Optional[torch.Tensor]:
        """Load balance and ponder terms of the last forward; None without experts."""
        if not self.cumoe_enabled or not self._cumoe_modules:
            return None
        total, _ = collect_aux_loss(self)
        return total

    def nora_aux_loss(self) -> Optional[torch.Tensor]:
        """Penalty of the ponder-phi activations of the last forward."""
        if not self.nora_enabled:
            return None
        return collect_penalties(self)

    def train(self, mode: bool = True):
        """Kept for the callbacks that patch it."""
        return super().train(mode)

    # ------------------------------------------------------------------
    # small helpers of forward
    # ------------------------------------------------------------------
    def _bam_push_coords(self, place: str, query: Optional[torch.Tensor], key: Optional[torch.Tensor] = None) -> int:
        """
        Hand coordinates to the BAM attentions of one place ('encoder', 'decoder' or 'cross').

        Args:
            place: see _bam_registry
            query, key: [L, 2] or [B, L, 2]; the key defaults to the query

        Returns:
            number of attentions in that place
        """
        if query is None:
            return 0
        count = 0
        for where, index, module in self._bam_registry:
            if where != place:
                continue
            if not isinstance(module, BAMMultiheadAttention):
                continue
            # grid attentions compute their own
            if getattr(module, "source", "grid") != "external":
                continue
            try:
                module.set_coordinates(query, key)
                count += 1
            except Exception as e:
                logger.warning("BAM %s layer %d: coordinates refused: %s", where, index, e)
        return count

    def _log_shapes(self, **tensors) -> None:
        """debug_shape=True: print the shapes on the way."""
        if not _is_rank_zero():
            return
        for name, value in tensors.items():
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else value
            logger.warning("[shape] %s %s", name, shape)

    def _subsequent_mask(self, length: int, device) -> torch.Tensor:
        """Causal mask [length, length], float with -inf above the diagonal."""
        mask = torch.ones(length, length, dtype=torch.bool, device=device)
        return torch.triu(mask, diagonal=1)

    # ------------------------------------------------------------------
    # forward
    # ------------------------------------------------------------------
    def forward(self, src, tgt=None, ctx_input=None, ctx_output=None, *, external_coords=None, debug_shape=False):
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
        model_cfg = getattr(self.config, "model", None)

        def _flag(node_cfg, name, default=False):
            """Switches of the config, None counts as the default."""
            try:
                value = getattr(node_cfg, name, default)
            except Exception:
                return default
            return bool(value) if value is not None else default

        def _canvas_coords(rows, cols, dtype):
            """(row, column) of all cells of a grid [rows * cols, 2]."""
            coord_rows = torch.arange(rows, device=device).repeat_interleave(cols)
            coord_cols = torch.arange(cols, device=device).repeat(rows)
            return torch.stack([coord_rows, coord_cols], dim=-1).to(dtype)

        # results of the last pass
        self.last_rule_vec = None
        self.last_extra = None
        self.last_attn_weights = None
        self.last_psi = None
        self.loop_logits = []
        self.loop_halt = []
        self.loop_stats = {}
        self.deq_stats = {}
        self._film_layer_coeffs = None

        # --- shapes
        if src.dim() == 4 and src.size(1) == 1:
            # [B, 1, H, W] from the image loaders
            src = src.squeeze(1)
        if src.dim() != 3:
            raise ValueError(f"expected src [B, H, W], got {tuple(src.shape)}")
        if tgt is not None and tgt.dim() == 4 and tgt.size(1) == 1:
            tgt = tgt.squeeze(1)
        if src.dtype != torch.long:
            src = src.long()
        if tgt is not None and tgt.dtype != torch.long:
            tgt = tgt.long()
        B, H, W = src.shape
        device = src.device
        if H * W > self.positional_encoding.pe.size(1):
            raise ValueError(f"grid {H}x{W} is larger than the table of positions, see model.max_h and model.max_w")
        if debug_shape:
            self._log_shapes(src=src, tgt=tgt, ctx_input=ctx_input, ctx_output=ctx_output)

        # --- mixed precision, off with Lightning
        amp_ctx = nullcontext()
        amp_flag = _flag(model_cfg, "amp_enabled")
        if amp_flag:
            try:
                amp_dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
                amp_ctx = torch.autocast(device_type=device.type, dtype=amp_dtype)
            except Exception as e:
                logger.warning("no autocast on %s: %s", device.type, e)
                amp_ctx = nullcontext()

        # --- ranks
        if not self._arch_checked:
            if _dist_ready():
                self._check_arch_signature()

        # --- anti-copy: the more of the target is a copy, the less there is to discourage
        if hasattr(self, "anticopy_manager") and self.anticopy_manager is not None and self.training and tgt is not None:
            try:
                real = tgt != self.pad_token_id
                copied = ((src == tgt) & real).sum().float() / real.sum().clamp_min(1).float()
                self.anticopy_manager.set_risk(1.0 - float(copied))
            except Exception:
                pass

        # --- deterministic parity: nothing random is asked for, so train and eval have to agree (the
        # encoder layers have a dropout of their own)
        parity = False
        try:
            if self.training and (ctx_input is None or ctx_output is None):
                parity_rates = [
                    float(getattr(model_cfg, "dropout_rate", 0.1)),
                    float(getattr(model_cfg, "encoder_dropout_rate", 0.1)),
                    float(getattr(model_cfg, "decoder_dropout_rate", 0.1)),
                ]
                parity = all(rate == 0.0 for rate in parity_rates)
        except Exception:
            parity = False
        if parity:
            self.eval()
            try:
                return self.forward(
                    src, tgt, ctx_input, ctx_output, external_coords=external_coords, debug_shape=debug_shape
                )
            finally:
                self.train(True)

        # ------------------------------------------------------------------
        # context
        # ------------------------------------------------------------------
        context = None
        if ctx_input is not None and ctx_output is not None:
            if ctx_input.dim() == 3:
                # one pair without its axis
                ctx_input = ctx_input.unsqueeze(1)
            if ctx_output.dim() == 3:
                ctx_output = ctx_output.unsqueeze(1)
            if ctx_input.size(0) != B:
                raise ValueError(f"batch sizes differ: src {B}, context {ctx_input.size(0)}")
            ctx_result = self.context_encoder(ctx_input, ctx_output)
            # the encoders return c, (c, rule) or (c, rule, extra)
            if isinstance(ctx_result, (tuple, list)):
                context = ctx_result[0]
                self.last_rule_vec = ctx_result[1] if len(ctx_result) > 1 else None
                self.last_extra = ctx_result[2] if len(ctx_result) > 2 else None
            else:
                context = ctx_result
            # warm-up counter of the bridges
            if self.training:
                try:
                    self._bridge_step += 1
                except Exception:
                    self._bridge_step = 1
            # gain
            if self.context_gain != 1.0:
                context = context * self.context_gain
            # evaluation: a single odd pair must not blow up the decoder
            if not self.training:
                context = torch.nan_to_num(context)
                try:
                    norm_cap = CONTEXT_NORM_CAP * math.sqrt(self.d_model)
                    ctx_norm = context.norm(dim=-1, keepdim=True).clamp_min(1e-6)
                    context = context * (norm_cap / ctx_norm).clamp(max=1.0)
                except Exception:
                    pass
        if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
            try:
                if _is_rank_zero():
                    logger.info("[forced-debug] %s", _tensor_report("context", context))
                    logger.info("[forced-debug] gain %.3f, bridge step %d", self.context_gain, self._bridge_step)
            except Exception:
                pass

        # ------------------------------------------------------------------
        # encoder
        # ------------------------------------------------------------------
        is_tiny = H <= TINY_SIDE and W <= TINY_SIDE
        embed_scale = math.sqrt(self.d_model)
        src_flat = src.reshape(B, -1)
        src_pad_mask = src_flat == self.pad_token_id
        L = src_flat.size(1)

        x = self.input_embedding(src_flat) * embed_scale
        # tri-temporal: coordinates as a feature of their own
        tri_addition = None
        if self.use_tri_temporal and hasattr(self, "tri_coord_proj") and self.tri_coord_proj is not None:
            tri_coords = None
            if external_coords is not None:
                try:
                    tri_coords = external_coords.to(device=device, dtype=x.dtype)
                    if tri_coords.dim() == 2:
                        tri_coords = tri_coords.unsqueeze(0)
                    # one pair of numbers per cell, or none at all
                    tri_coords = tri_coords if tuple(tri_coords.shape[1:]) == (L, 2) else None
                except Exception:
                    tri_coords = None
            if tri_coords is None:
                try:
                    tri_rows = torch.arange(H, device=device).repeat_interleave(W)
                    tri_cols = torch.arange(W, device=device).repeat(H)
                    tri_coords = torch.stack([tri_rows, tri_cols], dim=-1).to(x.dtype)
                    tri_coords = (tri_coords / float(max(H - 1, W - 1, 1))).unsqueeze(0)
                except Exception:
                    tri_coords = None
            if tri_coords is not None:
                tri_addition = self.tri_coord_scale * self.tri_coord_proj(tri_coords)
        x = self.positional_encoding(x)
        if tri_addition is not None:
            x = x + tri_addition
        if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
            try:
                if _is_rank_zero():
                    logger.info("[forced-debug] %s", _tensor_report("src embedding", x))
                    logger.info("[forced-debug] %d of %d cells are padding", int(src_pad_mask.sum()), src_pad_mask.numel())
            except Exception:
                pass

        # tiny grids: nine cells do not say much, add some of the context (training only)
        if is_tiny and self.training and context is not None:
            try:
                tiny_ctx = self.context_to_tgt_bias(context).unsqueeze(1)
                tiny_norm = tiny_ctx.norm(dim=-1, keepdim=True).clamp_min(1e-6)
                # at most this much of what is there already
                tiny_room = TINY_RESIDUAL_CAP * x.detach().norm(dim=-1, keepdim=True)
                tiny_share = (tiny_room / tiny_norm).clamp(max=1.0)
                x = x + tiny_share * tiny_ctx
                if debug_shape:
                    self._log_shapes(tiny_ctx=tiny_ctx)
            except Exception:
                pass
        if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
            try:
                if _is_rank_zero():
                    logger.info("[forced-debug] %s", _tensor_report("before the encoder bridge", x))
            except Exception:
                pass
        if context is not None:
            x = self.bridge_enc(x, context, pad_mask=src_pad_mask, step=self._bridge_step, grid_hw=(H, W))
        if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
            try:
                if _is_rank_zero():
                    bridge_name = type(self.bridge_enc).__name__
                    logger.info("[forced-debug] %s", _tensor_report(f"after {bridge_name}", x))
            except Exception:
                pass
        # tiny grids again: louder
        if is_tiny:
            try:
                tiny_gain = TINY_GAIN
                if not math.isfinite(tiny_gain) or tiny_gain <= 0.0:
                    tiny_gain = 1.0
                x = x * tiny_gain
                if debug_shape:
                    self._log_shapes(tiny_gain=tiny_gain)
            except Exception:
                pass

        x = self.dropout(x)
        # a sample of padding only has no keys at all: open it, the loss does not look there anyway
        enc_all_pad = src_pad_mask.all(dim=1, keepdim=True)
        src_key_mask = src_pad_mask & ~enc_all_pad
        if debug_shape:
            self._log_shapes(encoder_input=x, src_key_mask=src_key_mask)

        # BAM: coordinates for the encoder
        if self.bam_enabled and hasattr(self, "_bam_registry") and self._bam_registry:
            enc_coords = None
            try:
                if external_coords is not None:
                    enc_coords = external_coords.to(device=device, dtype=x.dtype)
                elif self.bam_seq_source == "external":
                    # nobody gave us any: the canvas
                    if W == self.max_w:
                        enc_coords = self._precomputed_seq2d_coords[:, :L]
                    else:
                        enc_coords = _canvas_coords(H, W, x.dtype)
            except Exception as e:
                logger.warning("BAM: no encoder coordinates: %s", e)
                enc_coords = None
            n_pushed = self._bam_push_coords("encoder", enc_coords)
            if debug_shape:
                self._log_shapes(enc_coords=enc_coords, bam_encoder_modules=n_pushed)

        loop_history: List[torch.Tensor] = []
        if isinstance(self.encoder, LoopedTransformer):
            # history: the loops that the loss looks at
            with amp_ctx:
                loop_out = self.encoder(x, src_key_padding_mask=src_key_mask)
            memory = loop_out.memory
            loop_history = list(loop_out.history)
            try:
                self.loop_stats["loops"] = float(loop_out.loops)
                self.loop_stats["kept"] = float(len(loop_history))
                for loop_index, delta in enumerate(self.encoder.last_deltas):
                    self.loop_stats[f"delta_{loop_index}"] = float(delta)
            except Exception:
                pass
            if loop_out.halting is not None:
                for loop_index in range(loop_out.halting.size(-1)):
                    self.loop_halt.append(loop_out.halting[:, loop_index])
                try:
                    loop_places = torch.arange(1, len(self.loop_halt) + 1, device=device, dtype=loop_out.halting.dtype)
                    loop_steps = (loop_out.halting.detach() * loop_places).sum(-1)
                    self.loop_stats["expected_steps"] = float(loop_steps.mean())
                    self.loop_stats["max_steps"] = float(loop_steps.max())
                    self.loop_stats["min_steps"] = float(loop_steps.min())
                except Exception:
                    pass
        elif self.deq_enabled:
            try:
                with amp_ctx:
                    memory = self.encoder(x, src_key_padding_mask=src_key_mask)
            except RuntimeError as e:
                logger.error("implicit encoder: %s", e)
                raise
            if self.deq_log_metrics and hasattr(self.encoder, "last_stats"):
                try:
                    for deq_key, deq_value in self.encoder.last_stats.items():
                        self.deq_stats[str(deq_key)] = float(deq_value)
                except Exception:
                    self.deq_stats = {}
        elif self.use_tri_temporal:
            # this encoder has no dropout on its input
            x = self.encoder_dropout(x)
            with amp_ctx:
                memory = self.encoder(x, src_key_padding_mask=src_key_mask)
            try:
                if not self.training:
                    tri_scales = []
                    for tri_layer in self.encoder.layers:
                        tri_attn = getattr(tri_layer, "attention", None)
                        if isinstance(tri_attn, TriTemporalAttention):
                            tri_scales.append(float(F.softplus(tri_attn.scale.detach()).mean()))
                    if tri_scales:
                        self.tri_stats["scale"] = sum(tri_scales) / len(tri_scales)
                    self.tri_stats["coord_scale"] = float(self.tri_coord_scale.detach())
            except Exception:
                self.tri_stats = {}
        elif self.dsla_enabled and isinstance(self.encoder, DSLAHybridEncoder):
            with amp_ctx:
                memory = self.encoder(x, src_key_padding_mask=src_key_mask)
        else:
            with amp_ctx:
                memory = self.encoder(x, src_key_padding_mask=src_key_mask)
        if debug_shape:
            self._log_shapes(memory=memory)

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
            if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
                try:
                    if _is_rank_zero():
                        logger.info("[forced-debug] %s", _tensor_report("tgt embedding", y))
                        logger.info("[forced-debug] %s", _tensor_report("bos", self.bos_embed))
                except Exception:
                    pass

            tgt_pad_mask = tgt_in == self.pad_token_id
            tgt_is_tiny = tgt.size(1) <= TINY_SIDE and tgt.size(2) <= TINY_SIDE
            # the same residual as in front of the encoder
            if tgt_is_tiny and self.training and context is not None:
                try:
                    tiny_ctx = self.context_to_tgt_bias(context).unsqueeze(1)
                    tiny_norm = tiny_ctx.norm(dim=-1, keepdim=True).clamp_min(1e-6)
                    tiny_room = TINY_RESIDUAL_CAP * y.detach().norm(dim=-1, keepdim=True)
                    tiny_share = (tiny_room / tiny_norm).clamp(max=1.0)
                    y = y + tiny_share * tiny_ctx
                    if debug_shape:
                        self._log_shapes(tiny_ctx_dec=tiny_ctx)
                except Exception:
                    pass
            if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
                try:
                    if _is_rank_zero():
                        logger.info("[forced-debug] %s", _tensor_report("before the decoder bridge", y))
                except Exception:
                    pass
            if context is not None:
                Hs_tgt, Ws_tgt = int(tgt.size(1)), int(tgt.size(2))
                y = self.bridge_dec(y, context, pad_mask=tgt_pad_mask, step=self._bridge_step, grid_hw=(Hs_tgt, Ws_tgt))
            if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
                try:
                    if _is_rank_zero():
                        bridge_name = type(self.bridge_dec).__name__
                        logger.info("[forced-debug] %s", _tensor_report(f"after {bridge_name}", y))
                except Exception:
                    pass
            if tgt_is_tiny:
                try:
                    tiny_gain = TINY_GAIN
                    if not math.isfinite(tiny_gain) or tiny_gain <= 0.0:
                        tiny_gain = 1.0
                    y = y * tiny_gain
                except Exception:
                    pass
            # the same vector everywhere
            if context is not None:
                tgt_bias = self.context_to_tgt_bias(context)
                y = y + tgt_bias.unsqueeze(1)
            y = self.dropout(y)
            if not self.training:
                # does not happen any more since the norm cap, but it is cheap
                if not bool(torch.isfinite(y).all()):
                    logger.warning("decoder input is not finite")
                    y = torch.nan_to_num(y)

            # masks
            causal_mask = self._subsequent_mask(tgt_len, device)
            tgt_key_mask = tgt_pad_mask.clone()
            # position 0 is the bos and always open
            tgt_key_mask[:, 0] = False
            dec_memory = self.dec_mem_ln(memory)
            if debug_shape:
                self._log_shapes(decoder_input=y, causal_mask=causal_mask, tgt_key_mask=tgt_key_mask, dec_memory=dec_memory)

            # per-layer FiLM: coefficients for the hooks
            if hasattr(self, "film_per_layer_gens") and self.film_per_layer_gens is not None and context is not None:
                try:
                    film_coeffs = []
                    for film_index, film_gen in enumerate(self.film_per_layer_gens):
                        film_out = film_gen(context)
                        film_g, film_b = film_out.chunk(2, dim=-1)
                        film_g = self.film_per_layer_gain * torch.tanh(film_g)
                        film_b = self.film_per_layer_gain * film_b
                        film_coeffs.append((film_g.unsqueeze(1), film_b.unsqueeze(1)))
                    self._film_layer_coeffs = film_coeffs
                    if debug_shape:
                        self._log_shapes(film_layers=len(film_coeffs))
                except Exception as e:
                    logger.warning("per-layer FiLM: %s", e)
                    self._film_layer_coeffs = None

            # BAM: coordinates of the target cells
            dec_bam_norm = True
            dec_bam_source = "grid"
            dec_bam_cross = "per_pair"
            dec_bam_cross_2d = False
            dec_bam_apply = "both"
            try:
                bam_cfg = getattr(model_cfg, "bam", None)
                bam_seq_cfg = getattr(bam_cfg, "seq_2d", None)
                dec_bam_source = str(getattr(bam_seq_cfg, "source", "grid"))
                dec_bam_norm = bool(getattr(bam_seq_cfg, "normalize", True)) if bam_seq_cfg is not None else True
                dec_bam_apply = str(getattr(bam_cfg, "apply_to", "both")).lower()
            except Exception:
                pass
            try:
                bam_cross_cfg = getattr(getattr(model_cfg, "bam", None), "cross", None)
                dec_bam_cross = str(getattr(bam_cross_cfg, "mode", "per_pair"))
                dec_bam_cross_2d = bool(getattr(bam_cross_cfg, "use_2d_prior", False)) if bam_cross_cfg is not None else False
            except Exception:
                pass
            # size of the target grid, it need not be the size of the input
            try:
                dec_h, dec_w = Hs_tgt, Ws_tgt
            except Exception:
                dec_h, dec_w = H, W
            try:
                coords_key = (dec_h, dec_w, dec_bam_norm, str(device))
                if coords_key in self._seq2d_coords_cache:
                    dec_coords = self._seq2d_coords_cache[coords_key]
                else:
                    dec_rows = torch.arange(dec_h, device=device).repeat_interleave(dec_w)
                    dec_cols = torch.arange(dec_w, device=device).repeat(dec_h)
                    dec_coords = torch.stack([dec_rows, dec_cols], dim=-1).to(y.dtype)
                    if dec_bam_norm:
                        dec_coords = dec_coords / float(max(dec_h - 1, dec_w - 1, 1))
                    # keep it small, sweeps over grid sizes filled the memory
                    if len(self._seq2d_coords_cache) > 16:
                        self._seq2d_coords_cache.clear()
                    self._seq2d_coords_cache[coords_key] = dec_coords
                if dec_coords.size(0) != tgt_len:
                    # cut or repeat the last one
                    if dec_coords.size(0) > tgt_len:
                        dec_coords = dec_coords[:tgt_len]
                    else:
                        dec_missing = tgt_len - dec_coords.size(0)
                        dec_coords = torch.cat([dec_coords, dec_coords[-1:].expand(dec_missing, 2)], dim=0)
                # the decoder sees the cell before, so do its coordinates
                dec_shifted = torch.cat([dec_coords[:1], dec_coords[:-1]], dim=0)
                dec_seq2d_coords = dec_shifted
                if external_coords is not None:
                    ext = external_coords.to(device=device, dtype=y.dtype)
                    if ext.dim() == 2 and ext.size(0) == tgt_len:
                        dec_seq2d_coords = ext
                    elif ext.dim() == 3 and ext.size(1) == tgt_len:
                        dec_seq2d_coords = ext
                if debug_shape:
                    self._log_shapes(dec_seq2d_coords=dec_seq2d_coords)
            except Exception:
                pass
            if self.bam_enabled and dec_bam_source == "external" and dec_bam_apply in ("both", "decoder"):
                try:
                    n_pushed = self._bam_push_coords("decoder", dec_seq2d_coords)
                    if n_pushed == 0:
                        logger.debug("BAM: no decoder attention takes coordinates")
                except Exception:
                    pass
            if self.bam_enabled and self.bam_cross_enabled and dec_bam_cross_2d:
                try:
                    # keys are the cells of the input
                    if external_coords is not None:
                        mem_coords = external_coords.to(device=device, dtype=y.dtype)
                    else:
                        mem_coords = _canvas_coords(H, W, y.dtype)
                        if dec_bam_norm:
                            mem_coords = mem_coords / float(max(H - 1, W - 1, 1))
                    if dec_bam_cross == "per_key":
                        # only the keys count
                        self._bam_push_coords("cross", mem_coords, mem_coords)
                    else:
                        self._bam_push_coords("cross", dec_seq2d_coords, mem_coords)
                except Exception:
                    pass

            # the decoder itself; hybrid bridges want to be called between the layers
            hybrid_layers = False
            if isinstance(self.bridge_dec, HybridBridge) and context is not None:
                hybrid_layers = bool(getattr(self.bridge_dec, "per_layer", False)) and self.bridge_dec.film is not None
            if hybrid_layers and hasattr(self.decoder, "layers"):
                z = y
                with amp_ctx:
                    for layer_index, layer in enumerate(self.decoder.layers):
                        z = layer(
                            z,
                            dec_memory,
                            tgt_mask=causal_mask,
                            tgt_key_padding_mask=tgt_key_mask,
                            memory_key_padding_mask=src_key_mask,
                        )
                        z = self.bridge_dec.film_layer(z, context, layer_index, pad_mask=tgt_pad_mask)
                    if hasattr(self.decoder, "norm") and self.decoder.norm is not None:
                        z = self.decoder.norm(z)
                decoder_output = z
            else:
                with amp_ctx:
                    decoder_output = self.decoder(
                        y,
                        dec_memory,
                        tgt_mask=causal_mask,
                        tgt_key_padding_mask=tgt_key_mask,
                        memory_key_padding_mask=src_key_mask,
                    )

            # BAM diagnostics: parameters for the log, maps for the regularisers of the trainer
            if self.bam_enabled:
                try:
                    bam_maps = []
                    for where, layer_index, module in self._bam_registry:
                        seen = getattr(module, "last_diagnostics", {})
                        for bam_key in ("alpha_1d", "beta_1d", "alpha_2d", "beta_2d", "log_z"):
                            if bam_key in seen:
                                self.bam_stats[f"{where}_{layer_index}_{bam_key}"] = float(seen[bam_key].float().mean())
                        if "attention" in seen:
                            bam_maps.append(seen["attention"])
                    if bam_maps:
                        self.last_attn_weights = bam_maps
                except Exception:
                    pass

            # evaluation: keep the decoder output in range
            eval_stab = _flag(model_cfg, "eval_stabilization")
            if eval_stab and not self.training:
                try:
                    n_bad = int((~torch.isfinite(decoder_output)).sum())
                    if n_bad > 0:
                        logger.warning("decoder output: %d values are not finite", n_bad)
                        decoder_output = torch.nan_to_num(decoder_output, nan=0.0, posinf=EVAL_CLAMP, neginf=-EVAL_CLAMP)
                    decoder_output = decoder_output.clamp(-EVAL_CLAMP, EVAL_CLAMP)
                    if debug_shape:
                        self._log_shapes(stabilised=decoder_output)
                except Exception:
                    pass
            try:
                final_clamp = bool(getattr(model_cfg, "eval_final_clamp", False))
            except Exception:
                final_clamp = False
            if final_clamp or ("_final_clamp_flag" in locals() and _final_clamp_flag):
                if not self.training:
                    try:
                        out_norm = decoder_output.norm(dim=-1, keepdim=True).clamp_min(1e-6)
                        out_cap = FINAL_CLAMP * math.sqrt(self.d_model)
                        decoder_output = decoder_output * (out_cap / out_norm).clamp(max=1.0)
                        decoder_output = decoder_output.clamp(-FINAL_CLAMP, FINAL_CLAMP)
                    except Exception:
                        pass

            decoder_output = self.decoder_dropout(decoder_output)
            if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
                try:
                    if _is_rank_zero():
                        logger.info("[forced-debug] %s", _tensor_report("memory", memory))
                        logger.info("[forced-debug] %s", _tensor_report("decoder output", decoder_output))
                except Exception:
                    pass

        # ------------------------------------------------------------------
        # loops: logits of every loop that was kept
        # ------------------------------------------------------------------
        def _loop_head(hidden):
            """Heads for one loop, the same as below without the biases."""
            loop_base = self.output_fc(hidden)
            if self.output_aug_extra is not None:
                loop_base = torch.cat([loop_base, self.output_aug_extra(hidden)], dim=-1)
            return loop_base

        if self.looped_enabled and loop_history:
            for loop_index, loop_state in enumerate(loop_history):
                try:
                    loop_memory = self.eval_ln(loop_state)
                    if tgt is None:
                        loop_flat = _loop_head(loop_memory)
                        self.loop_logits.append(loop_flat.view(B, H, W, -1))
                        continue
                    loop_hidden = y
                    dec_layers = getattr(self.decoder, "layers", None)
                    if dec_layers is None or len(dec_layers) == 0:
                        loop_hidden = self.decoder(loop_hidden, loop_memory)
                    else:
                        with amp_ctx:
                            for layer_index, layer in enumerate(dec_layers):
                                loop_hidden = layer(
                                    loop_hidden,
                                    loop_memory,
                                    tgt_mask=causal_mask,
                                    tgt_key_padding_mask=tgt_key_mask,
                                    memory_key_padding_mask=src_key_mask,
                                )
                                # without these the early loops explode
                                if layer_index < len(self.decoder_inter_layer_ln):
                                    loop_hidden = self.decoder_inter_layer_ln[layer_index](loop_hidden)
                    loop_flat = _loop_head(loop_hidden)
                    self.loop_logits.append(loop_flat.view(B, tgt.size(1), tgt.size(2), -1))
                except Exception:
                    # the number of entries is checked at the end
                    pass
            # how much the last loop still changes
            try:
                if len(loop_history) > 1:
                    loop_last = loop_history[-1].detach()
                    loop_before = loop_history[-2].detach()
                    loop_change = (loop_last - loop_before).norm() / loop_before.norm().clamp_min(1e-12)
                    self.loop_stats["last_change"] = float(loop_change)
                if len(self.loop_logits) > 1:
                    loop_pred = [logits_t.detach().argmax(dim=-1) for logits_t in self.loop_logits]
                    loop_same = (loop_pred[-1] == loop_pred[-2]).float().mean()
                    self.loop_stats["agreement"] = float(loop_same)
            except Exception:
                pass
        elif self.looped_enabled:
            logger.warning("looped encoder without history")

        # no target: the memory itself goes to the heads
        if decoder_output is None:
            decoder_output = memory
            out_h, out_w = H, W
        else:
            out_h, out_w = int(tgt.size(1)), int(tgt.size(2))

        # FiLM in front of the heads
        if hasattr(self, "film_post_decoder") and self.film_post_decoder is not None and context is not None:
            try:
                post_gain = float(getattr(model_cfg.conditioning.post_decoder_film, "gain", 1.0))
                if post_gain != self.film_post_decoder.gain:
                    # schedules change the config during the run
                    self.film_post_decoder.gain = post_gain
                filmed = self.film_post_decoder(decoder_output, context)
                if filmed.shape == decoder_output.shape:
                    decoder_output = filmed
                else:
                    logger.warning("post-decoder FiLM: shape %s", tuple(filmed.shape))
                if debug_shape:
                    self._log_shapes(post_film=filmed)
            except Exception:
                pass
        self.last_hidden = decoder_output

        # ------------------------------------------------------------------
        # heads
        # ------------------------------------------------------------------
        logits = self.output_fc(decoder_output)
        if os.environ.get("JARC_FORCED_DEBUG", "0") == "1":
            try:
                if _is_rank_zero():
                    logger.info("[forced-debug] %s", _tensor_report("logits", logits))
                    logger.info("[forced-debug] predictions %s", torch.unique(logits.detach().argmax(-1)).tolist())
            except Exception:
                pass

        # without a target nothing else tells the cells about the context
        if tgt is None and context is not None:
            try:
                infer_bias = self.context_to_logits(context)
                logits = logits + infer_bias.unsqueeze(1)
            except Exception:
                pass

        # teacher forcing: the same bias for very small and for large grids, if asked for
        if tgt is not None and context is not None:
            try:
                from omegaconf import OmegaConf

                tf_bias = OmegaConf.select(self.config, "model.context_teacher_force_bias", default=None)
            except Exception:
                tf_bias = getattr(model_cfg, "context_teacher_force_bias", None)
            if tf_bias is not None and tf_bias is not False:
                try:
                    tf_strength = 1.0 if isinstance(tf_bias, bool) else float(tf_bias)
                except Exception:
                    tf_strength = 0.0
                if tf_strength != 0.0:
                    if tgt_is_tiny:
                        try:
                            ctx_bias_tiny = self.context_to_logits(context)
                            # centred, a constant does not change anything
                            ctx_bias_tiny = ctx_bias_tiny - ctx_bias_tiny.mean(dim=-1, keepdim=True)
                            ctx_bias_tiny = tf_strength * ctx_bias_tiny
                            logits = logits + ctx_bias_tiny.unsqueeze(1)
                        except Exception:
                            pass
                    elif tgt.size(1) >= LARGE_SIDE and tgt.size(2) >= LARGE_SIDE:
                        try:
                            ctx_bias_large = self.context_to_logits(context)
                            ctx_bias_large = ctx_bias_large - ctx_bias_large.mean(dim=-1, keepdim=True)
                            # large grids have enough to go by, so less of it
                            ctx_bias_large = 0.5 * tf_strength * torch.tanh(ctx_bias_large)
                            # padded cells are padding, whatever the context says
                            tf_open = (~tgt_key_mask).to(logits.dtype).unsqueeze(-1)
                            logits = logits + tf_open * ctx_bias_large.unsqueeze(1)
                        except Exception:
                            pass
                    elif debug_shape:
                        self._log_shapes(teacher_force_bias="grid size in between")

        if self.output_aug_extra is not None:
            extra_logits = self.output_aug_extra(decoder_output)
            logits = torch.cat([logits, extra_logits], dim=-1)

        # tri-temporal: statistics for the plots
        if self.use_tri_temporal:
            try:
                tri_norm = float(memory.detach().norm(dim=-1).mean())
                self.tri_stats["memory_norm"] = tri_norm
                if tri_addition is not None:
                    self.tri_stats["coord_norm"] = float(tri_addition.detach().norm(dim=-1).mean())
                ctx_bias_tiny = ctx_bias_tiny
                self.tri_stats["bias_norm"] = float(ctx_bias_tiny.detach().norm(dim=-1).mean())
            except Exception:
                pass

        # calibrated temperature, evaluation only
        if hasattr(self, "calibrator") and self.calibrator is not None and not self.training:
            logits = self.calibrator(logits)
        logits = logits.view(B, out_h, out_w, -1)
        if debug_shape:
            self._log_shapes(logits=logits)

        # looped: the trainer wants one entry per loop, whatever happened above
        if self.looped_enabled:
            if not self.loop_logits:
                self.loop_logits = [logits]
            if self.loop_halt and len(self.loop_halt) != len(self.loop_logits):
                logger.warning("%d halting probabilities for %d loops", len(self.loop_halt), len(self.loop_logits))
        return logits
