"""What is asked of the fork server, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unbloat.golden.ledger import Ledger
from unbloat.subject import Workload


@dataclass(frozen=True)
class Request:
    """One run of one workload against one tree."""

    tree: Path
    workload: Workload
    forbidden: tuple[Path, ...] = ()
    capture: frozenset[str] = frozenset()
    seed: int = 0
    observer: str | None = None
    """`package.module:callable`, called with the options in the process of the run. It returns a context manager that
    encloses the run; what that yields has a method `result()`, asked after the context is left, for a JSON value."""
    observer_options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "tree": str(self.tree.resolve()),
            "workload": self.workload.name,
            "file": str(self.workload.file.resolve()),
            "function": self.workload.function,
            "limit": self.workload.limit,
            "forbidden": [str(path.resolve()) for path in (*self.forbidden, *self.workload.unreadable)],
            "capture": sorted(self.capture),
            "seed": self.seed,
            "observer": self.observer,
            "observer_options": dict(self.observer_options),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Request:
        return cls(
            tree=Path(fields["tree"]),
            workload=Workload(fields["workload"], Path(fields["file"]), fields["function"], fields["limit"]),
            forbidden=tuple(Path(folder) for folder in fields["forbidden"]),
            capture=frozenset(fields["capture"]),
            seed=fields["seed"],
            observer=fields["observer"],
            observer_options=fields["observer_options"],
        )


@dataclass(frozen=True)
class Recorded:
    """The workload returned."""

    ledger: Ledger
    seconds: float
    extra: dict[str, Any]
    """The observer's result; empty without an observer."""


@dataclass(frozen=True)
class Failed:
    """The workload raised, crashed, took too long, or read what it may not read."""

    reason: str
    seconds: float
    output: str
    """The last lines that it printed."""


Run = Recorded | Failed
