"""What puts an operation on the tape stays, although nobody reads what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from unbloat.record import RECORDING, record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

MODULE = """
import torch

def halves(table):
    return table / 2

def run(cfg, x=2):
    table = torch.arange(6)
    tail = table[x:]
    half = halves(table)
    rows = [table] * x
    wide = len(rows[1:]) > x
    return table.tolist()
"""

STRIPPED = """
import torch

def halves(table):
    return table / 2

def run(cfg, x=2):
    table = torch.arange(6)
    table[x:]
    halves(table)
    return table.tolist()
"""


@pytest.fixture(scope="module")
def server_with_torch() -> Iterator[Server]:
    with Server([*RECORDING, "torch"]) as server:
        yield server


def test_operations_stay(make_subject: Callable[..., Subject], server_with_torch: Server) -> None:
    subject = make_subject(MODULE)
    _, facts = record(subject, server_with_torch, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    run.run(lambda batch: next(iter(run.candidate(batch)[1]), None), None, lambda line: None)
    assert run.files()["pkg/module.py"].decode() == STRIPPED.lstrip()
