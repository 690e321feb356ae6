"""A report as a page of Markdown; long tables are folded in."""

from __future__ import annotations

from collections.abc import Iterator

from unbloat.integrity.report import Check, Outcome, Report, Section, Table

UNFOLDED = 24
"""Rows of a table that is shown at once."""
_SHOWN_DIFFERENCES = 20


def to_markdown(report: Report) -> str:
    """The page: an overview of all boxes first, then section by section."""
    lines = [f"# {report.title}", "", report.introduction, "", *_overview(report)]
    for number, section in enumerate(report.sections, 1):
        lines += ["", f"## {number}. {section.title}", *_section(section)]
    return "\n".join(lines) + "\n"


def _overview(report: Report) -> Iterator[str]:
    yield "| section | boxes | ticked | not ticked |"
    yield "|---|---|---|---|"
    for number, section in enumerate(report.sections, 1):
        ticked = [check for check in section.checks if check.outcome is Outcome.PASSED]
        others = [f"{check.name}: {check.outcome.value}" for check in section.checks if check.outcome is not Outcome.PASSED]
        yield f"| {number}. {section.title} | {len(section.checks)} | {len(ticked)} | {_cell('; '.join(others)) or '–'} |"


def _section(section: Section) -> Iterator[str]:
    if section.checks:
        yield ""
    for check in section.checks:
        yield from _box(check)
    for note in section.notes:
        yield from ("", note)
    for table in section.tables:
        yield from ("", *_table(table))


def _box(check: Check) -> Iterator[str]:
    ticked = "x" if check.outcome is Outcome.PASSED else " "
    match check.outcome:
        case Outcome.PASSED:
            what = f"{check.compared:,} compared, no difference"
        case Outcome.FAILED:
            what = f"**{len(check.differences)} of {check.compared:,} differ**"
        case Outcome.NOT_RUN:
            what = f"not run yet: {check.waits_for}"
        case Outcome.NOTHING:
            what = "nothing to compare"
    yield f"- [{ticked}] {check.name} ({what})"
    for difference in check.differences[:_SHOWN_DIFFERENCES]:
        yield f"  - {_line(difference)}"
    if (more := len(check.differences) - _SHOWN_DIFFERENCES) > 0:
        yield f"  - and {more} more"


def _table(table: Table) -> Iterator[str]:
    if not table.rows:
        yield f"{table.text}: none."
        return
    rows = [
        f"| {' | '.join(map(_cell, table.header))} |",
        "|" + "---|" * len(table.header),
        *(f"| {' | '.join(map(_cell, row))} |" for row in table.rows),
    ]
    if len(table.rows) <= UNFOLDED:
        yield from (f"{table.text} ({len(table.rows)}):", "", *rows)
    else:
        summary = f"<details><summary>{table.text} ({len(table.rows):,})</summary>"
        yield from (summary, "", *rows, "", "</details>")


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _line(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")
