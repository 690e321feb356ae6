"""The generated module takes no place that is taken, and holds what the package calls and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Callable

from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

MODULE = """
def run(cfg, pinned=1):
    if cfg.wide:
        return pinned + 1
    return pinned
"""


def _stripped(subject: Subject, server: Server) -> dict[str, bytes]:
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    run.run(lambda batch: next(iter(run.candidate(batch)[1]), None), None, lambda line: None)
    return run.candidate(())[0]


def test_a_name_of_the_file(make_subject: Callable[..., Subject], server: Server) -> None:
    tree = _stripped(make_subject(MODULE, config={"wide": False}), server)
    assert b"from pkg import pinned as unbloat_pinned\n" in tree["pkg/module.py"]
    assert b"unbloat_pinned.check(cfg)" in tree["pkg/module.py"]
    assert b"CONFIG" in tree["pkg/pinned.py"]


def test_a_module_of_the_package(make_subject: Callable[..., Subject], server: Server) -> None:
    module = "from pkg.pinned import VALUE\n" + MODULE.replace("return pinned", "return VALUE + pinned")
    tree = _stripped(make_subject(module, config={"wide": False}, others={"pinned.py": "VALUE = 1\n"}), server)
    assert tree["pkg/pinned.py"] == b"VALUE = 1\n"
    assert b"CONFIG" in tree["pkg/unbloat_pinned.py"]
    assert b"unbloat_pinned.check(cfg)" in tree["pkg/module.py"]


def test_only_what_is_called(make_subject: Callable[..., Subject], server: Server) -> None:
    module = """
    def run(cfg, values=(1,)):
        if len(values) > 9:
            values = sorted(values)
            values = values[:9]
        return sum(values)
    """
    guard = ast.parse(_stripped(make_subject(module), server)["pkg/pinned.py"])
    assert [type(node).__name__ for node in guard.body] == ["Expr", "FunctionDef"]
    assert [node.name for node in guard.body if isinstance(node, ast.FunctionDef)] == ["forbid"]
