"""What the report takes from journals and recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from unbloat.cli import main
from unbloat.finished import finished
from unbloat.html import Judged, Report, collect
from unbloat.phases import Recording, recording, stripped_phases
from unbloat.strip import tree_digest
from unbloat.subject import Subject, load_subject
from unbloat.verify.journal import Journal
from unbloat.verify.trees import read_tree


@pytest.fixture
def recorded(make_subject: Callable[..., Subject]) -> Iterator[Recording]:
    subject = make_subject("def run(cfg):\n    return 1\n\n\ndef unused():\n    return 2\n")
    assert main(["strip", "--subject", str(subject.file)]) == 0
    with recording(load_subject(subject.file), lambda line: None) as found:
        yield found


def collected(recorded: Recording, verdict: str = "identical") -> Report:
    done = stripped_phases(recorded)
    return collect(recorded, done, finished(recorded, done), {"all": verdict}, {})


def judgement(verdict: str, **more: str | None) -> dict[str, str | None]:
    return {"workload": "workload", "verdict": verdict, "why": "", "legacy_error": None, "stripped_error": None, **more}


def test_a_challenge_of_this_tree_is_shown(recorded: Recording) -> None:
    assert collected(recorded).challenge == ()
    subject = recorded.subject
    files = {f"pkg/{name}": content for name, content in read_tree(subject.stripped / "pkg").items()}
    journal = Journal(subject.state / "challenge.journal.jsonl", f"{recorded.key}/challenge/{tree_digest(files)}")
    journal.add(
        {"event": "judged", "change": "flag", "judgement": judgement("loud", stripped_error="raised NotImplementedError")}
    )
    journal.add({"event": "judged", "change": "flag", "judgement": judgement("silent", why="differs")})
    loud, silent = ("workload", "loud", "raised NotImplementedError"), ("workload", "silent", "differs")
    assert collected(recorded).challenge == (Judged("flag", (loud, silent)),)
    Journal(journal.path, f"{recorded.key}/challenge/of another tree").add(journal.events[1])
    assert collected(recorded).challenge == ()


@pytest.mark.parametrize(
    ("phase", "workload"),
    [
        ("identical", "identical"),
        ("workload 'workload' differs at `call 0`: 1 is 2", "workload 'workload' differs at `call 0`: 1 is 2"),
        ("pkg/module.py: undefined name `x`", "see the phase"),
    ],
)
def test_the_verdict_of_a_workload(phase: str, workload: str, recorded: Recording) -> None:
    [golden] = collected(recorded, phase).goldens
    assert (golden.workload, golden.phases, golden.verdict) == ("workload", ("all",), workload)
    assert golden.entries == len(recorded.goldens["workload"].entries)
    assert golden.digest == recorded.goldens["workload"].digest()


def test_evidence_comes_with_its_pins(recorded: Recording) -> None:
    report = collected(recorded)
    assert len(report.pins) == len(report.provenance.removals) == len(report.provenance.phases) > 0
    assert set(report.legacy) == {"pkg/__init__.py", "pkg/module.py"} and report.executed["pkg/module.py"][2] == ("workload",)
