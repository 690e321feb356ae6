"""
Lightning module around the grid transformer.

Everything that happens to a batch lives here: the losses (expected cost, cross-entropy, dice), the
penalties, the metrics on grids, the optimizers and whatever we bolted on for an ablation and never took
out again.

Batches are tuples ``(src, tgt, ctx_input, ctx_output, task_ids)``; the augmented loaders append a sixth
element, the grid over all 24 classes (colours, PAD, U, hedges, EOS).

Class layout of the augmented head: 0-9 colours, 10 PAD, 11 undecided, 12-22 hedges, 23 EOS.
"""
import contextlib
import copy
import json
import logging
import math
import os
from collections import defaultdict
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import pytorch_lightning as pl
import torch
import torch.nn as nn
import torch.nn.functional as F
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, ReduceLROnPlateau

from champion.calibration.temperature_scaling import (
    TemperatureScaler,
    calibration_error,
    calibration_metrics,
    negative_log_likelihood,
    reliability_data,
)
from champion.config_schema import config_problems
from champion.decoding.insertion import InsertionDecoder
from champion.losses.contrastive import info_nce
from champion.losses.expected_cost_loss import (
    apply_risk_scaling,
    build_slot_costs,
    expected_cost_loss,
    risk_from_entropy,
)
from champion.model.hnet2d.models import HNET_MODELS, build_hnet
from champion.model.transformer_model import TransformerModel
from champion.optimizers.hypergrad import build_hypergrad
from champion.optimizers.regulariser_hypergrad import RegulariserHypergrad
from champion.optimizers.sam import SAM
from champion.regularisers.cebr_head import HeadCEBR
from champion.regularisers.frm import FunctionalRisk
from champion.regularisers.histogram import class_histogram, histogram_kl, inverse_frequency_weights
from champion.regularisers.regularizers import confidence_penalty, gauge_loss, token_cebr
from champion.sampling.scheduled import SamplingSchedule, mix_targets
from champion.utils.logging_config import setup_logging
from champion.utils.loop_schedule import LoopSchedule
from champion.utils.metrics import compute_copy_metrics_on_batch
from champion.utils.rdrop import RDrop
from champion.utils.swa import SWAManager
from champion.utils.swa_diagnostics import LossLandscape

# The smoke tests patch the model class, sometimes here and sometimes where it is defined. Both have to
# work, so the original is remembered and compared in __init__.
try:
    from champion.model import transformer_model as _transformer_module
except Exception:  # circular import while the fine-tuner loads
    _transformer_module = None
_OriginalTransformerModel = TransformerModel

logger = setup_logging(__name__)

DEFAULT_PAD = 10
DEFAULT_BASE_VOCAB = 11
DEFAULT_TOLS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
AUGMENTED_CLASSES = 24
EOS_CLASS = 23

# the four weights that are saved with the model, so that a resumed run goes on with what it had learned
REGULARISER_SCALARS = ("cebr_alpha", "cebr_beta", "cebr_gamma", "gauge_alpha")

# logits are clamped to this before the cross-entropy (fp16 overflowed in the early runs)
LOGIT_CLAMP = 10.0

# fractions of an epoch at which the BAM parameters are written to the log
BAM_LOG_EVERY = 50


def _cfg_get(cfg, dotted, default=None):
    """Dotted read, ``_cfg_get(cfg, 'a.b.c')``. Raises KeyError if a node on the way is missing."""
    node = cfg
    for part in str(dotted).split("."):
        if node is None:
            return default
        try:
            if isinstance(node, dict):
                node = node.get(part, None)
            else:
                node = getattr(node, part, None)
        except Exception:
            return default
    return default if node is None else node


def _as_flag(value, default=False):
    # sweeps hand over 'true' as a string now and then
    if value is None:
        return default
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "yes", "on")
    return bool(value)


def _as_number(value, default=0.0):
    """float(value), the default if that does not work (None, '', 'null')."""
    try:
        return float(value)
    except Exception:
        return float(default)


def _ensure_config_nodes(config):
    """
    Fill in nodes that old configs (before v31) do not have.

    Works in place on the config that everybody shares. Nothing that is there is touched.
    """
    defaults = {
        "training.lambda_rule": 0.0,
        "training.lambda_cov": 0.0,
        "training.lambda_conf": 0.0,
        "training.lambda_kl": 0.0,
        "training.kd_weight": 0.0,
        "training.log_every_n_steps": 10,
        "model.loss_mode": "ce",
        "rdrop.enabled": False,
    }
    if not OmegaConf.is_config(config):
        return config
    for dotted, value in defaults.items():
        try:
            missing = OmegaConf.select(config, dotted, default=None) is None
        except Exception:
            missing = False
        if not missing:
            continue
        try:
            # force_add: the nodes of the structured configs are closed
            OmegaConf.update(config, dotted, value, force_add=True)
        except Exception as e:
            logger.warning("could not add %s to the config: %s", dotted, e)
    return config


class TransformerTrainer(pl.LightningModule):
    """
    Trains one grid model.

    What the step does, in this order:

    1. forward (twice or more with R-Drop, several iterations with a looped encoder)
    2. task loss: expected cost over 24 classes, or cross-entropy
    3. penalties, each behind its own switch
    4. metrics; most of them every ``training.log_every_n_steps`` batches

    Validation is teacher-forced like training. There is no free-running decoding except in ``predict_step``.

    ``model`` and ``core_model`` are the same object: the optimisation scripts ask for the one, the
    checkpoints of last spring for the other. (Both end up in the state dict.)

    Args:
        config: the whole config as a DictConfig. It is not copied; the fine-tuner relies on that when it
            changes the learning rate.
    """

    def __init__(self, config):
        super().__init__()

        # -------------------------------------------------------------- config
        if not OmegaConf.is_config(config):
            # plain dicts come from the notebooks
            config = OmegaConf.create(dict(config))
        config = _ensure_config_nodes(config)
        self.config = config

        # hyper-parameters go into the checkpoint as plain containers; DictConfigs cannot be unpickled with
        # weights_only=True
        try:
            plain = OmegaConf.to_container(config, resolve=True)
            if isinstance(plain, dict):
                self.save_hyperparameters(plain)
        except Exception as e:
            # an interpolation that cannot be resolved; training works without
            logger.warning("hyper-parameters are not saved: %s", e)

        # strict validation is opt-in, the sweeps produce configs that the schema does not like
        if OmegaConf.select(config, "model.validate_config", default=False):
            problems = config_problems(config)
            if problems:
                raise ValueError("config: " + "; ".join(problems))

        self._init_file_logging(config)

        model_cfg = getattr(config, "model", None)
        training_cfg = getattr(config, "training", None)

        # -------------------------------------------------------------- sizes
        # NOTE: the optimizer reads optimizer.lr, this one is for the lr finder and the fine-tuner
        learning_rate = OmegaConf.select(config, "training.learning_rate", default=1e-4)
        self.learning_rate = float(learning_rate) if isinstance(learning_rate, (int, float)) else 1e-4
        pad_token_id = getattr(model_cfg, "pad_token_id", DEFAULT_PAD) if hasattr(model_cfg, "pad_token_id") else None
        # null means the default, not "no padding"
        self.pad_token_id = int(pad_token_id) if pad_token_id is not None else DEFAULT_PAD
        vocab_size = _cfg_get(config, "model.vocab_size", DEFAULT_BASE_VOCAB)
        self.vocab_size = int(vocab_size) if isinstance(vocab_size, (int, float, str)) else DEFAULT_BASE_VOCAB
        # the data preparation overwrites V_colours with what it saw; the head does not care
        self.base_vocab_seen = OmegaConf.select(config, "model.V_colours", default=None)
        self.base_vocab = DEFAULT_BASE_VOCAB
        self.loss_mode = str(getattr(model_cfg, "loss_mode", "ce") or "ce").lower()
        if self.loss_mode not in ("ce", "expected_cost"):
            raise ValueError(f"unknown model.loss_mode {self.loss_mode!r}")
        augmented = bool(getattr(model_cfg, "output_augmented", False)) or self.loss_mode == "expected_cost"
        self.num_classes = AUGMENTED_CLASSES if augmented else self.vocab_size

        log_every = OmegaConf.select(config, "training.log_every_n_steps", default=None)
        if log_every is None:
            # Lightning's own name of it, some sweeps use that
            log_every = OmegaConf.select(config, "training.trainer.log_every_n_steps", default=10)
        self.log_every_n_steps = max(1, int(log_every)) if isinstance(log_every, (int, float)) else 10

        # -------------------------------------------------------------- which model
        # model.model_name: 'transformer' (also 'default' in old sweeps) or one of the H-Nets
        model_name = getattr(model_cfg, "model_name", None)
        model_name = str(model_name) if isinstance(model_name, str) and model_name else "transformer"
        self.model_name = model_name
        self.hnet_enabled = model_name in HNET_MODELS
        self.hnet_aux_weight = 1.0
        if self.hnet_enabled:
            # not a key of model.hnet: that node goes into the model's own dataclass as it is
            self.hnet_aux_weight = _as_number(OmegaConf.select(config, "training.hnet_aux_weight", default=1.0), 1.0)
            # a negative weight would reward collapsed chunks
            self.hnet_aux_weight = max(0.0, self.hnet_aux_weight)

        # the tests' alias: first whoever patched this module, then whoever patched the model's module
        model_class = TransformerModel
        if model_class is _OriginalTransformerModel:
            try:
                patched = getattr(_transformer_module, "TransformerModel", None)
                if patched is not None and patched is not _OriginalTransformerModel:
                    model_class = patched
            except Exception:
                model_class = _OriginalTransformerModel

        if self.hnet_enabled:
            built = build_hnet(model_cfg)
        else:
            built = model_class(config)
        # both names register the module, so every tensor is saved under two prefixes
        self.core_model = built
        self.model = self.core_model
        # (was: self.model = torch.compile(self.core_model), see the compile branch)

        # -------------------------------------------------------------- DEQ telemetry
        # The solver lives in the model; the trainer only writes down how hard it had to work.
        deq_cfg = getattr(model_cfg, "deq", None)
        self.deq_enabled = bool(getattr(deq_cfg, "enabled", False)) if deq_cfg is not None else False
        self.deq_log_metrics = bool(getattr(deq_cfg, "log_metrics", False)) if deq_cfg is not None else False
        self._deq_totals = defaultdict(float)
        self._deq_steps = 0

        # -------------------------------------------------------------- hidden states for FRM
        # The hook has to be there before anything wraps the head (QAT replaces modules).
        self._last_hidden = None
        self._hidden_hook = None

        def _remember_hidden(module, inputs, output):
            """Keep what goes into the output layer; [B, L, d]."""
            try:
                hidden = inputs[0]
                # the graph is only needed if somebody differentiates through it
                keep_graph = getattr(self, "frm", None) is not None and self.training
                self._last_hidden = hidden if keep_graph else hidden.detach()
            except Exception:
                self._last_hidden = None

        try:
            head = getattr(self.model, "output_fc", None)
            if head is None and self.hnet_enabled:
                head = getattr(self.model, "head", None)
            if isinstance(head, nn.Module):
                self._hidden_hook = head.register_forward_hook(_remember_hidden)
        except Exception:
            # a head of another kind, FRM cannot work then
            self._hidden_hook = None

        # -------------------------------------------------------------- H-Net leftovers
        # The H-Nets have none of the attributes that the rest of this file asks for.
        try:
            if self.hnet_enabled:
                for name, empty in (
                    ("last_rule_vec", None),
                    ("last_extra", None),
                    ("last_attn_weights", None),
                    ("last_psi", None),
                    ("loop_logits", []),
                    ("loop_halt", []),
                    ("loop_stats", {}),
                    ("deq_stats", {}),
                ):
                    if not hasattr(self.model, name):
                        setattr(self.model, name, empty)
                if self.num_classes != self.model.hnet.n_classes:
                    self.num_classes = int(self.model.hnet.n_classes)
        except Exception as e:
            logger.warning("H-Net without the usual attributes: %s", e)

        # -------------------------------------------------------------- QAT
        # int8 heads for the submission notebook; the encoder stays as it is
        self.qat_enabled = _as_flag(OmegaConf.select(config, "training.use_qat", default=False))
        if self.qat_enabled:
            self._prepare_qat()

        # -------------------------------------------------------------- loss weights
        # (the sweep wrote them as strings for a while, hence the three ways of reading)
        try:
            self.lambda_rule = float(getattr(training_cfg, "lambda_rule", 0.0) or 0.0)
        except Exception:
            self.lambda_rule = 0.0
        lambda_cov = OmegaConf.select(config, "training.lambda_cov", default=0.0)
        self.lambda_cov = float(lambda_cov) if isinstance(lambda_cov, (int, float)) else _as_number(lambda_cov)
        lambda_conf = getattr(training_cfg, "lambda_conf", None) if training_cfg is not None else None
        self.lambda_conf = _as_number(lambda_conf) if lambda_conf is not None else 0.0
        lambda_kl = OmegaConf.select(config, "training.lambda_kl", default=None)
        if lambda_kl is None:
            lambda_kl = OmegaConf.select(config, "training.lambda_hist", default=0.0)
        self.lambda_kl = float(lambda_kl) if isinstance(lambda_kl, (int, float)) else 0.0
        self.change_weight = _as_number(OmegaConf.select(config, "training.change_weight", default=1.0), 1.0)
        self.kd_weight = _as_number(OmegaConf.select(config, "training.kd_weight", default=0.0), 0.0)
        # tau = 0 in the config means 'not set'
        self.kd_tau = 1.0
        if self.kd_weight > 0:
            kd_tau = _as_number(OmegaConf.select(config, "training.kd_tau", default=1.0), 1.0)
            self.kd_tau = kd_tau if kd_tau > 0 else 1.0

        # -------------------------------------------------------------- dice
        # Sum over the classes that occur in the target; helped a little on the yardstick, see the May report.
        # FIXME: only R-Drop adds it, the plain step was forgotten when the steps were split
        self.dice_enabled = bool(getattr(training_cfg, "dice_loss_enabled", False))
        self.dice_loss_weight = float(getattr(training_cfg, "dice_loss_weight", 0.0) or 0.0)
        self.dice_loss = None
        if self.dice_enabled and self.dice_loss_weight > 0:
            from champion.losses.dice import DiceLoss

            # PAD is no object
            self.dice_loss = DiceLoss(ignore_index=self.pad_token_id)

        # -------------------------------------------------------------- R-Drop
        # Liang et al. 2021. The KL is symmetric and over all classes, hedges included; whether the gate of the
        # insertion head comes first is up to rdrop.apply_insertion_gating_for_kl.
        # alpha from the config is the start value, the hyper-gradients may take it from here.
        self.rdrop_cfg = getattr(config, "rdrop", None)
        rdrop_flag = getattr(self.rdrop_cfg, "enabled", False) if self.rdrop_cfg is not None else False
        self.rdrop_enabled = rdrop_flag if isinstance(rdrop_flag, bool) else _as_flag(rdrop_flag)
        self.rdrop = None
        self.rdrop_log_val_kl = False
        self._rdrop_step_count = 0
        self._rdrop_dice_sum = 0.0
        try:
            if self.rdrop_enabled:
                self.rdrop = RDrop(self.rdrop_cfg)
                self.rdrop_log_val_kl = bool(self.rdrop.log_val_kl)
                rates = [
                    _as_number(getattr(model_cfg, "dropout_rate", 0.0), 0.0),
                    _as_number(getattr(model_cfg, "decoder_dropout_rate", 0.0), 0.0),
                    _as_number(getattr(model_cfg, "encoder_dropout_rate", 0.0), 0.0),
                    _as_number(OmegaConf.select(config, "model.context_encoder.attn_dropout", default=0.0), 0.0),
                    _as_number(OmegaConf.select(config, "model.context_encoder.ffn_dropout", default=0.0), 0.0),
                ]
                if max(rates) <= 0.0:
                    # without dropout both passes are the same
                    logger.warning("R-Drop without any dropout in the model has no effect")
                # share_dropout_mask needs separate passes, use_concat is ignored then
                self.rdrop_concat = bool(self.rdrop.use_concat) and not bool(self.rdrop.share_dropout_mask)
        except Exception as e:
            # better one pass than no run
            logger.warning("R-Drop is off: %s", e)
            self.rdrop, self.rdrop_enabled = None, False

        # -------------------------------------------------------------- CEBR and gauge, the scalars
        # Parameters (not buffers), so that old checkpoints with learned values still load.
        try:
            cebr_alpha = float(getattr(model_cfg, "cebr_alpha", 0.0))
            cebr_beta = float(getattr(model_cfg, "cebr_beta", 0.0))
            cebr_gamma = float(getattr(model_cfg, "cebr_gamma", 0.0))
            gauge_alpha = float(getattr(model_cfg, "gauge_alpha", 0.0))
        except Exception:
            cebr_alpha, cebr_beta, cebr_gamma, gauge_alpha = 0.0, 0.0, 0.0, 0.0
        self.cebr_alpha = nn.Parameter(torch.tensor(cebr_alpha), requires_grad=False)
        self.cebr_beta = nn.Parameter(torch.tensor(cebr_beta), requires_grad=False)
        self.cebr_gamma = nn.Parameter(torch.tensor(cebr_gamma), requires_grad=False)
        self.gauge_alpha = nn.Parameter(torch.tensor(gauge_alpha), requires_grad=False)

        # start values for the hyper-gradients
        try:
            hg_cfg = getattr(config, "regulariser_hypergrad", None)
            hg_init = OmegaConf.to_container(hg_cfg.init, resolve=True) if hg_cfg is not None else {}
        except Exception:
            hg_cfg, hg_init = None, {}
        if isinstance(hg_init, dict):
            for name in REGULARISER_SCALARS:
                if name not in hg_init:
                    continue
                try:
                    with torch.no_grad():
                        getattr(self, name).fill_(float(hg_init[name]))
                except Exception:
                    pass

        # -------------------------------------------------------------- head-level CEBR
        # Micro, meso and macro heads get weights of their own (by the entropy of their rows).
        # Does nothing unless the model hands out its attention maps, which costs the fused kernel.
        self.cebr_head = None
        self.cebr_head_enabled = False
        cebr_node = getattr(model_cfg, "cebr_head", None) if hasattr(model_cfg, "cebr_head") else None
        if cebr_node is not None:
            self.cebr_head_enabled = bool(getattr(cebr_node, "enabled", False))
        if self.cebr_head_enabled:
            try:
                self.cebr_head = HeadCEBR(cebr_node)
                # learnable weights are parameters of the trainer, the optimizer finds them by itself
                self.cebr_head_learnable = bool(self.cebr_head.learnable)
            except Exception as e:
                logger.warning("head-level CEBR is off: %s", e)
                self.cebr_head = None
                self.cebr_head_enabled = False
        # what the last step found, for the progress bar of the notebooks
        self._last_cebr = None
        self._last_gauge = None

        # -------------------------------------------------------------- FRM
        # spectral: log-determinant of the tangent kernel of the last layer
        # variance: KL under Gaussian noise on the hidden states
        self.frm = None
        frm_node = getattr(model_cfg, "frm", None)
        frm_enabled = bool(getattr(frm_node, "enabled", False)) if frm_node is not None else False
        try:
            if frm_enabled:
                # the callback of the same name (callbacks.frm) does something else, never use both
                if bool(OmegaConf.select(config, "callbacks.frm.enabled", default=False)):
                    logger.warning("FRM is enabled as a callback as well")
                d_model = getattr(model_cfg, "d_model", None)
                if not isinstance(d_model, int):
                    d_model = int(OmegaConf.select(config, "model.d_model", default=0) or 0)
                self.frm = FunctionalRisk(frm_node, d_model)
        except Exception as e:
            logger.warning("FRM is off: %s", e)
            self.frm = None

        # -------------------------------------------------------------- hyper-gradients
        # One extra backward pass per penalty, so expect half the speed.
        self.regulariser_hypergrad = None
        hypergrad_enabled = bool(getattr(getattr(config, "regulariser_hypergrad", None), "enabled", False))
        if hypergrad_enabled:
            try:
                self.regulariser_hypergrad = RegulariserHypergrad(hg_cfg)
                # R-Drop has its weight in an object of its own
                if self.rdrop is not None and "rdrop_alpha" in self.regulariser_hypergrad.values:
                    self.rdrop.alpha = float(self.regulariser_hypergrad.values["rdrop_alpha"])
            except Exception as e:
                logger.warning("hyper-gradients are off: %s", e)
                self.regulariser_hypergrad = None
        self._penalty_terms = {}

        # -------------------------------------------------------------- SWA
        # The manager averages, the hooks further down call it. With Lightning's own SWA callback the scheduler
        # was stepped twice per epoch.
        self.swa_cfg = getattr(training_cfg, "swa", None)
        self.swa_enabled = bool(OmegaConf.select(config, "training.swa.enabled", default=False))
        self.swa = None
        self._swa_base_state = None
        try:
            if self.swa_enabled:
                max_epochs = OmegaConf.select(config, "training.max_epochs", default=None)
                max_epochs = int(max_epochs) if isinstance(max_epochs, (int, float)) and max_epochs else 1
                self.swa = SWAManager(self.swa_cfg, max_epochs)
            else:
                # the fine-tuner asks for the epoch even if there is no averaging
                self.swa_start_epoch = OmegaConf.select(config, "training.swa.start_epoch", default=None)
        except Exception as e:
            logger.warning("SWA is off: %s", e)
            self.swa, self.swa_enabled = None, False
        # optimizer.sam_enabled moved to model.sam_enabled in v27
        self.sam_enabled = _as_flag(OmegaConf.select(config, "optimizer.sam_enabled", default=None)) or _as_flag(
            getattr(model_cfg, "sam_enabled", False)
        )

        # -------------------------------------------------------------- class weights and prior
        # Filled in setup, when there is a loader. Plain tensors and not buffers: with buffers the old
        # checkpoints did not load any more.
        self.class_weights = None
        self.class_prior = None
        self.class_balanced = bool(getattr(training_cfg, "class_balanced_loss", False)) if training_cfg is not None else False
        self.class_balanced_limits = (0.2, 2.2)
        self.class_balanced_eps = 0.0
        if self.class_balanced:
            self.class_balanced_limits = (
                _as_number(getattr(training_cfg, "class_balanced_min_weight", 0.2), 0.2),
                _as_number(getattr(training_cfg, "class_balanced_max_weight", 2.2), 2.2),
            )
            eps = OmegaConf.select(config, "training.class_balanced_smoothing_eps", default=0.0)
            self.class_balanced_eps = float(eps) if isinstance(eps, (int, float)) else 0.0
            low, high = self.class_balanced_limits
            if low > high:
                raise ValueError(f"training.class_balanced_min_weight {low} exceeds the maximum {high}")
            # with the expected cost the weights act in validation only, and the prior through lambda_kl

        # -------------------------------------------------------------- scheduled sampling
        self.scheduled_sampling = None
        self._sampled_share = 0.0
        # Second pass on a mixture of target and prediction (Bengio et al. 2015). Never finished for the
        # expected cost: its U and hedge classes would have to be mapped back to colours first.
        if self.loss_mode == "ce":
            sampling_on = OmegaConf.select(config, "training.scheduled_sampling.enabled", default=False)
            if sampling_on if isinstance(sampling_on, bool) else _as_flag(sampling_on):
                schedule_text = OmegaConf.select(config, "training.scheduled_sampling.probability", default=0.0)
                try:
                    self.scheduled_sampling = SamplingSchedule.parse(schedule_text)
                except Exception as e:
                    raise ValueError(f"training.scheduled_sampling.probability: {e}") from e

        # -------------------------------------------------------------- looped encoder
        # b loops, loss on the last T of them; with ponder every loop has a probability of being the last.
        looped_node = getattr(model_cfg, "looped", None) if hasattr(model_cfg, "looped") else None
        self.looped_enabled = bool(getattr(looped_node, "enabled", False)) if looped_node is not None else False
        self.loop_schedule = None
        ponder_node = getattr(looped_node, "ponder", None) if looped_node is not None else None
        self.loop_ponder_enabled = bool(getattr(ponder_node, "enabled", False)) if ponder_node is not None else False
        if self.looped_enabled:
            try:
                self.loop_schedule = LoopSchedule.from_config(looped_node)
            except Exception as e:
                logger.warning("loop schedule: %s, the model's own number of loops is used", e)
                self.loop_schedule = None
        self._last_loop_plan = None

        # -------------------------------------------------------------- BAM, NoRA, experts
        # Everything about them is in the model, here are only the flags for the penalties and the log.
        try:
            bam_cfg = getattr(model_cfg, "bam", None)
            self.bam_enabled = bool(getattr(bam_cfg, "enabled", False)) if bam_cfg is not None else False
            self.bam_enforce = bool(getattr(bam_cfg, "enforce_beta_fraction", False)) if self.bam_enabled else False
            self.bam_diagnostics = False
            if self.bam_enabled:
                diagnostics = OmegaConf.select(config, "model.bam.diagnostics.enabled", default=False)
                self.bam_diagnostics = diagnostics if isinstance(diagnostics, bool) else _as_flag(diagnostics)
            nora_cfg = getattr(model_cfg, "nora", None)
            self.nora_enabled = bool(getattr(nora_cfg, "enabled", False)) if nora_cfg is not None else False
            self.nora_ponder = False
            if self.nora_enabled:
                self.nora_ponder = bool(OmegaConf.select(config, "model.nora.ponder_phi.enabled", default=False))
            cumoe_cfg = getattr(model_cfg, "cumoe", None)
            self.cumoe_enabled = bool(getattr(cumoe_cfg, "enabled", False)) if cumoe_cfg is not None else False
        except Exception:
            self.bam_enabled, self.bam_enforce, self.bam_diagnostics = False, False, False
            self.nora_enabled, self.nora_ponder, self.cumoe_enabled = False, False, False
        # the top-level cumoe node is a leftover of a wrong override, it is not read

        # -------------------------------------------------------------- insertion
        # slots, gating and decoding: see _compute_slot_state and predict_step
        self.insertion_cfg = getattr(model_cfg, "insertion", None)
        self.insertion_enabled = False
        if self.insertion_cfg is not None and hasattr(self.insertion_cfg, "enabled"):
            self.insertion_enabled = bool(getattr(self.insertion_cfg, "enabled", False))

        # -------------------------------------------------------------- calibration
        # temperature scaling, fitted at the end of fit if there is a node for it
        self.calibrator = None
        self.calibration_cfg = OmegaConf.select(config, "calibration", default=None)

        # -------------------------------------------------------------- yardstick skills
        # letters of the benchmark; on other data they are simply the first four tasks
        self.skill_letters = ("A", "B", "C", "D")
        self.skill_correct = {}
        self.skill_total = {}
        for letter in self.skill_letters:
            self.skill_correct[letter] = 0.0
            self.skill_total[letter] = 0.0

        # one line for the run log
        try:
            n_params = sum(p.numel() for p in self.parameters())
            logger.info(
                "trainer: %s, %d values, colours %s, loss %s, %d classes, rdrop %s, swa %s, frm %s",
                model_name,
                n_params,
                self.base_vocab_seen,
                self.loss_mode,
                self.num_classes,
                self.rdrop_enabled,
                self.swa_enabled,
                self.frm is not None,
            )
        except Exception:
            pass

    # ------------------------------------------------------------------
    # small readers, older than the helpers at the top of the file
    # ------------------------------------------------------------------
    def _get(self, dotted, default=None):
        """
        Dotted read on self.config.

        Unlike OmegaConf.select the default also replaces a null.
        """
        try:
            value = OmegaConf.select(self.config, dotted, default=None)
        except Exception:
            value = None
        return default if value is None else value

    def _cfg_attr(self, node, name, default=None):
        """getattr that also works on dicts; a null counts as 'not there'."""
        if node is None:
            return default
        if isinstance(node, dict):
            value = node.get(name)
        else:
            try:
                value = getattr(node, name, None)
            except Exception:
                value = None
        return default if value is None else value

    def _step_is_logged(self, batch_idx, every=None):
        # batch_idx and not global_step: with accumulation the latter stands still
        interval = self.log_every_n_steps if every is None else max(1, int(every))
        return int(batch_idx) % interval == 0

    # ------------------------------------------------------------------
    # quantisation-aware training
    # ------------------------------------------------------------------
    def _prepare_qat(self):
        """
        Put fake quantisation into the linear layers of the model.

        Only the layers that are called through their attribute: the bridge keeps references to its own, and
        the output layer shares its weight with the embedding. [INFERRED] Which layers; alternative: all of them.
        """
        try:
            import torch.ao.quantization as quantization
        except Exception:
            # they announced its removal
            self.qat_enabled = False
            return
        prepared = 0
        for name in ("context_to_tgt_bias", "context_to_logits", "output_aug_extra"):
            layer = getattr(self.model, name, None)
            if not isinstance(layer, nn.Linear):
                continue
            holder = nn.Sequential(layer)
            holder.qconfig = quantization.get_default_qat_qconfig("fbgemm")
            holder.train()
            quantization.prepare_qat(holder, inplace=True)
            setattr(self.model, name, holder[0])
            prepared += 1
        if prepared == 0:
            self.qat_enabled = False

    # ------------------------------------------------------------------
    # class-balanced cross-entropy
    # ------------------------------------------------------------------
    def _setup_class_weights(self):
        """
        Inverse-frequency class weights and the colour histogram of the training data.

        Called from ``setup``. Goes through the train loader once, which is slow for the big set; the result
        is kept, a second fit does not count again. Needs a trainer with a loader (or a data module).
        """
        # asked again and not only in __init__: the fine-tuner changes the config in between
        balanced = self._cfg_attr(getattr(self.config, "training", None), "class_balanced_loss", False)
        if not self.class_balanced and not _as_flag(balanced):
            return None
        if self.class_weights is not None and self.class_prior is not None:
            return self.class_weights

        loader = None
        trainer = getattr(self, "_trainer", None)
        if trainer is None:
            logger.warning("class_balanced_loss: no trainer, no data to count")
            return None
        # the loader hides in different places, depending on the version and on who called fit
        try:
            source = trainer.fit_loop._data_source
            if source is not None and source.is_defined():
                loader = source.dataloader()
        except Exception:
            loader = None
        if loader is None:
            loader = getattr(trainer, "train_dataloader", None) if hasattr(trainer, "train_dataloader") else None
            datamodule = getattr(trainer, "datamodule", None) if hasattr(trainer, "datamodule") else None
            if loader is None and datamodule is not None and hasattr(datamodule, "train_dataloader"):
                try:
                    loader = datamodule.train_dataloader()
                except Exception:
                    pass
        if loader is None:
            logger.warning("class_balanced_loss is on but there is no train loader, classes stay unweighted")
            return None

        prior = self._estimate_class_prior(loader)
        if prior is None:
            return None
        try:
            low, high = self.class_balanced_limits
            weights = inverse_frequency_weights(prior, low, high)
            # hedges and EOS are never targets of the plain loaders, they weigh 1
            if self.num_classes > weights.numel():
                rest = torch.ones(self.num_classes - weights.numel(), dtype=weights.dtype)
                weights = torch.cat([weights, rest])
            first = next(iter(self.model.parameters()), None)
            dtype = first.dtype if isinstance(first, torch.Tensor) else torch.get_default_dtype()
            device = first.device if isinstance(first, torch.Tensor) else torch.device("cpu")
            self.class_prior = prior.to(device=device, dtype=dtype)
            self.class_weights = weights.to(device=device, dtype=dtype)
        except Exception as e:
            logger.warning("class weights: %s", e)
            self.class_prior = None
            self.class_weights = None
        return self.class_weights

    def _estimate_class_prior(self, loader):
        """
        Relative frequency of the base classes over the targets of a loader.

        PAD cells do not count, they would be nine tenths of everything. A class that never occurs stays at 0
        unless ``training.class_balanced_smoothing_eps`` lifts it. [INFERRED] Without PAD; alternative: with it.

        Returns:
            [vocab_size], sums to 1; None without any cell
        """
        totals = torch.zeros(self.vocab_size, dtype=torch.float64)
        n_cells = 0
        generator_state = torch.get_rng_state()
        try:
            for batch in loader:
                if isinstance(batch, dict):
                    tgt = batch.get("tgt")
                else:
                    tgt = batch[1] if isinstance(batch, (list, tuple)) and len(batch) > 1 else None
                if not isinstance(tgt, torch.Tensor):
                    continue
                keep = tgt[tgt != self.pad_token_id]
                if keep.numel() == 0:
                    continue
                counted = class_histogram(keep, self.vocab_size).double() * keep.numel()
                totals += counted.cpu()
                n_cells += int(keep.numel())
        except Exception:
            # a loader that breaks half-way; what was counted is good enough
            pass
        finally:
            # a shuffling loader has drawn a permutation, training shall not notice
            torch.set_rng_state(generator_state)
        # every rank has counted its own part
        try:
            torch.distributed.all_reduce(totals)
        except Exception:
            # no process group
            pass
        if n_cells == 0:
            return None
        if self.class_balanced_eps > 0:
            totals = totals + self.class_balanced_eps
        prior = totals / totals.sum()
        return prior.to(torch.get_default_dtype())

    # ------------------------------------------------------------------
    # forward
    # ------------------------------------------------------------------
    def forward(self, src, tgt=None, ctx_input=None, ctx_output=None):
        """
        Logits of a batch.

        Args:
            src: [B, H, W], input grids
            tgt: [B, H, W] or None, target grids (teacher forcing; the model shifts them itself)
            ctx_input, ctx_output: [B, N, H, W] or None, the demonstration pairs

        Returns:
            [B, H, W, 11] (24 classes with the augmented head)
        """
        if self.hnet_enabled:
            # the H-Nets take a target to please us, they do not look at it
            return self.model(src, tgt, ctx_input, ctx_output)
        logits = self.model(src, tgt, ctx_input, ctx_output)
        if isinstance(logits, (tuple, list)):
            # looped models of the first generation returned (logits, history)
            logits = logits[0]
        return logits

    def _frm_set_epoch(self):
        """Tell the functional-risk term which epoch it is (its weight has a schedule)."""
        if getattr(self, "frm", None) is None:
            return
        try:
            self.frm.on_epoch(int(self.current_epoch))
        except Exception:
            pass

    # ------------------------------------------------------------------
    # cross-entropy
    # ------------------------------------------------------------------
    def _compute_loss(self, y_hat, y, src=None):
        """
        Cross-entropy with PAD ignored.

        Args:
            y_hat: [B, H, W, K]
            y: [B, H, W]
            src: [B, H, W], needed for the change weight: cells whose target differs from the input count
                ``training.change_weight`` times (training only)
        """
        n_classes = y_hat.size(-1)
        # shapes: the yardstick loader delivers [B, L], everything else grids
        flat = y_hat.reshape(-1, n_classes)
        target = y.reshape(-1).long()
        if flat.size(0) != target.size(0):
            raise ValueError(f"{flat.size(0)} predictions for {target.size(0)} targets")

        # 1. no NaN, no inf: a bad batch in fp16 must not end the run
        # 2. bounded, so that one wild cell cannot dominate the mean
        # 3. targets outside the classes become PAD (the loaders of the old format used -1)
        flat = torch.nan_to_num(flat)
        flat = torch.clamp(flat, min=-LOGIT_CLAMP, max=LOGIT_CLAMP)
        bad = (target < 0) | (target >= n_classes)
        target = torch.where(bad, torch.full_like(target, self.pad_token_id), target)

        weights = None
        if self.class_weights is not None:
            try:
                weights = self.class_weights.to(device=flat.device, dtype=flat.dtype)
                if weights.numel() > n_classes:
                    weights = weights[:n_classes]
                elif weights.numel() < n_classes:
                    weights = None
            except Exception:
                weights = None

        # up-weight what has to change; copying the input is too good a strategy otherwise
        change_weight = getattr(self, "change_weight", None)
        if change_weight is None:
            change_weight = OmegaConf.select(self.config, "training.change_weight", default=1.0)
        change_weight = float(change_weight) if isinstance(change_weight, (int, float)) else 1.0
        use_change = bool(self.training) and change_weight > 1.0 and isinstance(src, torch.Tensor)
        if use_change:
            per_cell = F.cross_entropy(flat, target, weight=weights, reduction="none")
            before = src.reshape(-1).to(target.device)
            if before.numel() == target.numel():
                changed = (target != before) & (target != self.pad_token_id)
                factor = torch.ones_like(per_cell)
                factor = torch.where(changed, factor * change_weight, factor)
                return (per_cell * factor).mean()
            # src comes from another canvas
            return per_cell.mean()
        if weights is not None:
            return F.cross_entropy(flat, target, weight=weights)
        return F.cross_entropy(flat, target)

    def _dice_term(self, y_hat, y):
        """
        Weighted dice loss of a batch.

        Args:
            y_hat: [B, H, W, K] logits
            y: [B, H, W] targets; PAD cells count on neither side

        Returns:
            scalar, or None if it is off or cannot be computed
        """
        if self.dice_loss is None or self.dice_loss_weight <= 0:
            return None
        enabled = getattr(getattr(self.config, "training", None), "dice_loss_enabled", False)
        if not (enabled if isinstance(enabled, bool) else _as_flag(enabled)):
            return None
        try:
            n_classes = y_hat.size(-1)
            target = y.long().clamp(0, n_classes - 1)
            return self.dice_loss_weight * self.dice_loss(y_hat, target)
        except Exception:
            return None

    def _task_loss(self, logits, tgt, src=None, aug_grid=None):
        """
        The loss that the config asks for, without any penalty.

        ``_compute_training_loss`` asks the same question with one more switch
        (model.loss.expected_cost.enabled); keep them in step.
        """
        if self.loss_mode == "expected_cost" and logits.size(-1) == AUGMENTED_CLASSES:
            return self._expected_cost_scalar(logits, tgt, aug_grid)
        return self._compute_loss(logits, tgt, src)

    def _task_loss_per_sample(self, logits, tgt, src=None, aug_grid=None):
        """[B]. One sample at a time: the batch losses have their own means inside."""
        losses = []
        for i in range(logits.size(0)):
            one_src = None if src is None else src[i : i + 1]
            one_aug = None if aug_grid is None else aug_grid[i : i + 1]
            losses.append(self._task_loss(logits[i : i + 1], tgt[i : i + 1], one_src, one_aug))
        return torch.stack(losses)

    # ------------------------------------------------------------------
    # batches
    # ------------------------------------------------------------------
    def _unpack_batch(self, batch):
        """
        (src, tgt, ctx_input, ctx_output, task_ids, aug_grid); aug_grid is None for five elements.

        The H-Nets also take dicts, their loader was written by somebody else.
        """
        aug_grid = None
        if isinstance(batch, dict):
            if not self.hnet_enabled:
                raise TypeError("batches are tuples, only the H-Nets take dicts")
            src = batch["src"]
            tgt = batch["tgt"]
            ctx_input = batch.get("ctx_input")
            ctx_output = batch.get("ctx_output")
            task_ids = batch.get("task_ids")
            aug_grid = batch.get("aug_grid")
        elif len(batch) == 6:
            src, tgt, ctx_input, ctx_output, task_ids, aug_grid = batch
        elif len(batch) == 5:
            src, tgt, ctx_input, ctx_output, task_ids = batch
        else:
            raise ValueError(f"a batch has 5 or 6 elements, got {len(batch)}")
        if task_ids is None:
            task_ids = torch.zeros(src.size(0), dtype=torch.long, device=src.device)
        return src, tgt, ctx_input, ctx_output, task_ids, aug_grid

    def _hnet_loss(self, logits, tgt, aug_grid=None):
        """
        Task loss of the H-Nets.

        With an augmented grid its 24 classes are the target (hedges and EOS included), without one the usual
        loss is used. [INFERRED] Alternative: expected cost on the grid, cross-entropy on the augmented one.
        """
        if aug_grid is not None:
            target = aug_grid.long()
            if target.dim() == logits.dim():
                # one-hot or soft targets from the augmented loader
                target = target.argmax(dim=-1)
            return self._compute_loss(logits, target)
        return self._task_loss(logits, tgt)

    # ------------------------------------------------------------------
    # R-Drop
    # ------------------------------------------------------------------
    def _rdrop_forward(self, src, tgt, ctx_input, ctx_output):
        """All passes over the batch, a list of logits."""
        return self.rdrop.passes(self.forward, src, tgt, ctx_input, ctx_output)

    def _rdrop_mask(self, tgt, logits):
        """Cells in which the passes have to agree: all but PAD; everything if a batch is PAD only."""
        if not isinstance(tgt, torch.Tensor):
            return None
        mask = tgt != self.pad_token_id
        mask = mask if mask.shape == logits.shape[:-1] else mask.reshape(logits.shape[:-1])
        return mask if bool(mask.any()) else None

    def _rdrop_gate(self, tgt, aug_grid=None):
        """The insertion gating as a function of the logits alone, None if it is off."""
        if not self.insertion_enabled:
            return None
        wanted = getattr(self.rdrop_cfg, "apply_insertion_gating_for_kl", False) if self.rdrop_cfg is not None else False
        if not wanted:
            return None
        # gating is a no-op unless some slot can be complete
        marks = bool(self._get("model.insertion.pad_marks_complete", False))
        predicted = bool(self._get("model.insertion.slot_state.predicted.enabled", False))
        if not marks and not predicted and aug_grid is None:
            return None

        def _gate(logits):
            state = self._compute_slot_state(logits, tgt, aug_grid)
            return self._apply_insertion_gating(logits, state)

        return _gate

    def _rdrop_training_loss(self, src, tgt, ctx_input, ctx_output, aug_grid=None, batch_idx=0):
        """
        Two (or more) stochastic passes: mean task loss plus alpha times the symmetric KL.

        With ``use_concat`` the passes are one forward over the repeated batch, which is faster but needs the
        memory of a batch k + 1 times as large.

        Args:
            src, tgt, ctx_input, ctx_output: as in ``forward``
            aug_grid: augmented targets or None
            batch_idx: only for the log

        Returns:
            (loss, logits of the first pass)
        """
        passes = self._rdrop_forward(src, tgt, ctx_input, ctx_output)
        y_hat = passes[0]
        batch_size = src.size(0)
        # the model's attributes (rule vector, halting, ...) now belong to the last pass, or to the doubled
        # batch if use_concat is on; cut them back to the batch that the caller knows
        doubled = batch_size * len(passes)
        try:
            rule = getattr(self.model, "last_rule_vec", None)
            if isinstance(rule, torch.Tensor) and rule.size(0) == doubled:
                self.model.last_rule_vec = rule[:batch_size]
            if isinstance(self._last_hidden, torch.Tensor) and self._last_hidden.size(0) == doubled:
                self._last_hidden = self._last_hidden[:batch_size]
            attention = getattr(self.model, "last_attn_weights", None)
            if isinstance(attention, (list, tuple)) and len(attention) > 0:
                self.model.last_attn_weights = [a[:batch_size] if a.size(0) == doubled else a for a in attention]
            psi = getattr(self.model, "last_psi", None)
            if isinstance(psi, (list, tuple)) and len(psi) > 0:
                self.model.last_psi = [x[:batch_size] if x.size(0) == doubled else x for x in psi]
            extra = getattr(self.model, "last_extra", None)
            if isinstance(extra, dict) and isinstance(extra.get("grid_attn"), torch.Tensor):
                if extra["grid_attn"].size(0) == doubled:
                    extra["grid_attn"] = extra["grid_attn"][:batch_size]
        except Exception:
            # the penalties then look at all passes, which is fine as well
            pass

        # task loss of every pass
        task_terms = []
        for logits in passes:
            if self.hnet_enabled:
                task_terms.append(self._hnet_loss(logits, tgt, aug_grid))
            elif self.loss_mode == "expected_cost":
                task_terms.append(self._expected_cost_scalar(logits, tgt, aug_grid))
            else:
                task_terms.append(self._compute_loss(logits, tgt, src))
        task = torch.stack(task_terms).mean()

        # PAD cells agree anyway and would make the KL look small
        mask = self._rdrop_mask(tgt, y_hat)
        gate = self._rdrop_gate(tgt, aug_grid)
        penalty = self.rdrop.penalty(passes, mask, gate)
        loss = task + penalty
        alpha = float(self.rdrop.alpha)
        self._penalty_terms["rdrop_alpha"] = penalty / alpha if alpha > 0 else None

        # dice on the first pass. detach: the second backward through the softmax was out of memory
        dice = self._dice_term(y_hat.detach(), tgt)
        if dice is not None:
            loss = loss + dice
            self._rdrop_dice_sum += float(dice.detach())

        self._rdrop_step_count += 1
        if self._step_is_logged(batch_idx):
            try:
                self.log("train_rdrop_kl", penalty.detach() / max(self.rdrop.alpha, 1e-12), batch_size=batch_size)
                self.log("train_rdrop_task", task.detach(), batch_size=batch_size)
                self.log("train_rdrop_alpha", float(self.rdrop.alpha), batch_size=batch_size)
                if dice is not None:
                    self.log("train_dice", dice.detach(), batch_size=batch_size)
            except Exception:
                pass
        if not bool(torch.isfinite(loss.detach())):
            logger.warning("R-Drop loss is not finite at batch %d, the task loss of one pass is used", batch_idx)
            loss = task_terms[0]
        return loss, y_hat

    def _rdrop_validation_kl(self, batch_tensors, tgt):
        """
        Divergence of two passes with dropout on a validation batch, None if it is not wanted.

        The random state is put back, so that a run with this metric trains like a run without it. [INFERRED]
        """
        if not self.rdrop_enabled or self.rdrop is None or not self.rdrop_log_val_kl:
            return None
        state = torch.get_rng_state()
        was_training = self.model.training
        value = None
        try:
            self.model.train()
            with torch.no_grad():
                passes = self.rdrop.passes(self.forward, *batch_tensors)
                mask = self._rdrop_mask(tgt, passes[0])
                value = float(self.rdrop.divergence(passes, mask, self._rdrop_gate(tgt)))
        except Exception:
            pass
        finally:
            self.model.train(was_training)
            torch.set_rng_state(state)
        if value is not None and not math.isfinite(value):
            return None
        return value

    def _rdrop_report(self):
        """What R-Drop did in this run, as a dict; also one line in the log. {} if it is off."""
        if self.rdrop is None:
            return {}
        try:
            counters = self.rdrop.counters
            report = {
                "steps": int(counters.steps),
                "skipped": int(counters.skipped),
                "mean_kl": float(counters.mean_kl),
                "mean_dice": self._rdrop_dice_sum / max(1, self._rdrop_step_count),
            }
            logger.info(
                "R-Drop: %d steps, %d skipped, mean KL %.5f", report["steps"], report["skipped"], report["mean_kl"]
            )
        except Exception:
            report = {}
        return report

    # ------------------------------------------------------------------
    # the loss of a training step
    # ------------------------------------------------------------------
    def _compute_training_loss(
        self, src, tgt, logits, ctx_input=None, ctx_output=None, aug_grid=None, task_loss=None, batch_idx=0
    ):
        """
        Task loss plus every penalty that is on.

        ``task_loss`` replaces the task loss (R-Drop and the looped models have computed it already).
        The order of the sum matters for the last bit, so new terms go to the end. [INFERRED] The order of the
        penalties that the main config does not use.

        Returns:
            scalar; its parts are in ``self._penalty_terms``
        """
        batch_size = src.size(0)
        log_now = self._step_is_logged(batch_idx)
        # Everything below adds to ``loss``; ``task`` stays the task loss alone, for the hyper-gradients.
        # which loss? asked in three places, this one counts
        loss_cfg = getattr(self.config.model, "loss", None)
        ec_cfg = getattr(loss_cfg, "expected_cost", None) if loss_cfg is not None else None
        ec_enabled = bool(getattr(ec_cfg, "enabled", False)) if ec_cfg is not None else False

        sampled = False
        if task_loss is not None:
            loss = task_loss
        elif self.hnet_enabled and aug_grid is not None:
            loss = self._hnet_loss(logits, tgt, aug_grid)
        elif self.loss_mode == "expected_cost" and ec_enabled:
            loss = self._expected_cost_scalar(logits, tgt, aug_grid)
        else:
            # ---------------------------------------------------------- scheduled sampling
            # Only in CE mode: the expected cost has its own idea of uncertain inputs.
            probability = 0.0
            if self.scheduled_sampling is not None and self.training:
                probability = float(self.scheduled_sampling.probability(int(self.global_step)))
            if probability > 0.0:
                try:
                    mixed_logits = self._scheduled_sampling_pass(
                        src, tgt, logits, ctx_input, ctx_output, probability
                    )
                except Exception as e:
                    logger.warning("scheduled sampling failed, teacher forcing is used: %s", e)
                    mixed_logits = None
                if mixed_logits is not None:
                    logits = mixed_logits
                    sampled = True
            loss = self._compute_loss(logits, tgt, src)
            if self.scheduled_sampling is not None and log_now:
                self.log("train_sampling_probability", probability, batch_size=batch_size)
                self.log("train_sampled_share", float(self._sampled_share) if sampled else 0.0, batch_size=batch_size)
        task = loss

        # -------------------------------------------------------------- distillation over loops
        # early iterations learn from the last one (self-distillation, after Zhang et al. 2019)
        kd_weight = getattr(self, "kd_weight", None)
        if kd_weight is None:
            kd_weight = OmegaConf.select(self.config, "training.kd_weight", default=0.0)
        kd_weight = float(kd_weight) if isinstance(kd_weight, (int, float)) else 0.0
        loop_logits = getattr(self.model, "loop_logits", None)
        has_loops = isinstance(loop_logits, (list, tuple)) and len(loop_logits) > 1
        if kd_weight > 0.0 and has_loops:
            try:
                kd = self._loop_distillation(loop_logits, tgt)
            except Exception:
                kd = None
            if kd is not None:
                loss = loss + kd_weight * kd
                self._penalty_terms["kd"] = kd.detach()
                if log_now:
                    self.log("train_kd", kd.detach(), batch_size=batch_size)

        # -------------------------------------------------------------- H-Net auxiliary losses
        # ratio of chunks to cells, pulled towards hnet.target_ratio (their own weight is in there already)
        if self.hnet_enabled and hasattr(self.model, "auxiliary_losses"):
            try:
                auxiliary = self.model.auxiliary_losses()
            except Exception:
                # first step after loading: nothing was chunked yet
                auxiliary = {}
            total_auxiliary = None
            for name, value in auxiliary.items():
                if not isinstance(value, torch.Tensor):
                    continue
                if not bool(torch.isfinite(value.detach())):
                    # the router of an untrained model does that
                    continue
                total_auxiliary = value if total_auxiliary is None else total_auxiliary + value
                if log_now:
                    self.log(f"train_hnet_{name}", value.detach(), batch_size=batch_size)
            if total_auxiliary is not None:
                loss = loss + self.hnet_aux_weight * total_auxiliary
                self._penalty_terms["hnet"] = total_auxiliary.detach()

        # -------------------------------------------------------------- NoRA / Ponder-phi
        # The activations collect their penalty while they run; the model sums it up.
        nora_cfg = getattr(self.config.model, "nora", None)
        nora_on = bool(getattr(nora_cfg, "enabled", False)) if nora_cfg is not None else self.nora_enabled
        if nora_on and hasattr(self.model, "nora_aux_loss"):
            nora_aux = None
            try:
                nora_aux = self.model.nora_aux_loss()
            except Exception:
                pass
            if nora_aux is not None and isinstance(nora_aux, torch.Tensor):
                if bool(torch.isfinite(nora_aux.detach()).all()):
                    loss = loss + nora_aux.to(loss.dtype)
                    self._penalty_terms["nora"] = nora_aux.detach()
                    if log_now:
                        self.log("train_nora_ponder", nora_aux.detach(), batch_size=batch_size)
                        if bool(getattr(nora_cfg, "log_stats", False)):
                            steps = []
                            for module in self.model.modules():
                                stats = getattr(module, "last_stats", None)
                                if isinstance(stats, dict) and "steps" in stats:
                                    steps.append(float(stats["steps"]))
                            if steps:
                                self.log("train_nora_steps", sum(steps) / len(steps), batch_size=batch_size)

        # -------------------------------------------------------------- experts
        # load balance plus the ponder cost of the banks; 0 for experts that are used evenly
        cumoe_on = bool(getattr(getattr(self.config.model, "cumoe", None), "enabled", False))
        if cumoe_on and hasattr(self.model, "moe_aux_loss"):
            try:
                moe_aux = self.model.moe_aux_loss()
            except Exception:
                moe_aux = None
            if moe_aux is not None:
                loss = loss + moe_aux.to(loss.dtype)
                self._penalty_terms["moe"] = moe_aux.detach()
                if log_now:
                    self.log("train_moe_aux", moe_aux.detach(), batch_size=batch_size)

        # -------------------------------------------------------------- rule vector
        # The pairs of one batch mostly come from related tasks, so their rules should not be far apart.
        rule = getattr(self.model, "last_rule_vec", None) if hasattr(self.model, "last_rule_vec") else None
        rule_loss = None
        try:
            lambda_rule = getattr(self, "lambda_rule", None)
            if lambda_rule is None:
                lambda_rule = float(OmegaConf.select(self.config, "training.lambda_rule", default=0.0) or 0.0)
            if lambda_rule > 0 and rule is not None:
                try:
                    centre = rule.mean(dim=0, keepdim=True)
                    rule_loss = ((rule - centre) ** 2).mean()
                    loss = loss + lambda_rule * rule_loss
                except Exception:
                    rule_loss = None
                if rule_loss is not None and log_now:
                    self.log("train_rule_loss", rule_loss.detach(), batch_size=batch_size)
                    try:
                        flat_rule = F.normalize(rule.detach().reshape(rule.size(0), -1), dim=-1)
                        similarity = flat_rule @ flat_rule.t()
                        n_rules = similarity.size(0)
                        if n_rules > 1:
                            off_diagonal = similarity.sum() - similarity.diagonal().sum()
                            self.log("train_rule_cosine", off_diagonal / (n_rules * (n_rules - 1)), batch_size=batch_size)
                    except Exception:
                        pass
        except Exception:
            pass
        # how sharp are the attention maps over the pairs?
        extra = getattr(self.model, "last_extra", None)
        if extra is not None and log_now:
            try:
                grid_attn = extra.get("grid_attn") if isinstance(extra, dict) else getattr(extra, "grid_attn", None)
                if grid_attn is not None:
                    probs = grid_attn.detach().clamp(min=1e-8)
                    entropy = -(probs * probs.log()).sum(dim=-1).mean()
                    self.log("train_grid_attn_entropy", entropy, batch_size=batch_size)
            except Exception:
                pass

        # -------------------------------------------------------------- confidence
        lambda_conf = getattr(self, "lambda_conf", None)
        if lambda_conf is None:
            lambda_conf = float(OmegaConf.select(self.config, "training.lambda_conf", default=0.0) or 0.0)
        if lambda_conf > 0:
            try:
                confidence = confidence_penalty(logits, tgt != self.pad_token_id)
                loss = loss + lambda_conf * confidence
                if log_now:
                    self.log("train_confidence", confidence.detach(), batch_size=batch_size)
            except Exception:
                pass

        # -------------------------------------------------------------- PAD coverage
        # Predicting PAD everywhere is cheap on a canvas that is mostly PAD; this makes it less so.
        lambda_cov = getattr(self, "lambda_cov", None)
        if lambda_cov is None:
            lambda_cov = float(OmegaConf.select(self.config, "training.lambda_cov", default=0.0) or 0.0)
        if lambda_cov > 0:
            coverage = torch.softmax(logits, dim=-1)[..., self.pad_token_id].mean()
            loss = loss + lambda_cov * coverage

        # -------------------------------------------------------------- histogram
        # needs the prior of class_balanced_loss, without it lambda_kl does nothing
        lambda_kl = getattr(self, "lambda_kl", None)
        if lambda_kl is None:
            lambda_kl = float(OmegaConf.select(self.config, "training.lambda_kl", default=0.0) or 0.0)
        if lambda_kl > 0 and self.class_prior is not None:
            try:
                colours = self._aggregate_logits(logits)
                kl = histogram_kl(colours, self.class_prior.to(colours.device), tgt != self.pad_token_id)
                if bool(torch.isfinite(kl.detach())):
                    loss = loss + lambda_kl * kl
                    self._penalty_terms["histogram"] = kl.detach()
                    if log_now:
                        self.log("train_histogram_kl", kl.detach(), batch_size=batch_size)
            except Exception:
                pass

        # -------------------------------------------------------------- functional risk
        # _last_hidden comes from the hook on the output layer. With a looped encoder that is the state of the
        # last iteration.
        frm_cfg = getattr(self.config.model, "frm", None)
        frm_on = bool(getattr(frm_cfg, "enabled", False))
        if frm_on and self.frm is not None:
            hidden = getattr(self, "_last_hidden", None)
            if isinstance(hidden, torch.Tensor):
                try:
                    head = self.model.output_fc if hasattr(self.model, "output_fc") else getattr(self.model, "head", None)
                    frm_term = self.frm(hidden, self._frm_head(head), int(self.global_step))
                    loss = loss + frm_term.to(loss.dtype)
                    self._penalty_terms["frm"] = frm_term.detach()
                    if log_now:
                        self.log("train_frm", frm_term.detach(), batch_size=batch_size)
                        self.log("train_frm_lambda", self.frm.log_lambda.detach().exp(), batch_size=batch_size)
                except Exception as e:
                    logger.warning("FRM skipped: %s", e)

        # -------------------------------------------------------------- attention maps and gauge
        loss = self._add_attention_penalties(loss, src, batch_size, log_now)

        # -------------------------------------------------------------- hyper-gradients
        hypergrad_cfg = getattr(self.config, "regulariser_hypergrad", None)
        hypergrad_on = bool(getattr(hypergrad_cfg, "enabled", False))
        if hypergrad_on and self.regulariser_hypergrad is not None and self.training:
            try:
                self._update_regulariser_weights(task, batch_size, log_now)
            except Exception as e:
                logger.warning("hyper-gradient step failed: %s", e)
        return loss

    def _frm_head(self, head):
        """The output layer as FRM calls it: without our own hook, it would store the perturbed states."""

        def _call(hidden):
            if isinstance(head, nn.Linear):
                return F.linear(hidden, head.weight, head.bias)
            return head(hidden)

        return _call

    def _add_attention_penalties(self, loss, src, batch_size, log_now):
        """
        Token CEBR, head-level CEBR and the gauge term.

        Needs attention maps [B, heads, L, L] (``last_attn_weights``) and coordinates [B, L, r]
        (``last_psi``); models that keep none are left alone. [INFERRED] Mean over the maps; alternative: sum.
        """
        self._last_cebr = None
        self._last_gauge = None
        attention_list = getattr(self.model, "last_attn_weights", None)
        psi_list = getattr(self.model, "last_psi", None)

        try:
            if psi_list is not None and len(psi_list) > 0:
                gauge_weight = float(self.gauge_alpha) if isinstance(self.gauge_alpha, torch.Tensor) else 0.0
                if gauge_weight != 0.0:
                    try:
                        gauge_raw = gauge_loss(psi_list, 1.0)
                        loss = loss + gauge_weight * gauge_raw
                        self._penalty_terms["gauge_alpha"] = gauge_raw
                        self._last_gauge = float(gauge_raw.detach())
                        if log_now:
                            self.log("train_gauge", gauge_raw.detach(), batch_size=batch_size)
                    except Exception:
                        pass
        except Exception:
            pass

        try:
            if attention_list is not None and len(attention_list) > 0:
                mask = src.reshape(src.size(0), -1) == self.pad_token_id if isinstance(src, torch.Tensor) else None
                # the maps of all layers count the same
            # three raw terms, so that the hyper-gradients see each of them without its weight
                raw = {"cebr_alpha": None, "cebr_beta": None, "cebr_gamma": None}
                unit = {"cebr_alpha": (1.0, 0.0, 0.0), "cebr_beta": (0.0, 1.0, 0.0), "cebr_gamma": (0.0, 0.0, 1.0)}
                n_maps = 0
                for attention in attention_list:
                    if attention is None or not isinstance(attention, torch.Tensor):
                        continue
                    if attention.dim() == 3:
                        # averaged over the heads
                        attention = attention.unsqueeze(1)
                    if attention.size(-1) != attention.size(-2):
                        continue
                    use_mask = mask if mask is not None and mask.size(1) == attention.size(-1) else None
                    if use_mask is not None and use_mask.size(0) != attention.size(0):
                        use_mask = None
                    for name in raw:
                        a, b, c = unit[name]
                        value = token_cebr(attention, a, b, c, use_mask)
                        raw[name] = value if raw[name] is None else raw[name] + value
                    n_maps += 1
                if n_maps > 0:
                    token_term = None
                    for name in raw:
                        scalar = getattr(self, name, None)
                        weight = float(scalar) if isinstance(scalar, torch.Tensor) else 0.0
                        mean = raw[name] / n_maps
                        self._penalty_terms[name] = mean
                        token_term = weight * mean if token_term is None else token_term + weight * mean
                    if token_term is not None:
                        loss = loss + token_term
                        self._last_cebr = float(token_term.detach())
                        if log_now:
                            self.log("train_cebr", token_term.detach(), batch_size=batch_size)

                cebr_cfg = getattr(self.config.model, "cebr_head", None)
                cebr_on = bool(getattr(cebr_cfg, "enabled", False))
                if cebr_on and self.cebr_head is not None:
                    head_terms = []
                    for attention in attention_list:
                        if not isinstance(attention, torch.Tensor) or attention.dim() != 4:
                            continue
                        if attention.size(-1) != attention.size(-2):
                            continue
                        use_mask = mask if mask is not None and mask.size(1) == attention.size(-1) else None
                        try:
                            head_terms.append(self.cebr_head(attention, use_mask))
                        except Exception:
                            pass
                    if head_terms:
                        head_term = torch.stack(head_terms).mean()
                        loss = loss + head_term
                        self._penalty_terms["cebr_head"] = head_term.detach()
                        if log_now:
                            try:
                                self.log("train_cebr_head", head_term.detach(), batch_size=batch_size)
                                for scale, value in zip(("micro", "meso", "macro"), self.cebr_head.weights("alpha")):
                                    self.log(f"train_cebr_alpha_{scale}", value.detach(), batch_size=batch_size)
                            except Exception:
                                pass
        except Exception as e:
            # a map of an unexpected kind; whatever was added before stays
            logger.warning("attention penalties: %s", e)
        return loss

    def _update_regulariser_weights(self, task, batch_size, log_now):
        """
        One hyper-gradient step on the weights of the penalties that were computed in this step.

        [INFERRED] Gradients with respect to the matrices of the model only.
        """
        from champion.optimizers.regulariser_hypergrad import gradients

        hypergrad = self.regulariser_hypergrad
        terms = {}
        for name, value in self._penalty_terms.items():
            if name not in hypergrad.values:
                continue
            if value is None or not isinstance(value, torch.Tensor) or not value.requires_grad:
                continue
            terms[name] = value
        if not terms:
            return
        # biases and norms are left out, they made the cosine jump
        # the big matrices are enough for a direction
        params = [p for p in self.model.parameters() if p.requires_grad and p.dim() > 1]
        task_grads = gradients(task, params)
        penalty_grads = {}
        for name, value in terms.items():
            penalty_grads[name] = gradients(value, params)
        hypergrad.update(task_grads, penalty_grads)
        for name in terms:
            value = float(hypergrad.values[name])
            if name == "rdrop_alpha":
                if self.rdrop is not None:
                    self.rdrop.alpha = value
            else:
                with torch.no_grad():
                    getattr(self, name).fill_(value)
            if log_now:
                self.log(f"hypergrad_{name}", value, batch_size=batch_size)

    # ------------------------------------------------------------------
    # scheduled sampling
    # ------------------------------------------------------------------
    def _scheduled_sampling_pass(self, src, tgt, logits, ctx_input, ctx_output, probability):
        """
        Second pass on targets of which some cells were replaced by the model's own prediction.

        Logits of the second pass, or None if nothing was replaced.
        """
        if probability <= 0.0:
            return None
        with torch.no_grad():
            predicted = self._aggregate_logits(logits.detach()).argmax(dim=-1)
            if predicted.shape != tgt.shape:
                predicted = predicted.reshape(tgt.shape)
            predicted = predicted.to(tgt.dtype)
            mixed = mix_targets(tgt, predicted, probability, pad=self.pad_token_id)
        valid = tgt != self.pad_token_id
        total = float(valid.sum())
        self._sampled_share = float(((mixed != tgt) & valid).sum()) / total if total > 0 else 0.0
        if bool((mixed == tgt).all()):
            return None
        second = self(src, mixed, ctx_input, ctx_output)
        if second.shape != logits.shape:
            return None
        return second

    # ------------------------------------------------------------------
    # looped models
    # ------------------------------------------------------------------
    def _loop_distillation(self, loop_logits, tgt):
        """
        KL of every early iteration to the last one, over the cells that are not PAD. [INFERRED] The direction
        and the factor; alternative: each iteration learns from its successor.

        Args:
            loop_logits: list of [B, H, W, K], oldest first
            tgt: [B, H, W], only for the mask

        Returns:
            mean over the iterations, times kd_tau squared
        """
        tau = float(self.kd_tau) if float(self.kd_tau) > 0 else 1.0
        teacher = loop_logits[-1].detach()
        teacher_probs = torch.softmax(teacher / tau, dim=-1)
        valid = (tgt != self.pad_token_id).to(teacher_probs.dtype)
        if float(valid.sum()) == 0.0:
            valid = torch.ones_like(valid)
        terms = []
        for student in loop_logits[:-1]:
            log_p = F.log_softmax(student / tau, dim=-1)
            per_cell = (teacher_probs * (teacher_probs.clamp(min=1e-8).log() - log_p)).sum(dim=-1)
            terms.append((per_cell * valid).sum() / valid.sum())
        if not terms:
            return None
        # tau^2 keeps the size of the gradient (Hinton et al. 2015)
        return torch.stack(terms).mean() * tau * tau

    def _apply_loop_schedule(self):
        """Set the number of loops for this epoch. Returns (loops, window) or None."""
        if self.loop_schedule is None:
            return None
        try:
            loops, window = self.loop_schedule.at(int(self.current_epoch))
        except Exception:
            return None
        for module in self.model.modules():
            if hasattr(module, "set_loops"):
                module.set_loops(loops)
        if self._last_loop_plan != (loops, window):
            logger.info("epoch %d: %d loops, the last %d in the loss", int(self.current_epoch), loops, window)
            self._last_loop_plan = (loops, window)
        return loops, window

    def _halting_distribution(self, loop_halt: Sequence[torch.Tensor], distribution: Callable):
        """
        Mass per iteration, [B, T], from the list of the model.

        Rows that do not sum to 1 are halting rates and go through ``distribution`` (the first looped models
        returned those).
        """
        p = torch.stack(list(loop_halt), dim=-1)
        sums = p.detach().sum(dim=-1)
        if bool(((sums - 1.0).abs() > 1e-3).any()):
            p = distribution(p)
        return p

    # ------------------------------------------------------------------
    # BAM
    # ------------------------------------------------------------------
    def _bam_modules(self):
        # TODO: ask the model only, the second way is for checkpoints from before the rename
        try:
            found = self.model.bam_modules()
            if found is not None:
                return list(found)
        except Exception:
            pass
        found = []
        for module in self.model.modules():
            if type(module).__name__ == "BAMMultiheadAttention":
                found.append(module)
        return found

    def _log_bam_diagnostics(self, batch_idx, batch_size):
        """Shape and scale of the priors, share of negative shapes, and whatever the modules collected."""
        if not self.bam_enabled:
            return
        if not self._step_is_logged(batch_idx, BAM_LOG_EVERY):
            return
        # alpha: scale, beta: shape (1 Laplace, 2 Gauss, negative: long range), mu: preferred offset
        modules = self._bam_modules()
        if not modules:
            return
        try:
            alphas, betas, mus, scales = [], [], [], []
            for module in modules:
                for name in ("prior_1d", "prior_2d"):
                    prior = getattr(module, name, None)
                    if prior is None:
                        continue
                    try:
                        alphas.append(prior.alpha.detach().reshape(-1))
                        betas.append(prior.beta.detach().reshape(-1))
                        mus.append(prior.mu.detach().reshape(-1))
                    except Exception:
                        continue
                ssmax = getattr(module, "ssmax", None)
                if ssmax is not None:
                    try:
                        scales.append(ssmax.s.detach().reshape(-1))
                    except Exception:
                        pass
            with torch.no_grad():
                if alphas:
                    alpha = torch.cat(alphas)
                    self.log("bam_alpha_mean", alpha.mean(), batch_size=batch_size)
                    self.log("bam_alpha_std", alpha.std(unbiased=False), batch_size=batch_size)
                if betas:
                    beta = torch.cat(betas)
                    self.log("bam_beta_mean", beta.mean(), batch_size=batch_size)
                    self.log("bam_beta_min", beta.min(), batch_size=batch_size)
                    self.log("bam_beta_neg_fraction", (beta < 0).to(beta.dtype).mean(), batch_size=batch_size)
                if mus:
                    self.log("bam_mu_mean", torch.cat(mus).mean(), batch_size=batch_size)
                if scales:
                    self.log("bam_ssmax_mean", torch.cat(scales).mean(), batch_size=batch_size)
        except Exception:
            pass
        if not self.bam_diagnostics:
            return
        try:
            log_z = []
            attention_entropy = []
            for module in modules:
                seen = getattr(module, "last_diagnostics", None) or {}
                if "log_z" in seen:
                    log_z.append(seen["log_z"].mean())
                if "attention" in seen:
                    weights = seen["attention"].clamp(min=1e-8)
                    attention_entropy.append(-(weights * weights.log()).sum(dim=-1).mean())
            if log_z:
                self.log("bam_log_z", torch.stack(log_z).mean(), batch_size=batch_size)
            if attention_entropy:
                self.log("bam_attention_entropy", torch.stack(attention_entropy).mean(), batch_size=batch_size)
        except Exception:
            pass

    def _bam_beta_clamp(self):
        """
        Keep the share of heads with a negative shape below its limit; at the end of every batch.

        Returns how many shapes were lifted.
        """
        if not self.bam_enabled or not self.bam_enforce:
            return 0
        try:
            clamped = self.model.bam_beta_clamp()
        except Exception:
            clamped = None
        if clamped is None:
            try:
                from champion.model.attention.bam_mha import enforce_beta_fraction

                clamped = enforce_beta_fraction(self.model)
            except Exception:
                clamped = 0
        if clamped:
            self._bam_clamped = getattr(self, "_bam_clamped", 0) + int(clamped)
        return int(clamped)

    # ------------------------------------------------------------------
    # one step
    # ------------------------------------------------------------------
    def training_step(self, batch, batch_idx):
        """
        One optimisation step.

        Args:
            batch: five or six elements, see the top of the file
            batch_idx: number of the batch in the epoch

        Returns:
            dict with the loss
        """
        # ---------------------------------------------------------------- batch
        src, tgt, ctx_input, ctx_output, task_ids, aug_grid = self._unpack_batch(batch)
        batch_size = src.size(0)
        log_now = self._step_is_logged(batch_idx)
        self._penalty_terms = {}

        # ---------------------------------------------------------------- looped: settings
        # read in every step: the curriculum scripts change them while training runs
        looped_cfg = getattr(self.config.model, "looped", None)
        looped_on = bool(getattr(looped_cfg, "enabled", False))
        ponder_cfg = getattr(looped_cfg, "ponder", None) if looped_cfg is not None else None
        ponder_on = bool(getattr(ponder_cfg, "enabled", False))
        ponder_loss_cfg = getattr(ponder_cfg, "loss", None) if ponder_cfg is not None else None
        ponder_expected = bool(getattr(ponder_loss_cfg, "use_expected_task", True)) if ponder_loss_cfg is not None else True
        ponder_aggregation = getattr(ponder_loss_cfg, "aggregation", None) if ponder_loss_cfg is not None else None
        if not isinstance(ponder_aggregation, str):
            ponder_aggregation = "single"
        loop_plan = None
        if looped_on:
            loop_plan = self._apply_loop_schedule()

        # ---------------------------------------------------------------- forward and task loss
        # three ways: R-Drop, looped, everything else
        task_loss = None
        rdrop_cfg = getattr(self.config, "rdrop", None)
        rdrop_on = bool(getattr(rdrop_cfg, "enabled", False))
        rdrop_on = rdrop_on and self.rdrop is not None
        if rdrop_on and looped_on:
            # both want to own the task loss; the loops win
            if batch_idx == 0:
                logger.warning("R-Drop is not applied to looped models")
            rdrop_on = False

        # (the H-Nets run through the same lines, their forward takes the same arguments)
        if rdrop_on:
            task_loss, logits = self._rdrop_training_loss(
                src, tgt, ctx_input, ctx_output, aug_grid=aug_grid, batch_idx=batch_idx
            )
        else:
            logits = self(src, tgt, ctx_input, ctx_output)

        # ---------------------------------------------------------------- looped: loss per iteration
        if looped_on:
            from champion.model.looped.ponder import expected_steps, halting_distribution, ponder_loss

            loop_logits = getattr(self.model, "loop_logits", None) or []
            loop_halt = getattr(self.model, "loop_halt", None) or []
            loop_stats = getattr(self.model, "loop_stats", None) or {}
            window = len(loop_logits)
            if loop_plan is not None and not ponder_on:
                window = min(window, int(loop_plan[1]))
            if window > 0:
                loop_logits = list(loop_logits)[-window:]
            # with ponder all iterations count, weighted by the probability to stop there; without it only the
            # window does, and all of it the same
            per_iteration = []
            if ponder_on and len(loop_halt) == len(loop_logits) and len(loop_logits) > 0:
                p = None
                try:
                    p = self._halting_distribution(loop_halt, halting_distribution)
                except Exception:
                    p = None
                if p is not None:
                    sample_losses = []
                    for step_logits in loop_logits:
                        sample_losses.append(self._task_loss_per_sample(step_logits, tgt, src, aug_grid))
                    try:
                        terms = ponder_loss(p, sample_losses, ponder_cfg)
                        task_loss = terms.total
                    except Exception as e:
                        logger.warning("ponder loss (%s, %s): %s", ponder_aggregation, ponder_expected, e)
                        terms = None
                        task_loss = (p.mean(0) * torch.stack(sample_losses, dim=-1).mean(0)).sum()
                    per_iteration = [float(values.detach().mean()) for values in sample_losses]
                    if terms is not None:
                        self._penalty_terms["ponder"] = terms.regulariser.detach()
                    if log_now:
                        try:
                            if terms is not None:
                                self.log("train_ponder_task", terms.task.detach(), batch_size=batch_size)
                                self.log("train_ponder_regulariser", terms.regulariser.detach(), batch_size=batch_size)
                            steps = expected_steps(p.detach())
                            self.log("train_ponder_steps", steps.mean(), batch_size=batch_size)
                            self.log("train_ponder_steps_max", steps.max(), batch_size=batch_size)
                            self.log("train_ponder_last_mass", p.detach()[:, -1].mean(), batch_size=batch_size)
                        except Exception:
                            pass
            elif len(loop_logits) > 0:
                # plain looped training: mean over the window
                iteration_losses = []
                for step_logits in loop_logits:
                    iteration_losses.append(self._task_loss(step_logits, tgt, src, aug_grid))
                task_loss = torch.stack(iteration_losses).mean()
                per_iteration = [float(value.detach()) for value in iteration_losses]
            else:
                if batch_idx == 0:
                    logger.warning("model.looped is enabled but the model returned no iterations")

            # diagnostics of the loops
            try:
                if log_now:
                    self.log("train_loop_iterations", float(len(loop_logits)), batch_size=batch_size)
                    if per_iteration:
                        gain = per_iteration[0] - per_iteration[-1]
                        self.log("train_loop_gain", gain, batch_size=batch_size)
                    diagnostics_cfg = getattr(looped_cfg, "diagnostics", None)
                    if bool(getattr(diagnostics_cfg, "log_per_iter_loss", False)):
                        for i, value in enumerate(per_iteration):
                            self.log(f"train_loop_loss_{i}", value, batch_size=batch_size)
                    if bool(getattr(diagnostics_cfg, "log_deltas", False)):
                        deltas = []
                        for module in self.model.modules():
                            if hasattr(module, "last_deltas"):
                                deltas = list(module.last_deltas or [])
                                break
                        for i, value in enumerate(deltas):
                            self.log(f"train_loop_delta_{i}", float(value), batch_size=batch_size)
                    for key, value in dict(loop_stats).items():
                        if isinstance(value, (int, float, torch.Tensor)):
                            self.log(f"train_loop_{key}", float(value), batch_size=batch_size)
            except Exception:
                # Lightning refuses a metric that it has seen with another reduction
                pass

        # ---------------------------------------------------------------- all losses
        loss = self._compute_training_loss(
            src,
            tgt,
            logits,
            ctx_input=ctx_input,
            ctx_output=ctx_output,
            aug_grid=aug_grid,
            task_loss=task_loss,
            batch_idx=batch_idx,
        )

        # ---------------------------------------------------------------- DEQ telemetry
        deq_cfg = getattr(self.config.model, "deq", None)
        deq_log = bool(getattr(deq_cfg, "log_metrics", False))
        if deq_log:
            try:
                # the solver writes its statistics in every forward
                deq_stats = getattr(self.model, "deq_stats", None)
                if isinstance(deq_stats, dict) and len(deq_stats) > 0:
                    self._deq_steps += 1
                    for key, value in deq_stats.items():
                        number = float(value) if isinstance(value, (int, float, torch.Tensor)) else float("nan")
                        if not math.isfinite(number):
                            continue
                        self._deq_totals[key] += number
                        if log_now:
                            self.log(f"train_deq_{key}", number, batch_size=batch_size)
                    if log_now and self._deq_steps > 1:
                        for key in list(self._deq_totals):
                            self.log(f"train_deq_{key}_mean", self._deq_totals[key] / self._deq_steps, batch_size=batch_size)
            except Exception:
                pass

        # ---------------------------------------------------------------- logging
        # train_loss includes the penalties, val_loss is plain cross-entropy: never compare the two
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=src.size(0))
        self._log_train_metrics(logits, tgt, batch_idx)
        self._log_train_calibration(logits, tgt, batch_idx)
        self._log_train_copy_metrics(src, tgt, logits)
        if self.bam_enabled:
            try:
                self._log_bam_diagnostics(batch_idx, batch_size)
            except Exception:
                pass
        return loss

    # ------------------------------------------------------------------
    # file logging
    # ------------------------------------------------------------------
    def _init_file_logging(self, config):
        """
        Give this instance its own ``train.log``.

        The file lies in the run directory of hydra. Without hydra there is no log file, only the console.
        The optuna workers build dozens of trainers in one process, so the handler is closed again in every
        hook that could be the last one (we ran out of file descriptors in the v31 sweep).
        """
        self._file_handler = None
        self._log_file_path = None

        # smoke tests must not litter the working directory
        is_test_environment = bool(OmegaConf.select(config, "is_test_environment", default=False))
        if not is_test_environment:
            try:
                is_test_environment = bool(getattr(config, "is_test_environment", False))
            except Exception:
                pass
        if is_test_environment:
            return

        # --- where to ---
        log_dir = None
        try:
            try:
                from hydra.core.hydra_config import HydraConfig

                if HydraConfig.initialized():
                    log_dir = HydraConfig.get().runtime.output_dir
            except ImportError:
                # the cluster image has no hydra
                log_dir = None
            if log_dir is None:
                raise ValueError("no run directory")
        except Exception as e:
            logger.warning("%s, logging.log_dir is used for train.log", e)
            log_dir = OmegaConf.select(config, "logging.log_dir", default=None)
            if log_dir is None:
                log_dir = "logs"

        # --- the handler ---
        try:
            os.makedirs(str(log_dir), exist_ok=True)
            self._log_file_path = os.path.join(str(log_dir), "train.log")
            # delay: the file appears with the first record
            handler = logging.FileHandler(self._log_file_path, mode="a", encoding="utf-8", delay=True)
            # no time stamps, so that two logs can be diffed
            handler.setFormatter(logging.Formatter("%(levelname)s | %(name)s | %(message)s"))
            level_name = "INFO"
            level_name = str(getattr(getattr(config, "logging", None), "level", "INFO") or "INFO")
            handler.setLevel(getattr(logging, level_name.upper(), logging.INFO))
            logger.addHandler(handler)
            self._file_handler = handler
        except Exception as e:
            self._file_handler = None
            logger.warning("no log file: %s", e)

    def _close_file_handler(self):
        """Flush, detach and close the handler of this instance. Safe to call twice (or from __del__)."""
        handler = getattr(self, "_file_handler", None)
        if handler is None:
            return
        try:
            self._file_handler = None
            logger.removeHandler(handler)
            if hasattr(handler, "flush"):
                handler.flush()
            handler.close()
        except Exception:
            # interpreter shutdown
            pass

    # ------------------------------------------------------------------
    # slots, insertion gating, expected cost
    # ------------------------------------------------------------------
    def _compute_slot_state(self, logits, tgt=None, aug_grid=None):
        """
        Which slots are still to be written: True = open, False = complete.

        Sources, in this order: the augmented grid of the batch (EOS marks a finished slot), PAD targets
        (insertion.pad_marks_complete), the model's own EOS (insertion.slot_state.predicted). A slot stays
        complete once one of them says so.

        Args:
            logits: [B, H, W, K]
            tgt: [B, H, W] or None
            aug_grid: [B, H, W] with classes of the 24er layout or None

        Returns:
            float mask [B, H, W]

        [INFERRED] the meaning of aug_grid.
        """
        state = torch.ones(logits.shape[:-1], dtype=torch.bool, device=logits.device)

        # (a) augmented grid (H-Net loaders), it may be cropped differently
        if isinstance(aug_grid, torch.Tensor):
            finished = aug_grid.to(logits.device) == (AUGMENTED_CLASSES - 1)
            if finished.shape == state.shape:
                state = state & ~finished

        # (b) PAD targets
        insertion_cfg = getattr(self, "insertion_cfg", None)
        pad_marks_complete = OmegaConf.select(self.config, "model.insertion.pad_marks_complete", default=False)
        pad_marks_complete = bool(pad_marks_complete) if insertion_cfg is not None else False
        if pad_marks_complete and tgt is not None:
            state = state & (tgt != self.pad_token_id)

        # (c) predicted
        try:
            slot_cfg = getattr(insertion_cfg, "slot_state", None)
            pred_cfg = getattr(slot_cfg, "predicted", None) if slot_cfg is not None else None
            predicted = bool(getattr(pred_cfg, "enabled", False)) if pred_cfg is not None else False
            if predicted and logits.size(-1) == AUGMENTED_CLASSES:
                from champion.decoding.insertion import compute_slot_state

                threshold = float(getattr(pred_cfg, "eos_conf_threshold", 0.0) or 0.0)
                with torch.no_grad():
                    own = compute_slot_state(
                        None,
                        logits.detach(),
                        pad_marks_complete=False,
                        predicted=True,
                        eos_conf_threshold=threshold,
                    )
                state = state & own
        except Exception:
            # an old config without the node
            pass
        return state

    def _apply_insertion_gating(self, logits, slot_state):
        """
        Shift the logits of complete slots so that only EOS is left.

        Nothing happens unless insertion.train_gating (training) or insertion.eval_gating (evaluation) is set.
        Gating multiplies the non-EOS probabilities with exp(-shift).
        """
        if not getattr(self, "insertion_enabled", False):
            return logits
        if logits.size(-1) != AUGMENTED_CLASSES:
            # base head, there is no EOS
            return logits
        if self.training:
            # gating in training made the loss jump, see the v27 runs
            gating = bool(OmegaConf.select(self.config, "model.insertion.train_gating", default=False))
        else:
            gating = bool(OmegaConf.select(self.config, "model.insertion.eval_gating", default=False))
        if not gating:
            return logits
        if bool(slot_state.all()):
            # nothing is complete, the usual case
            return logits
        shift = getattr(self.insertion_cfg, "gating_logit_shift", 0.0)
        shift = float(shift) if isinstance(shift, (int, float)) else 0.0
        if shift == 0.0:
            return logits
        lowered = torch.full((logits.size(-1),), -shift, dtype=logits.dtype, device=logits.device)
        lowered[-1] = 0.0
        return torch.where(slot_state.unsqueeze(-1), logits, logits + lowered)

    def _expected_cost_scalar(self, logits, tgt, aug_grid=None):
        """
        Expected-cost loss of a batch, mean over the non-PAD cells.

        costs -> risk exponent from the entropy -> expected cost + anchor + entropy floor. PAD cells belong
        to the canvas and are included: the model has to learn where a grid ends.
        """
        slot_state = self._compute_slot_state(logits, tgt, aug_grid)
        logits = self._apply_insertion_gating(logits, slot_state)

        cfg = self.config
        # hmm: targets above PAD should not exist, clamp them like the first version did
        y_star = tgt.clamp(0, self.base_vocab - 1)
        costs = build_slot_costs(
            y_star,
            slot_state,
            self.base_vocab,
            # right hedge, undecided, wrong hedge, wrong colour, stopped too early
            float(OmegaConf.select(cfg, "model.loss.expected_cost.a", default=0.25)),
            float(OmegaConf.select(cfg, "model.loss.expected_cost.b", default=0.35)),
            float(OmegaConf.select(cfg, "model.loss.expected_cost.c", default=0.45)),
            float(OmegaConf.select(cfg, "model.loss.expected_cost.d", default=1.0)),
            float(OmegaConf.select(cfg, "model.loss.expected_cost.d_finish", default=0.8)),
            AUGMENTED_CLASSES,
        )

        # --- risk; risk.enabled used to be checked here ---
        risk_cfg = OmegaConf.select(cfg, "model.loss.expected_cost.risk", default=None)
        max_epochs = int(OmegaConf.select(self.config, "training.max_epochs", default=1) or 1)
        try:
            epoch = float(self.current_epoch)
        except Exception:
            # no trainer attached
            epoch = 0.0
        progress = epoch / float(max(1, max_epochs))
        t = risk_from_entropy(
            logits,
            t_min=float(getattr(risk_cfg, "t_min", 1.0)),
            t_max=float(getattr(risk_cfg, "t_max", 1.0)),
            alpha=float(getattr(risk_cfg, "alpha", 1.0)),
            warmup_frac=float(getattr(risk_cfg, "warmup_frac", 0.0)),
            progress=progress,
        )
        costs = apply_risk_scaling(costs, t, mask_zero=True)

        return expected_cost_loss(
            logits,
            costs,
            valid_mask=None,
            anchor_ce_alpha=float(OmegaConf.select(cfg, "model.loss.expected_cost.anchor_ce_alpha", default=0.0)),
            entropy_floor_beta=float(OmegaConf.select(cfg, "model.loss.expected_cost.entropy_floor_beta", default=0.0)),
            pad_token_id=self.pad_token_id,
            base_vocab=self.base_vocab,
            anchor_mask=slot_state,
        )

    def _aggregate_logits(self, logits):
        """
        Colour and hedge of a colour together, [..., 24] to [..., 11].

        Layout: 0-9 colours, 10 PAD, 11 U, 12-22 hedges M_c, 23 EOS. U is split evenly over all colours.
        """
        if logits.size(-1) <= self.base_vocab:
            return logits
        base = logits[..., : self.base_vocab]
        hedge = logits[..., self.base_vocab + 1 : 2 * self.base_vocab + 1]
        return torch.logsumexp(torch.stack([base, hedge], dim=-1), dim=-1)

    # ------------------------------------------------------------------
    # metrics
    # ------------------------------------------------------------------
    def _compute_grid_metrics(self, preds, tgt):
        """
        Cell, grid, row, column accuracy and the tolerance curve.

        All of them ignore PAD cells; a grid that is PAD altogether is left out of the grid accuracy.

        Args:
            preds: [B, H, W] classes; U, hedges and EOS are simply wrong
            tgt: [B, H, W]
        """
        valid = tgt != self.pad_token_id
        correct = (preds == tgt) & valid
        metrics = {}
        metrics["cell_accuracy"] = correct.sum().float() / (valid.sum().float() + 1e-6)
        right = correct | ~valid
        metrics["grid_accuracy"] = right.flatten(1).all(dim=1).float().mean()

        # rows
        for name, dim in (("row_all_correct_rate", -1), ("col_all_correct_rate", -2)):
            has_cells = valid.any(dim=dim)
            line = right.all(dim=dim) & has_cells
            metrics[name] = line.sum().float() / has_cells.sum().float().clamp(min=1.0)

        # tolerance curve
        cells = valid.flatten(1).sum(dim=1).float()
        per_sample = correct.flatten(1).sum(dim=1).float() / cells.clamp(min=1.0)
        per_sample = torch.where(cells > 0, per_sample, torch.ones_like(per_sample))
        metrics_cfg = getattr(self.config, "metrics", None)
        thresholds = OmegaConf.select(metrics_cfg, "grid_tol_thresholds", default=None) if metrics_cfg else None
        if thresholds is not None and not isinstance(thresholds, (list, tuple, ListConfig)):
            # a single number from the command line
            thresholds = [float(thresholds)]
        if not thresholds:
            thresholds = DEFAULT_TOLS
        for t in thresholds:
            key = f"grid_tol_{float(t):.2f}".replace(".", "p")
            metrics[key] = (per_sample >= float(t)).float().mean()
        return metrics

    def _dense_objective(self, metrics):
        """One number for the sweeps: cell, grid_tol_0p95 and exact, weighted by metrics.dense_objective_weights."""
        # -- defaults of the v38 study
        w_cell, w_tol, w_exact = 0.1, 0.6, 0.3
        try:
            w_cell = float(OmegaConf.select(self.config, "metrics.dense_objective_weights.cell", default=w_cell))
            w_tol = float(OmegaConf.select(self.config, "metrics.dense_objective_weights.tol", default=w_tol))
            w_exact = float(OmegaConf.select(self.config, "metrics.dense_objective_weights.exact", default=w_exact))
        except Exception:
            # partial nodes of old sweeps
            pass
        tol = metrics.get("grid_tol_0p95", None)
        if tol is None:
            # the threshold is not among the configured ones
            tol = metrics["grid_accuracy"]
        return w_cell * metrics["cell_accuracy"] + w_tol * tol + w_exact * metrics["grid_accuracy"]

    def _log_train_metrics(self, logits, tgt, batch_idx):
        """
        Accuracies of the training batch, every training.log_every_n_steps steps.

        Same definition as in the validation. (Not quite: here hedges count for their colour.)
        """
        every = max(1, int(getattr(self, "log_every_n_steps", 1) or 1))
        if batch_idx % every != 0:
            return
        with torch.no_grad():
            preds = self._aggregate_logits(logits.detach()).argmax(dim=-1)
            metrics = self._compute_grid_metrics(preds, tgt)
            size = tgt.size(0)
            self.log("train_cell_accuracy", metrics["cell_accuracy"], batch_size=size)
            self.log("train_grid_accuracy", metrics["grid_accuracy"], batch_size=size)
            # share of the probability mass outside the 11 base classes, watch this when tuning a and b
            if logits.size(-1) == AUGMENTED_CLASSES:
                try:
                    probs = torch.softmax(logits.detach().float(), dim=-1)
                    self.log("train_mass_undecided", probs[..., self.base_vocab].mean(), batch_size=size)
                    hedged = probs[..., self.base_vocab + 1 : 2 * self.base_vocab + 1].sum(dim=-1).mean()
                    self.log("train_mass_hedged", hedged, batch_size=size)
                    self.log("train_mass_eos", probs[..., -1].mean(), batch_size=size)
                except Exception:
                    pass
        # --- counters of whatever is on ---
        rdrop_on = bool(getattr(self, "rdrop_enabled", False)) if hasattr(self, "rdrop_enabled") else False
        if rdrop_on and getattr(self, "rdrop", None) is not None:
            self.log("train_rdrop_mean_kl", float(self.rdrop.counters.mean_kl), batch_size=size)
            self.log("train_rdrop_skipped", float(self.rdrop.counters.skipped), batch_size=size)
        swa_on = bool(getattr(self, "swa_enabled", False)) if hasattr(self, "swa_enabled") else False
        if swa_on and getattr(self, "swa", None) is not None:
            self.log("swa_n_averaged", float(self.swa.n_averaged), batch_size=size)

    def _log_train_copy_metrics(self, src, tgt, logits):
        """
        Copy and transformation metrics of the training batch.

        Logged every n steps. They tell a model that repeats its input from one that solves the task: the
        copy baseline has a cell accuracy of 80 % on many tasks and a change recall of 0.
        """
        with torch.no_grad():
            try:
                # all 24 classes: a hedge is no copy
                preds = logits.detach().argmax(dim=-1)
                found = compute_copy_metrics_on_batch(src, tgt, preds)
                size = tgt.size(0)
                self.log("train_copy_rate", found["copy_rate"], on_step=True, on_epoch=False, batch_size=size)
                self.log("train_change_recall", found["change_recall"], batch_size=size)
                self.log("train_change_precision", found["change_precision"], batch_size=size)
                self.log("train_change_f1", found["change_f1"], batch_size=size)
                self.log("train_transformation_score", found["transformation_score"], batch_size=size)
                self.log("train_transformation_quality", found["transformation_quality"], batch_size=size)
            except Exception:
                pass

    # ------------------------------------------------------------------
    # calibration
    # ------------------------------------------------------------------
    def _calibration_get(self, key, default=None):
        """
        Read ``calibration.<key>``; the node is missing in most configs.

        [INFERRED] keys enabled, fit, loader, max_batches, max_iter, n_bins, reliability_diagram, output_dir.
        """
        node = getattr(self, "calibration_cfg", None)
        if node is None:
            node = OmegaConf.select(self.config, "calibration", default=None)
        if node is None:
            return default
        value = None
        # a plain dict in the notebooks
        if isinstance(node, DictConfig):
            value = OmegaConf.select(node, key, default=None)
        elif isinstance(node, dict) or hasattr(node, "get"):
            value = node.get(key, None)
        elif hasattr(node, key):
            value = getattr(node, key, None)
        return default if value is None else value

    def _calibration_n_bins(self):
        return max(1, int(self._calibration_get("n_bins", 15)))

    def _calibration_scores(self, logits, tgt):
        """ECE, MCE and NLL over the cells that are not PAD, on all 24 classes."""
        valid = tgt != self.pad_token_id
        n_bins = self._calibration_n_bins()
        return calibration_metrics(logits, tgt, valid, n_bins)

    def _log_train_calibration(self, logits, tgt, batch_idx):
        """Calibration of the training batch. Off unless a calibrator was fitted."""
        on_train = bool(OmegaConf.select(self.config, "training.calibration_on_train", default=False))
        if not on_train:
            return
        every = max(1, int(getattr(self, "log_every_n_steps", 1) or 1))
        if batch_idx % every != 0:
            return
        size = tgt.size(0)
        with torch.no_grad():
            raw = logits.detach()
            found = self._calibration_scores(raw, tgt)
            self.log("train_ece_pre", found["ece"], batch_size=size)
            self.log("train_nll_pre", found["nll"], batch_size=size)
            self.log("train_mce_pre", found["mce"], batch_size=size)
            # post: only with a temperature
            calibrator = getattr(self, "calibrator", None)
            if calibrator is not None and bool(getattr(calibrator, "fitted", False)):
                try:
                    after = self._calibration_scores(calibrator(raw), tgt)
                    self.log("train_ece_post", after["ece"], batch_size=size)
                    self.log("train_mce_post", after["mce"], batch_size=size)
                    self.log("train_nll_post", after["nll"], batch_size=size)
                    self.log("train_temperature", float(calibrator.temperature), batch_size=size)
                except Exception:
                    pass

    def _log_val_calibration(self, logits, tgt):
        """
        ECE / MCE / NLL before and after temperature scaling.

        In eval mode the model has applied its temperature already, so 'pre' undoes it.
        """
        size = tgt.size(0)
        calibrator = getattr(self, "calibrator", None)
        fitted = calibrator is not None and bool(getattr(calibrator, "fitted", False))
        raw = logits
        cooked = None
        if fitted:
            applied = getattr(self.core_model, "calibrator", None) is not None and not self.core_model.training
            with torch.no_grad():
                if applied:
                    cooked = logits
                    raw = logits * calibrator.temperature.to(logits.dtype)
                else:
                    cooked = calibrator(logits)

        found = self._calibration_scores(raw, tgt)
        self.log("val_ece_pre", found["ece"], on_step=False, on_epoch=True, batch_size=size)
        self.log("val_nll_pre", found["nll"], on_step=False, on_epoch=True, batch_size=size)
        self.log("val_mce_pre", found["mce"], on_step=False, on_epoch=True, batch_size=size)
        if cooked is not None:
            try:
                after = self._calibration_scores(cooked, tgt)
                self.log("val_ece_post", after["ece"], on_step=False, on_epoch=True, batch_size=size)
                self.log("val_mce_post", after["mce"], on_step=False, on_epoch=True, batch_size=size)
                self.log("val_nll_post", after["nll"], on_step=False, on_epoch=True, batch_size=size)
            except Exception:
                pass

        # keep some batches for the diagram
        wants_diagram = bool(self._calibration_get("reliability_diagram", False))
        if wants_diagram:
            if not hasattr(self, "_reliability_batches") or self._reliability_batches is None:
                self._reliability_batches = []
            limit = int(self._calibration_get("max_batches", 10) or 10)
            if len(self._reliability_batches) < limit:
                keep = cooked if cooked is not None else raw
                self._reliability_batches.append((keep.detach().cpu(), tgt.detach().cpu()))

    def _collect_calibration_logits(self, loader, max_batches):
        """
        Logits and labels of at most ``max_batches`` held-out batches, flattened to [N, K] and [N].

        Everything is kept on the CPU; PAD cells are dropped here so that 10 batches still fit.
        """
        all_logits = []
        all_labels = []
        was_training = self.training
        # a temperature that is in the model already must not be fitted twice
        installed = getattr(self.core_model, "calibrator", None)
        if installed is not None:
            self.core_model.calibrator = None
        self.eval()
        try:
            with torch.no_grad():
                for number, batch in enumerate(loader):
                    if max_batches is not None and number >= int(max_batches):
                        break
                    try:
                        src, tgt, ctx_input, ctx_output, _, _ = self._unpack_eval_batch(batch, move=True)
                        logits = self(src, tgt, ctx_input, ctx_output)
                        keep = (tgt != self.pad_token_id).reshape(-1)
                        flat = logits.reshape(-1, logits.size(-1))[keep]
                        labels = tgt.reshape(-1)[keep]
                        if labels.numel() == 0:
                            continue
                        all_logits.append(flat.detach().cpu())
                        all_labels.append(labels.detach().cpu())
                    except Exception:
                        # one broken batch must not cost us the temperature
                        continue
        finally:
            if installed is not None:
                self.core_model.calibrator = installed
            self.train(was_training)
        if len(all_labels) == 0:
            return None, None
        return torch.cat(all_logits, dim=0), torch.cat(all_labels, dim=0)

    def _calibration_loader(self):
        """The loader the temperature is fitted on: calibration.loader = val (default) or train."""
        name = str(self._calibration_get("loader", "val")).lower()
        trainer = getattr(self, "_trainer", None)
        if trainer is None:
            return None
        loader = None
        if name == "train":
            loader = getattr(trainer, "train_dataloader", None)
        elif name == "val":
            loader = getattr(trainer, "val_dataloaders", None)
        else:
            loader = None
        if isinstance(loader, (list, tuple)):
            loader = loader[0] if len(loader) > 0 else None
        return loader

    def _fit_calibrator(self):
        """
        Fit one temperature per class on held-out logits at the end of the training.

        The temperature goes into the model (``core_model.calibrator``) and is saved with the checkpoint.

        Returns:
            True if a temperature was fitted.
        """
        enabled = bool(self._calibration_get("enabled", False))
        if not enabled or not bool(self._calibration_get("fit", True)):
            return False
        # TODO: calibration.method = vector, one temperature for all classes is too coarse for the hedges
        loader = self._calibration_loader()
        logits, labels = None, None
        if loader is not None:
            logits, labels = self._collect_calibration_logits(loader, self._calibration_get("max_batches", 10))
        if logits is None:
            logger.warning("calibration: no loader or no cells, nothing is fitted")
            return False

        scaler = TemperatureScaler()
        try:
            before = float(negative_log_likelihood(logits, labels))
            temperature = scaler.fit(logits, labels, max_iter=int(self._calibration_get("max_iter", 50)))
            with torch.no_grad():
                after = float(negative_log_likelihood(scaler(logits), labels))
        except Exception as e:
            logger.warning("calibration failed: %s", e)
            return False
        if not math.isfinite(after) or after > before + 1e-6:
            # happens with one batch of an untrained model
            return False
        self._install_calibrator(scaler)
        logger.info("calibration: T = %.4f, nll %.4f -> %.4f", temperature, before, after)
        return True

    def _install_calibrator(self, scaler):
        """Hang a fitted temperature into the model. The parameter is trained along from then on."""
        device = getattr(self, "device", None)
        scaler = scaler.to(device) if device is not None else scaler
        scaler.requires_grad_(False)
        self.calibrator = scaler
        # H-Net models ignore it
        if hasattr(self.core_model, "calibrator"):
            self.core_model.calibrator = scaler

    def _save_reliability_diagram(self, name=None):
        """
        Write the reliability diagram of the last validation: PNG, and the numbers as JSON.

        [INFERRED] one file pair per epoch under logging.log_dir.
        """
        batches = getattr(self, "_reliability_batches", None)
        if not batches:
            return None
        self._reliability_batches = []
        logits = torch.cat([pair[0].reshape(-1, pair[0].size(-1)) for pair in batches], dim=0)
        labels = torch.cat([pair[1].reshape(-1) for pair in batches], dim=0)
        data = reliability_data(logits, labels, labels != self.pad_token_id, self._calibration_n_bins())
        ece, mce = calibration_error(data)

        # --- where to ---
        logging_cfg = getattr(self.config, "logging", None)
        folder = getattr(logging_cfg, "log_dir", "logs") if logging_cfg is not None else "logs"
        sub = self._calibration_get("output_dir", "reliability")
        folder = os.path.join(str(folder), os.path.basename(str(sub)))
        if name is None:
            name = f"epoch_{int(getattr(self, 'current_epoch', 0) or 0)}"

        def _svg(width=320, height=320):
            # no plotting library on the cluster
            bars = []
            n_bins = int(data.counts.numel())
            step = width / float(max(1, n_bins))
            for i in range(n_bins):
                share = float(data.accuracy[i])
                if float(data.counts[i]) <= 0:
                    continue
                bars.append(
                    f'<rect x="{i * step:.1f}" y="{height * (1 - share):.1f}" width="{step:.1f}" '
                    f'height="{height * share:.1f}" fill="steelblue"/>'
                )
            diagonal = f'<line x1="0" y1="{height}" x2="{width}" y2="0" stroke="black" stroke-dasharray="4"/>'
            title = f"<title>ECE {ece:.4f}, MCE {mce:.4f}</title>"
            head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
            return head + title + "".join(bars) + diagonal + "</svg>\n"

        path = os.path.join(folder, name)
        try:
            content = dict(data.as_dict())
            content["ece"] = ece
            content["mce"] = mce
            os.makedirs(folder, exist_ok=True)
            with open(path + ".json", "w", encoding="utf-8") as handle:
                json.dump(content, handle, indent=2)
            with open(path + ".svg", "w", encoding="utf-8") as handle:
                handle.write(_svg())
        except Exception as e:
            logger.warning("reliability diagram is not saved: %s", e)
            return None
        return path

    # ------------------------------------------------------------------
    # batches
    # ------------------------------------------------------------------
    def _unpack_eval_batch(self, batch, move=False):
        """
        (src, tgt, ctx_input, ctx_output, task_ids, aug_grid) from whatever the loader gave us.

        The yardstick loaders have no contexts, the H-Net ones append an augmented grid, the submission
        loader gives dicts.
        """
        src, tgt, ctx_input, ctx_output, task_ids, aug_grid = None, None, None, None, None, None
        if isinstance(batch, dict):
            src = batch.get("src", batch.get("input", None))
            tgt = batch.get("tgt", batch.get("output", None))
            ctx_input = batch.get("ctx_input", None)
            ctx_output = batch.get("ctx_output", None)
            task_ids = batch.get("task_ids", None)
            aug_grid = batch.get("aug_grid", None)
        elif isinstance(batch, (list, tuple)):
            if len(batch) == 6:
                src, tgt, ctx_input, ctx_output, task_ids, aug_grid = batch
            elif len(batch) == 5:
                src, tgt, ctx_input, ctx_output, task_ids = batch
            elif len(batch) == 4:
                src, tgt, ctx_input, ctx_output = batch
            elif len(batch) == 2:
                src, tgt = batch
            elif len(batch) == 1:
                src = batch[0]
        elif isinstance(batch, torch.Tensor):
            src = batch
        if src is None:
            size = len(batch) if hasattr(batch, "__len__") else 0
            raise ValueError(f"cannot read a batch of type {type(batch).__name__} with {size} elements")
        if move:
            # loaders that are iterated by hand give CPU tensors
            device = getattr(self, "device", None) or torch.device("cpu")
            src = src.to(device)
            tgt = tgt.to(device) if isinstance(tgt, torch.Tensor) else tgt
            ctx_input = ctx_input.to(device) if isinstance(ctx_input, torch.Tensor) else ctx_input
            ctx_output = ctx_output.to(device) if isinstance(ctx_output, torch.Tensor) else ctx_output
            task_ids = task_ids.to(device) if isinstance(task_ids, torch.Tensor) else task_ids
            aug_grid = aug_grid.to(device) if isinstance(aug_grid, torch.Tensor) else aug_grid
        return src, tgt, ctx_input, ctx_output, task_ids, aug_grid

    # ------------------------------------------------------------------
    # validation
    # ------------------------------------------------------------------
    def _per_sample_ce(self, logits, tgt):
        """Cross-entropy of every sample, [B]; the same clean-up as in the validation loss."""
        n_classes = logits.size(-1)
        flat = torch.clamp(torch.nan_to_num(logits.reshape(-1, n_classes)), min=-10.0, max=10.0)
        target = tgt.reshape(-1).long()
        bad = (target < 0) | (target >= n_classes)
        target = torch.where(bad, torch.full_like(target, self.pad_token_id), target)
        losses = F.cross_entropy(flat, target, reduction="none")
        return losses.view(tgt.size(0), -1).mean(dim=1)

    def _log_val_looped(self, tgt, size):
        """
        Validation diagnostics of the looped encoder.

        Loss and accuracy of every kept iteration, the best iteration, and with ponder the expected number of
        loops and the KL to the prior.
        """
        model_cfg = getattr(self.config, "model", None)
        looped_cfg = getattr(model_cfg, "looped", None) if model_cfg is not None else None
        looped_on = bool(getattr(looped_cfg, "enabled", False)) if looped_cfg is not None else False
        if not looped_on:
            return
        loop_logits = getattr(self.core_model, "loop_logits", None)
        if not isinstance(loop_logits, (list, tuple)) or len(loop_logits) == 0:
            return

        losses = []
        accuracies = []
        for i, iteration in enumerate(loop_logits):
            try:
                with torch.no_grad():
                    value = self._compute_loss(iteration, tgt)
                    preds = iteration.argmax(dim=-1)
                    valid = tgt != self.pad_token_id
                    accuracy = ((preds == tgt) & valid).sum().float() / (valid.sum().float() + 1e-6)
            except Exception:
                continue
            losses.append(value)
            accuracies.append(accuracy)
        if len(losses) > 0:
            log_each = bool(getattr(getattr(looped_cfg, "diagnostics", None), "log_per_iter_loss", False))
            if log_each:
                for i, value in enumerate(losses):
                    self.log(f"val_loop_loss_{i}", value, on_step=False, on_epoch=True, batch_size=size)
                    self.log(f"val_loop_accuracy_{i}", accuracies[i], on_step=False, on_epoch=True, batch_size=size)
            stacked = torch.stack([v.detach() for v in losses])
            self.log("val_loop_first_loss", losses[0], on_step=False, on_epoch=True, batch_size=size)
            self.log("val_loop_last_loss", losses[-1], on_step=False, on_epoch=True, batch_size=size)
            self.log("val_loop_gain", losses[0] - losses[-1], on_step=False, on_epoch=True, batch_size=size)
            best = float(stacked.argmin())
            self.log("val_loop_best_iteration", best, on_step=False, on_epoch=True, batch_size=size)

        # deltas between the iterations
        try:
            stats = getattr(self.core_model, "loop_stats", None)
            if isinstance(stats, dict):
                for key, value in stats.items():
                    if isinstance(value, (int, float)):
                        self.log(f"val_loop_{key}", float(value), on_step=False, on_epoch=True, batch_size=size)
        except Exception:
            pass

        # ponder
        ponder_cfg = getattr(looped_cfg, "ponder", None)
        ponder_on = bool(getattr(ponder_cfg, "enabled", False)) if ponder_cfg is not None else False
        halting = getattr(self.core_model, "loop_halt", None)
        if ponder_on and isinstance(halting, (list, tuple)) and len(halting) > 0:
            try:
                from champion.model.looped.ponder import expected_steps, halting_distribution, halting_kl, ponder_loss

                p = torch.stack(list(halting), dim=-1)
                # rates instead of masses, same test as in the training step
                if bool(((p.detach().sum(dim=-1) - 1.0).abs() > 1e-3).any()):
                    p = halting_distribution(p)
                with torch.no_grad():
                    steps = expected_steps(p).mean()
                    kl = halting_kl(p, float(getattr(ponder_cfg, "pi_prior", 0.7))).mean()
                self.log("val_ponder_steps", steps, on_step=False, on_epoch=True, batch_size=size)
                self.log("val_ponder_kl", kl, on_step=False, on_epoch=True, batch_size=size)
                if p.size(-1) == len(loop_logits):
                    with torch.no_grad():
                        step_losses = [self._per_sample_ce(iteration, tgt) for iteration in loop_logits]
                        terms = ponder_loss(p, step_losses, ponder_cfg)
                    self.log("val_ponder_loss", terms.total, on_step=False, on_epoch=True, batch_size=size)
                    self.log("val_ponder_task", terms.task, on_step=False, on_epoch=True, batch_size=size)
            except Exception:
                # first validation of a resumed run: nothing kept yet
                pass

    def _log_val_rdrop(self, src, tgt, ctx_input, ctx_output, size):
        """
        Divergence of two dropout passes on the validation batch (rdrop.log_val_kl).

        Runs in eval mode, so it is deterministic. [INFERRED] the dropouts are on for these passes, in eval
        mode the divergence would be 0.
        """
        if not getattr(self, "rdrop_enabled", False):
            return
        rdrop = getattr(self, "rdrop", None)
        if rdrop is None:
            return
        wanted = bool(OmegaConf.select(self.config, "rdrop.log_val_kl", default=False))
        if not wanted:
            return
        try:
            kl = self._rdrop_validation_kl((src, tgt, ctx_input, ctx_output), tgt)
            if kl is None:
                return
            self.log("val_rdrop_kl", kl, on_step=False, on_epoch=True, batch_size=size)
            penalty = float(getattr(rdrop, "alpha", 0.0)) * float(kl)
            self.log("val_rdrop_penalty", penalty, on_step=False, on_epoch=True, batch_size=size)
        except Exception as e:
            logger.warning("validation R-Drop failed: %s", e)

    def validation_step(self, batch, batch_idx):
        """
        Teacher-forced validation, returns val_loss.

        The prediction is decoded cell by cell from the previous prediction; val_loss is the same loss as in
        training.
        """
        src, tgt, ctx_input, ctx_output, task_ids, aug_grid = self._unpack_eval_batch(batch)
        size = src.size(0)
        logits = self(src, tgt, ctx_input, ctx_output)
        # before the R-Drop passes, they overwrite what the model keeps from its last forward
        self._log_val_looped(tgt, size)

        # --- insertion gating (needs a slot that is complete) ---
        eval_gating = bool(OmegaConf.select(self.config, "model.insertion.eval_gating", default=False))
        eval_gating = eval_gating and bool(getattr(self, "insertion_enabled", False))
        if eval_gating:
            try:
                slot_state = self._compute_slot_state(logits, tgt, aug_grid)
                logits = self._apply_insertion_gating(logits, slot_state)
                if "slot_state" in locals() and not bool(slot_state.all()):
                    done = 1.0 - slot_state.float().mean()
                    self.log("val_slots_complete", done, on_step=False, on_epoch=True, batch_size=size)
            except Exception:
                pass

        loss = self._compute_loss(logits, tgt, src)
        preds = logits.argmax(dim=-1)
        self.log("val_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=size)

        # --- grids ---
        metrics = self._compute_grid_metrics(preds, tgt)
        try:
            # val_grid_accuracy is what early stopping and the checkpoints look at
            self.log(
                "val_cell_accuracy", metrics["cell_accuracy"], on_step=False, on_epoch=True, batch_size=size
            )
            self.log(
                "val_grid_accuracy", metrics["grid_accuracy"], on_step=False, on_epoch=True, batch_size=size
            )
            self.log(
                "val_row_all_correct_rate",
                metrics["row_all_correct_rate"],
                on_step=False,
                on_epoch=True,
                batch_size=size,
            )
            self.log(
                "val_col_all_correct_rate",
                metrics["col_all_correct_rate"],
                on_step=False,
                on_epoch=True,
                batch_size=size,
            )
            for name, value in metrics.items():
                if not name.startswith("grid_tol_"):
                    continue
                self.log(f"val_{name}", value, on_step=False, on_epoch=True, batch_size=size)
        except Exception:
            pass

        # --- dense objective of the sweeps, copy / transformation, calibration, skills ---
        try:
            dense = self._dense_objective(metrics)
            self.log("val_dense_objective", dense, on_step=False, on_epoch=True, batch_size=size)
            # whole canvas, PAD included: copying the frame counts as copying
            found = compute_copy_metrics_on_batch(src, tgt, preds)
            self.log("val_copy_rate", found["copy_rate"], on_step=False, on_epoch=True, batch_size=size)
            self.log("val_change_recall", found["change_recall"], on_step=False, on_epoch=True, batch_size=size)
            self.log(
                "val_change_precision", found["change_precision"], on_step=False, on_epoch=True, batch_size=size
            )
            self.log("val_change_f1", found["change_f1"], on_step=False, on_epoch=True, batch_size=size)
            self.log(
                "val_transformation_score",
                found["transformation_score"],
                on_step=False,
                on_epoch=True,
                batch_size=size,
            )
            self.log(
                "val_transformation_quality",
                found["transformation_quality"],
                on_step=False,
                on_epoch=True,
                batch_size=size,
            )
            # ECE, MCE, NLL
            self._log_val_calibration(logits, tgt)
            self._accumulate_skills(preds, tgt, task_ids)
        except Exception:
            pass

        # --- two dropout passes ---
        self._log_val_rdrop(src, tgt, ctx_input, ctx_output, size)
        return loss

    # ------------------------------------------------------------------
    # skills of the yardstick benchmark
    # ------------------------------------------------------------------
    def _accumulate_skills(self, preds, tgt, task_ids):
        """
        Count cells per skill letter; the letters are the first four task ids.

        On anything but the yardstick data the letters mean nothing.
        """
        if task_ids is None:
            return
        ids = torch.as_tensor(task_ids).flatten().tolist()
        for i, task in enumerate(ids):
            index = int(task)
            if index < 0 or index >= len(self.skill_letters):
                continue
            letter = self.skill_letters[index]
            valid = tgt[i] != self.pad_token_id
            right = (preds[i] == tgt[i]) & valid
            self.skill_correct[letter] += float(right.sum())
            self.skill_total[letter] += float(valid.sum())

    def _reset_skills(self):
        for letter in self.skill_letters:
            self.skill_correct[letter] = 0.0
            self.skill_total[letter] = 0.0

    def _sync_skills(self):
        """Add up the counters of all ranks. Without it every rank logs the mean of all ranks."""
        ready = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not ready:
            return
        try:
            correct = torch.tensor([self.skill_correct[x] for x in self.skill_letters], device=self.device)
            total = torch.tensor([self.skill_total[x] for x in self.skill_letters], device=self.device)
            torch.distributed.all_reduce(correct)
            torch.distributed.all_reduce(total)
            for i, letter in enumerate(self.skill_letters):
                self.skill_correct[letter] = float(correct[i])
                self.skill_total[letter] = float(total[i])
        except Exception:
            # counters of this rank then
            pass

    def _log_skills(self, prefix=""):
        """Log ``acc_A`` to ``acc_D``, the letters without cells are 0."""
        self._sync_skills()
        solved = []
        for letter in self.skill_letters:
            total = self.skill_total.get(letter, 0.0)
            if total > 0:
                accuracy = self.skill_correct.get(letter, 0.0) / total
                self.log(f"{prefix}acc_{letter}", accuracy)
                solved.append(accuracy)
        # worst skill: what the yardstick is about, needs all four of them
        if len(solved) == len(self.skill_letters):
            self.log(f"{prefix}acc_worst", min(solved))
            self.log(f"{prefix}acc_mean", sum(solved) / len(solved))

    # ------------------------------------------------------------------
    # test (SAR)
    # ------------------------------------------------------------------
    def _build_sar_adapter(self):
        """
        Test-time adaptation after SAR, switched on by model.sar.enabled.

        Adapts the affine parameters of the norm layers; one adapter for the whole test run, its optimizer
        and its running entropy go from batch to batch.
        """
        self._sar_adapter = None
        sar_cfg = OmegaConf.select(self.config, "model.sar", default=None)
        sar_on = bool(getattr(sar_cfg, "enabled", False)) if sar_cfg is not None else False
        if sar_cfg is None or not sar_on:
            return None
        try:
            from champion.tta.adapter import SARAdapter

            def _gate(z):
                return self._apply_insertion_gating(z, self._compute_slot_state(z, None))

            adapter = SARAdapter(self.core_model, sar_cfg, gate=_gate if self.insertion_enabled else None)
        except Exception as e:
            logger.warning("SAR is switched off: %s", e)
            return None
        self._sar_adapter = adapter
        return adapter

    def _close_sar_adapter(self):
        """Drop the adapter and put the weights back to those before the test ([INFERRED], for the next run)."""
        adapter = getattr(self, "_sar_adapter", None)
        if adapter is None:
            return
        self._sar_adapter = None
        try:
            adapter.reset()
            if hasattr(adapter, "close"):
                adapter.close()
        except Exception as e:
            logger.warning("weights stay adapted: %s", e)

    def test_step(self, batch, batch_idx):
        """
        Test on one batch, with test-time adaptation if model.sar is on.

        Teacher-forced like the validation, but the accuracy is that of the aggregated classes.

        Returns:
            dict with loss, accuracy and predictions
        """
        src, tgt, ctx_input, ctx_output, task_ids, aug_grid = self._unpack_eval_batch(batch)
        if tgt is None:
            raise ValueError("test_step needs targets, use predict_step without them")
        size = src.size(0)

        adapter = getattr(self, "_sar_adapter", None)
        if adapter is None:
            adapter = self._build_sar_adapter()

        logits = None
        if adapter is not None:
            try:
                # tensors made under inference_mode cannot take part in a backward pass
                with torch.inference_mode(False):
                    a = src.clone()
                    b = tgt.clone()
                    c = ctx_input.clone() if isinstance(ctx_input, torch.Tensor) else None
                    d = ctx_output.clone() if isinstance(ctx_output, torch.Tensor) else None
                    logits = adapter(a, b, c, d)
                for key, value in adapter.last_metrics.items():
                    if isinstance(value, float) and not math.isnan(value):
                        self.log(f"test_sar_{key}", value, on_step=False, on_epoch=True, batch_size=size)
            except Exception as e:
                # conv features, tiny batches ...
                logger.warning("SAR failed on batch %d, plain forward instead: %s", batch_idx, e)
                logits = None
        if logits is None:
            logits = self(src, tgt, ctx_input, ctx_output)

        # gate like in the validation
        if self.insertion_enabled and bool(getattr(self.insertion_cfg, "eval_gating", False)):
            slot_state = self._compute_slot_state(logits, tgt, aug_grid)
            logits = self._apply_insertion_gating(logits, slot_state)

        with torch.no_grad():
            loss = self._compute_loss(logits, tgt, src)
            aggregated = self._aggregate_logits(logits)
            preds = aggregated.argmax(dim=-1)
            metrics = self._compute_grid_metrics(preds, tgt)
        self.log("test_loss", loss, on_step=False, on_epoch=True, batch_size=size)
        self.log("test_accuracy", metrics["cell_accuracy"], on_step=False, on_epoch=True, batch_size=size)
        try:
            self.log("test_grid_accuracy", metrics["grid_accuracy"], on_step=False, on_epoch=True, batch_size=size)
            self.log(
                "test_dense_objective", self._dense_objective(metrics), on_step=False, on_epoch=True, batch_size=size
            )
            copied = compute_copy_metrics_on_batch(src, tgt, preds)
            self.log("test_copy_rate", copied["copy_rate"], on_step=False, on_epoch=True, batch_size=size)
            self.log("test_change_recall", copied["change_recall"], on_step=False, on_epoch=True, batch_size=size)
            self.log("test_change_f1", copied["change_f1"], on_step=False, on_epoch=True, batch_size=size)
            # reliability under adaptation, the whole point of beta = 50
            found = self._calibration_scores(logits, tgt)
            self.log("test_ece", found["ece"], on_step=False, on_epoch=True, batch_size=size)
            self.log("test_nll", found["nll"], on_step=False, on_epoch=True, batch_size=size)
            self._accumulate_skills(preds, tgt, task_ids)
        except Exception:
            pass
        return {"loss": loss, "accuracy": metrics["cell_accuracy"], "predictions": preds, "task_ids": task_ids}

    # ------------------------------------------------------------------
    # predict (insertion decoding)
    # ------------------------------------------------------------------
    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        """
        Predict grids without targets.

        With model.insertion.enabled the canvas is filled slot by slot: ``selection_k`` slots per step, in
        the order that insertion.decode.strategy gives, at most ``max_steps`` steps. The canvas goes into
        the decoder like a target. Otherwise one forward without target, argmax over the 11 classes.
        """
        src, _, ctx_input, ctx_output, task_ids, _ = self._unpack_eval_batch(batch)
        result = {"predictions": None, "order": None, "steps": 0, "task_ids": task_ids}

        decode_cfg = None
        if self.insertion_enabled and self.num_classes == AUGMENTED_CLASSES:
            decode_cfg = getattr(self.insertion_cfg, "decode", None)

        if decode_cfg is not None:
            try:
                decoder = InsertionDecoder(self.insertion_cfg)
                canvas = torch.full_like(src, self.pad_token_id)

                def _forward(grid):
                    z = self(src, grid, ctx_input, ctx_output)
                    return self._apply_insertion_gating(z, self._compute_slot_state(z, None))

                filled = decoder.decode(_forward, canvas)
                result["predictions"] = filled.grid
                result["order"] = filled.order
                result["steps"] = int(filled.steps)
                return result
            except Exception as e:
                # better a rough answer than none, the submission needs every task
                logger.warning("insertion decoding failed, one-shot instead: %s", e)

        with torch.no_grad():
            logits = self(src, None, ctx_input, ctx_output)
            result["predictions"] = self._aggregate_logits(logits).argmax(dim=-1)
        return result

    # ------------------------------------------------------------------
    # left-overs
    # ------------------------------------------------------------------
    def debug_batch(self, batch, name="batch"):
        """Log shapes, value ranges and NaNs of a batch. Returns the batch."""
        # left from the hunt for the NaNs of v19
        parts = batch if isinstance(batch, (list, tuple)) else [batch]
        found = []
        for i, part in enumerate(parts):
            if not isinstance(part, torch.Tensor):
                found.append({"index": i, "type": type(part).__name__})
                continue
            entry = {"index": i, "shape": tuple(part.shape), "dtype": str(part.dtype)}
            if part.numel() > 0:
                entry["min"] = float(part.min())
                entry["max"] = float(part.max())
                entry["nan"] = bool(torch.isnan(part).any()) if part.is_floating_point() else False
            found.append(entry)
            logger.info("%s[%d]: %s", name, i, entry)
        return found

    def compute_loss_for_callback(self, batch):
        """
        Training loss of a batch without logging, for the callbacks (KARL, CAGrad, sleep).

        The model is switched to eval mode first so that the callback sees no dropout.
        """
        src, tgt, ctx_input, ctx_output, _, aug_grid = self._unpack_eval_batch(batch, move=True)
        logits = self(src, tgt, ctx_input, ctx_output)
        try:
            return self._compute_training_loss(src, tgt, logits, ctx_input, ctx_output, aug_grid)
        except Exception:
            return self._compute_loss(logits, tgt, src)

    # ------------------------------------------------------------------
    # weight averaging
    # ------------------------------------------------------------------
    def _swa_optimizer(self):
        """The optimizer whose rate the averaging drives (unwrapped, the first one), or None."""
        try:
            found = self.optimizers(use_pl_optimizer=False)
        except Exception:
            return None
        if isinstance(found, (list, tuple)):
            return found[0] if len(found) > 0 else None
        return found

    def _swa_bn_loader(self):
        """Loader for the batch-norm statistics, training.swa.bn_recompute_loader = train or val."""
        if self.swa is None:
            return None
        trainer = getattr(self, "_trainer", None)
        if trainer is None:
            return None
        on_val = str(getattr(self.swa, "bn_loader", "train")) == "val"
        loader = getattr(trainer, "val_dataloaders", None) if on_val else getattr(trainer, "train_dataloader", None)
        if isinstance(loader, (list, tuple)):
            loader = loader[0] if len(loader) > 0 else None
        return loader

    def _swa_forward_batch(self, batch):
        """One forward for the batch-norm statistics, in training mode and without gradients."""
        src, tgt, ctx_input, ctx_output, _, _ = self._unpack_eval_batch(batch, move=True)
        return self(src, tgt, ctx_input, ctx_output)

    def _swa_finish(self):
        """
        End of the averaging: the average goes into the model, batch-norm statistics are renewed.

        keep_base_checkpoint keeps the last weights in ``_swa_base_state``, the next checkpoint has both.
        """
        if not getattr(self, "swa_enabled", False) or self.swa is None:
            return False
        if int(getattr(self.swa, "n_averaged", 0)) == 0:
            # stopped before start_epoch, or in the middle of the first cycle
            return False
        swa_cfg = getattr(self, "swa_cfg", None)
        recompute = bool(getattr(swa_cfg, "bn_recompute", True)) if swa_cfg is not None else True
        loader = self._swa_bn_loader() if recompute else None
        # the diagnostics need the last weights, keep_base_checkpoint or not
        before = {name: p.detach().clone() for name, p in self.core_model.named_parameters()}
        try:
            self._swa_base_state = self.swa.finish(self.core_model, loader, self._swa_forward_batch)
            logger.info("SWA: average of %d captures is in the model", self.swa.n_averaged)
            self._swa_run_diagnostics(before)
        except Exception as e:
            logger.warning("SWA could not be finished: %s", e)
            return False
        return True

    def _swa_run_diagnostics(self, base):
        """
        Loss landscape between the last and the averaged weights (training.swa.diagnostics).

        Line, random rays and a plane; the curves are logged to TensorBoard.

        Args:
            base: parameters of the core model by name, from before the average was loaded
        """
        self.swa_curves = {}
        swa_cfg = getattr(self, "swa_cfg", None)
        diag_cfg = getattr(swa_cfg, "diagnostics", None) if swa_cfg is not None else None
        wanted = bool(getattr(diag_cfg, "enabled", False)) if diag_cfg is not None else False
        if not wanted:
            return

        # nobody wants the files of a sweep in the repository
        landscape_cfg = OmegaConf.create(OmegaConf.to_container(diag_cfg, resolve=True))
        output_dir = OmegaConf.select(landscape_cfg, "output_dir", default=None)
        if output_dir is not None:
            log_dir = OmegaConf.select(self.config, "logging.log_dir", default="logs")
            landscape_cfg.output_dir = os.path.join(str(log_dir), os.path.basename(str(output_dir)))
        landscape = LossLandscape(landscape_cfg)

        loader = None
        trainer = getattr(self, "_trainer", None)
        if trainer is not None:
            on_train = str(getattr(landscape_cfg, "eval_loader", "val")) == "train"
            loader = trainer.train_dataloader if on_train else trainer.val_dataloaders
        if isinstance(loader, (list, tuple)):
            loader = loader[0] if len(loader) > 0 else None
        if loader is None:
            return

        def _loss_of(batch):
            src, tgt, ctx_input, ctx_output, _, _ = self._unpack_eval_batch(batch, move=True)
            return self._compute_loss(self(src, tgt, ctx_input, ctx_output), tgt, src)

        average = {name: value.to(self.device) for name, value in self.swa.average.items()}
        self.swa_curves = landscape.run(self.core_model, base, average, loader, _loss_of)
        for name, curve in self.swa_curves.items():
            if len(curve) == 0:
                continue
            best = min(curve, key=lambda point: point[-1])
            logger.info("SWA %s: %d points, best loss %.5f at %s", name, len(curve), best[-1], best[:-1])

    # ------------------------------------------------------------------
    # hooks
    # ------------------------------------------------------------------
    def setup(self, stage=None):
        """Class weights (training.class_balanced_loss) need the train loader, which exists from here on."""
        try:
            self._setup_class_weights()
        except Exception:
            # no data module, e.g. in trainer.validate
            pass

    def on_train_epoch_start(self):
        """Epoch of the functional-risk term, number of loops, skill counters."""
        self._frm_set_epoch()
        self._reset_skills()

        # --- loop curriculum (again in every step, runs that are resumed in mid-epoch skip this hook) ---
        looped_on = bool(OmegaConf.select(self.config, "model.looped.enabled", default=False))
        if looped_on and hasattr(self, "_apply_loop_schedule"):
            try:
                plan = self._apply_loop_schedule()
                if plan is not None:
                    self.log("train_loops", float(plan[0]))
                    self.log("train_loop_window", float(plan[1]))
            except Exception:
                pass

    def on_train_batch_start(self, batch, batch_idx):
        """SWA drives the learning rate from its start epoch on. Returns -1 to skip the rest of the epoch."""
        swa_on = bool(OmegaConf.select(self.config, "training.swa.enabled", default=False))
        if not swa_on or getattr(self, "swa", None) is None:
            return None
        optimizer = self._swa_optimizer()
        if optimizer is None:
            return None
        try:
            self.swa.on_batch_start(optimizer, int(self.current_epoch))
            if self.swa.active(int(self.current_epoch)):
                self.log("swa_lr", float(optimizer.param_groups[0]["lr"]), on_step=True, on_epoch=False)
        except Exception:
            pass
        return None

    def on_train_batch_end(self, outputs, batch, batch_idx):
        """Count the SWA step, capture the weights at the end of a cycle."""
        swa_on = bool(OmegaConf.select(self.config, "training.swa.enabled", default=False))
        if not swa_on or getattr(self, "swa", None) is None:
            return
        try:
            captured = self.swa.on_batch_end(self.core_model, int(self.current_epoch))
            if captured:
                logger.info("SWA capture %d at step %d", self.swa.n_averaged, self.swa.steps)
                self.log("swa_captures", float(self.swa.n_averaged), on_step=True, on_epoch=False)
        except Exception:
            # the next cycle will do
            pass

    def on_train_epoch_end(self):
        """BAM beta clamp, SWA capture per epoch."""
        # clamp first, the average should see the clamped values
        try:
            if hasattr(self, "_bam_beta_clamp"):
                self._bam_beta_clamp()
        except Exception:
            pass
        if bool(OmegaConf.select(self.config, "training.swa.enabled", default=False)) and hasattr(self.swa, "active"):
            try:
                if self.swa.on_epoch_end(self.core_model, int(self.current_epoch)):
                    self.log("swa_captures", float(self.swa.n_averaged), on_step=False, on_epoch=True)
            except Exception:
                pass

    def on_validation_epoch_start(self):
        """Reset the counters; with SWA the validation runs on the average (eval_with_swa)."""
        try:
            self._frm_set_epoch()
        except Exception:
            pass
        self._reset_skills()
        self._reliability_batches = []
        if hasattr(self, "swa") and isinstance(self.swa, SWAManager):
            self._leave_swa_evaluation()
            try:
                stack = contextlib.ExitStack()
                stack.enter_context(self.swa.evaluating(self.core_model))
                self._swa_eval_stack = stack
            except Exception:
                self._swa_eval_stack = None

    def _leave_swa_evaluation(self):
        """Bring the plain weights back after a validation on the average. No-op otherwise."""
        stack = getattr(self, "_swa_eval_stack", None)
        if stack is None:
            return
        self._swa_eval_stack = None
        stack.close()

    def on_validation_epoch_end(self):
        """Log the four skills. Before the checkpoint is written the plain weights have to be back."""
        try:
            self._log_skills()
        except Exception:
            pass
        self._leave_swa_evaluation()

    def on_validation_end(self):
        # diagrams need the collected batches of the whole epoch
        try:
            if bool(self._calibration_get("reliability_diagram", False)):
                self._save_reliability_diagram()
        except Exception:
            pass
        # TODO: the sanity check ends here as well, so most runs have an empty train.log
        self._close_file_handler()

    def on_fit_end(self):
        """SWA first, the temperature belongs to the final weights."""
        # both swallow their own errors
        self._swa_finish()
        self._fit_calibrator()
        self._close_file_handler()

    def on_train_end(self):
        """Report the R-Drop counters."""
        try:
            if getattr(self, "rdrop_enabled", False) and hasattr(self, "_rdrop_report"):
                self._rdrop_report()
        except Exception:
            pass
        self._close_file_handler()

    def on_test_epoch_start(self):
        self._reset_skills()
        # every test run adapts from the same weights
        self._close_sar_adapter()

    def on_test_epoch_end(self):
        try:
            self._log_skills(prefix="test_")
        except Exception:
            pass

    def on_test_end(self):
        self._close_sar_adapter()
        self._close_file_handler()

    def on_predict_end(self):
        self._close_file_handler()

    def teardown(self, stage=None):
        """Last chance to put things back, Lightning calls this after an exception too."""
        try:
            self._leave_swa_evaluation()
            self._close_sar_adapter()
        except Exception:
            pass
        self._close_file_handler()

    def __del__(self):
        try:
            self._close_file_handler()
        except Exception:
            pass

    # ------------------------------------------------------------------
    # checkpoints
    # ------------------------------------------------------------------
    def on_save_checkpoint(self, checkpoint):
        """
        Add the states that are no tensors of the module: SWA, penalty weights.

        Only what is on is written, so plain checkpoints stay plain. The optimizer state is dropped.
        """
        if bool(OmegaConf.select(self.config, "training.swa.enabled", default=False)) and hasattr(self.swa, "active"):
            try:
                state = self.swa.state_dict()
                if isinstance(state, dict) and len(state) > 0:
                    checkpoint["swa_state"] = state
                if getattr(self, "_swa_base_state", None) is not None:
                    checkpoint["swa_base_state_dict"] = self._swa_base_state
            except Exception:
                pass
        hypergrad = getattr(self, "regulariser_hypergrad", None)
        if hypergrad is not None and hasattr(hypergrad, "state_dict"):
            checkpoint["regulariser_hypergrad"] = hypergrad.state_dict()
        if getattr(self, "calibrator", None) is not None:
            checkpoint["calibration_temperature"] = float(self.calibrator.temperature)

    def on_load_checkpoint(self, checkpoint):
        """Counterpart of on_save_checkpoint; a checkpoint without these entries is fine."""
        # --- SWA ---
        if "swa_state" in checkpoint:
            if getattr(self, "swa", None) is not None:
                try:
                    self.swa.load_state_dict(checkpoint["swa_state"])
                except Exception as e:
                    logger.warning("SWA starts anew: %s", e)
        if "swa_base_state_dict" in checkpoint and getattr(self, "swa", None) is not None:
            self._swa_base_state = checkpoint["swa_base_state_dict"]

        # --- penalty weights ---
        if "regulariser_hypergrad" in checkpoint and getattr(self, "regulariser_hypergrad", None) is not None:
            try:
                self.regulariser_hypergrad.load_state_dict(checkpoint["regulariser_hypergrad"])
            except Exception:
                # other penalties than today
                pass

        # --- temperature: its parameter is in the state dict, so the module has to exist before ---
        if "calibration_temperature" in checkpoint:
            if getattr(self, "calibrator", None) is None:
                scaler = TemperatureScaler(float(checkpoint["calibration_temperature"]))
                scaler.fitted = True
                self._install_calibrator(scaler)

    # ------------------------------------------------------------------
    # optimisation
    # ------------------------------------------------------------------
    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        """
        Clip the gradients by value.

        The value of the Lightning trainer wins over training.gradient_clip_val; 0 or null switches it off.
        """
        value = gradient_clip_val
        if value is None:
            training_cfg = getattr(self.config, "training", None)
            value = getattr(training_cfg, "gradient_clip_val", None) if training_cfg is not None else None
        if value is None or not isinstance(value, (int, float)):
            # no clipping
            return
        value = float(value)
        if value <= 0:
            return
        algorithm = gradient_clip_algorithm if gradient_clip_algorithm is not None else "norm"
        self.clip_gradients(optimizer, gradient_clip_val=value, gradient_clip_algorithm=algorithm)

    def lr_scheduler_step(self, scheduler, metric):
        """Step the schedule, unless SWA has taken over the rate (training.swa.pause_schedulers, [INFERRED])."""
        if hasattr(self, "swa") and isinstance(self.swa, SWAManager):
            try:
                if self.swa.scheduler_paused(int(self.current_epoch)):
                    return
            except Exception:
                pass
        if metric is None:
            scheduler.step()
        else:
            scheduler.step(metric)

    # ------------------------------------------------------------------
    # optimizers
    # ------------------------------------------------------------------
    def _resume_progress(self):
        """
        (epochs, steps) that an earlier run has done already, (0, 0) for a fresh one.

        Only for runs that start from weights: a proper resume restores the schedule by itself.

        [INFERRED] keys train.resume_epoch, train.resume_global_step and train.steps_per_epoch.
        """
        node = None
        node = getattr(self.config, "train", None)
        if node is None:
            return 0, 0
        epochs = 0
        steps = 0
        epochs = int(getattr(node, "resume_epoch", 0) or 0)
        steps = int(OmegaConf.select(node, "resume_global_step", default=0) or 0)
        # runs from before v30 saved the step only
        if epochs <= 0 and steps > 0:
            try:
                per_epoch = int(OmegaConf.select(node, "steps_per_epoch", default=0) or 0)
                if per_epoch > 0:
                    epochs = steps // per_epoch
            except Exception:
                pass
        return max(0, epochs), max(0, steps)

    def configure_optimizers(self):
        """
        Build the optimizer (optimizer.name) and the schedule (scheduler.*).

        * adam, adamw, sgd: torch's own
        * sam: sharpness-aware minimisation around adam or sgd
        * hypergrad: rates that learn themselves, for two partitions of the parameters

        Adapter parameters (NoRA, ponder-phi, LoRA) get their own groups. The rate is
        training.learning_rate unless optimizer.lr is set.

        [INFERRED] what adamw and sgd leave undecayed, the two partitions of hypergrad (matrices and vectors),
        the node sam (rho, adaptive, base) and the keys factor, patience and monitor of the plateau schedule.
        """
        cfg = self.config

        # -------------------------------------------------------------- settings
        optimizer_name = "adam"
        lr = None
        betas = (0.9, 0.999)
        eps = 1e-8
        weight_decay = 0.0
        opt_cfg = getattr(cfg, "optimizer", None)
        model_cfg = getattr(cfg, "model", None)
        try:
            name = OmegaConf.select(cfg, "optimizer.name", default="adam")
            optimizer_name = str(name).strip().lower() if name is not None else "adam"
            lr = getattr(opt_cfg, "lr", None) if hasattr(opt_cfg, "lr") else None
            betas = getattr(opt_cfg, "betas", betas) if opt_cfg is not None else betas
            if isinstance(betas, (list, tuple, ListConfig)):
                betas = tuple(float(b) for b in betas)
            # eps was a string in v12 ("1e-8" without the dot is no float for yaml)
            eps = OmegaConf.select(cfg, "optimizer.eps", default=eps)
            eps = float(eps) if isinstance(eps, (int, float, str)) else 1e-8
            weight_decay = getattr(opt_cfg, "weight_decay", 0.0) if opt_cfg is not None else 0.0
            weight_decay = float(weight_decay) if weight_decay is not None else 0.0
        except Exception as e:
            logger.warning("optimizer settings are incomplete: %s", e)
        if lr is None:
            lr = self.learning_rate
        lr = float(lr)
        if lr <= 0:
            raise ValueError(f"optimizer.lr must be positive, got {lr}")

        # sam: two flags and a name, the name decides (the flags are from the time of the callback)
        sam_flag = bool(OmegaConf.select(cfg, "optimizer.sam_enabled", default=False))
        if not sam_flag:
            sam_flag = bool(getattr(model_cfg, "sam_enabled", False)) if model_cfg is not None else False
        self.sam_enabled = optimizer_name == "sam"
        if sam_flag and not self.sam_enabled:
            logger.debug("sam_enabled is set, but optimizer.name is %r: no SAM", optimizer_name)
            sam_flag = False

        # -------------------------------------------------------------- adapter parameters
        # collected even if nora is off: fine-tuned models carry adapters without the switch
        nora_cfg = None
        nora_on = False
        nora_lora = False
        per_layer_lr = None
        peft_weight_decay = weight_decay
        peft_groups = []
        peft_ids = set()
        try:
            nora_cfg = getattr(model_cfg, "nora", None) if model_cfg is not None else None
            nora_on = bool(getattr(nora_cfg, "enabled", False)) if nora_cfg is not None else False
            nora_lora = bool(getattr(nora_cfg, "nora_plus_lora", False)) if nora_cfg is not None else False
            found_decay = getattr(nora_cfg, "weight_decay", None) if hasattr(nora_cfg, "weight_decay") else None
            if found_decay is not None:
                peft_weight_decay = float(found_decay)
            per_layer_lr = OmegaConf.select(cfg, "model.nora.per_layer_lr", default=None)
            if per_layer_lr is not None and not isinstance(per_layer_lr, (int, float)):
                per_layer_lr = [float(rate) for rate in per_layer_lr]

            adapter_modules = []
            lora_modules = []
            from champion.model.peft.lora_linear import LoRALinear, PackedLoRA
            from champion.model.peft.nora import NoRAActivation
            from champion.model.peft.ponder_phi import PonderPhi

            for module in self.core_model.modules():
                if isinstance(module, (NoRAActivation, PonderPhi)):
                    adapter_modules.append(module)
                elif isinstance(module, (LoRALinear, PackedLoRA)):
                    lora_modules.append(module)
            if (nora_on and not adapter_modules) or (nora_lora and not lora_modules):
                logger.warning("model.nora is on, but the model has no adapters")

            def _adapter_rate(index):
                # one rate for all, or one per module in the order of the model
                if per_layer_lr is None:
                    return lr
                if isinstance(per_layer_lr, list):
                    if index < len(per_layer_lr):
                        return per_layer_lr[index]
                    return per_layer_lr[-1] if len(per_layer_lr) > 0 else lr
                return float(per_layer_lr)

            for index, module in enumerate(adapter_modules):
                own = []
                for p in module.parameters():
                    if not p.requires_grad:
                        continue
                    if id(p) in peft_ids:
                        continue
                    peft_ids.add(id(p))
                    own.append(p)
                if len(own) > 0:
                    peft_groups.append({"params": own, "lr": _adapter_rate(index), "weight_decay": peft_weight_decay})
            lora_params = []
            for module in lora_modules:
                for p_name, p in module.named_parameters():
                    if not p_name.endswith(("lora_a", "lora_b")):
                        continue
                    if not p.requires_grad or id(p) in peft_ids:
                        continue
                    peft_ids.add(id(p))
                    lora_params.append(p)
            if len(lora_params) > 0:
                peft_groups.append({"params": lora_params, "lr": lr, "weight_decay": peft_weight_decay})
            if len(peft_groups) > 0:
                n_values = sum(p.numel() for group in peft_groups for p in group["params"])
                logger.info("%d adapter groups, %d values", len(peft_groups), n_values)
        except Exception as e:
            # adapters are trained like everything else then
            logger.warning("no adapter groups: %s", e)
            peft_groups = []
            peft_ids = set()

        # -------------------------------------------------------------- the rest
        base_params = []
        for p in self.parameters():
            if not p.requires_grad:
                continue
            if id(p) in peft_ids:
                continue
            base_params.append(p)

        # -------------------------------------------------------------- the optimizer
        optimizer = None
        if optimizer_name == "adam":
            if len(peft_groups) > 0:
                groups = []
                if len(base_params) > 0:
                    groups.append({"params": base_params, "lr": lr, "weight_decay": weight_decay})
                groups.extend(peft_groups)
                optimizer = torch.optim.Adam(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
            else:
                optimizer = torch.optim.Adam(base_params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

        elif optimizer_name == "adamw":
            # norms, biases, embeddings and single vectors are not decayed
            try:
                decay = []
                no_decay = []
                base_ids = {id(p) for p in base_params}
                for p_name, p in self.named_parameters():
                    if id(p) not in base_ids:
                        continue
                    if p.dim() < 2 or p_name.endswith("bias") or "embedding" in p_name:
                        no_decay.append(p)
                    else:
                        decay.append(p)
                groups = []
                if len(decay) > 0:
                    groups.append({"params": decay, "lr": lr, "weight_decay": weight_decay})
                if len(no_decay) > 0:
                    groups.append({"params": no_decay, "lr": lr, "weight_decay": 0.0})
                groups.extend(peft_groups)
            except Exception:
                # one group is always right
                groups = [{"params": base_params, "lr": lr, "weight_decay": weight_decay}] + peft_groups
            amsgrad = bool(getattr(opt_cfg, "amsgrad", False)) if opt_cfg is not None else False
            optimizer = torch.optim.AdamW(
                groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
            )

        elif optimizer_name == "sgd":
            # same partition as above. Keep both in sync! (they are not: embeddings are decayed here)
            try:
                decay = []
                no_decay = []
                for p in base_params:
                    if p.dim() < 2:
                        no_decay.append(p)
                    else:
                        decay.append(p)
                groups = []
                if len(decay) > 0:
                    groups.append({"params": decay, "lr": lr, "weight_decay": weight_decay})
                if len(no_decay) > 0:
                    groups.append({"params": no_decay, "lr": lr, "weight_decay": 0.0})
                groups.extend(peft_groups)
            except Exception:
                groups = [{"params": base_params, "lr": lr, "weight_decay": weight_decay}] + peft_groups
            # plain momentum, the sweeps never asked for more
            momentum = float(OmegaConf.select(cfg, "optimizer.momentum", default=0.9))
            nesterov = bool(OmegaConf.select(cfg, "optimizer.nesterov", default=False)) and momentum > 0
            optimizer = torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov)

        elif optimizer_name == "sam":
            # rho and adaptive: node sam of the sweeps
            rho = 0.05
            adaptive = False
            base_name = "adam"
            try:
                rho = float(OmegaConf.select(cfg, "sam.rho", default=rho))
                adaptive = bool(OmegaConf.select(cfg, "sam.adaptive", default=adaptive))
                base_name = str(OmegaConf.select(cfg, "sam.base", default=base_name)).lower()
            except Exception:
                pass
            groups = []
            if len(base_params) > 0:
                groups.append({"params": base_params, "lr": lr, "weight_decay": weight_decay})
            groups.extend(peft_groups)
            if base_name == "sgd":
                momentum = float(OmegaConf.select(cfg, "sam.momentum", default=0.9))
                optimizer = SAM(groups, torch.optim.SGD, rho=rho, adaptive=adaptive, lr=lr, momentum=momentum)
            elif base_name in ("adam", "adamw"):
                base_class = torch.optim.AdamW if base_name == "adamw" else torch.optim.Adam
                optimizer = SAM(groups, base_class, rho=rho, adaptive=adaptive, lr=lr, betas=betas, eps=eps)
            else:
                raise ValueError(f"sam.base must be adam, adamw or sgd, got {base_name!r}")

        elif optimizer_name in ("hypergrad", "hypergradient"):
            # a rate per value is fine for matrices; gains and biases share one per tensor
            matrices = [p for p in base_params if p.dim() >= 2]
            vectors = [p for p in base_params if p.dim() < 2]
            vector_alphas = bool(getattr(opt_cfg, "vector_alphas", True)) if opt_cfg is not None else True
            groups = []
            if len(matrices) > 0:
                groups.append({"params": matrices, "vector_alphas": vector_alphas})
            if len(vectors) > 0:
                groups.append({"params": vectors, "vector_alphas": False})
            groups.extend(peft_groups)
            optimizer = build_hypergrad(groups, opt_cfg)

        else:
            raise ValueError(f"unknown optimizer.name {optimizer_name!r}")

        # -------------------------------------------------------------- the schedule
        try:
            use_scheduler = OmegaConf.select(cfg, "training.use_scheduler", default=True)
            use_scheduler = True if use_scheduler is None else bool(use_scheduler)
        except Exception:
            use_scheduler = True
        if not use_scheduler:
            return optimizer
        if optimizer_name in ("hypergrad", "hypergradient"):
            # sets its own rates, a schedule would only fight them
            return optimizer

        sched_cfg = getattr(cfg, "scheduler", None)
        use_cosine = bool(getattr(sched_cfg, "use_cosine_annealing", True)) if sched_cfg is not None else True
        resume_epochs, resume_steps = self._resume_progress()

        if use_cosine:
            T_0 = 10
            T_mult = 1
            eta_min = 0.0
            try:
                T_0 = int(getattr(sched_cfg, "T_0", 10)) if sched_cfg is not None else T_0
                T_mult = int(OmegaConf.select(cfg, "scheduler.T_mult", default=1))
                eta_min = getattr(sched_cfg, "eta_min", 0.0) if sched_cfg is not None else eta_min
                eta_min = float(eta_min) if eta_min is not None else 0.0
            except Exception:
                pass
            scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=T_0, T_mult=T_mult, eta_min=eta_min)
            # resume shim: weights of an earlier run, the schedule goes on where it was
            if resume_epochs > 0:
                try:
                    scheduler.step(resume_epochs)
                    resumed_lr = optimizer.param_groups[0]["lr"]
                    logger.info("schedule resumes at epoch %d, step %d, lr %g", resume_epochs, resume_steps, resumed_lr)
                except Exception:
                    pass
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": scheduler, "interval": "epoch", "frequency": 1},
            }

        # --- plateau ---
        factor = 0.5
        patience = 5
        monitor = "val_loss"
        min_lr = 0.0
        try:
            factor = float(OmegaConf.select(cfg, "scheduler.factor", default=factor))
            patience = int(OmegaConf.select(cfg, "scheduler.patience", default=patience))
            monitor = str(OmegaConf.select(cfg, "scheduler.monitor", default=monitor))
            min_lr = getattr(sched_cfg, "eta_min", 0.0) if hasattr(sched_cfg, "eta_min") else 0.0
            min_lr = float(min_lr) if isinstance(min_lr, (int, float)) else 0.0
        except Exception:
            pass
        mode = "min" if monitor.endswith("loss") else "max"
        scheduler = ReduceLROnPlateau(optimizer, mode=mode, factor=factor, patience=patience, min_lr=min_lr)
        if resume_epochs > 0:
            # a plateau has no position, but the rate may have been cut already
            try:
                cuts = int(OmegaConf.select(cfg, "train.resume_lr_cuts", default=0) or 0)
                for group in optimizer.param_groups:
                    group["lr"] = max(min_lr, group["lr"] * factor**cuts)
                scheduler.last_epoch = resume_epochs
            except Exception:
                pass
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": scheduler,
                "interval": "epoch",
                "frequency": 1,
                "monitor": monitor,
                "reduce_on_plateau": True,
            },
        }
