"""What the rows of the trainer do (28 to 52), where a difference in numbers does not say it."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from .small_champion import CLASSES, SIDE, Seen, batch, build, champion, optimizer, package, plain, see, step

SAMPLING = {"training.scheduled_sampling.enabled": True, "training.scheduled_sampling.probability": 1.0}


def hierarchical_models(patch: pytest.MonkeyPatch) -> None:
    trainer = package("model.trainer").TransformerTrainer(champion({"model.model_name": "hnet2d1d_t3_cs"}))
    logged: list[str] = []
    trainer.log = lambda name, *_, **__: logged.append(name)
    losses = [trainer.training_step([*batch(), *augmented], 0) for augmented in ([], [torch.full((2, SIDE, SIDE), 23)])]
    assert type(trainer.model).__name__ != "TransformerModel" and "train_hnet_ratio" in logged
    assert float(losses[0].detach()) != float(losses[1].detach())


def the_model_class_is_patched(patch: pytest.MonkeyPatch) -> None:
    class Patched(package("model.transformer_model").TransformerModel):  # type: ignore[misc]
        pass

    assert type(plain().trainer.model) is not Patched
    patch.setattr(package("model.transformer_model"), "TransformerModel", Patched)
    assert type(build().model) is Patched


def the_log_file(patch: pytest.MonkeyPatch) -> None:
    trainer = build()
    logging.getLogger("champion.model.trainer").warning("seen")
    assert "seen" in Path("logs/train.log").read_text(encoding="utf-8") and trainer._file_handler is not None
    trainer.on_train_end()
    assert trainer._file_handler is None and build({"is_test_environment": True})._file_handler is None


def classes_are_balanced(patch: pytest.MonkeyPatch) -> None:
    trainer = build({"training.class_balanced_loss": True})
    trainer._trainer = SimpleNamespace(train_dataloader=[batch()])
    trainer._setup_class_weights()
    trainer._trainer = None
    assert step(trainer) != step(build()) and trainer.logged["train_histogram_kl"] > 0.0
    assert plain().trainer.lambda_kl == 0.03 and "train_histogram_kl" not in plain().logged, "inert without the prior"


def the_passes_differ(seen: Seen) -> None:
    assert seen.logged["train_rdrop_kl"] > 0.0 and seen.trainer._rdrop_report()["steps"] == 1


def dice_needs_rdrop(patch: pytest.MonkeyPatch) -> None:
    off = {"training.dice_loss_enabled": False}
    assert plain().trainer.dice_loss is not None and step(build(off)) == plain().loss, "configured, never computed"
    assert step(build({"rdrop.enabled": True})) > step(build({"rdrop.enabled": True, **off}))


def the_change_weight_is_never_applied(patch: pytest.MonkeyPatch) -> None:
    trainer, equal = build(), build({"training.change_weight": 1.0})
    src, tgt, *_ = batch()
    logits = torch.randn(2, SIDE, SIDE, CLASSES, generator=torch.Generator().manual_seed(1))
    weighted, unweighted = (each.train()._compute_loss(logits, tgt, src) for each in (trainer, equal))
    assert weighted != unweighted and trainer.eval()._compute_loss(logits, tgt, src) == unweighted
    assert step(equal) == plain().loss


def the_model_keeps_no_maps(seen: Seen) -> None:
    assert {"train_cebr", "train_cebr_head"} <= seen.logged.keys()
    assert step(build({"model.cebr_head.enabled": True})) == plain().loss, "the champion's model returns no attention"


def hypergradients_overwrite_the_scalars(seen: Seen) -> None:
    champions = plain().trainer
    assert champions.regulariser_hypergrad is None
    assert float(champions.cebr_alpha) == pytest.approx(0.035) and champions.config.model.cebr_alpha == 0.01
    assert seen.trainer.regulariser_hypergrad is not None


def the_hidden_state_is_kept_anyway(seen: Seen) -> None:
    assert plain().trainer._last_hidden is not None and not plain().trainer._last_hidden.requires_grad
    assert seen.trainer._last_hidden.requires_grad


def weights_are_averaged(seen: Seen) -> None:
    for number in range(2):
        seen.trainer.on_train_batch_end(None, batch(), number)
    assert seen.trainer.swa.n_averaged == 2 and plain().trainer.swa is None
    with torch.no_grad():
        seen.trainer.model.bos_embed += 1.0
    assert seen.trainer._swa_finish()
    assert torch.equal(seen.trainer.model.bos_embed, seen.trainer.swa.average["bos_embed"])


def sampling_needs_cross_entropy(seen: Seen) -> None:
    assert "train_sampled_share" not in see(SAMPLING).logged, "unreachable under the expected cost"


def rules_need_an_encoder_that_returns_them(patch: pytest.MonkeyPatch) -> None:
    assert plain().trainer.model.last_rule_vec is None and "train_rule_loss" not in plain().logged
    assert "train_grid_attn_entropy" in plain().logged
    trainer = build()
    forward = trainer.model.context_encoder.forward

    def with_a_rule(*pairs: Tensor) -> tuple[Tensor, Tensor, object]:
        context, _, extra = forward(*pairs)
        return context, context, extra

    patch.setattr(trainer.model.context_encoder, "forward", with_a_rule)
    assert step(trainer) != plain().loss and trainer.logged["train_rule_loss"] > 0.0


def slots_are_never_complete(patch: pytest.MonkeyPatch) -> None:
    for marks in (False, True):
        trainer = build({"model.insertion.pad_marks_complete": marks}).eval()
        logits = torch.zeros(2, SIDE, SIDE, CLASSES)
        gated = trainer._apply_insertion_gating(logits, trainer._compute_slot_state(logits, batch()[1]))
        assert bool((gated != logits).any()) is marks


def the_canvas_is_filled_slot_by_slot(patch: pytest.MonkeyPatch) -> None:
    src, _, *context, task_ids = batch(side=2)
    trainer = build().eval()
    assert trainer.predict_step([src, src, *context, task_ids], 0)["steps"] == 2, "four slots, two at a time"
    once = build({"model.insertion.enabled": False}).eval()
    assert once.predict_step([src, src, *context, task_ids], 0)["steps"] == 0


def tests_adapt_the_norms(patch: pytest.MonkeyPatch) -> None:
    eager = {"model.sar.entropy_threshold_factor": 2.0, "model.sar.optimizer.lr": 0.5}
    adapted, still = build(eager), build({**eager, "model.sar.enabled": False})
    losses = [float(trainer.eval().test_step(batch(), 0)["loss"]) for trainer in (adapted, still)]
    assert losses[0] != losses[1] and adapted.logged["test_sar_selected"] > 0.0
    assert not any(name.startswith("test_sar") for name in still.logged)


def other_optimizers(patch: pytest.MonkeyPatch) -> None:
    kinds = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "sam": "SAM", "hypergrad": "HyperGradient"}
    assert {name: type(optimizer(build({"optimizer.name": name}))).__name__ for name in kinds} == kinds
    assert plain().trainer.config.model.sam_enabled, "moot beside the name"


def other_schedules(patch: pytest.MonkeyPatch) -> None:
    plans = [build(switch).configure_optimizers() for switch in ({}, {"scheduler.use_cosine_annealing": False})]
    assert ["Plateau" in type(plan["lr_scheduler"]["scheduler"]).__name__ for plan in plans] == [False, True]
    resumed = optimizer(build({"train.resume_epoch": 3}))
    assert resumed.param_groups[0]["lr"] < optimizer(build()).param_groups[0]["lr"]


def a_temperature_is_fitted(patch: pytest.MonkeyPatch) -> None:
    trainer = build({"calibration.enabled": True})
    trainer._trainer = SimpleNamespace(val_dataloaders=[[batch()]])
    fitted = trainer._fit_calibrator()
    trainer._trainer = None
    assert fitted and float(trainer.model.calibrator.temperature) != 1.0
    trainer.eval().validation_step(batch(), 0)
    assert {"val_ece_pre", "val_ece_post"} <= trainer.logged.keys()
    assert not build()._fit_calibrator() and "train_ece_pre" in plain().logged


def skills_are_counted(patch: pytest.MonkeyPatch) -> None:
    trainer = build().eval()
    trainer.validation_step(batch(), 0)
    trainer.on_validation_epoch_end()
    assert {"acc_A", "acc_B"} <= trainer.logged.keys() and "acc_C" not in trainer.logged, "two tasks"


def left_over_methods(patch: pytest.MonkeyPatch) -> None:
    trainer = build()
    assert trainer.debug_batch(batch())[0]["shape"] == (2, SIDE, SIDE)
    assert trainer.compute_loss_for_callback(batch()).requires_grad


def heads_are_rounded(seen: Seen) -> None:
    assert hasattr(seen.trainer.model.output_aug_extra, "weight_fake_quant")


def copies_are_measured(patch: pytest.MonkeyPatch) -> None:
    names = {"copy_rate", "change_recall", "change_precision", "change_f1", "transformation_score", "transformation_quality"}
    assert {f"train_{name}" for name in names} <= plain().logged.keys()
