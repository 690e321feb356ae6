"""What a settled decision rests on: the config keys, options and environment variables that must stay as they are.

A fold is safe for every config that answers the reads behind the decision as the pinned one did: the decision is a
function of those answers. So the support of a decision is the set of keys that the runs saw read while it, and
everything that flows into it, was computed. Where that set cannot be told, the decision is not folded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Found

Scalar: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True)
class PinnedArgument:
    """A parameter that a function checks, and the values that the runs saw it take; none: anything but `None`."""

    file: str
    function: Span
    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Support:
    """Everything that has to stay as it was for a decision to stay as it was.

    Of a key in `keys` the value counts; of one in `types` only whether it is there, is `None`, and of which type it is: a test
    like `x is None` must not freeze a number.
    """

    keys: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    environment: frozenset[str] = frozenset()
    arguments: frozenset[PinnedArgument] = frozenset()

    def and_(self, other: Support) -> Support:
        return Support(
            self.keys | other.keys,
            self.types | other.types,
            self.environment | other.environment,
            self.arguments | other.arguments,
        )


NOTHING = Support()


def joined(supports: Iterable[Support | None]) -> Support | None:
    """Everything that several things rest on; None if one of them cannot be had."""
    found = NOTHING
    for support in supports:
        if support is None:
            return None
        found = found.and_(support)
    return found


def type_of(found: Found) -> str:
    """What is there, by type: a scalar's or list's type, that a key is absent, or of which type the part is that it holds."""
    kind, value = found
    if kind == "mapping":
        return value or kind
    return type(value).__name__ if kind == "value" else kind
