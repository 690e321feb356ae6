"""Every example of every pass: what the documentation shows is what the pass does, and it is proved by a run."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable

import pytest
from unbloat.edit import render
from unbloat.plan.example import Example
from unbloat.plan.passes import PASSES, Pass
from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

CASES = [pytest.param(one, example, id=f"{one.name}: {example.title}") for one in PASSES for example in one.examples]


@pytest.mark.parametrize(("one", "example"), CASES)
def test_example(one: Pass, example: Example, make_subject: Callable[..., Subject], server: Server) -> None:
    subject = make_subject(example.before, config=example.config, calls=example.calls)
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    before = textwrap.dedent(example.before).lstrip("\n")
    edits = [removal.edit for removal in one.propose(run.view())]
    assert render(before, edits) == textwrap.dedent(example.after).lstrip("\n")


@pytest.mark.parametrize("one", PASSES, ids=lambda one: one.name)
def test_pass_documents_itself(one: Pass) -> None:
    assert "Safe because" in one.why_safe
    texts = [(textwrap.dedent(example.before), textwrap.dedent(example.after)) for example in one.examples]
    assert any(before == after for before, after in texts) or one.name == "drop unreachable code"
    assert any(ast.dump(ast.parse(before)) != ast.dump(ast.parse(after)) for before, after in texts)
