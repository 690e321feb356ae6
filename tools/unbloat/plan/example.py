"""Examples of a pass: its documentation, and its tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """A module before and after one pass; equal texts say that the pass must keep its hands off.

    The workload calls `run(cfg)` with `config`, then once more for each further entry of `calls`. `first` names the passes
    that have had their turn, once each; `others` are further modules of the package, and `gone` those that the pass drops.
    """

    title: str
    before: str
    after: str
    config: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[tuple[Any, ...], ...] = ((),)
    first: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
