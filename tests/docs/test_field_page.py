"""The page on packages from elsewhere says what the figures say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FIGURES = {
    "package": "other==1",
    "executed": {"package": 250, "executed": 20, "stripped": 19},
    "took": {"all": {"rejected": 2, "seconds": {"all": 90.0}}},
    "verdicts": {"all": "identical"},
}
CHALLENGE = {"counts": {"identical": 5, "loud": 4, "silent": 1, "undecided": 0}}


@pytest.mark.parametrize(
    ("challenge", "shown"), [(CHALLENGE, "10 tried, 4 loud, 0 undecided, 1 silent"), (None, "not run")], ids=["tried", "not"]
)
def test_a_row(tmp_path: Path, challenge: object, shown: str) -> None:
    from field_page import field_pages

    docs, example = tmp_path / "docs", tmp_path / "examples" / "other"
    (docs / "examples").mkdir(parents=True)
    example.mkdir(parents=True)
    (example / "workload.py").write_text('"""Something small,\nasked twice.\n\nMore.\n"""\n')
    (docs / "examples" / "other.json").write_text(json.dumps(FIGURES))
    if challenge is not None:
        (docs / "examples" / "other.challenge.json").write_text(json.dumps(challenge))
    page = field_pages(docs, tmp_path / "examples")[docs / "field.md"]
    row = "| [other==1](examples/other.md) | Something small, asked twice | 250 → 20 → 19 | 0.95 | 2 | 1.5 | identical |"
    assert f"{row} {shown} |" in page.splitlines()


def test_no_figures_no_page(tmp_path: Path) -> None:
    from field_page import field_pages

    assert field_pages(tmp_path, tmp_path) == {}
