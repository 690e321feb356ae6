"""Sizes before and after, for people."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console
from unbloat.measure import Measure
from unbloat.plan.removal import Evidence
from unbloat.report.tables import FileRow, gone, size_table, total

ROWS = [
    FileRow("pkg/a/rather/long/name.py", Measure(1, 100, 9, 10, 4), Measure(1, 40, 4, 5, 1), Counter({Evidence.PINNED: 2})),
    FileRow("pkg/b.py", Measure(1, 50, 5, 10, 0), Measure(1, 50, 5, 10, 0), Counter({Evidence.PINNED: 1, Evidence.UNSEEN: 1})),
]


@pytest.mark.parametrize(("before", "after", "share"), [(10, 5, "50.0 %"), (3, 2, "33.3 %"), (4, 4, "0.0 %"), (0, 0, "-")])
def test_the_share_that_went(before: int, after: int, share: str) -> None:
    assert gone(before, after) == share


def test_the_total_adds_everything_up() -> None:
    row = total(ROWS)
    assert (row.before.bytes, row.after.bytes, row.before.statements, row.after.statements) == (150, 90, 20, 15)
    assert row.evidence == {Evidence.PINNED: 3, Evidence.UNSEEN: 1}


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_name_is_shortened(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(size_table(ROWS))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "…" not in shown
    names = "".join(line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│"))
    assert names == "pkg/a/rather/long/name.pypkg/b.pytotal"
    assert "20 → 15" in shown
