"""Every example of every pass: what the documentation shows is what the pass does, and it is proved by a run."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable

import pytest
from unbloat.edit import DropModule, render
from unbloat.plan.example import Example
from unbloat.plan.passes import PASSES, Pass
from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

BY_NAME = {one.name: one for one in PASSES}
CASES = [pytest.param(one, example, id=f"{one.name}: {example.title}") for one in PASSES for example in one.examples]


@pytest.mark.parametrize(("one", "example"), CASES)
def test_example(one: Pass, example: Example, make_subject: Callable[..., Subject], server: Server) -> None:
    subject = make_subject(example.before, config=example.config, calls=example.calls, others=example.others)
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    for name in example.first:
        run.tally.accepted += BY_NAME[name].propose(run.view())
    removals = [*run.tally.accepted, *one.propose(run.view())]
    dropped = [removal.file for removal in removals if removal.edit == DropModule()]
    assert dropped == [f"pkg/{name}" for name in example.gone]
    before = textwrap.dedent(example.before).lstrip("\n")
    edits = [removal.edit for removal in removals if removal.file == "pkg/module.py"]
    assert render(before, edits) == textwrap.dedent(example.after).lstrip("\n")


@pytest.mark.parametrize("one", PASSES, ids=lambda one: one.name)
def test_pass_documents_itself(one: Pass) -> None:
    assert "Safe because" in one.why_safe
    assert any(_is_left_alone(example) for example in one.examples)
    assert not all(_is_left_alone(example) for example in one.examples)


def _is_left_alone(example: Example) -> bool:
    before, after = (ast.dump(ast.parse(textwrap.dedent(text))) for text in (example.before, example.after))
    return before == after and not example.gone
