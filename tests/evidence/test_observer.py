"""What a run notes is noted for the module that it happened in, however that module got its names."""

from __future__ import annotations

from pathlib import Path

from unbloat.verify.server import Server

from tests.differential import Program, compare_uses

MODULE = """
from pkg.other import *


class Box:
    def step(self, x):
        if x > 2:
            return x + 1
        return scaled(x)


def run(cfg, x=1):
    return Box().step(x)
"""
OTHER = """
def scaled(x):
    if x > 5:
        return 5
    return x * 2
"""


def test_a_star_import_does_not_take_the_notes_of_another_module(tmp_path: Path, server: Server) -> None:
    program = Program(MODULE, (("config", {}), ("run", "run", (1,), {}), ("run", "run", (3,), {})), modules={"other": OTHER})
    comparison = compare_uses(program, tmp_path, server)
    assert comparison.rejected == ()
    assert "x > 2" in comparison.sources["pkg/module.py"], "went both ways"
    assert "return 5" not in comparison.sources["pkg/other.py"]
