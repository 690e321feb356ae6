"""What the rows of the model do (1 to 27), where a difference in numbers does not say it."""

from __future__ import annotations

import logging
import re

import pytest
import torch
from torch import nn

from .small_champion import SIDE, Seen, answer, batch, build, champion, optimizer, package, plain


def film_hooks_are_missing(seen: Seen) -> None:
    """They are set up before the attribute exists; the AttributeError is swallowed."""
    assert seen.trainer.model._film_layer_coeffs is not None
    assert not any(layer._forward_hooks for layer in seen.trainer.model.decoder.layers)


def heads_are_apart(seen: Seen) -> None:
    assert seen.trainer.model.last_extra["grid_attn"].dim() == plain().trainer.model.last_extra["grid_attn"].dim() + 1


def adapters_have_their_own_rate(seen: Seen) -> None:
    assert [group["lr"] for group in optimizer(seen.trainer).param_groups][1:] == [0.25, 0.25]
    assert len(optimizer(plain().trainer).param_groups) == 1


def the_bridge_is_bypassed(seen: Seen) -> None:
    assert not any("context_integration" in name for name in seen.gradients)


def api_only_arguments(patch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    model = build({"model.bam.enabled": True, "model.bam.apply_to": "encoder", "model.bam.seq_2d.source": "external"}).model
    patch.setattr(model, "_log_shapes", lambda **shapes: shown.extend(shapes))
    usual = model.eval()(*batch()[:4])
    moved = model(*batch()[:4], external_coords=torch.arange(2.0 * SIDE**2).view(-1, 2), debug_shape=True)
    assert not torch.equal(usual, moved) and "logits" in shown and model.train(False) is model


def ranks_compare_their_architecture(patch: pytest.MonkeyPatch) -> None:
    trainer, other = build(), build({"model.bam.prior": "laplace"}).model._arch_signature
    for name, found in {"is_initialized": True, "get_rank": 1, "get_backend": "gloo", "get_world_size": 2}.items():
        patch.setattr(torch.distributed, name, lambda found=found: found)
    patch.setattr(torch.distributed, "all_gather_object", lambda into, own: into.__setitem__(slice(None), [own, other]))
    with pytest.raises(RuntimeError, match="bam_prior"):
        answer(trainer)


def the_environment_overrides_the_gain(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("JARC_CTX_GAIN", "2.5")
    trainer = build()
    assert (trainer.model.context_gain, plain().trainer.model.context_gain) == (7.5, 12.0)
    assert not torch.equal(answer(trainer), plain().logits)
    config = champion()
    del config.model.attention_type
    assert package("model.transformer_model").TransformerModel(config).config.model.attention_type == "vanilla"


def debugging_is_forced(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("JARC_FORCED_DEBUG", "1")
    lines: list[str] = []
    logger = logging.getLogger("champion.model.transformer_model")
    patch.setattr(logger, "info", lambda text, *values: lines.append(text % values))
    level = logger.level
    assert torch.equal(answer(build()), plain().logits)
    logger.setLevel(level)
    assert sum(line.startswith("[forced-debug]") for line in lines) >= 10


def tiny_grids_are_louder(patch: pytest.MonkeyPatch) -> None:
    tiny = batch(side=3)[:4]
    boosted = answer(plain().trainer, tiny)
    patch.setattr(package("model.transformer_model"), "TINY_SIDE", 0)
    assert not torch.allclose(boosted, answer(plain().trainer, tiny))
    assert torch.equal(answer(plain().trainer), plain().logits)


def training_equals_evaluation(patch: pytest.MonkeyPatch) -> None:
    """Without context and dropout rates, although the encoder's layers have a dropout of their own."""
    model = package("model.transformer_model").TransformerModel(champion()).train()
    src, tgt, *context, _ = batch()
    assert torch.equal(model(src, tgt), model(src, tgt)) and model.training
    assert not torch.equal(model(src, tgt, *context), model(src, tgt, *context))


def outputs_are_clamped(patch: pytest.MonkeyPatch) -> None:
    limits = {"champion": 1e3, "model.eval_stabilization": 50.0, "model.eval_final_clamp": 20.0}
    for key, limit in limits.items():
        model = build({} if key == "champion" else {key: True}).model
        nn.init.constant_(model.decoder.layers[0].linear2.bias, 1e4)
        model.eval()(*batch()[:4])
        assert (float(model.last_hidden.detach().abs().max()) > limit) is (key == "champion")


def targets_force_a_bias(patch: pytest.MonkeyPatch) -> None:
    biased = build({"model.context_teacher_force_bias": 0.5})
    assert not torch.equal(answer(biased, batch(side=3)[:4]), answer(build(), batch(side=3)[:4]))
    assert torch.equal(answer(biased), answer(build())), "grids of other sizes have none"


def a_bias_without_target(patch: pytest.MonkeyPatch) -> None:
    trainer = build()
    src, _, *context, _ = batch()
    trainer.model(src, None, *context).sum().backward()
    assert trainer.model.context_to_logits.weight.grad is not None
    assert not plain().gradients["core_model.context_to_logits.weight"]


def keys_of_two_decoders_are_renamed(patch: pytest.MonkeyPatch) -> None:
    state = plain().trainer.model.state_dict()
    old = {re.sub(r"^decoder\.", "decoder_train.", name): value for name, value in state.items()}
    build().model.load_state_dict(old)
    with pytest.raises(RuntimeError, match="decoder_train"):
        build({"model.use_single_decoder": False}).model.load_state_dict(old)
