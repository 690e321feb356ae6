"""From cheap to dear: plain runs, then runs that keep a digest of every value, then runs that keep the values in question."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unbloat.diff.cause import TREES, Cause, find_cause
from unbloat.diff.describe import described, measured
from unbloat.diff.finding import Finding, Kind
from unbloat.diff.requests import Trees
from unbloat.errors import WorkloadError
from unbloat.golden.compare import compare
from unbloat.subject import Subject, Workload
from unbloat.trace.records import Record, Values, load_trace, load_values
from unbloat.verify.outcome import Failed
from unbloat.verify.server import Server


def first_divergence(server: Server, subject: Subject, workload: Workload, first: Path, second: Path) -> Finding | None:
    """Where the second tree parts from the first, None if the workload sees no difference.

    Raises:
        WorkloadError: the workload fails on both trees in the same way, or is not deterministic.
    """
    runs = server.run_many(Trees(subject, workload, first.resolve(), second.resolve()).plain())
    reasons = [run.reason if isinstance(run, Failed) else None for run in runs]
    if reasons[0] is not None and reasons[0] == reasons[1]:
        raise WorkloadError(f"on both trees, {reasons[0]}")
    ledgers = [run.ledger for run in runs if not isinstance(run, Failed)]
    if len(ledgers) == 2 and compare(ledgers[0], ledgers[1]) is None:
        return None
    return locate(server, subject, workload, first, second)


def locate(server: Server, subject: Subject, workload: Workload, first: Path, second: Path) -> Finding:
    """The same where it is known that the trees differ, without the runs that would only tell that.

    Raises:
        WorkloadError: the trees do not differ after all, or the workload is not deterministic.
    """
    trees = Trees(subject, workload, first.resolve(), second.resolve())
    with tempfile.TemporaryDirectory(prefix="unbloat-diff-") as folder:
        files = [Path(folder) / name for name in ("first.json", "second.json")]
        runs = server.run_many(trees.traced(files))
        reasons = [run.reason if isinstance(run, Failed) else None for run in runs]
        if not all(file.exists() for file in files):
            # Killed by a signal or for taking too long: nothing could be written any more.
            return Finding(workload.name, Kind.FAILED, next(filter(None, reasons), "a run left no trace"), None, None)
        traces = load_trace(files[0]), load_trace(files[1])
        cause = _cause(trees, traces, reasons, _plain_failures(server, trees) if any(reasons) else reasons)
        finding = described(trees, cause, traces)
        if cause.measured is None:
            return finding
        return measured(finding, cause.measured, _values(server, trees, cause, traces, Path(folder)))


def _plain_failures(server: Server, trees: Trees) -> list[str | None]:
    """Why either tree fails when nobody watches, None where it does not."""
    return [run.reason if isinstance(run, Failed) else None for run in server.run_many(trees.plain())]


def _cause(
    trees: Trees, traces: tuple[list[Record], list[Record]], watched: Sequence[str | None], plain: Sequence[str | None]
) -> Cause:
    """Where a run fails, what differs before is the more telling; if nothing does, it is the failure itself."""
    cause, ends = find_cause(*traces), [len(trace) for trace in traces]
    places = ends if cause is None else [cause.first, cause.second]
    for tree, end, at, reason, genuine in zip(TREES, ends, places, watched, plain, strict=True):
        if reason is not None and at == end:
            if genuine is None:
                raise WorkloadError(f"workload '{trees.workload.name}' fails on the {tree} tree only if watched: {reason}")
            return Cause(Kind.FAILED, genuine, places[0], places[1])
    if cause is None:
        raise WorkloadError(
            f"workload '{trees.workload.name}' came to the same on {trees.first} and {trees.second} when it was watched: "
            "they do not differ, or it is not deterministic"
        )
    for tree, reason in zip(TREES, plain, strict=True):
        if reason is not None:
            cause = replace(cause, what=f"{cause.what}; the {tree} tree fails after that: {reason}")
    return cause


def _values(
    server: Server, trees: Trees, cause: Cause, traces: tuple[list[Record], list[Record]], folder: Path
) -> tuple[Values, Values]:
    """Of the steps in question, from runs that end there."""
    assert cause.measured is not None
    numbers = cause.measured.first, cause.measured.second
    files = [folder / f"values-{side}.json" for side in ("first", "second")]
    server.run_many(trees.traced(files, numbers))
    for file, trace, number in zip(files, traces, numbers, strict=True):
        if not file.exists() or load_values(file).record.inputs != trace[number].inputs:
            raise WorkloadError(
                f"workload '{trees.workload.name}' is not deterministic: two runs of the same code differ at or before "
                f"operation {number}, {trace[number].shown}"
            )
    return load_values(files[0]), load_values(files[1])
