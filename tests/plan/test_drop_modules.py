"""Whole modules: what nobody imports goes, and what somebody imports where its absence would be silent stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

RUN = "def run(cfg):\n    return 1\n"
SWALLOWED = "\n\ndef spare():\n    try:\n        import pkg.other\n    except ImportError:\n        pass\n"


@pytest.mark.parametrize(
    ("title", "source", "gone"),
    [
        ("nobody imports it", RUN, True),
        ("it was imported", "from pkg import other\n\n\ndef run(cfg):\n    return other.ONE\n", False),
        ("an import that did not run", "def run(cfg):\n    return 1\n\n\ndef spare():\n    from pkg import other\n", True),
        (
            "an import whose failure would be swallowed, once its function is gone",
            RUN + SWALLOWED,
            True,
        ),
        (
            "modules are loaded by computed names",
            "import importlib\n\n\ndef run(cfg):\n    return importlib.import_module('pkg' + '.module').__name__\n",
            False,
        ),
    ],
)
def test_a_module_goes(title: str, source: str, gone: bool, make_subject: Callable[..., Subject], server: Server) -> None:
    subject = make_subject(source, others={"other.py": "ONE = 1\n"})
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    run.run(lambda batch: next(iter(run.candidate(batch)[1]), None), None, lambda line: None)
    files, faults = run.candidate(())
    assert not faults and ("pkg/other.py" not in files) is gone, title
