"""What a value depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Key: TypeAlias = tuple[object, str]  # a scope and a name, a class family and an attribute, a function and "return"


@dataclass(frozen=True)
class Value:
    """What a value depends on: parameters of functions, or (None) something that is not known before the run.

    `presence` is the same for the question whether the value is `None`: an object is built from data, yet known to be one.
    """

    content: frozenset[Key] | None
    presence: frozenset[Key] | None

    @property
    def is_static(self) -> bool:
        return self.content is not None


STATIC = Value(frozenset(), frozenset())
OBJECT = Value(None, frozenset())
DYNAMIC = Value(None, None)


def union(parts: Iterable[frozenset[Key] | None]) -> frozenset[Key] | None:
    found: frozenset[Key] = frozenset()
    for part in parts:
        if part is None:
            return None
        found |= part
    return found


def join(values: Iterable[Value]) -> Value:
    """A value that may be any of these: it depends on what all of them depend on."""
    values = list(values)
    return Value(union(value.content for value in values), union(value.presence for value in values))
