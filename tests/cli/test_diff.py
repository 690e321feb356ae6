"""`unbloat diff` names the first divergence of two trees; exit code 0 if there is none, 1 if there is, 2 for bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unbloat.subject import Subject


@pytest.fixture
def changed(tiny: Subject) -> Path:
    """A copy of the legacy whose answer is another one."""
    tree = tiny.root / "changed"
    shutil.copytree(tiny.legacy, tree)
    module = tree / "pkg" / "module.py"
    module.write_text(module.read_text().replace("total += cfg.size", "total += cfg.size + 1"))
    return tree


def test_a_divergence(tiny: Subject, changed: Path, unbloat: Callable[..., Any]) -> None:
    said = unbloat("diff", tiny.root, "legacy", str(changed))
    assert (said.code, said.err) == (1, "")
    shown = [line for line in said.out.splitlines() if " s  " not in line]
    assert shown[:2] == [
        "workload 'workload' differs: another recorded value, which no operation shows",
        "  what      'call 0': 7 != 8",
    ]
    assert any(line.startswith("  first     workloads.py:12  golden.record(") for line in shown)
    assert shown[-1] == "            #0 golden.record(call 0)"


def test_what_is_found_goes_to_a_file_too(tiny: Subject, changed: Path, unbloat: Callable[..., Any]) -> None:
    file = tiny.root / "found.json"
    assert unbloat("diff", tiny.root, str(changed), "legacy", "--workload", "workload", "--json", str(file)).code == 1
    fields = json.loads(file.read_text())
    assert (fields["first"], fields["second"]) == (str(changed), str(tiny.legacy))
    assert fields["finding"]["what"] == "'call 0': 8 != 7"
    assert unbloat("diff", tiny.root, "legacy", "legacy", "--json", str(file)).code == 0
    assert json.loads(file.read_text())["finding"] is None


def test_trees_that_agree(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    assert unbloat("strip", tiny.root).code == 0
    said = unbloat("diff", tiny.root, "legacy", "stripped")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1] == "stripped: identical to legacy"


# (arguments, the error with {root} for the subject's folder)
FAULTS = [
    (["legacy", "stripped"], "{root}/stripped: holds no package 'pkg'; name a folder that does, `legacy` or `stripped`"),
    (["legacy", "nowhere"], "/nowhere: holds no package 'pkg'; "),
    (["legacy", "legacy", "--workload", "no"], "{root}/strip.toml: no workload 'no'; known: workload"),
]


@pytest.mark.parametrize(("arguments", "error"), FAULTS)
def test_bad_input(arguments: list[str], error: str, tiny: Subject, unbloat: Callable[..., Any]) -> None:
    assert error.format(root=tiny.root) in unbloat("diff", tiny.root, *arguments).error()
