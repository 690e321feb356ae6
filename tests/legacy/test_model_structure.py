"""The champion's model: its tensors, its formulae, and the exceptions that it swallows on its own path."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

REPRODUCTION = Path(__file__).resolve().parents[2] / "reproduction"
TENSORS = [(name, tuple(shape)) for name, shape in json.loads((Path(__file__).parent / "champion_tensors.json").read_text())]
PAD = 10
WITHOUT_GRADIENT = {
    "context_to_logits.weight",
    "context_to_logits.bias",
    "eval_ln.weight",
    "eval_ln.bias",
    *(f"decoder_inter_layer_ln.{layer}.{kind}" for layer in range(3) for kind in ("weight", "bias")),
}

Swallowed = Counter[tuple[str, str, str]]


@pytest.fixture(scope="module", autouse=True)
def modules() -> Iterator[None]:
    """The legacy tree, imported once: what is tested here keeps nothing between tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPRODUCTION / "legacy"))
        _forget_modules()
        yield
        _forget_modules()


@pytest.fixture(autouse=True)
def legacy_tree(modules: None) -> None:
    """In place of the fixture of all legacy tests, which imports everything anew for every test."""


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "champion"]:
        del sys.modules[name]


def _build(dtype: torch.dtype = torch.float32) -> Any:
    config = cast(DictConfig, OmegaConf.load(REPRODUCTION / "configs" / "champion.yaml"))
    torch.manual_seed(42)
    return importlib.import_module("champion.model.transformer_model").TransformerModel(config).to(dtype)


@pytest.fixture(scope="module")
def model(modules: None) -> Any:
    return _build().eval()


def _grids(seed: int, batch: int, height: int, width: int, canvas: tuple[int, int] = (30, 30)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    grids = torch.full((batch, *canvas), PAD)
    grids[:, :height, :width] = torch.randint(0, 10, (batch, height, width), generator=generator)
    return grids


def _inputs(canvas: tuple[int, int] = (30, 30), batch: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    height, width = min(12, canvas[0]), min(14, canvas[1])
    return (
        _grids(1, batch, height, width, canvas),
        _grids(2, batch, max(1, height - 3), max(1, width - 5), canvas),
        torch.stack([_grids(3, batch, 4, 5), _grids(4, batch, 6, 3)], dim=1),
        torch.stack([_grids(5, batch, 5, 5), _grids(6, batch, 2, 7)], dim=1),
    )


def test_tensors_and_parameters(model: Any) -> None:
    assert [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()] == TENSORS
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_644_971
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.output_fc.weight is model.input_embedding.G
    assert dict(model.named_buffers()).keys() - {name for name, _ in TENSORS} == {
        "_precomputed_seq2d_coords",
        "context_encoder.rotary_cos",
        "context_encoder.rotary_sin",
    }


def test_gradients_reach_all_but_the_spare_parameters() -> None:
    model = _build().train()
    src, tgt, *context = _inputs((6, 7))
    logits = model(src, tgt, *context)
    assert logits.shape == (1, 6, 7, 24)
    torch.autograd.backward(F.cross_entropy(logits.flatten(0, 2), tgt.flatten()))
    without = {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without.keys() == WITHOUT_GRADIENT
    assert sum(without.values()) == 1643
    assert model._bridge_step == 1
    assert torch.equal(model.input_embedding.G.grad[PAD], torch.zeros(160))


def test_results_for_the_trainer(model: Any) -> None:
    with torch.no_grad():
        model(*_inputs((6, 6)))
    assert model.last_hidden.shape == (1, 36, 160)
    assert model.last_rule_vec is None and "grid_attn" in model.last_extra
    assert (model.last_attn_weights, model.last_psi, model.loop_logits, model.loop_halt) == (None, None, [], [])
    assert (model.loop_stats, model.deq_stats, model.anticopy_manager, model.calibrator) == ({}, {}, None, None)
    assert (model.bam_modules(), model.moe_aux_loss(), model.nora_aux_loss(), model.bam_beta_clamp()) == ([], None, None, None)


@pytest.mark.parametrize("canvas", [(30, 30), (10, 7), (3, 3)])
@pytest.mark.parametrize("with_context", [True, False])
def test_eval_logits_follow_the_formulae(model: Any, canvas: tuple[int, int], with_context: bool) -> None:
    src, tgt, *pairs = _inputs(canvas)
    context = pairs if with_context else [None, None]
    with torch.no_grad():
        logits = model(src, tgt, *context)
        expected = _reference(model, src, tgt, model.context_encoder(*pairs)[0] if with_context else None)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    assert torch.equal(logits[..., PAD], torch.zeros_like(logits[..., PAD]))


def test_double_precision_agrees_closely() -> None:
    model = _build(torch.float64).eval()
    src, tgt, *pairs = _inputs((10, 7))
    logits = model(src, tgt, *pairs)
    assert logits.dtype == torch.float64
    expected = _reference(model, src, tgt, model.context_encoder(*pairs)[0])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-11)


def _reference(model: Any, src: Tensor, tgt: Tensor, context: Tensor | None) -> Tensor:
    """Eval logits in plain tensor code, from the weights and the context vector alone."""
    weights = model.state_dict()
    width, heads = 160, 4
    table = weights["input_embedding.G"].clone()
    table[PAD] = 0
    positions = weights["positional_encoding.pe"]

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (width,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    def attention(name: str, query: Tensor, key: Tensor, blocked: Tensor) -> Tensor:
        inputs = zip(
            (query, key, key), weights[f"{name}.in_proj_weight"].chunk(3), weights[f"{name}.in_proj_bias"].chunk(3), strict=True
        )
        q, k, v = (F.linear(x, w, b).view(*x.shape[:-1], heads, -1).transpose(1, 2) for x, w, b in inputs)
        scores = (q @ k.mT / math.sqrt(width // heads)).masked_fill(blocked, -math.inf)
        return linear(f"{name}.out_proj", (scores.softmax(-1) @ v).transpose(1, 2).flatten(-2))

    def feed_forward(name: str, x: Tensor) -> Tensor:
        return linear(f"{name}.linear2", linear(f"{name}.linear1", x).relu())

    tiny = 1.5 if max(src.shape[1:]) <= 3 else 1.0
    source = src.flatten(1)
    closed = (source == PAD)[:, None, None, :]
    x = (table[source] * math.sqrt(width) + positions[:, : source.size(1)]) * tiny
    x = norm("encoder.layers.0.norm1", x + attention("encoder.layers.0.self_attn", x, x, closed))
    memory = norm("dec_mem_ln", norm("encoder.layers.0.norm2", x + feed_forward("encoder.layers.0", x)))

    shifted = F.pad(tgt.flatten(1), (1, 0), value=PAD)[:, :-1]
    length = shifted.size(1)
    y = table[shifted] * math.sqrt(width) + positions[:, :length]
    y[:, 0] += weights["bos_embed"]
    if context is not None:
        scaled = 12.0 * context
        scaled = scaled * (50 * math.sqrt(width) / scaled.norm(dim=-1, keepdim=True)).clamp(max=1.0)
        joined = torch.cat([y, scaled[:, None].expand(-1, length, -1)], dim=-1)
        y = norm("context_integration.2", linear("context_integration.0", joined).relu())
    y = y * tiny
    if context is not None:
        y = y + linear("context_to_tgt_bias", scaled)[:, None]
    unseen = (shifted == PAD) & (torch.arange(length) > 0)
    blocked = unseen[:, None, None, :] | torch.ones(length, length, dtype=torch.bool).triu(1)
    for layer in (f"decoder.layers.{index}" for index in range(3)):
        y1 = norm(f"{layer}.norm1", y)
        y = y + attention(f"{layer}.self_attn", y1, y1, blocked)
        y = y + attention(f"{layer}.multihead_attn", norm(f"{layer}.norm2", y), memory, closed)
        y = y + feed_forward(layer, norm(f"{layer}.norm3", y))
    logits = torch.cat([y @ table.T, linear("output_aug_extra", y)], dim=-1)
    return logits.view(*tgt.shape, 24)


@pytest.mark.parametrize("cell", [0, 17, 98])
def test_a_target_cell_is_seen_by_later_cells_only(model: Any, cell: int) -> None:
    src, tgt, *pairs = _inputs((10, 10))
    other = tgt.clone()
    other.view(-1)[cell] = 3 if int(tgt.view(-1)[cell]) != 3 else 4
    with torch.no_grad():
        difference = (model(src, tgt, *pairs) - model(src, other, *pairs)).flatten(0, 2).abs().amax(-1)
    assert float(difference[: cell + 1].max()) < 1e-5
    assert float(difference[cell + 1]) > 1e-4


def test_empty_inputs_stay_finite(model: Any) -> None:
    src, tgt, *pairs = _inputs((10, 10))
    with torch.no_grad():
        assert bool(model(torch.full_like(src, PAD), tgt, *pairs).isfinite().all())
        assert bool(model(src, torch.full_like(tgt, PAD), *(torch.full_like(pair, PAD) for pair in pairs)).isfinite().all())


def test_huge_contexts_are_capped_in_evaluation(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    src, tgt, *pairs = _inputs((6, 6))
    direction = model.context_encoder(*pairs)[0].detach()
    seen = []

    def spy(y: Tensor, context: Tensor, **_: object) -> Tensor:
        seen.append(context)
        return y

    monkeypatch.setattr(model.bridge_dec, "forward", spy)
    for factor in (1e5, 1e7, math.inf):
        monkeypatch.setattr(model.context_encoder, "forward", lambda *_, c=direction * factor: (c, None, {}))
        with torch.no_grad():
            assert bool(model(src, tgt, *pairs).isfinite().all())
    torch.testing.assert_close(seen[0], seen[1])
    assert float(seen[0].norm()) == pytest.approx(50 * math.sqrt(160), rel=1e-4)


def _swallowed(run: Callable[[], object]) -> Swallowed:
    """Exceptions that pass through the model's own frames while `run` returns normally."""
    found: Swallowed = Counter()
    file = importlib.import_module("champion.model.transformer_model").__file__

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != file:
            return None
        if event == "exception" and issubclass(argument[0], Exception) and argument[0] is not StopIteration:
            name = re.search("'(\\w+)' where it is", str(argument[1]))
            found[frame.f_code.co_name, argument[0].__name__, name[1] if name else getattr(argument[1], "name", "")] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return found


def test_swallowed_exceptions() -> None:
    src, tgt, *pairs = _inputs((6, 6))
    built: list[Any] = []
    assert _swallowed(lambda: built.append(_build())) == {
        ("__init__", "AttributeError", "film_per_layer_gens"): 1,
        ("__init__", "UnboundLocalError", "OmegaConf"): 1,
    }
    cache = {("forward", "AttributeError", "_seq2d_coords_cache"): 1}
    for mode in (True, False):
        model = built[0].train(mode)
        assert _swallowed(partial(model, src, tgt, *pairs)) == cache
        assert _swallowed(partial(model, src, tgt)) == {**cache, ("forward", "UnboundLocalError", "Hs_tgt"): 1}
        assert _swallowed(partial(model, src, None, *pairs)) == {}
