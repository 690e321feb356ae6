"""What the report shows, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unbloat.plan.removal import Removal
from unbloat.report.provenance import Provenance

NOT_RUN = "not run"
"""The verdict of a workload that gates no phase that is stripped."""


@dataclass(frozen=True)
class Golden:
    """What one workload was recorded to do, and whether the stripped tree does the same."""

    workload: str
    entries: int
    digest: str
    phases: tuple[str, ...]
    """Those that it gates."""
    verdict: str
    """`identical`, the first difference, or `NOT_RUN`."""


@dataclass(frozen=True)
class Judged:
    """One change of a challenge: what it changed, and what each workload says."""

    change: str
    judgements: tuple[tuple[str, str, str], ...]
    """Workload, verdict, and the reason or error behind it."""


@dataclass(frozen=True)
class Report:
    """Everything on the page. `legacy` and `stripped` are texts by file; `figures` are those of `unbloat report --json`."""

    title: str
    provenance: Provenance
    legacy: Mapping[str, str]
    stripped: Mapping[str, str]
    executed: Mapping[str, Mapping[int, tuple[str, ...]]]
    """By file and line: the workloads that ran it."""
    pins: tuple[tuple[str, ...], ...]
    """For each removal of the provenance, what it rests on."""
    rejected: tuple[tuple[Removal, str], ...]
    goldens: tuple[Golden, ...]
    challenge: tuple[Judged, ...]
    figures: Mapping[str, Any]
