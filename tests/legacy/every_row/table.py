"""The 59 subsystems of the bloat inventory in one table: each switched on once in the champion and seen at work.

A row says by which config keys it is switched on (`switch`) or which function calls its entry point (`entry`), what must be
seen then, and which tests look at it closely. What is seen is compared with the champion's own config on a small canvas,
without dropout and with the same weights, so that nothing but the switch can make the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from . import model_rows as model
from . import trainer_rows as trainer
from . import tuner_and_data_rows as tuner
from .small_champion import Seen


@dataclass(frozen=True)
class Row:
    """`parameters` appear and learn, `metric` is logged, `logits` and `loss` change (or, if False, do not): by the switch."""

    name: str
    closely: tuple[str, ...]
    switch: Mapping[str, object] = field(default_factory=dict)
    parameters: str = ""
    learn: bool = True
    metric: str = ""
    logits: bool | None = None
    loss: bool | None = None
    look: Callable[[Seen], None] | None = None
    entry: Callable[[pytest.MonkeyPatch], None] | None = None


LOOPS = {"model.looped.enabled": True}
MAPS = {f"model.bam.{key}": True for key in ("enabled", "diagnostics.enabled", "diagnostics.save_attention")}
MODEL, TRAINER = "test_model_subsystems.py", "test_trainer_subsystems.py"
HOOKS, TUNER, DATA = "test_trainer_hooks_and_optimizers.py", "test_finetune_subsystems.py", "test_data_modules.py"
SWITCH, TERM = f"{MODEL}::test_switch", f"{TRAINER}::test_a_term_is_added_only_when_it_is_on"
REAL = f"{TRAINER}::test_the_real_model_delivers_what_the_trainer_asks_for"

ROWS: dict[int, Row] = {
    1: Row(
        "Tri-temporal attention / TDM",
        (f"{SWITCH}[1 tri-temporal]",),
        {"model.use_tri_temporal": True},
        parameters="tri_coord_proj",
        logits=True,
    ),
    2: Row(
        "DSLA hybrid encoder",
        (f"{SWITCH}[2 dsla]", f"{SWITCH}[2 dsla linear]"),
        {"dsla.enabled": True, "dsla.use_adaptive_runtime": False},
        parameters="decay_logits",
        logits=True,
    ),
    3: Row(
        "DEQ implicit encoder + telemetry",
        (f"{SWITCH}[3 deq]", f"{TERM}[deq telemetry]"),
        {"model.deq.enabled": True},
        parameters="encoder.cell",
        metric="train_deq_fwd_iterations",
        logits=True,
    ),
    4: Row(
        "Looped transformer + loop ponder",
        (f"{SWITCH}[4 loop ponder]", f"{TERM}[loop ponder]"),
        {**LOOPS, "model.looped.ponder.enabled": True},
        parameters="encoder.halt",
        metric="train_ponder_steps",
        logits=True,
        loss=True,
    ),
    5: Row(
        "Per-layer FiLM (broken)",
        (f"{SWITCH}[5 per-layer film]",),
        {"model.conditioning.per_layer_film.enabled": True},
        parameters="film_per_layer_gens",
        learn=False,
        logits=False,
        loss=False,
        look=model.film_hooks_are_missing,
    ),
    6: Row(
        "Post-decoder FiLM",
        (f"{SWITCH}[6 post-decoder film]",),
        {"model.conditioning.post_decoder_film.enabled": True},
        parameters="film_post_decoder",
    ),
    7: Row(
        "Other context encoders (legacy, CNP)",
        (f"{SWITCH}[7 legacy encoder]", f"{SWITCH}[7 neural process]"),
        {"model.legacy_context_encoder": True},
        parameters="context_encoder.grid_encoder",
        logits=True,
    ),
    8: Row(
        "Alternate attention mode",
        (f"{MODEL}::test_alternate_attention_keeps_the_heads_apart",),
        {"model.alternate_attention_mode.enabled": True},
        logits=False,
        look=model.heads_are_apart,
    ),
    9: Row(
        "BAM attention priors",
        (f"{SWITCH}[9 bam cross]", f"{REAL}[bam]"),
        {"model.bam.enabled": True},
        parameters="prior_1d.alpha",
        metric="bam_beta_mean",
        logits=True,
    ),
    10: Row(
        "CUMoE mixture of experts",
        (f"{SWITCH}[10 cumoe everywhere]", f"{REAL}[experts]"),
        {"model.cumoe.enabled": True},
        parameters="linear2.experts.router",
        metric="train_moe_aux",
        logits=True,
        loss=True,
    ),
    11: Row(
        "NoRA / Ponder-phi activations",
        (f"{SWITCH}[11 ponder-phi]", f"{REAL}[adaptive activations]"),
        {"model.nora.enabled": True},
        parameters="activation.slices",
        metric="train_nora_steps",
        logits=True,
        loss=True,
    ),
    12: Row(
        "NoRA++ LoRA wrapping",
        (f"{SWITCH}[12 nora plus lora]", f"{MODEL}::test_a_wrapped_layer_trains_its_adapter_only"),
        {"model.nora.nora_plus_lora": True},
        parameters="linear1.lora_b",
    ),
    13: Row(
        "PEFT optimizer groups",
        (f"{HOOKS}::test_adapters_get_groups_with_their_own_rate_and_decay",),
        {"model.nora.enabled": True, "model.nora.per_layer_lr": 0.25},
        look=model.adapters_have_their_own_rate,
    ),
    14: Row(
        "Anti-copy gating",
        (f"{SWITCH}[14 anti-copy]",),
        {"model.anticopy.enabled": True},
        logits=True,
        loss=True,
    ),
    15: Row(
        "Bridge: cross_attn and hybrid",
        (f"{SWITCH}[15 cross bridge]", f"{SWITCH}[15 hybrid bridge]"),
        {"model.conditioning.bridge.type": "hybrid"},
        parameters="bridge_dec.film",
        logits=True,
    ),
    16: Row(
        "Bridge bypass",
        (f"{SWITCH}[16 bypass]",),
        {"model.disable_context_integration": True},
        logits=True,
        loss=True,
        look=model.the_bridge_is_bypassed,
    ),
    17: Row(
        "External coordinates, debug_shape, train() override",
        (f"{MODEL}::test_debugging_a_shape", f"{MODEL}::test_bam_follows_external_coordinates_in_the_encoder_only"),
        entry=model.api_only_arguments,
    ),
    18: Row(
        "DDP architecture signature",
        (f"{MODEL}::test_ranks_with_another_architecture",),
        entry=model.ranks_compare_their_architecture,
    ),
    19: Row(
        "Config shims + env gain override",
        (f"{MODEL}::test_missing_keys_are_added_to_the_config", f"{MODEL}::test_context_gain_from_the_environment"),
        entry=model.the_environment_overrides_the_gain,
    ),
    20: Row(
        "Forced-debug probes",
        (f"{MODEL}::test_forced_debugging_changes_no_number",),
        entry=model.debugging_is_forced,
    ),
    21: Row(
        "Tiny-grid boosts",
        (f"{MODEL}::test_tiny_grids_are_louder_and_get_more_context",),
        entry=model.tiny_grids_are_louder,
    ),
    22: Row(
        "Deterministic-parity branch",
        (f"{MODEL}::test_parity_without_dropout_and_context",),
        entry=model.training_equals_evaluation,
    ),
    23: Row("AMP inside the model", (f"{SWITCH}[23 amp]",), {"model.amp_enabled": True}, logits=True, loss=True),
    24: Row(
        "Eval stabilisation / clamps",
        (f"{MODEL}::test_decoder_outputs_stay_in_range",),
        entry=model.outputs_are_clamped,
    ),
    25: Row(
        "Teacher-forcing logit bias",
        (f"{MODEL}::test_teacher_forcing_bias_by_size_of_the_grid",),
        entry=model.targets_force_a_bias,
    ),
    26: Row(
        "Inference-time logit bias",
        (f"{MODEL}::test_without_target_the_context_moves_the_logits",),
        entry=model.a_bias_without_target,
    ),
    27: Row(
        "Legacy-decoder key migration",
        (f"{MODEL}::test_keys_of_the_two_decoders_are_renamed",),
        entry=model.keys_of_two_decoders_are_renamed,
    ),
    28: Row(
        "H-Net models",
        (f"{TRAINER}::test_hnet_models_train_on_augmented_grids",),
        entry=trainer.hierarchical_models,
    ),
    29: Row(
        "Monkey-patch alias for tests",
        (f"{TRAINER}::test_the_model_class_can_be_patched_in_both_places",),
        entry=trainer.the_model_class_is_patched,
    ),
    30: Row(
        "File logging / handler clean-up",
        (f"{HOOKS}::test_the_log_file_is_closed_by_every_hook_that_may_be_the_last",),
        entry=trainer.the_log_file,
    ),
    31: Row(
        "QAT",
        (f"{TRAINER}::test_quantisation_aware_training_rounds_the_heads",),
        {"training.use_qat": True},
        logits=True,
        loss=True,
        look=trainer.heads_are_rounded,
    ),
    32: Row(
        "Class-balanced CE + data prior",
        (f"{TRAINER}::test_class_balanced_loss_weighs_rare_colours_up",),
        entry=trainer.classes_are_balanced,
    ),
    33: Row(
        "R-Drop",
        (f"{TERM}[R-Drop]", f"{HOOKS}::test_a_validation_logs_what_is_on[R-Drop]"),
        {"rdrop.enabled": True, "model.dropout_rate": 0.2},
        metric="train_rdrop_kl",
        logits=False,
        loss=True,
        look=trainer.the_passes_differ,
    ),
    34: Row(
        "Dice loss (configured, but computed in R-Drop alone)",
        (f"{TERM}[dice inside R-Drop]", f"{TRAINER}::test_dice_has_no_gradient"),
        entry=trainer.dice_needs_rdrop,
    ),
    35: Row(
        "CE with change weight (configured, but never applied)",
        (f"{TRAINER}::test_change_weight_acts_on_cross_entropy_in_training_mode_only",),
        entry=trainer.the_change_weight_is_never_applied,
    ),
    36: Row(
        "Head-level CEBR, token CEBR, gauge loss (inert without maps)",
        (f"{TERM}[token CEBR]", f"{TERM}[head-level CEBR]", f"{TERM}[gauge]"),
        {**MAPS, "model.cebr_head.enabled": True},
        metric="train_cebr_head",
        look=trainer.the_model_keeps_no_maps,
    ),
    37: Row(
        "Regulariser hyper-gradients (whose start values count anyway)",
        (f"{TRAINER}::test_hypergradients_move_the_weights_of_active_penalties_only",),
        {"regulariser_hypergrad.enabled": True, "rdrop.enabled": True},
        metric="hypergrad_rdrop_alpha",
        look=trainer.hypergradients_overwrite_the_scalars,
    ),
    38: Row(
        "Functional risk minimisation",
        (f"{TERM}[FRM, spectral]", f"{TERM}[FRM, variance]"),
        {"model.frm.enabled": True},
        metric="train_frm",
        logits=False,
        loss=True,
        look=trainer.the_hidden_state_is_kept_anyway,
    ),
    39: Row(
        "SWA",
        (f"{HOOKS}::test_the_average_replaces_the_weights_at_the_end",),
        {"training.swa.enabled": True, "training.swa.start_epoch": 0, "training.swa.capture_every_n_steps": 1},
        metric="swa_n_averaged",
        logits=False,
        look=trainer.weights_are_averaged,
    ),
    40: Row(
        "Scheduled sampling (unreachable under the expected cost)",
        (f"{TERM}[scheduled sampling]", f"{TRAINER}::test_scheduled_sampling_is_unreachable_under_expected_cost"),
        {**trainer.SAMPLING, "model.loss_mode": "ce", "model.output_augmented": True},
        metric="train_sampled_share",
        logits=False,
        look=trainer.sampling_needs_cross_entropy,
    ),
    41: Row(
        "Knowledge distillation over loops",
        (f"{TERM}[distillation]", f"{REAL}[distillation]"),
        {**LOOPS, "training.kd_weight": 0.5},
        metric="train_kd",
    ),
    42: Row(
        "Rule-vector loss + attention entropy log",
        (f"{TERM}[rule vectors]",),
        entry=trainer.rules_need_an_encoder_that_returns_them,
    ),
    43: Row(
        "Confidence penalty",
        (f"{TERM}[confidence]",),
        {"training.lambda_conf": 0.5},
        metric="train_confidence",
        logits=False,
        loss=True,
    ),
    44: Row(
        "Insertion gating / slot states (always a no-op)",
        (f"{HOOKS}::test_complete_slots_keep_only_eos[PAD targets]",),
        entry=trainer.slots_are_never_complete,
    ),
    45: Row(
        "Insertion decoding (predict_step)",
        (f"{HOOKS}::test_insertion_decoding_fills_the_canvas_slot_by_slot",),
        entry=trainer.the_canvas_is_filled_slot_by_slot,
    ),
    46: Row(
        "SAR test-time adaptation",
        (f"{HOOKS}::test_test_batches_adapt_the_norms_and_leave_the_weights_as_they_were",),
        entry=trainer.tests_adapt_the_norms,
    ),
    47: Row(
        "SAM, HyperGradient, AdamW/SGD optimizers",
        (f"{HOOKS}::test_each_optimizer_gets_every_trainable_parameter_once_and_trains",),
        entry=trainer.other_optimizers,
    ),
    48: Row(
        "Plateau scheduler, resume shims",
        (
            f"{HOOKS}::test_a_plateau_halves_the_rate_and_no_schedule_leaves_it_alone",
            f"{HOOKS}::test_the_schedule_resumes_where_an_earlier_run_stopped",
        ),
        entry=trainer.other_schedules,
    ),
    49: Row(
        "Calibration",
        (f"{HOOKS}::test_a_temperature_is_fitted_saved_and_loaded",),
        entry=trainer.a_temperature_is_fitted,
    ),
    50: Row(
        "Copy / transformation metrics (train)",
        (f"{HOOKS}::test_training_logs_copy_metrics_in_every_step_and_the_others_every_tenth",),
        entry=trainer.copies_are_measured,
    ),
    51: Row(
        "Per-skill accumulators",
        (f"{HOOKS}::test_counters_of_the_skills_add_up_over_the_ranks",),
        entry=trainer.skills_are_counted,
    ),
    52: Row(
        "debug_batch, compute_loss_for_callback",
        (f"{HOOKS}::test_left_over_helpers_of_notebooks_and_callbacks",),
        entry=trainer.left_over_methods,
    ),
    53: Row(
        "PEFT LoRA in the fine-tuner",
        (f"{TUNER}::test_champion_is_tuned",),
        entry=tuner.fine_tuned_layers_are_wrapped,
    ),
    54: Row(
        "MPS fall-backs",
        (f"{TUNER}::test_evaluations_fall_back_to_the_cpu",),
        entry=tuner.evaluations_are_repeated_on_the_cpu,
    ),
    55: Row(
        "Legacy fine-tuner paths",
        (f"{TUNER}::test_loaders_of_one_task", f"{TUNER}::test_older_entry_points"),
        entry=tuner.older_entry_points,
    ),
    56: Row(
        "Task selection modes, Hydra main, env config merge, skill extraction",
        (f"{TUNER}::test_selection", f"{TUNER}::test_command_line", f"{TUNER}::test_skills_are_extracted"),
        entry=tuner.tasks_are_selected,
    ),
    57: Row(
        "Yardstick synthetic benchmark",
        (f"{DATA}::test_switched_on[yardstick]",),
        entry=tuner.yardstick_data,
    ),
    58: Row(
        "Synthetic-list files, eval mode, limits, inspection",
        (f"{DATA}::test_switched_on[synthetic list files]", f"{DATA}::test_inspection"),
        entry=tuner.other_forms_of_data,
    ),
    59: Row(
        "Static-pair padding",
        (f"{DATA}::test_switched_on[static pairs]",),
        entry=tuner.contexts_are_filled_up,
    ),
}
