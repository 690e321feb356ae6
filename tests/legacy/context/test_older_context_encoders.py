"""The two encoders that the champion does not build: equations, masks, switches."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

PAD = 10
NODE = {
    "vocab_size": 11,
    "pad_token_id": PAD,
    "grid_height": 3,
    "grid_width": 4,
    "d_model": 16,
    "n_head": 2,
    "pixel_layers": 1,
    "grid_layers": 1,
    "dropout_rate": 0.0,
    "attn_dropout": 0.0,
    "ffn_dropout": 0.0,
    "pe_dropout": 0.0,
    "pe_type": "sinusoidal",
    "use_positional_encoding": True,
    "pool_type": "attn",
    "weighted_pool": True,
    "dynamic_pairs": True,
    "order_sensitive": False,
    "comp_mode": "cross_out_diff_prod",
    "order_comp_use_layernorm": True,
    "set_refine": None,
    "latent": None,
}
COMPOSITIONS = {
    "cross": 1, "cross_out": 2, "cross_diff": 2, "cross_prod": 2,
    "cross_out_diff": 3, "cross_out_prod": 3, "cross_diff_prod": 3, "cross_out_diff_prod": 4,
}  # fmt: skip
LATENT = {"enabled": True, "dim": 4, "elbo_weight": 1.0, "use_as_context": False}


def legacy(**changes: Any) -> Any:
    torch.manual_seed(3)
    module = importlib.import_module("champion.model.context_encoder")
    return module.ContextEncoderModule(OmegaConf.create({**NODE, **changes})).double().eval()


def cnp(**changes: Any) -> Any:
    torch.manual_seed(3)
    config = importlib.import_module("champion.model.context_encoder_pqa").ContextEncoderConfig(**{**NODE, **changes})
    return importlib.import_module("champion.model.context_encoder_cnp_legacy").ContextEncoderCNP(config).double().eval()


ENCODERS = {"legacy": legacy, "cnp": cnp}


def pair_grids() -> tuple[torch.Tensor, torch.Tensor]:
    """Two samples of three pairs; the last pair of the second sample is a filler."""
    generator = torch.Generator().manual_seed(1)
    inputs, outputs = (torch.randint(0, 10, (2, 3, 3, 4), generator=generator) for _ in range(2))
    inputs[:, 0, :, 3], outputs[:, 1, 2] = PAD, PAD
    inputs[1, 2] = outputs[1, 2] = PAD
    return inputs, outputs


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def linear(x: np.ndarray, layer: Any) -> np.ndarray:
    return x @ array(layer.weight).T + array(layer.bias)


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def layer_norm(x: np.ndarray, norm: Any) -> np.ndarray:
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + 1e-5) * array(norm.weight) + array(norm.bias)


def attention(queries: np.ndarray, keys: np.ndarray, attn: Any, is_open: np.ndarray) -> np.ndarray:
    d_model, heads = queries.shape[1], attn.num_heads
    weight, bias = array(attn.in_proj_weight), array(attn.in_proj_bias)
    part = [slice(i * d_model, (i + 1) * d_model) for i in range(3)]
    q, k, v = (x @ weight[s].T + bias[s] for x, s in zip((queries, keys, keys), part, strict=True))
    mixed = np.zeros_like(q)
    for head in range(heads):
        cut = slice(head * d_model // heads, (head + 1) * d_model // heads)
        for i in range(len(q)):
            scores = np.array([q[i, cut] @ k[j, cut] / np.sqrt(d_model // heads) for j in range(len(k))])
            mixed[i, cut] = softmax(np.where(is_open, scores, -np.inf)) @ v[:, cut]
    return linear(mixed, attn.out_proj)


def transformer_layer(x: np.ndarray, layer: Any, is_open: np.ndarray) -> np.ndarray:
    mixed = x + attention(x, x, layer.self_attn, is_open)
    x = np.stack([layer_norm(row, layer.norm1) for row in mixed])
    hidden = linear(np.maximum(linear(x, layer.linear1), 0), layer.linear2)
    return np.stack([layer_norm(row, layer.norm2) for row in x + hidden])


def legacy_reference(encoder: Any, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    cfg = encoder.cfg

    def grid_vector(grid: np.ndarray, grid_type: int) -> np.ndarray:
        flat = grid.reshape(-1)
        x = array(encoder.embedding.G)[flat] * 4.0
        if cfg.use_positional_encoding:
            table = encoder.pos_table if cfg.pe_type == "learned" else encoder.pos_encoder.pe
            x = x + array(table)[0]
        filled = flat != PAD
        for layer in encoder.pixel_encoder.layers:
            x = transformer_layer(x, layer, filled if filled.any() else ~filled)
        pooled = x[filled].sum(axis=0) / max(filled.sum(), 1) if cfg.weighted_pool else x.mean(axis=0)
        return pooled + array(encoder.grid_type_embedding.weight)[grid_type]

    g_in = np.stack([grid_vector(grid, 0) for grid in inputs])
    g_out = np.stack([grid_vector(grid, 1) for grid in outputs])
    is_open = np.array([(i != PAD).any() or (o != PAD).any() for i, o in zip(inputs, outputs, strict=True)])
    is_open = is_open if cfg.dynamic_pairs else np.ones_like(is_open)
    if cfg.grid_layers:
        tokens = np.concatenate([g_in, g_out])
        for layer in encoder.grid_encoder.layers:
            tokens = transformer_layer(tokens, layer, np.concatenate([is_open, is_open]))
        g_in, g_out = tokens[: len(inputs)], tokens[len(inputs) :]
    crossed = attention(g_out, g_in, encoder.cross_attn, is_open)
    features = crossed + g_out
    if cfg.order_sensitive:
        parts = {"cross": crossed, "out": g_out, "diff": g_out - g_in, "prod": g_out * g_in}
        features = linear(np.concatenate([parts[name] for name in cfg.comp_mode.split("_")], axis=1), encoder.comp_proj)
        if cfg.order_comp_use_layernorm:
            features = np.stack([layer_norm(row, encoder.comp_norm) for row in features])
    if cfg.pool_type == "attn":
        scores = np.tanh(features) @ array(encoder.attn_proj.weight)[0]
        return softmax(np.where(is_open, scores, -np.inf)) @ features
    return features[is_open].mean(axis=0) if cfg.pool_type == "mean" else features[is_open].max(axis=0)


def mlp(x: np.ndarray, layers: Any) -> np.ndarray:
    linears = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
    for layer in linears[:-1]:
        x = np.maximum(linear(x, layer), 0)
    return linear(x, linears[-1])


def cnp_reference(encoder: Any, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    cfg = encoder.cfg
    table = array(encoder.pos_encoder.pe)[0] if cfg.use_positional_encoding else np.zeros((12, 16))
    colours = array(encoder.embedding.G) * 4.0
    pairs = []
    for grid_in, grid_out in zip(inputs.reshape(-1, 12), outputs.reshape(-1, 12), strict=True):
        observed = []
        for cell in range(12):
            if not cfg.weighted_pool or grid_in[cell] != PAD or grid_out[cell] != PAD:
                joined = np.concatenate([colours[grid_in[cell]] + table[cell], colours[grid_out[cell]] + table[cell]])
                observed.append(mlp(joined, encoder.observe))
        is_open = not cfg.dynamic_pairs or (grid_in != PAD).any() or (grid_out != PAD).any()
        if is_open:
            pairs.append(np.mean(observed, axis=0))
    return mlp(np.mean(pairs, axis=0), encoder.aggregate)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pe_type": "learned"},
        {"pe_type": "rotary"},
        {"use_positional_encoding": False},
        {"pixel_layers": 2, "grid_layers": 0},
        {"grid_layers": 2},
        {"weighted_pool": False},
        {"dynamic_pairs": False},
        {"pool_type": "mean"},
        {"pool_type": "max"},
        {"order_sensitive": True, "order_comp_use_layernorm": False},
        *({"order_sensitive": True, "comp_mode": mode} for mode in COMPOSITIONS),
    ],
    ids=lambda changes: json.dumps(changes),
)
def test_legacy_against_loops(changes: dict[str, Any]) -> None:
    encoder = legacy(**changes)
    inputs, outputs = pair_grids()
    context, rule, extra = encoder(inputs, outputs)
    assert rule is None and extra["grid_attn"].shape == (2, 3, 3)
    for sample in range(2):
        expected = legacy_reference(encoder, inputs[sample].numpy(), outputs[sample].numpy())
        np.testing.assert_allclose(array(context[sample]), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pixel_layers": 2, "grid_layers": 0},
        {"weighted_pool": False, "dynamic_pairs": False},
        {"use_positional_encoding": False},
    ],
    ids=lambda changes: json.dumps(changes),
)
def test_cnp_against_loops(changes: dict[str, Any]) -> None:
    encoder = cnp(**changes)
    inputs, outputs = pair_grids()
    context, rule, _ = encoder(inputs, outputs)
    assert rule is None
    for sample in range(2):
        expected = cnp_reference(encoder, inputs[sample].numpy(), outputs[sample].numpy())
        np.testing.assert_allclose(array(context[sample]), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("mode", COMPOSITIONS)
def test_composition_modes_of_the_legacy_encoder(mode: str) -> None:
    """The width of the projection, and that input and output are told apart."""
    encoder = legacy(order_sensitive=True, comp_mode=mode)
    assert encoder.comp_proj.in_features == COMPOSITIONS[mode] * 16
    inputs, outputs = pair_grids()
    assert not torch.allclose(encoder(inputs, outputs)[0], encoder(outputs, inputs)[0])


@pytest.mark.parametrize("name", ENCODERS)
def test_contract(name: str) -> None:
    encoder = ENCODERS[name]().float()
    inputs, outputs = pair_grids()
    inputs[1] = outputs[1] = PAD  # a sample without context
    torch.set_deterministic_debug_mode("error")
    try:
        context, rule, extra = encoder.train()(inputs, outputs)
        context.square().sum().backward()
    finally:
        torch.set_deterministic_debug_mode("default")
    assert context.shape == (2, 16) and context.dtype == torch.float32 and rule is None
    assert encoder.cfg.d_model == 16 and extra["pair_weights"].shape == (2, 3)
    assert torch.equal(context[1], torch.zeros(16))
    for parameter_name, parameter in encoder.named_parameters():
        assert bool(parameter.grad.isfinite().all()) and bool((parameter.grad != 0).any()), parameter_name


@pytest.mark.parametrize("name", ENCODERS)
def test_order_of_the_pairs_and_fillers_do_not_matter(name: str) -> None:
    encoder = ENCODERS[name]()
    inputs, outputs = pair_grids()
    filler = torch.full_like(inputs[:, :1], PAD)
    plain = encoder(inputs, outputs)[0]
    torch.testing.assert_close(encoder(inputs.flip(1), outputs.flip(1))[0], plain)
    filled = encoder(torch.cat([filler, inputs], dim=1), torch.cat([filler, outputs], dim=1))[0]
    torch.testing.assert_close(filled, plain)


@pytest.mark.parametrize(
    ("name", "setting"),
    [(name, setting) for name in ENCODERS for setting in ("dropout_rate", "ffn_dropout", "pe_dropout")]
    + [("legacy", "attn_dropout")],
)
def test_dropouts(name: str, setting: str) -> None:
    encoder = ENCODERS[name](**{setting: 0.5})
    grids = pair_grids()
    assert torch.equal(encoder(*grids)[0], encoder(*grids)[0])
    encoder.train()
    assert not torch.equal(encoder(*grids)[0], encoder(*grids)[0])


def test_latent_of_the_cnp() -> None:
    grids = pair_grids()
    encoder = cnp(latent={**LATENT, "use_as_context": True, "elbo_weight": 0.5})
    context, _, extra = encoder(*grids)
    seen: list[torch.Tensor] = []
    encoder.to_latent.register_forward_hook(lambda module, arguments, output: seen.append(output))
    encoder(*grids)
    mean, raw = seen[0].chunk(2, dim=-1)
    posterior = torch.distributions.Normal(mean, 0.1 + 0.9 / (1 + (-raw).exp()))
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = 0.5 * torch.distributions.kl_divergence(posterior, prior).sum(dim=-1).mean()
    torch.testing.assert_close(extra["latent_kl"], expected)
    torch.testing.assert_close(context[:, :4], mean)
    encoder.train()
    assert not torch.equal(encoder(*grids)[0][:, :4], encoder(*grids)[0][:, :4])
    plain = cnp(latent=LATENT)
    assert torch.equal(plain.train()(*grids)[0], plain(*grids)[0])


def test_defaults_of_the_legacy_encoder() -> None:
    """Configs from before the newer keys, and dropouts without a value."""
    newer = {
        "comp_mode", "order_sensitive", "order_comp_use_layernorm", "weighted_pool", "pe_type", "pool_type",
        "grid_layers", "dynamic_pairs", "set_refine", "latent",
    }  # fmt: skip
    old = {key: value for key, value in NODE.items() if key not in newer} | {"attn_dropout": None, "pe_dropout": None}
    module = importlib.import_module("champion.model.context_encoder")
    torch.manual_seed(3)
    encoder = module.ContextEncoderModule(SimpleNamespace(**old)).double().eval()
    same = legacy(grid_layers=0)
    same.load_state_dict(encoder.state_dict())
    grids = pair_grids()
    assert encoder.cross_attn.dropout == 0.1
    assert torch.equal(encoder(*grids)[0], same(*grids)[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"order_sensitive": True, "comp_mode": "concat"}, "unknown comp_mode"), ({"pool_type": "sum"}, "unknown pool_type")],
)
def test_unknown_modes_of_the_legacy_encoder(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        legacy(**changes)(*pair_grids())


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [((1, 0, 3, 4), (1, 0, 3, 4), "N >= 1"), ((1, 2, 3, 4), (1, 1, 3, 4), "equal shapes"), ((1, 1, 3, 3),) * 2 + ("canvas",)],
)
def test_grids_that_the_cnp_refuses(first: tuple[int, ...], second: tuple[int, ...], message: str) -> None:
    encoder = cnp()
    with pytest.raises(ValueError, match=message):
        encoder(torch.zeros(first, dtype=torch.long), torch.zeros(second, dtype=torch.long))
