"""A journal that ends anywhere leads to the same tree, with fewer verifications than from the start."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from unbloat.edit import DropStatement, Span
from unbloat.phases import Recording, recording, strip_phase
from unbloat.plan.passes import STAGES, Pass
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.journal import Journal, read_journal
from unbloat.verify.trees import read_tree

# `first` and `second` hold only together: a search that is halved elsewhere would keep them.
MODULE = """
import logging


def unused(x):
    return x


def run(cfg, values=(1, 2)):
    first = 1
    wrong = 1
    second = -1
    total = first + second + wrong
    if cfg.flag:
        total += 5
    if len(values) > 9:
        values = values[:9]
        values = sorted(values)
    add = []
    add.append(3)
    add.append(-3)
    add.append(5)
    if cfg.mode == "fast":
        total += 1
    return total + sum(values) + sum(add)
"""
PLANTED = ("add.append(3)", "add.append(-3)", "add.append(5)")


def propose(view: View) -> Iterator[Removal]:
    for module, node in view.nodes():
        if isinstance(node, ast.Expr) and ast.unparse(node) in PLANTED:
            place = Span.of(node)
            lines = ((node.lineno, node.lineno),)
            yield Removal(module.file, DropStatement(place), "planted", Evidence.UNREFERENCED, "", place, lines)


PLANT = Pass("planted", "", (), propose)
WITH_MISTAKES = ((PLANT, *STAGES[0]), *STAGES[1:])
WITH_LATE_MISTAKES = (*STAGES[:-1], (*STAGES[-1], PLANT))


@pytest.fixture
def recorded(make_subject: Callable[..., Subject]) -> Iterator[Recording]:
    subject = make_subject(MODULE, config={"flag": False, "mode": "fast"}, calls=((), ([1],)))
    with recording(subject, lambda line: None) as found:
        yield found


def strip(
    recorded: Recording, journal: bytes | None, stages: Sequence[Sequence[Pass]] = WITH_MISTAKES
) -> tuple[dict[str, bytes], bytes, PhaseRun]:
    path = recorded.subject.state / "all.journal.jsonl"
    path.unlink(missing_ok=True)
    if journal is not None:
        path.write_bytes(journal)
    run = strip_phase(recorded, recorded.subject.phases[0], [], lambda line: None, stages)
    return read_tree(recorded.subject.stripped), path.read_bytes(), run


@pytest.mark.parametrize(("stages", "held"), [(WITH_MISTAKES, 0), (WITH_LATE_MISTAKES, 2)], ids=["first", "later"])
def test_a_journal_cut_anywhere(stages: Sequence[Sequence[Pass]], held: int, recorded: Recording) -> None:
    tree, journal, whole = strip(recorded, None, stages)
    assert {removal.pass_name for removal, _ in whole.tally.rejected} == {"planted"}
    lines = journal.splitlines(keepends=True)
    tried = [event for event in read_journal(recorded.subject.state / "all.journal.jsonl") if event["event"] == "tried"]
    assert tried[0]["reason"] and tried[0]["held"] == held, "what was verified first holds up to the mistake"
    assert tried[-1]["reason"] is None
    assert len(lines) > 6
    verifications = []
    for count in range(1, len(lines) + 1):
        for torn in (b"", lines[count][: len(lines[count]) // 2] if count < len(lines) else b""):
            resumed_tree, resumed_journal, resumed = strip(recorded, b"".join(lines[:count]) + torn, stages)
            assert resumed_tree == tree
            assert resumed_journal == journal
            assert resumed.tally.accepted == whole.tally.accepted
            assert resumed.tally.rejected == whole.tally.rejected
        verifications.append(resumed.tally.verifications)
    assert verifications[0] == whole.tally.verifications
    assert verifications == sorted(verifications, reverse=True)
    assert verifications[-1] == 1 < verifications[0]


GARBAGE = {
    "empty": b"",
    "text": b"hello\nworld\n",
    "bytes": bytes(range(256)) * 3,
    "other JSON": b'[1]\nnull\n{"event": ["accepted"]}\n',
    "another version": b'{"event":"begin","key":"0123/all/4567"}\n{"event":"done","digest":"89"}\n',
    "nothing to begin with": b'{"event":"done","digest":"89"}\n',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_no_journal(garbage: bytes, recorded: Recording) -> None:
    tree, journal, whole = strip(recorded, None)
    again_tree, again_journal, again = strip(recorded, garbage)
    assert (again_tree, again_journal, again.tally.accepted) == (tree, journal, whole.tally.accepted)
    assert again.tally.verifications == whole.tally.verifications


@pytest.mark.parametrize(
    "garbage", [b"hello\n", bytes(range(256)), b"{}\n", b"\0\0\0\n"], ids=["text", "bytes", "JSON", "zeros"]
)
def test_garbage_ends_a_journal(garbage: bytes, recorded: Recording) -> None:
    tree, journal, _ = strip(recorded, None)
    lines = journal.splitlines(keepends=True)
    again_tree, again_journal, _ = strip(recorded, b"".join(lines[:3]) + garbage + b"".join(lines[3:]))
    assert (again_tree, again_journal) == (tree, journal)


def test_a_journal_of_other_proposals_is_begun_anew(recorded: Recording) -> None:
    _, journal, _ = strip(recorded, None)
    begun, *events = journal.splitlines(keepends=True)
    tried = next(line for line in events if b'"tried"' in line)
    accepted = next(line for line in events if b'"accepted"' in line and b'"planted"' not in line)
    unheard_of = accepted.replace(b'"place":[', b'"place":[9')
    for other in ([accepted], [tried, accepted], [tried, unheard_of], [tried.replace(b'"held":0', b'"held":99')]):
        tree, again, _ = strip(recorded, b"".join([begun, *other]))
        assert again == journal
        assert tree == read_tree(recorded.subject.stripped)


def test_events_are_on_disk_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state" / "journal.jsonl", "key")
    journal.add({"event": "round", "number": 1})
    expected = [{"event": "begin", "key": "key"}, {"event": "round", "number": 1}]
    assert read_journal(journal.path) == expected
    assert Journal(journal.path, "key").events == expected
    assert Journal(journal.path, "other").events == [{"event": "begin", "key": "other"}]
