"""The page of results: what the figures say, and nothing that they do not."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def size(file: str, before: int, after: int, *, dropped: bool = False) -> dict[str, Any]:
    counts = {side: {"bytes": 9, "statements": n, "decisions": n} for side, n in (("before", before), ("after", after))}
    return {"file": file, "dropped": dropped, "undefined": 0, "checks": after // 4, **counts}


TOOK = {
    "resumed": False,
    "rounds": 3,
    "accepted": 7,
    "rejected": 1,
    "verifications": 4,
    "seconds": {"passes": 1.0, "edit and check": 2.0, "verification": 8.0, "all": 12.0},
}
FIGURES: dict[str, Any] = {
    "package": "champion",
    "phases": [
        {"name": "model", "files": ["champion/model/trainer.py", "champion/b.py"], "gate": ["load"]},
        {"name": "final", "files": ["champion/model/trainer.py", "champion/b.py", "champion/c.py"], "gate": ["load"]},
    ],
    "files": [
        size("champion/model/trainer.py", 100, 4),
        size("champion/b.py", 100, 6),
        size("champion/c.py", 50, 0, dropped=True),
    ],
    "generated": {"statements": 60},
    "executed": {"package": 250, "executed": 20, "stripped": 10},
    "statements": {"surviving": 100, "verbatim": 99, "wires": 3, "checks": 4, "expression_wires": 2, "guard": 1},
    "rewritten": [
        {
            "file": "champion/b.py",
            "line": 5,
            "legacy": "x = a | b",
            "stripped": "x = a",
            "passes": ["fold decisions", "restructure"],
        }
    ],
    "functions": [
        {
            "file": "champion/b.py",
            "line": 4,
            "name": "B.f",
            "legacy": 9,
            "left": 5,
            "executed": 4,
            "workloads": ["load"],
            "decisions": 1,
        }
    ],
    "decisions": [{"file": "champion/b.py", "line": 7, "text": "a or b", "reason": "went both ways"}],
    "verdicts": {"model": "identical", "final": "identical"},
    "left_out": [],
    "recording": {"load": {"recording": 2.0, "evidence": 1.0}},
    "took": {"model": TOOK, "final": TOOK},
    "memory": {"command": 3 * 10**8, "largest_run": 5 * 10**8, "at_most": 18 * 10**8},
    "machine": {"processors": 2, "python": "3.12.1", "system": "Linux"},
}
CHALLENGE: dict[str, Any] = {
    "possible": 300,
    "counts": {"identical": 100, "loud": 100, "silent": 0},
    "changes": [{"target": "model.depth", "old": "2", "new": "3", "outcome": "loud"}] * 200,
}


def pages(folder: Path, figures: dict[str, Any], challenge: dict[str, Any] | None = None) -> dict[str, str]:
    from results_page import results_pages

    (folder / "results.json").write_text(json.dumps(figures))
    if challenge is not None:
        (folder / "results.challenge.json").write_text(json.dumps(challenge))
    return {path.name: text for path, text in results_pages(folder).items()}


def test_without_figures_there_is_no_page(tmp_path: Path) -> None:
    from results_page import results_pages

    assert results_pages(tmp_path) == {}


def test_everything_is_shown(tmp_path: Path) -> None:
    for folder, name, package in (("examples", "other", "other==1"), ("configs", "looped", "champion")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.json").write_text(json.dumps({**FIGURES, "package": package}))
    found = pages(tmp_path, FIGURES, CHALLENGE)
    assert set(found) == {"results.md", "rewritten.md", "survivors.md"}
    for line in (
        "| statements gone from the 2 bloated files | at least 85% | 95.0% | yes |",
        "| decisions gone from the 2 bloated files | at least 95% | 95.0% (94.0% if the 2 checks were counted) | yes |",
        "| statements left in `champion/model/trainer.py` | under 15% | 4.0% | yes |",
        "| surviving statements verbatim | at least 98% | 99.00% | yes |",
        "| silent changes | 0 of at least 200 | 0 of 200 | yes |",
        "| `other`: statements left per executed one | at most 1.0 | 0.50 | yes |",
        "| all phases from nothing | 600 s | 27 s | yes |",
        "| peak memory | under 4 GB | at most 1.80 GB | yes |",
        "| **these** | 200 → 10 | 95.0% | 200 → 10 | 95.0% |",
        "| **the package** | 250 → 10 | 96.0% | 250 → 10 | 96.0% |",
        "| [looped](configs/looped.md) | 250 → 10 | 96.0% | 250 → 10 | 96.0% | 2 | model identical, final identical |",
        "| `B.f` | `champion/b.py:4` | 9 → 5 | 4 | 1 | load |",
        "| went both ways | 1 |",
        "| fold decisions and restructure | 1 |",
        "| [other==1](examples/other.md) | 250 | 20 | 10 | 0.50 | identical | not run |",
        "| `model` | 3 | 7 | 1 | 4 | 1.0 | 2.0 | 8.0 | 12.0 | 2.0 |",
        "| `load` | 2.0 | 1.0 |",
    ):
        assert f"{line}\n" in found["results.md"], line
    assert "1 of 3 modules are gone as a whole" in found["results.md"]
    assert "| `champion/b.py:5` | fold decisions, restructure | `x = a \\| b` | `x = a` |\n" in found["rewritten.md"]
    assert "| `champion/b.py:7` | `a or b` | went both ways |\n" in found["survivors.md"]


# (what is worse than it should be, how the page says so)
MISSED = {
    "a difference": (("verdicts", "final", "differs"), "| bit-identical | all but final | **no** |"),
    "rewritten": (("statements", "verbatim", 97), "| at least 98% | 97.00% | **no** |"),
    "memory": (("memory", "at_most", 5 * 10**9), "| under 4 GB | at most 5.00 GB | **no** |"),
    "measured memory": (("memory", "together", 41 * 10**8), "| under 4 GB | 4.10 GB | **no** |"),
}


@pytest.mark.parametrize("case", MISSED)
def test_a_goal_that_is_missed_is_told(case: str, tmp_path: Path) -> None:
    (table, key, value), expected = MISSED[case]
    figures = copy.deepcopy(FIGURES)
    figures[table][key] = value
    assert expected in pages(tmp_path, figures)["results.md"]


def test_a_silent_change_is_named(tmp_path: Path) -> None:
    silent = {"target": "model.width", "old": "4", "new": "5", "outcome": "silent"}
    challenge = {**CHALLENGE, "counts": {"silent": 1}, "changes": [*CHALLENGE["changes"], silent]}
    found = pages(tmp_path, FIGURES, challenge)["results.md"]
    assert "| silent changes | 0 of at least 200 | 1 of 201 | **no** |" in found
    assert "Silent:\n\n- model.width: 4 → 5\n" in found


def test_random_programs_are_shown_once_there_are_figures(tmp_path: Path) -> None:
    assert "Random programs" not in pages(tmp_path, FIGURES)["results.md"]
    verdicts = {"identical": 30, "loud": 9, "undefined": 0, "quieter": 0, "silent": 1}
    fuzz = {
        "programs": 2,
        "unusable": 0,
        "uses": 40,
        "verdicts": verdicts,
        "crashes": 0,
        "rejected": 1,
        "accepted": {"simplify": 3},
    }
    (tmp_path / "results.fuzz.json").write_text(json.dumps(fuzz))
    found = pages(tmp_path, FIGURES)["results.md"]
    prose = found.replace("\n", " ")
    assert "2 programs, 40 uses, 0 crashes" in prose and "The gate refused 1 of 4" in prose
    assert "| **silent** | 1 |\n" in found and "| simplify | 3 |\n" in found


def mutant(change: str, verdict: str, caught_by: str | None = None, reason: str = "") -> dict[str, Any]:
    told = {"kind": "operator", "at": "champion/b.py:5", "workloads": ["load", "train"], "change": change}
    return {**told, "verdict": verdict, "caught_by": caught_by, "reason": reason}


def test_mutants_that_nobody_notices_are_named(tmp_path: Path) -> None:
    counts = {"mutants": 3, "caught": 1, "equivalent": 0, "missed": 1, "unexplained": 1}
    mutants = [
        mutant("a | b → a & b", "missed", reason="never"),
        mutant("a → b", "caught", "load"),
        mutant("c → d", "unexplained"),
    ]
    mutate = {"reachable": 30, "score": 1 / 3, "counts": {"operator": counts, "all": counts}, "mutants": mutants}
    (tmp_path / "results.mutate.json").write_text(json.dumps(mutate))
    found = pages(tmp_path, FIGURES)["results.md"]
    assert "3 changes of the stripped algorithm, one at a time, out of 30 that a workload" in found
    for line in (
        "| operator | 3 | 1 | 0 | 1 | 1 |",
        "| `load` | 1 |",
        "| `champion/b.py:5` | operator | `a \\| b → a & b` | load, train | never |",
        "| `champion/b.py:5` | operator | `c → d` | load, train | unexplained |",
    ):
        assert f"{line}\n" in found, line
    assert "| `a → b` |" not in found


def test_a_run_that_was_resumed_tells_no_total(tmp_path: Path) -> None:
    figures = {**FIGURES, "took": {"model": TOOK, "final": {**TOOK, "resumed": True}}}
    found = pages(tmp_path, figures)["results.md"]
    assert "`final` (resumed)" in found
    assert "from nothing" not in found and "Together" not in found


def test_what_is_committed_is_of_this_subject() -> None:
    """The page is made of figures; these must be of the phases that strip.toml has now."""
    path = ROOT / "docs" / "results.json"
    if not path.is_file():
        pytest.skip("no strip is committed yet")
    figures = json.loads(path.read_text())
    subject = tomllib.loads((ROOT / "reproduction" / "strip.toml").read_text())
    assert [phase["name"] for phase in figures["phases"]] == list(subject["phases"])
    stripped = ROOT / "reproduction" / "stripped"
    assert {one["file"] for one in figures["files"] if not one["dropped"]} == {
        path.relative_to(stripped).as_posix() for path in stripped.rglob("*.py") if "pinned" not in path.name
    }
