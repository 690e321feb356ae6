"""What two runs of the same change say about the stripped tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from unbloat.golden.compare import compare
from unbloat.verify.outcome import Failed, Run

_RAISED = re.compile(r"workload '[^']*'(?: raised ([\w.]+)|: )")


class Verdict(StrEnum):
    """From harmless to worst."""

    IDENTICAL = "identical"
    BOTH_REFUSE = "both refuse"
    LOUD = "loud"
    UNDECIDED = "undecided"
    SILENT = "silent"


@dataclass(frozen=True)
class Judgement:
    """The verdict of one workload on one change."""

    workload: str
    verdict: Verdict
    why: str
    """The first divergence if it is silent; what is missing if it is undecided; else empty."""
    legacy_error: str | None
    stripped_error: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Judgement:
        return cls(**{**fields, "verdict": Verdict(fields["verdict"])})


def judge(workload: str, legacy: Run, stripped: Run, limit: float) -> Judgement:
    """Compare two runs that got the same change; `limit` is the time that each of them had."""
    errors = [run.reason if isinstance(run, Failed) else None for run in (legacy, stripped)]

    def verdict(found: Verdict, why: str = "") -> Judgement:
        return Judgement(workload, found, why, *errors)

    for name, run in (("legacy", legacy), ("stripped", stripped)):
        if not isinstance(run, Failed) and not run.extra["applied"]:
            return verdict(Verdict.UNDECIDED, f"the change did not come in: the {name} tree got on without the changed place")
    if isinstance(legacy, Failed) and legacy.seconds >= limit:
        return verdict(Verdict.UNDECIDED, f"the legacy did not end within {limit:.0f} seconds")
    if isinstance(stripped, Failed) and stripped.seconds >= limit:
        # A hang says nothing to anybody.
        return verdict(Verdict.SILENT, f"does not end within {limit:.0f} seconds, the legacy does")
    if isinstance(legacy, Failed) and isinstance(stripped, Failed):
        same = error_kind(legacy.reason) == error_kind(stripped.reason)
        return verdict(Verdict.IDENTICAL if same else Verdict.BOTH_REFUSE)
    if isinstance(legacy, Failed):
        return verdict(Verdict.SILENT, f"runs, though the legacy refuses: {legacy.reason}")
    if isinstance(stripped, Failed):
        return verdict(Verdict.LOUD)
    divergence = compare(legacy.ledger, stripped.ledger)
    if divergence is None:
        return verdict(Verdict.IDENTICAL)
    return verdict(Verdict.SILENT, f"differs at `{divergence.entry}`: {divergence.what}")


def error_kind(reason: str) -> str:
    """The class of what was raised; the whole reason of a run that ended in another way."""
    found = _RAISED.match(reason)
    return (found.group(1) or "refused") if found else reason
