"""What came of a challenge: counts, the silent changes one by one, and everything as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from unbloat.challenge.challenge import Challenge, Finding
from unbloat.challenge.verdict import Verdict, error_kind

SAME_ERROR = "identical: both raise the same error"


def outcome(finding: Finding) -> str:
    """The verdict, and for one that rests on nothing but errors, that it does."""
    if finding.worst.verdict is Verdict.IDENTICAL and all(one.legacy_error for one in finding.judgements):
        return SAME_ERROR
    return str(finding.worst.verdict)


def counts(result: Challenge) -> dict[str, Counter[str]]:
    """By outcome, then by kind of change; an outcome that did not come up is there too."""
    found: dict[str, Counter[str]] = {name: Counter() for name in _outcomes()}
    for finding in result.findings:
        found[outcome(finding)][finding.change.kind] += 1
    return found


def count_table(result: Challenge) -> Table:
    """For the console."""
    found = counts(result)
    kinds = sorted({finding.change.kind for finding in result.findings})
    title = f"{len(result.findings)} changes of {result.possible}, one at a time"
    table = Table("outcome", *kinds, "all", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, by_kind in found.items():
        table.add_row(name, *(str(by_kind[kind]) for kind in kinds), str(by_kind.total()))
    return table


def lines(result: Challenge) -> Iterator[str]:
    """What a person has to look at: how the loud ones are loud, then the undecided, then the silent."""
    errors = Counter(
        error_kind(finding.worst.stripped_error or "") for finding in result.findings if finding.worst.verdict is Verdict.LOUD
    )
    if errors:
        yield f"loud by {', '.join(f'{kind} ({count})' for kind, count in errors.most_common())}"
    if result.left_alone:
        yield f"left alone, since they hold objects: {', '.join(result.left_alone)}"
    for verdict in (Verdict.UNDECIDED, Verdict.SILENT):
        for finding in result.findings:
            if finding.worst.verdict is verdict:
                yield f"{verdict}: {finding.change.name} in workload '{finding.worst.workload}': {finding.worst.why}"


def is_silent(result: Challenge) -> bool:
    return any(finding.worst.verdict is Verdict.SILENT for finding in result.findings)


def written(result: Challenge, root: Path) -> str:
    """All of it as JSON text. Errors name files as they are seen from the folder that holds the subject's."""
    return json.dumps(to_json(result), indent=1).replace(f"{root.resolve().parent}/", "") + "\n"


def to_json(result: Challenge) -> dict[str, Any]:
    """Every change with every judgement, in order."""
    return {
        "possible": result.possible,
        "counts": {name: by_kind.total() for name, by_kind in counts(result).items()},
        "left_alone": list(result.left_alone),
        "changes": [
            {
                "kind": finding.change.kind,
                "target": finding.change.target,
                "old": finding.change.old,
                "new": finding.change.new,
                "outcome": outcome(finding),
                "judgements": [one.to_json() for one in finding.judgements],
            }
            for finding in result.findings
        ],
    }


def _outcomes() -> Iterator[str]:
    for verdict in Verdict:
        yield str(verdict)
        if verdict is Verdict.IDENTICAL:
            yield SAME_ERROR
