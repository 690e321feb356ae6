"""A removal that breaks something is caught, narrowed down, kept and reported; everything else still goes."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from unbloat.edit import DropStatement, Span
from unbloat.phases import recording, strip_phase
from unbloat.plan.passes import STAGES, Pass
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.journal import read_journal

NAME = "planted"
MODULE = """
from pkg.other import check, checked, needed

scale = 2


def unused(x):
    return x


def run(cfg, values=(1, 2)):
    total = 0
    scale = 3
    if cfg.flag:
        total += 5
    total += cfg.size
    checked()
    total += check()
    return total + scale * sum(values) + needed


def scaled():
    return scale


scaled()
"""
OTHER = """
needed = 1
state = []


def checked():
    state.append(1)


def check():
    if not state:
        raise RuntimeError("unchecked")
    return len(state)


def unused_too():
    return 3
"""


@pytest.fixture
def subject(make_subject: Callable[..., Subject]) -> Subject:
    return make_subject(MODULE, others={"other.py": OTHER}, config={"flag": False, "size": 3}, calls=((), ([1],)))


def planted(*statements: str) -> Pass:
    """Drops the statements that begin so."""

    def propose(view: View) -> Iterator[Removal]:
        for module, node in view.nodes():
            if isinstance(node, ast.stmt) and ast.unparse(node).startswith(statements):
                lines = ((node.lineno, node.end_lineno or 0),)
                place = Span.of(node)
                yield Removal(module.file, DropStatement(place), NAME, Evidence.UNREFERENCED, "a mistake", place, lines)

    return Pass(NAME, "It is not.", (), propose)


def planting(*statements: str) -> Sequence[Sequence[Pass]]:
    """The real stages, whose first one also drops the statements that begin so."""
    first, *later = STAGES
    middle = len(first) // 2
    return ((*first[:middle], planted(*statements), *first[middle:]), *later)


def strip(subject: Subject, *mistakes: str) -> tuple[PhaseRun, list[str]]:
    said: list[str] = []
    with recording(subject, lambda line: None) as recorded:
        run = strip_phase(recorded, subject.phases[0], [], said.append, planting(*mistakes))
    return run, said


def stripped(subject: Subject) -> str:
    return "".join(path.read_text() for path in sorted((subject.stripped / "pkg").glob("*.py")))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        pytest.param("total += cfg.size", "workload 'workload' differs at `call 0`: ", id="another value"),
        pytest.param("return total +", "workload 'workload' differs at `call 0`: ", id="no value"),
        pytest.param("scale = 3", "pkg/module.py:10: `scale` is no longer local to `run`", id="another scope"),
        pytest.param("from pkg.other", "pkg/module.py: undefined name `check", id="undefined names"),
        pytest.param("needed = 1", "pkg/module.py:1: imports `needed`, which pkg/other.py no longer has", id="a lost import"),
        pytest.param("checked()", "workload 'workload' raised RuntimeError: unchecked at pkg/other.py:", id="an error"),
    ],
)
def test_a_wrong_removal_is_kept(statement: str, reason: str, subject: Subject) -> None:
    run, said = strip(subject, statement)

    [(kept, because)] = run.tally.rejected
    assert (kept.pass_name, kept.reason) == (NAME, "a mistake")
    assert because.startswith(reason)
    left = stripped(subject)
    assert statement in left
    assert "cfg.flag" not in left and "unused" not in left
    assert f"kept {kept.file}:{kept.line}: {because}" in said
    # All rounds, the baseline, and halving: one question per level of rounds, two per level of removals; then again.
    levels = math.ceil(math.log2(len(run.tally.accepted) + 1))
    assert run.tally.verifications <= 2 + 2 * math.ceil(math.log2(run.tally.rounds + 1)) + 2 * levels


def test_several_wrong_removals_are_told_apart(subject: Subject) -> None:
    run, _ = strip(subject, "total += cfg.size", "checked()", "return total")
    assert sorted((one.file, one.line) for one, _ in run.tally.rejected) == [("pkg/module.py", line) for line in (15, 16, 18)]
    assert "cfg.flag" not in stripped(subject)


MANY = "def run(cfg):\n    total = 0\n" + "".join(f"    total += {number}\n" for number in range(1, 9)) + "    return total\n"


def test_mistakes_in_every_round(make_subject: Callable[..., Subject]) -> None:
    """Rounds that nearly all fail are verified hardly more often than one by one."""
    subject = make_subject(MANY)
    stages = [(planted(f"total += {number}"),) for number in range(1, 9)]
    with recording(subject, lambda line: None) as recorded:
        run = strip_phase(recorded, subject.phases[0], [], lambda line: None, stages)
    assert (run.tally.rounds, len(run.tally.rejected), run.tally.accepted) == (8, 8, [])
    assert run.tally.verifications <= 2 + 3 + run.tally.rounds


TOLD = """
import operator


def _scaled(values, strict=False, *, scale=1):
    return operator.attrgetter("__code__.co_argcount")(_scaled) + sum(values) * scale


def run(cfg, values=(1, 2)):
    unused = 3
    return _scaled(values, False, scale=2) + _scaled(values, strict=False)
"""


def test_a_parameter_is_kept_with_its_arguments(make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(TOLD, calls=((), ([1],)))
    with recording(subject, lambda line: None) as recorded:
        run = strip_phase(recorded, subject.phases[0], [], lambda line: None)
    kept = {(removal.line, reason) for removal, reason in run.tally.rejected}
    assert {line for line, _ in kept} == {4, 10} and len({reason for _, reason in kept}) == 1 < len(run.tally.rejected)
    left = stripped(subject)
    assert "strict=False, *, scale" in left and "(values, False, scale=2) + _scaled(values, strict=False)" in left
    assert "unused" not in left


def test_it_is_reported_everywhere(subject: Subject, unbloat: Callable[..., Any], tmp_path: Path) -> None:
    run, _ = strip(subject, "total += cfg.size")
    [(kept, reason)] = run.tally.rejected
    [event] = [event for event in read_journal(subject.state / "all.journal.jsonl") if event["event"] == "rejected"]
    assert (Removal.from_json(event["removal"]), event["reason"]) == (kept, reason)

    assert unbloat("report", subject.root, "--status", str(tmp_path / "STATUS.md")).code == 0
    row = f"| `{kept.file}:{kept.line}` | {NAME} | {reason} |"
    assert row in (tmp_path / "STATUS.md").read_text().splitlines()
    explained = unbloat("explain", subject.root, f"module.py:{kept.line}").out.splitlines()
    assert "fate: kept" in explained
    assert f"tried by `{NAME}` and kept: {reason}" in explained


def test_it_is_not_tried_again(subject: Subject) -> None:
    first, _ = strip(subject, "total += cfg.size")
    journal = subject.state / "all.journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    rejection = next(number for number, line in enumerate(lines) if '"event":"rejected"' in line)
    output = stripped(subject)

    again, said = strip(subject, "total += cfg.size")
    assert again.tally.verifications == 1  # the baseline
    assert again.tally.rejected == first.tally.rejected
    journal.write_text("".join(lines[: rejection + 1]))
    resumed, said = strip(subject, "total += cfg.size")
    assert resumed.tally.rejected == first.tally.rejected
    assert not any("1 removals: workload" in line for line in said)
    assert resumed.tally.verifications < first.tally.verifications
    assert stripped(subject) == output
    assert journal.read_text() == "".join(lines)
