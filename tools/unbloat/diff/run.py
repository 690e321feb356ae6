"""From cheap to dear: plain runs, then runs that keep a digest of every value, then runs that keep the values in question."""

from __future__ import annotations

from pathlib import Path

from unbloat.diff.finding import Finding, Kind
from unbloat.diff.requests import plain_requests
from unbloat.errors import WorkloadError
from unbloat.golden.compare import compare
from unbloat.subject import Subject, Workload
from unbloat.verify.outcome import Failed
from unbloat.verify.server import Server


def first_divergence(server: Server, subject: Subject, workload: Workload, first: Path, second: Path) -> Finding | None:
    """Where the second tree parts from the first, None if the workload sees no difference.

    Raises:
        WorkloadError: the workload fails on both trees in the same way, or is not deterministic.
    """
    runs = server.run_many(plain_requests(subject, workload, first, second))
    reasons = [run.reason if isinstance(run, Failed) else None for run in runs]
    if reasons[0] is not None and reasons[0] == reasons[1]:
        raise WorkloadError(f"fails on both trees: {reasons[0]}")
    if not any(reasons):
        ledgers = [run.ledger for run in runs if not isinstance(run, Failed)]
        if compare(ledgers[0], ledgers[1]) is None:
            return None
    return locate(server, subject, workload, first, second)


def locate(server: Server, subject: Subject, workload: Workload, first: Path, second: Path) -> Finding:
    """The same where it is known that the trees differ; it goes on from there.

    Raises:
        WorkloadError: the workload is not deterministic, or the trees do not differ after all.
    """
    runs = server.run_many(plain_requests(subject, workload, first, second))
    failed = [run.reason for run in runs if isinstance(run, Failed)]
    if failed:
        return Finding(workload.name, Kind.FAILED, failed[0], None, None)
    ledgers = [run.ledger for run in runs if not isinstance(run, Failed)]
    divergence = compare(ledgers[0], ledgers[1])
    if divergence is None:
        raise WorkloadError(f"workload '{workload.name}' does not differ between {first} and {second}")
    return Finding(workload.name, Kind.RECORDED, f"`{divergence.entry}` {divergence.what}", None, None)
