"""An edit that the text cannot express costs that edit, not the run."""

from __future__ import annotations

from collections.abc import Callable

from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

MODULE = """
def run(cfg, value=1):
    unused = 3
    shown = f"{cfg.wide and value=}"
    return shown
"""


def test_the_other_removals_are_accepted(make_subject: Callable[..., Subject], server: Server) -> None:
    subject = make_subject(MODULE, config={"wide": True})
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    run.run(lambda batch: next(iter(run.candidate(batch)[1]), None), None, lambda line: None)
    assert [removal.reason for removal in run.tally.accepted] == ["`unused` is never read"]
    ((kept, reason),) = run.tally.rejected
    assert kept.line == 3
    assert reason.startswith("cannot be written: ")
