"""A recording is used again exactly as long as nothing that it depends on has changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unbloat.record import subject_key
from unbloat.subject import Subject, load_subject


@pytest.fixture
def subject(make_subject: Callable[..., Subject]) -> Subject:
    plain = make_subject(
        "def run(cfg):\n    return 1\n",
        others={"other.py": ""},
        strip=lambda text: text.replace(', "pkg/other.py"', ""),
    )
    (plain.root / "flows").mkdir()
    (plain.root / "workloads.py").rename(plain.root / "flows" / "workloads.py")
    (plain.root / "flows" / "helper.py").write_text("x = 1\n")
    (plain.root / "data" / "inner").mkdir(parents=True)
    (plain.root / "data" / "inner" / "a.json").write_text("{}")
    text = (plain.root / "strip.toml").read_text()
    text = text.replace('"workloads.py"', '"flows/workloads.py"\ninputs = ["data"]')
    (plain.root / "strip.toml").write_text(text)
    return load_subject(plain.root / "strip.toml")


def append(file: str) -> Callable[[Path], object]:
    return lambda root: (root / file).write_text((root / file).read_text() + "\n")


CHANGES: dict[str, Callable[[Path], object]] = {
    "the description": append("strip.toml"),
    "a workload": append("flows/workloads.py"),
    "a helper beside it": append("flows/helper.py"),
    "a script beside the description": lambda root: (root / "train.py").write_text(""),
    "a legacy module": append("legacy/pkg/module.py"),
    "an empty legacy module": lambda root: (root / "legacy" / "pkg" / "new.py").write_text(""),
    "data of the legacy": lambda root: (root / "legacy" / "pkg" / "words.txt").write_text("a"),
    "a module's name": lambda root: (root / "legacy/pkg/other.py").rename(root / "legacy/pkg/others.py"),
    "an input": append("data/inner/a.json"),
    "an input's folder": lambda root: (root / "data" / "inner").rename(root / "data" / "other"),
}
NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "time": lambda root: (root / "strip.toml").touch(),
    "the output": lambda root: shutil.copytree(root / "legacy", root / "stripped"),
    "the state": lambda root: (root / ".unbloat").mkdir(),
    "a note": lambda root: (root / "README.md").write_text("a"),
    "cached bytecode": lambda root: (root / "legacy" / "pkg" / "__pycache__").mkdir(),
}


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        *(pytest.param(change, True, id=name) for name, change in CHANGES.items()),
        *(pytest.param(change, False, id=name) for name, change in NO_CHANGES.items()),
    ],
)
def test_what_a_recording_depends_on(change: Callable[[Path], object], matters: bool, subject: Subject) -> None:
    before = subject_key(subject, {"python": "3"})
    change(subject.root)
    after = subject_key(load_subject(subject.root / "strip.toml"), {"python": "3"})
    assert (before != after) is matters


def test_the_environment_matters(subject: Subject) -> None:
    assert subject_key(subject, {"python": "3"}) != subject_key(subject, {"python": "4"})


def test_it_is_recorded_once(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    assert "workload: recording twice" in unbloat("record", tiny.root).out
    said = unbloat("record", tiny.root).out
    assert "workload: recorded before" in said and "recording twice" not in said
    assert "workload: 3 entries, digest " in said
