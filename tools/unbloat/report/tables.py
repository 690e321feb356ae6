"""Sizes before and after, as data and as text; nothing is decided here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from unbloat.measure import Measure, measure_source
from unbloat.plan.removal import Evidence, Removal
from unbloat.subject import Phase, Subject


@dataclass(frozen=True)
class FileRow:
    """One file of a phase."""

    file: str
    before: Measure
    after: Measure
    evidence: Counter[Evidence]


def file_rows(subject: Subject, phase: Phase, removals: Sequence[Removal]) -> list[FileRow]:
    """The phase's files, legacy beside stripped."""
    rows = []
    for file in phase.files:
        stripped = subject.stripped / file
        rows.append(
            FileRow(
                file,
                measure_source((subject.legacy / file).read_text(encoding="utf-8"), file),
                measure_source(stripped.read_text(encoding="utf-8"), file) if stripped.is_file() else Measure(),
                Counter(removal.evidence for removal in removals if removal.file == file),
            )
        )
    return rows


def total(rows: Sequence[FileRow]) -> FileRow:
    """All rows in one."""
    return FileRow(
        "total",
        sum((row.before for row in rows), Measure()),
        sum((row.after for row in rows), Measure()),
        sum((row.evidence for row in rows), Counter()),
    )


def gone(before: int, after: int) -> str:
    """The share that went, in per cent."""
    return f"{100 * (before - after) / before:.1f} %" if before else "-"


def size_table(rows: Sequence[FileRow]) -> Table:
    """For the console."""
    table = Table("file", "bytes", "statements", "gone", "decisions", "gone", "undefined names", title="before → after")
    table.columns[0].overflow = "fold"  # A shortened name is no name.
    for column in table.columns[1:]:
        column.justify = "right"
    for row in [*rows, total(rows)]:
        before, after = row.before, row.after
        table.add_row(
            row.file,
            f"{before.bytes} → {after.bytes}",
            f"{before.statements} → {after.statements}",
            gone(before.statements, after.statements),
            f"{before.decisions} → {after.decisions}",
            gone(before.decisions, after.decisions),
            str(after.undefined),
        )
    return table
