"""`unbloat init`: a strip.toml that the other commands take, or one line that says why not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.cli import main
from unbloat.subject import load_subject

Install = Callable[..., Path]

WORKLOAD = """\
import beside


def work(golden):
    import helpful.part
    from fake import answer

    golden.record("answer", answer())


def other(golden):
    pass


def _private(golden):
    pass
"""
FILES = {
    "fake/__init__.py": b"""\
import json
import numpy as np
from .inner import answer

try:
    import not_there
except ImportError:
    not_there = None


def lazy():
    import libcst
""",
    "fake/inner.py": b"""\
import fake


def answer(config=None, *args, train_opts=(), adopts=False, **options):
    return 42


class Model:
    def __init__(self, cfg, hparams):
        pass
""",
    "fake/tests/test_it.py": b"import pytest\n",
}


@pytest.fixture
def root(tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> Path:
    install("fake-dist", "1.2", FILES)
    install("helpful", "3", {"helpful/__init__.py": b"", "helpful/part.py": b""})
    folder = tmp_path / "subject"
    folder.mkdir()
    (folder / "work.py").write_text(WORKLOAD)
    (folder / "beside.py").write_text("import math\n")
    monkeypatch.chdir(folder)
    return folder


def init(*more: str) -> int:
    return main(["init", "--package", "fake", "--workload", "work.py", *more])


def test_what_is_written_can_be_recorded(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init() == 0
    subject = load_subject(root / "strip.toml")
    assert (subject.package, subject.installed) == ("fake", "fake-dist==1.2")
    assert [workload.name for workload in subject.workloads] == ["work", "other"]
    assert subject.preload == ("numpy", "helpful.part")
    assert subject.config_parameters == ("cfg", "config", "hparams", "train_opts")
    assert main(["record"]) == 0
    assert "work: " in capsys.readouterr().out


def test_paths_are_relative_to_what_is_written(root: Path) -> None:
    assert init("--out", "deep/er/own.toml") == 0
    assert load_subject(root / "deep" / "er" / "own.toml").workload("work").file == root / "work.py"


def test_nothing_is_imported_into_the_process(root: Path) -> None:
    assert init() == 0
    assert not {"fake", "helpful", "work", "beside"} & sys.modules.keys()


# (the arguments that replace the good ones, files written first, the complaint)
FAULTS = {
    "no such package": (["--package", "no_such_package"], {}, "no installed package 'no_such_package'; install it"),
    "the distribution's name": (
        ["--package", "fake-dist"],
        {},
        "'fake-dist': that is the name of a distribution; it installs fake",
    ),
    "a part of Python": (["--package", "json"], {}, "no installed package 'json'; install it"),
    "nothing": (["--package", ""], {}, "no installed package ''"),
    "no such file": (["--workload", "no.py"], {}, "no.py: no such file; name the Python file"),
    "a folder": (["--workload", "."], {}, ".: no such file; name the Python file"),
    "a syntax error": ([], {"work.py": "def work(golden:\n"}, "work.py:1: not valid Python"),
    "no text": ([], {"work.py": "\0"}, "work.py: not valid Python"),
    "no workload": ([], {"work.py": "def work(recorder):\n    pass\n"}, "work.py: no workload; write at least one function"),
    "a broken helper": ([], {"beside.py": "def\n"}, "beside.py:1: not valid Python"),
    "there already": ([], {"strip.toml": "mine"}, "strip.toml: is there already; name another file with --out"),
    "a folder there": (["--out", "."], {}, ".: is there already"),
    "a file on the way": (["--out", "beside.py/strip.toml"], {}, "beside.py"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said_and_nothing_written(root: Path, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    arguments, files, complaint = FAULTS[fault]
    for name, content in files.items():
        (root / name).write_text(content)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert init(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("unbloat: error: ") and said.count("\n") == 1
    assert complaint in said
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_module_that_is_broken_is_not_loaded_beforehand(root: Path, install: Install) -> None:
    """Whoever imports it may expect that, as a package does that looks for something optional."""
    install("broken", "1", {"broken.py": b"raise RuntimeError('another version of torch')\n"})
    (root / "beside.py").write_text("import broken\nimport json\nimport yaml\n")
    assert init() == 0
    assert '"yaml"' in (text := (root / "strip.toml").read_text()) and "broken" not in text


@pytest.mark.parametrize(
    "text",
    ["from fake import answer\n", "try:\n    import fake.inner\nexcept ImportError:\n    fake = None\n"],
    ids=["needs it", "can do without"],
)
def test_a_plugin_that_imports_the_package_is_not_loaded_beforehand(root: Path, install: Install, text: str) -> None:
    """It would bring the installed package with it, and every run would have that one instead of the tree under test."""
    install("plugin", "1", {"plugin.py": text.encode()})
    (root / "beside.py").write_text("import plugin\nimport yaml\n")
    assert init() == 0
    written = (root / "strip.toml").read_text()
    assert '"yaml"' in written and "plugin" not in written
    assert main(["record"]) == 0


def test_a_module_that_ends_the_process_is_named(root: Path, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("deadly", "1", {"deadly.py": b"raise SystemExit('not here')\n"})
    (root / "beside.py").write_text("import deadly\n")
    assert init() == 2
    assert 'cannot import "deadly" for `preload`: not here' in capsys.readouterr().err


def test_a_compiled_package_is_refused(install: Install, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install("fast", "1", {"fast/__init__.abi3.so": b"\x7fELF"})
    assert init("--package", "fast") == 2
    assert "package 'fast' of fast==1 has no Python source to strip" in capsys.readouterr().err
