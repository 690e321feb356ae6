"""Every leaf of the config nodes is read: a changed value shows in what the module does."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

LENGTH = 6


def module(name: str) -> Any:
    return importlib.import_module(f"champion.{name}")


def inputs(seed: int = 5) -> torch.Tensor:
    return torch.randn(2, LENGTH, 8, generator=torch.Generator().manual_seed(seed))


def settle(model: nn.Module) -> nn.Module:
    """Zero-initialised parts would hide what they are for."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            p.add_(torch.randn(p.shape, generator=generator) * (0.0 if name.endswith(("alpha", "beta")) else 0.2))
    return model


def bam(cfg: Any) -> Iterator[Any]:
    x = inputs()
    lib = module("model.attention.bam_mha")
    stack = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 1)
    for side in ("encoder", "decoder"):
        yield lib.install_bam(stack, cfg, side, grid_width=3)
        for attention in [m for m in stack.modules() if isinstance(m, lib.BAMMultiheadAttention)]:
            attention.set_coordinates(x[0, :, :2])
            yield [(name, list(p.shape)) for name, p in attention.named_parameters()]
            yield attention(x, x, x)[0]
            yield attention.last_diagnostics
    priors = [m for m in stack.modules() if isinstance(m, lib.GGDPrior)]
    for prior in priors:
        prior.beta = nn.Parameter(torch.tensor([-1.0, 1.0]))
    yield lib.enforce_beta_fraction(stack)
    yield [prior.beta for prior in priors]


def dsla(cfg: Any) -> Iterator[Any]:
    encoder = module("model.attention.dsla_encoder").DSLAHybridEncoder(8, 2, 16, 4, cfg, dropout=0.0)
    yield encoder(inputs())
    yield encoder.sensitivity


def tri_temporal(cfg: Any) -> Iterator[Any]:
    encoder = module("model.attention.tri_temporal_encoder").TriTemporalEncoder(cfg, dropout=0.0)
    yield settle(encoder)(inputs())
    yield encoder(inputs(6))


def token_parameters(cfg: Any) -> Iterator[Any]:
    lib = module("model.attention.tri_temporal_attention")
    yield settle(lib.TokenParameterAttention(cfg, 7))(torch.ones(1, cfg.in_features))
    for which in ("q", "k", "v", "o", "ffn"):
        yield [p.shape for p in lib.projection(cfg, which, 4, 4).parameters()]


def deq(cfg: Any) -> Iterator[Any]:
    encoder = module("model.implicit.deq_encoder").DEQEncoder(8, 2, 16, cfg, dropout=0.0)
    pad = torch.zeros(2, LENGTH, dtype=torch.bool)
    pad[0, 2:] = True
    entered: list[bool] = []

    class Wrapper:
        def no_sync(self) -> Any:
            entered.append(True)
            return torch.no_grad()

    encoder.ddp_wrapper = Wrapper()
    for seed in (5, 6):
        x = inputs(seed).requires_grad_()
        out = encoder(x, src_key_padding_mask=pad)
        yield out
        yield torch.autograd.grad(out.square().sum(), x)[0]
        yield encoder.last_stats
    yield len(entered)


def looped(cfg: Any) -> Iterator[Any]:
    x = inputs()
    block = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True), 1, enable_nested_tensor=False
    )
    model = settle(module("model.looped.looped_transformer").LoopedTransformer(block, 8, cfg)).eval()
    calls: list[bool] = []
    block.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    torch.manual_seed(1)
    out = model(x.requires_grad_())
    out.memory.sum().backward(retain_graph=True)
    yield [out.memory, len(out.history), out.loops, calls, model.last_deltas]
    yield model.iteration_losses([x], x + 1, nn.functional.mse_loss)
    if out.halting is not None:
        losses = [torch.full((2,), float(t + 1)).requires_grad_() for t in range(out.loops)]
        terms = module("model.looped.ponder").ponder_loss(out.halting, losses, cfg.ponder)
        terms.total.backward()
        yield [terms.total, [loss.grad for loss in losses]]
        per_sample = [torch.tensor([1.0, -1.0]) * t for t in range(out.loops)]
        yield module("model.looped.ponder").ponder_loss(out.halting, per_sample, cfg.ponder).task


def cumoe(cfg: Any) -> Iterator[Any]:
    lib = module("model.cumoe.ffn")
    yield [lib.applies_to(cfg, place) for place in ("encoder", "decoder")]
    pair = lib.build_cumoe(8, 2, cfg)
    model = settle(nn.ModuleList(pair))
    yield sum(p.numel() for p in model.parameters())
    x = inputs()
    for part in pair:
        part.experts.set_condition({"task": 3, "size": "large"})
    for training in (True, False):
        model.train(training)
        torch.manual_seed(2)
        y = pair[1](x + pair[0](x, x, x)[0])
        yield [y, [part.experts.aux_loss for part in pair]]
        yield pair[0].experts.router.last_diagnostics
        yield pair[0].experts.router.last_diagnostics is pair[1].experts.router.last_diagnostics
    model.train()
    pair[0](x, x, x)
    yield pair[0].experts.router.last_diagnostics


def nora(cfg: Any) -> Iterator[Any]:
    lib = module("model.peft.nora")
    model = nn.Module()
    model.encoder = nn.TransformerEncoderLayer(8, 2, 64, dropout=0.0, batch_first=True)
    model.decoder = nn.TransformerDecoderLayer(8, 2, 64, dropout=0.0, batch_first=True)
    yield len(lib.install_nora(model, cfg))
    settle(model)
    x = 2 * inputs()
    for training in (True, False):
        model.train(training)
        yield model.decoder(x, model.encoder(x))
    yield module("model.peft.ponder_phi").collect_penalties(model)
    yield model.encoder.activation.last_stats if hasattr(model.encoder.activation, "last_stats") else None
    yield [(g["lr"], g["weight_decay"]) for g in lib.nora_parameter_groups(model, cfg, 0.1)]


def lora(cfg: Any) -> Iterator[Any]:
    model = nn.ModuleDict({"linear1": nn.Linear(200, 200)})
    yield module("model.peft.peft_wrapper").wrap_with_lora(model, cfg)
    yield [p.shape for p in model.parameters()]


def anticopy(cfg: Any) -> Iterator[Any]:
    Path("registry.json").write_text(json.dumps({"0": [1.0] * 8}), encoding="utf-8")
    Path("weights.json").write_text(json.dumps({"bias": 0.03}), encoding="utf-8")
    manager = module("anticopy.manager").AntiCopyManager(cfg)
    stack = settle(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)))
    manager.attach(stack)
    manager.set_risk(0.5)
    for _ in range(3):
        yield stack(inputs())
    yield manager.last_metrics


def sar(cfg: Any) -> Iterator[Any]:
    lib = module("tta.adapter")
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 4))
    with torch.no_grad():
        model[2].weight *= 6.0
        model[2].bias[3] = -99.0
    adapter = lib.SARAdapter(model, cfg, gate=lambda logits: 0.5 * logits)
    for seed in range(3):
        yield adapter(torch.randn(8, LENGTH, 8, generator=torch.Generator().manual_seed(seed)))
    yield [adapter.last_metrics, adapter.ema, adapter.bank, list(model.parameters())]


RUNS: dict[str, tuple[Callable[[Any], Iterator[Any]], str]] = {
    "bam": (bam, "model.bam"),
    "dsla": (dsla, "dsla"),
    "tdm_nystrom": (tri_temporal, "model"),
    "tpa": (token_parameters, "model.tpa"),
    "deq": (deq, "model.deq"),
    "looped": (looped, "model.looped"),
    "cumoe": (cumoe, "model.cumoe"),
    "nora": (nora, "model.nora"),
    "lora": (lora, "model.lora"),
    "anticopy": (anticopy, "model.anticopy"),
    "sar": (sar, "model.sar"),
}
ROWS: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("knobs.yaml")))
# read by the model that decides whether to build the module, or without a trace by design (same numbers in chunks)
ELSEWHERE = {
    "bam": {"enabled", "seq_2d.distance_chunk_size", "cross.seq_2d.distance_chunk_size"},
    "dsla": {"enabled"},
    "deq": {"enabled"},
    "looped": {"enabled", "scheduler"},
    "cumoe": {"enabled"},
    "nora": {"enabled"},
}
CASES = [
    pytest.param(name, row["with"], row["change"], id=f"{name}-{number}")
    for name, rows in ROWS.items()
    for number, row in enumerate(rows)
]


def plain(value: Any) -> Any:
    """Something that compares by value."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.detach().contiguous().numpy().tobytes()
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def fingerprint(name: str, node: Any, overrides: Mapping[str, Any]) -> Any:
    run, path = RUNS[name]
    torch.manual_seed(7)
    return [plain(part) for part in run(node(path, overrides))]


def leaves(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in cfg:
        value = cfg._get_node(key)
        if isinstance(value, DictConfig) and len(value):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@pytest.mark.parametrize(("name", "context", "changes"), CASES)
def test_knobs_have_effects(node: Any, name: str, context: Any, changes: Any) -> None:
    before = fingerprint(name, node, context)
    assert before == fingerprint(name, node, context)
    assert [key for key in changes if fingerprint(name, node, {**context, key: changes[key]}) == before] == []


@pytest.mark.parametrize("name", RUNS)
def test_no_leaf_is_forgotten(node: Any, name: str) -> None:
    path = RUNS[name][1]
    cfg = node(path)
    wanted = {f"tdm_nystrom.{k}" for k in leaves(cfg.tdm_nystrom)} if path == "model" else set(leaves(cfg))
    turned = {key for row in ROWS[name] for key in row["change"]}
    assert wanted - turned == ELSEWHERE.get(name, set())
    assert all(OmegaConf.select(cfg, key, default="absent") != "absent" for key in turned)
