"""What is known of every watched workload, and what a save leaves of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Known:
    """Of one workload. `reads` are the files of the tree that its last complete run read; None: it may read any."""

    difference: str | None = None
    reads: frozenset[str] | None = None
    seconds: float = 0.0


@dataclass
class State:
    """Which workloads are still to run, cheapest first."""

    names: Sequence[str]
    content: Mapping[str, bytes] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pending = set(self.names)
        self.known = {name: Known() for name in self.names}

    def saved(self, content: Mapping[str, bytes]) -> list[str]:
        """Take note of the files as they are now; the ones that changed."""
        changed = sorted(file for file in content.keys() | self.content.keys() if content.get(file) != self.content.get(file))
        # Code may ask whether a file exists, or list a folder; and what is no source may be read where nobody sees it.
        everything = any(not file.endswith(".py") or (file in content) is not (file in self.content) for file in changed)
        for name in self.names:
            reads = self.known[name].reads
            if changed and (everything or reads is None or not reads.isdisjoint(changed)):
                self.pending.add(name)
        self.content = content
        return changed

    def next(self) -> str | None:
        """The cheapest that is to run; of those that never ran, the first."""
        waiting = [name for name in self.names if name in self.pending]
        return min(waiting, key=lambda name: self.known[name].seconds, default=None)

    def ran(self, name: str, known: Known) -> None:
        self.known[name] = known
        self.pending.discard(name)

    def differing(self) -> list[str]:
        """Workloads that are known to differ, those that wait to be run again left out."""
        return [name for name in self.names if name not in self.pending and self.known[name].difference is not None]
