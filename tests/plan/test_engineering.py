"""What the contract calls engineering goes with its calls, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

MODULE = """
opened = []

def _open(name):
    opened.append(name)
    return len(opened)

def run(cfg, values=(1,)):
    _open("log")
    handle = _open("other")
    _open(values.pop()) if isinstance(values, list) else None
    return sum(values)
"""


@pytest.mark.parametrize(
    ("engineering", "left"),
    [
        ("", ['_open("log")', '_open("other")']),
        ('"pkg.module._open"', []),
        ('"pkg.module.run"', ['_open("log")', '_open("other")']),
    ],
)
def test_calls_of_engineering(engineering: str, left: list[str], make_subject: Callable[..., Subject], server: Server) -> None:
    subject = make_subject(
        MODULE,
        config={},
        calls=(([1, 2],),),
        strip=lambda text: text.replace("algorithm = []", f"algorithm = []\nengineering = [{engineering}]"),
    )
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    run.run(lambda batch: next(iter(run.candidate(batch)[1]), None), None, lambda line: None)
    text = run.files()["pkg/module.py"].decode()
    assert [call for call in ('_open("log")', '_open("other")') if call in text] == left
    assert "values.pop()" in text
