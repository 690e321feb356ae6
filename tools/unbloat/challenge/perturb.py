"""Other values for a value: of the same type, in bounds where bounds are usual, and such that the legacy may well run."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

_LONGEST = 2000


def others(value: Any, texts: Sequence[str] = ()) -> list[Any]:
    """Values to try instead of `value`; `texts` are strings that the source compares it with."""
    match value:
        case bool():
            return [not value]
        case None:
            return [texts[0] if texts else 1]
        case int():
            return [_other_whole(value)]
        case float():
            return [_other_float(value)]
        case str():
            return [next((text for text in (*texts, "other") if text != value), "another")]
        case list() | tuple():
            return _other_sequences(value)
        case dict():
            return [dict(list(value.items())[:-1]) if value else {"other": True}]
    return []


def _other_whole(value: int) -> int:
    """Half of an even number is still divisible by most of what it was divisible by, and asks for less time and memory."""
    if value in (0, 1):
        return 1 - value
    return value // 2 if value >= 4 and value % 2 == 0 else value + 1


def _other_float(value: float) -> float:
    """What may be a probability stays one."""
    if not math.isfinite(value):
        return 1.0
    if value in (0.0, 1.0):
        return 1.0 - value
    return value / 2 if abs(value) > 0.5 else value * 2


def _other_sequences(value: Any) -> list[Any]:
    """Shorter, longer, empty."""
    if not value:
        return [type(value)([1])]
    found = [value[:-1], value + value[-1:]]
    return found if len(value) == 1 else [*found, type(value)()]


def literal(value: Any) -> str | None:
    """`value` as source text, if text says all of it."""
    if type(value) not in (bool, int, float, str, type(None), list, tuple, dict):
        return None
    text = repr(value)
    if len(text) > _LONGEST:
        return None
    try:
        return text if ast.literal_eval(text) == value else None
    except (ValueError, SyntaxError):
        return None
