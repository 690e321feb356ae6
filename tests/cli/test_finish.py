"""Phases that share files, a last one over all of them, and what is restructured after it: everything copes with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from unbloat.figures import load_figures, load_memory
from unbloat.phases import recording, strip_phase
from unbloat.plan.removal import Removal
from unbloat.subject import Subject, load_subject
from unbloat.verify.journal import read_journal
from unbloat.verify.trees import read_tree

MODULE = """
from pkg.inner.used import times
from pkg.other import LIMIT


def unused(x):
    import pkg.lazy

    return pkg.lazy.lazily(x)


def run(cfg, values=(1, 2)):
    total = 0
    if cfg.flag:
        from pkg.big import grow

        total = grow(total)
    total += times(cfg.size)
    return total + min(sum(values), LIMIT)
"""
OTHERS = {
    "inner/__init__.py": "",
    "inner/used.py": "from pkg.inner import deeper\n\n\ndef times(x):\n    return x * deeper.FACTOR\n",
    "inner/deeper.py": "FACTOR = 2\n",
    "other.py": "LIMIT = 9\n",
    "big.py": "def grow(x):\n    return x + 1\n",
    "lazy.py": "def lazily(x):\n    return x\n",
    "alone/__init__.py": "from pkg.alone.one import ONE\n",
    "alone/one.py": "ONE = 1\n",
}
PHASES = """
[phases.first]
files = ["pkg/module.py"]
gate = ["workload"]

[phases.second]
files = ["pkg/inner/used.py", "pkg/module.py"]
gate = ["workload"]

[phases.final]
files = ["**"]
gate = ["workload"]

[[restructure]]
move = "pkg/inner/used.py"
to = "pkg/used.py"

[[restructure]]
local_imports = true
"""
DROPPED = {f"pkg/{name}" for name in ("big.py", "lazy.py", "alone/__init__.py", "alone/one.py")}


@pytest.fixture
def phased(make_subject: Callable[..., Subject]) -> Subject:
    made = make_subject(MODULE, config={"flag": False, "size": 3}, calls=((), ([1],)))
    for name, text in OTHERS.items():
        path = made.legacy / "pkg" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    toml = made.file.read_text()
    made.file.write_text(toml.partition("[phases.all]")[0] + PHASES)
    return load_subject(made.file)


def test_modules_go_and_steps_are_done(phased: Subject, unbloat: Callable[..., Any]) -> None:
    said = unbloat("strip", phased.root)
    assert said.code == 0, said
    left = set(read_tree(phased.stripped))
    assert {name.replace("inner/used", "used") for name in phased.sources()} - left == DROPPED
    assert "from .used import times" in (phased.stripped / "pkg" / "module.py").read_text()
    assert (phased.stripped / "aliases.json").is_file()
    for command in ("verify", "report"):
        said = unbloat(command, phased.root)
        assert said.code == 0, said
    said = unbloat("explain", phased.root, "pkg/big.py:2")
    assert "fate: removed" in said.out and "nothing that is kept imports `pkg.big`" in said.out


def test_every_phase_resumes_wherever_its_journal_ends(phased: Subject, unbloat: Callable[..., Any]) -> None:
    """The later phases go over files of the earlier ones, and the last one drops and restructures."""
    assert unbloat("strip", phased.root).code == 0
    tree = read_tree(phased.stripped)
    journals = {phase.name: phased.state / f"{phase.name}.journal.jsonl" for phase in phased.phases}
    whole = {name: path.read_bytes() for name, path in journals.items()}
    with recording(phased, lambda line: None) as recorded:
        for name, path in journals.items():
            lines = whole[name].splitlines(keepends=True)
            for count in range(len(lines)):
                path.write_bytes(b"".join(lines[:count]) + lines[count][: len(lines[count]) // 2])
                earlier: list[Removal] = []
                for phase in phased.phases:
                    earlier += strip_phase(recorded, phase, earlier, lambda line: None).tally.accepted
                assert read_tree(phased.stripped) == tree
                assert {other: file.read_bytes() for other, file in journals.items()} == whole


def test_a_verdict_of_the_end_is_not_asked_for_again(phased: Subject) -> None:
    with recording(phased, lambda line: None) as recorded:
        counts = []
        for _ in range(2):
            earlier: list[Removal] = []
            for phase in phased.phases:
                run = strip_phase(recorded, phase, earlier, lambda line: None)
                earlier += run.tally.accepted
            counts.append(run.tally.verifications)
    assert counts[1] == 1 < counts[0]
    assert [event["event"] for event in read_journal(phased.state / "final.journal.jsonl")][-2:] == ["restructured", "done"]


def test_an_earlier_phase_leaves_every_module(phased: Subject, unbloat: Callable[..., Any]) -> None:
    assert unbloat("strip", phased.root).code == 0
    assert unbloat("strip", phased.root, "--phase", "second").code == 0
    assert {*phased.sources()} <= {*read_tree(phased.stripped)}
    assert not (phased.stripped / "aliases.json").exists()


def test_a_step_that_a_workload_notices_is_left_out(phased: Subject, unbloat: Callable[..., Any]) -> None:
    path = phased.root / "workloads.py"
    text = "    import pkg.inner.used\n\n    golden.record('file', pkg.inner.used.__file__.rpartition('/pkg/')[2])\n"
    path.write_text(path.read_text() + text)
    said = unbloat("strip", phased.root)
    assert said.code == 0
    assert "left out move pkg/inner/used.py to pkg/used.py: workload 'workload' differs at `file`" in said.out
    assert "restructured: 1 of 2 steps" in said.out
    assert "from .inner.used import times" in (phased.stripped / "pkg" / "module.py").read_text()
    assert unbloat("verify", phased.root).code == 0
    assert unbloat("report", phased.root, "--status", str(phased.root / "status.md")).code == 0
    assert "\n- move pkg/inner/used.py to pkg/used.py was left out: workload" in (phased.root / "status.md").read_text()


def test_figures_are_those_of_a_whole_run(phased: Subject, unbloat: Callable[..., Any]) -> None:
    assert unbloat("strip", phased.root).code == 0
    first = [load_figures(phased, phase) for phase in phased.phases]
    assert all(one["verifications"] and not one["resumed"] and one["seconds"]["verification"] for one in first)
    assert unbloat("strip", phased.root).code == 0
    assert [load_figures(phased, phase) for phase in phased.phases] == first
    with recording(phased, lambda line: None) as recorded:
        memory = load_memory(phased, recorded.key)
        # Bytes, not kilobytes; this process has run other tests, which count too.
        assert 10e6 < memory["largest_run"] < memory["at_most"] < 100e9
    # A page that several processes share counts once in all of them together.
    together = memory["together"]
    assert (together is None) == (sys.platform != "linux")
    assert together is None or memory["command"] / 4 < together < memory["at_most"]
    assert load_memory(phased, "another") == {}
