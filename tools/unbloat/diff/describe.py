"""Puts a cause into words: the steps with their source lines, and by how much the values are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unbloat.diff.align import Hunk
from unbloat.diff.cause import Cause, Measured
from unbloat.diff.finding import Finding, Kind, Operation, Place
from unbloat.diff.requests import Trees
from unbloat.diff.size import size_of
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.trace.records import Record, Values

Traces = tuple[Sequence[Record], Sequence[Record]]


def described(trees: Trees, cause: Cause, traces: Traces) -> Finding:
    """Without sizes, which take the values."""
    first, second = traces
    return Finding(
        trees.workload.name,
        cause.kind,
        cause.what,
        _operation(trees, trees.first, first, cause.first),
        _operation(trees, trees.second, second, cause.second),
        earlier=tuple(_change(hunk, traces) for hunk in cause.earlier),
    )


def measured(finding: Finding, asked: Measured, values: tuple[Values, Values]) -> Finding:
    """The same finding with the values in which the runs were seen to differ."""
    first, second = (getattr(one, asked.side)[asked.index] for one in values)
    record = values[0].record
    if not record.records:
        shown = f"{asked.side.removesuffix('s')} {asked.index} of #{asked.first} {record.name}"
        return replace(finding, measured=shown, size=size_of(first, second))
    found = replace(finding, measured=f"the recorded '{record.arguments}'", size=size_of(first, second))
    divergence = compare(Ledger("", (first,)), Ledger("", (second,)))
    if finding.kind is not Kind.RECORDED or divergence is None:
        return found
    return replace(found, what=f"'{record.arguments}': {divergence.what}")


def _operation(trees: Trees, tree: Path, records: Sequence[Record], number: int) -> Operation | None:
    if number >= len(records):
        return None
    record = records[number]
    place = None
    if record.file:
        folder = tree if record.in_tree else trees.workload.file.parent
        place = Place(record.file, record.line, _text(folder / record.file, record.line))
    return Operation(number, record.shown, record.module, record.step, place)


def _text(file: Path, line: int) -> str:
    """Empty for a line that was generated and is in no file."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    return lines[line - 1].strip() if line <= len(lines) else ""


def _change(hunk: Hunk, traces: Traces) -> str:
    """What became of some steps, in a few words."""
    shown = []
    for records, steps in zip(traces, hunk.sides, strict=True):
        more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
        shown.append(f"{_at(records[steps.start])}{more}" if steps else "nothing")
    return f"{shown[0]} became {shown[1]}"


def _at(record: Record) -> str:
    return f"{record.name} at {record.file}:{record.line}" if record.file else record.name
