"""Write a report, as Markdown or, to a file of that name, as JSON; and say on the console what it comes to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.integrity.markdown import to_markdown
from unbloat.integrity.report import Report


def show_report(path: Path, report: Report, console: Console) -> None:
    """Replace the file as a whole; every difference is said, too."""
    whole = json.dumps(report.to_json(), indent=1) + "\n" if path.suffix == ".json" else to_markdown(report)
    replace_text(path, whole)
    counts = Counter(check.outcome.value for check in report.checks)
    told = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    console.print(f"{path}: {len(report.checks)} checks: {told}", markup=False, highlight=False)
    for check in report.failed:
        console.print(f"differs: {check.name}: {check.differences[0]}", markup=False, highlight=False)
