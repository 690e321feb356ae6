"""Changes of calls that torch and its relatives give a meaning: one function for its neighbour, one option less."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from unbloat.mutate.expressions import Change
from unbloat.mutate.kinds import ACTIVATION, DROPOUT, INITIALISATION, LOSS, MASK, METRIC, ORDER, REDUCTION, SCHEDULE
from unbloat.mutate.source import Source, called

_INSTEAD = {
    ACTIVATION: {
        "relu": "gelu",
        "gelu": "relu",
        "silu": "relu",
        "tanh": "sigmoid",
        "sigmoid": "tanh",
        "softmax": "log_softmax",
        "log_softmax": "softmax",
        "logsumexp": "amax",
        "exp": "expm1",
        "log": "log1p",
        "sqrt": "exp",
        "cos": "sin",
        "sin": "cos",
        "ReLU": "GELU",
        "GELU": "ReLU",
        "SiLU": "ReLU",
        "Tanh": "Sigmoid",
    },
    REDUCTION: {
        "sum": "mean",
        "mean": "sum",
        "any": "all",
        "all": "any",
        "argmax": "argmin",
        "argmin": "argmax",
        "max": "min",
        "min": "max",
        "amax": "amin",
        "amin": "amax",
        "maximum": "minimum",
        "minimum": "maximum",
        "prod": "sum",
        "median": "mean",
    },
    INITIALISATION: {
        "zeros": "ones",
        "ones": "zeros",
        "zeros_like": "ones_like",
        "ones_like": "zeros_like",
        "zeros_": "ones_",
        "ones_": "zeros_",
        "xavier_uniform_": "kaiming_uniform_",
        "xavier_normal_": "kaiming_normal_",
        "kaiming_uniform_": "xavier_uniform_",
        "kaiming_normal_": "xavier_normal_",
        "normal_": "uniform_",
        "uniform_": "normal_",
        "trunc_normal_": "normal_",
    },
    MASK: {"triu": "tril", "tril": "triu"},
    SCHEDULE: {
        "Adam": "AdamW",
        "AdamW": "Adam",
        "SGD": "Adam",
        "CosineAnnealingWarmRestarts": "ExponentialLR",
        "CosineAnnealingLR": "ExponentialLR",
        "StepLR": "ExponentialLR",
    },
    LOSS: {"cross_entropy": "multi_margin_loss", "mse_loss": "l1_loss", "l1_loss": "mse_loss", "relu": "abs"},
}
_KIND_OF = {name: (kind, other) for kind, names in _INSTEAD.items() for name, other in names.items() if kind != LOSS}
_KIND_OF |= {name: (LOSS, other) for name, other in _INSTEAD[LOSS].items() if name.endswith(("loss", "entropy"))}


def neighbour(source: Source, node: ast.expr) -> Iterator[Change]:
    """`sum` → `mean`, `Adam` → `AdamW`: what is easily mistaken for each other."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in _KIND_OF:
            kind, other = _KIND_OF[name]
            yield kind, _calling(node, ast.Attribute(owner, other, ast.Load()))
        case ast.Call(func=ast.Name("max" | "min" | "any" | "all" as name)):
            yield REDUCTION, _calling(node, ast.Name(_KIND_OF[name][1], ast.Load()))


def dropout(source: Source, node: ast.expr) -> Iterator[Change]:
    """A dropout less, or one of another rate: half of what is seen, so that it differs from a rate of zero too."""
    if not isinstance(node, ast.Call) or "dropout" not in called(node).lower():
        return
    if called(node) in ("Dropout", "Dropout1d", "Dropout2d", "AlphaDropout"):
        yield DROPOUT, _calling(node, node.func, [ast.Constant(0.5)], [])
    elif node.args:
        yield DROPOUT, node.args[0]


def option(source: Source, node: ast.expr) -> Iterator[Change]:
    """A keyword argument less, as far as it has a meaning of its own: then the library's default counts."""
    if not isinstance(node, ast.Call):
        return
    for keyword in node.keywords:
        if keyword.arg is None or (kind := _kind_of_option(keyword.arg)) is None:
            continue
        others = [one for one in node.keywords if one is not keyword]
        if kind == DROPOUT:
            others.append(ast.keyword(keyword.arg, ast.Constant(0.5)))
        yield kind, _calling(node, node.func, node.args, others)


def masked(source: Source, node: ast.expr) -> Iterator[Change]:
    """`masked_fill(m, v)` where m is not set, `where(m, a, b)` with the two exchanged."""
    match node:
        case ast.Call(func=ast.Attribute(attr="masked_fill" | "masked_fill_"), args=[mask, value]) if not _is_inverted(mask):
            yield MASK, _calling(node, node.func, [ast.UnaryOp(ast.Invert(), mask), value], node.keywords)
        case ast.Call(func=ast.Attribute(attr="where"), args=[mask, first, second]):
            yield MASK, _calling(node, node.func, [mask, second, first], node.keywords)


def logged(source: Source, node: ast.expr) -> Iterator[Change]:
    """A metric under another name, which is what early stopping and checkpoints go by."""
    match node:
        case ast.Call(func=ast.Attribute(attr="log"), args=[ast.Constant(str(name)), *rest]) if rest:
            yield METRIC, _calling(node, node.func, [ast.Constant(f"{name}_"), *rest], node.keywords)
        case ast.Call(func=ast.Attribute(attr="shuffle")):
            yield ORDER, ast.Constant(None)


def _is_inverted(mask: ast.expr) -> bool:
    """Then the inversion itself is what is changed."""
    return isinstance(mask, ast.UnaryOp) and isinstance(mask.op, ast.Invert)


def _kind_of_option(name: str) -> str | None:
    if "dropout" in name:
        return DROPOUT
    if name.endswith("mask"):
        return MASK
    if name in ("lr", "betas", "eps", "weight_decay", "momentum", "T_mult", "eta_min", "patience", "mode", "gradient_clip_val"):
        return SCHEDULE
    if name in ("keepdim", "reduction", "correction", "unbiased"):
        return REDUCTION
    if name in ("bias", "padding_idx"):
        return INITIALISATION
    if name in ("ignore_index", "label_smoothing", "weight"):
        return LOSS
    if name in ("shuffle", "drop_last", "generator", "stable", "descending"):
        return ORDER
    return None


def _calling(
    node: ast.Call, func: ast.expr, args: list[ast.expr] | None = None, keywords: list[ast.keyword] | None = None
) -> ast.Call:
    fresh = copy.copy(node)
    fresh.func = func
    fresh.args = node.args if args is None else args
    fresh.keywords = node.keywords if keywords is None else keywords
    return fresh
