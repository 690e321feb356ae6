"""Code that no workload executed becomes an error beneath what cannot swallow that error, and stays beneath what can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

SOURCE = """
from contextlib import ExitStack, nullcontext, suppress


class Plain(ValueError):
    pass


class Unwritten(NotImplementedError, GeneratorExit):
    pass


def wider(x):
    x = x * 2
    return x + 1


def run(cfg, x=1):
    {head}:
        {first}
        if x > 3:
            x = wider(x)
            x = x + 1
        {last}
    {handler}
    return x
"""


@pytest.mark.parametrize(
    ("title", "parts", "wired"),
    [
        ("an error of the package", ("try", "pass", "raise Plain(x)", "except Plain: pass"), True),
        ("one that stripped code could raise", ("try", "pass", "raise Unwritten(x)", "except Unwritten: pass"), False),
        ("an empty stack", ("with ExitStack() as stack", "pass", "pass", "pass"), True),
        (
            "a stack of another package's context",
            ("with ExitStack() as stack", "stack.enter_context(nullcontext())", "pass", "pass"),
            True,
        ),
        (
            "a stack of one that suppresses",
            ("with ExitStack() as stack", "stack.enter_context(suppress(BaseException))", "pass", "pass"),
            False,
        ),
        ("a stack that a callable is pushed on", ("with ExitStack() as stack", "stack.push(print)", "pass", "pass"), False),
    ],
)
def test_what_no_workload_executed(
    title: str, parts: tuple[str, str, str, str], wired: bool, make_subject: Callable[..., Subject], server: Server
) -> None:
    head, first, last, handler = parts
    subject = make_subject(SOURCE.format(head=head, first=first, last=last, handler=handler))
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    run.run(lambda batch: next(iter(run.candidate(batch)[1]), None), None, lambda line: None)
    files, faults = run.candidate(())
    assert not faults and (b"wider" not in files["pkg/module.py"]) is wired, title
