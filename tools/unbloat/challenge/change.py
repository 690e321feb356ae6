"""A change of one pin, and the runs that have to show what becomes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ABSENT = "<absent>"


@dataclass(frozen=True)
class Change:
    """One key, argument or environment variable with another value."""

    kind: str
    target: str
    old: str
    new: str
    injected: Mapping[str, Any]
    """What the process of a run is told; see `unbloat.challenge.inject`."""
    runs: tuple[str, ...]
    """The workloads that judge it in any case."""
    deep: str | None = None
    """One more, for a change that those let pass."""
    likely: bool = True
    """Whether it is known to reach the package; the others fill what the limit leaves."""

    @property
    def name(self) -> str:
        """Unlike those of all other changes."""
        return f"{self.kind} {self.target}: {self.old} -> {self.new}"


def sample(changes: Sequence[Change], limit: int) -> list[Change]:
    """At most `limit` changes in their order: the likely ones first, else by a digest, the same in every run."""
    ranked = sorted(changes, key=lambda one: (not one.likely, hashlib.sha256(one.name.encode()).digest()))
    chosen = {change.name for change in ranked[:limit]}
    return [change for change in changes if change.name in chosen]
