"""What a mutant is about, from the words around it: the same change of a number is one of a loss here, of a mask there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from unbloat.mutate.source import Source, called

CONSTANT, OPERATOR, ARGUMENT, STATEMENT = "constant", "operator", "argument", "statement"
NORM, DROPOUT, ACTIVATION, MASK, RESIDUAL = "norm order", "dropout", "activation", "mask", "residual"
INITIALISATION, LOSS, SCHEDULE, DTYPE, SHIFT = "initialisation", "loss", "optimizer or schedule", "dtype", "shift"
REDUCTION, ORDER, METRIC = "reduction", "batch order", "metric"

KINDS = (
    *(CONSTANT, OPERATOR, ARGUMENT, STATEMENT, NORM, DROPOUT, ACTIVATION, MASK, RESIDUAL, INITIALISATION, LOSS, SCHEDULE),
    *(DTYPE, SHIFT, REDUCTION, ORDER, METRIC),
)
_GENERAL = frozenset({CONSTANT, OPERATOR, ARGUMENT, STATEMENT})

_WORDS = (
    (DROPOUT, "dropout"),
    (INITIALISATION, "init initialise initialize initializer"),
    (
        SCHEDULE,
        "optimizer optimizers optim scheduler schedule lr betas momentum decay eta warmup clip patience epochs",
    ),
    (LOSS, "loss losses criterion cost costs penalty penalties nll ce entropy"),
    (MASK, "mask masks masked"),
    (METRIC, "metric metrics accuracy score scores calibration ece recall precision f1"),
    (ORDER, "shuffle shuffled permutation loader sampler"),
)
_KIND_OF_WORD = {word: kind for kind, words in _WORDS for word in words.split()}


def refined(kind: str, source: Source, node: ast.AST) -> str:
    """A general kind, made precise by the nearest name that says what the code is about; other kinds stay."""
    if kind not in _GENERAL:
        return kind
    found = (_KIND_OF_WORD[word] for name in _names(source, node) for word in words_of(name) if word in _KIND_OF_WORD)
    return next(found, kind)


def words_of(name: str) -> list[str]:
    """`trainLoss_sum` → train, loss, sum."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]


def _names(source: Source, node: ast.AST) -> Iterator[str]:
    """From the inside outwards: keyword, callee, target, function."""
    for one in (node, *source.above(node)):
        match one:
            case ast.keyword(arg=str(name)):
                yield name
            case ast.Call():
                yield called(one)
            case ast.Assign(targets=[target]) | ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                yield target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield "" if one.name.startswith("__") else one.name  # `__init__` says nothing.
                return
