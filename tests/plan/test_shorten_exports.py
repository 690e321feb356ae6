"""A list of exports that a star import of the package asks for stays as it is, however many there are in one module."""

from __future__ import annotations

from collections.abc import Callable

from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

MODULES = {
    "both.py": "from pkg.first import *\nfrom pkg.second import *\n",
    "first.py": '__all__ = ["first"]\n\n\ndef first(x):\n    return x\n',
    "second.py": '__all__ = ["second"]\n\n\ndef second(x):\n    return x * 2\n',
    "alone.py": '__all__ = ["third"]\n\n\ndef third(x):\n    return x * 3\n',
}
MODULE = """
from pkg.alone import third
from pkg.both import first, second


def run(cfg):
    return first(1) + second(2) + third(3)
"""


def test_lists_behind_several_star_imports(make_subject: Callable[..., Subject], server: Server) -> None:
    subject = make_subject(MODULE, others=MODULES)
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    run.run(lambda batch: next(iter(run.candidate(batch)[1]), None), None, lambda line: None)
    files, faults = run.candidate(())
    assert not faults
    lists = {name: files[f"pkg/{name}.py"].decode().partition("\n")[0] for name in ("first", "second", "alone")}
    assert lists == {"first": '__all__ = ["first"]', "second": '__all__ = ["second"]', "alone": "__all__ = []"}
