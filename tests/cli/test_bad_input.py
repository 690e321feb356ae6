"""Whatever a user gets wrong is one line on stderr and exit code 2, and nothing that was there is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unbloat.subject import Subject

Edit = Callable[[Subject], None]


def replacing(file: str, old: str, new: str) -> Edit:
    def edit(subject: Subject) -> None:
        path = subject.root / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit


def writing(file: str, content: bytes) -> Edit:
    def edit(subject: Subject) -> None:
        (subject.root / file).parent.mkdir(parents=True, exist_ok=True)
        (subject.root / file).write_bytes(content)

    return edit


def as_file(name: str) -> Edit:
    """A file where a folder belongs; unlike permissions, this stops root too."""

    def edit(subject: Subject) -> None:
        shutil.rmtree(subject.root / name, ignore_errors=True)
        (subject.root / name).write_text("mine")

    return edit


RECORD = 'golden.record(f"call {number}", '
WORKLOAD = "workload 'workload'"

# (what is wrong, the error with {root} for the subject's folder)
FAULTS = {
    "no strip.toml": (lambda subject: (subject.root / "strip.toml").unlink(), "{root}/strip.toml: no such file; name the"),
    "no TOML": (writing("strip.toml", b"[subject\n"), "{root}/strip.toml: not valid TOML: "),
    "an unknown key": (
        replacing("strip.toml", "limit", "limits"),
        "{root}/strip.toml:13: [golden] limits: unknown key; known: ",
    ),
    "a wrong type": (replacing("strip.toml", "limit = 60", 'limit = "60"'), "{root}/strip.toml:13: [golden] limit: must be a"),
    "an unknown workload": (
        replacing("strip.toml", '["workload"]', '["no"]'),
        "{root}/strip.toml:22: [phases.all] gate: unknown",
    ),
    "an unknown file": (
        replacing("strip.toml", '"pkg/module.py"', '"pkg/no.py"'),
        "{root}/strip.toml:21: [phases.all] files: ",
    ),
    "a workload that raises": (
        replacing("workloads.py", RECORD, "raise ValueError('two\\nlines', "),
        f"{WORKLOAD} raised ValueError: ('two\\nlines'",
    ),
    "a workload that raises in the subject": (
        replacing("legacy/pkg/module.py", "total = 0", "total = cfg.size.no"),
        f"{WORKLOAD} raised AttributeError: ",
    ),
    "a workload that is left to chance": (
        replacing("workloads.py", RECORD, "import os; golden.record('drawn', os.getpid()); " + RECORD),
        f"{WORKLOAD} is not deterministic: first differing value `drawn` ",
    ),
    "a workload file that does not compile": (
        writing("workloads.py", b"def workload(golden)\n"),
        "{root}/workloads.py:1: not valid Python: expected ':'",
    ),
    "a workload that imports what is missing": (
        replacing("workloads.py", "from pkg.module", "from pkg.missing"),
        f"{WORKLOAD} raised ModuleNotFoundError: No module named 'pkg.missing' at workloads.py:9",
    ),
    "a workload that leaves": (
        replacing("workloads.py", RECORD, "import os; os._exit(3); ("),
        f"{WORKLOAD} left its process with",
    ),
    "a legacy that does not compile": (
        writing("legacy/pkg/unused.py", b"x = 1\ny = = 2\n"),
        "{root}/legacy/pkg/unused.py:2: not valid Python: invalid syntax",
    ),
    "a legacy in another encoding": (
        writing("legacy/pkg/unused.py", b"# coding: latin-1\nx = '\xe4'\n"),
        "{root}/legacy/pkg/unused.py: not UTF-8 text",
    ),
    "a missing module to preload": (
        replacing("strip.toml", '"omegaconf"', '"json", "no_such_module"'),
        "cannot preload 'no_such_module': ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "no place for the state": (as_file(".unbloat"), "{root}/.unbloat"),
    "a file as output": (as_file("stripped"), "{root}/strip.toml:5: [subject] stripped: {root}/stripped is not a folder"),
    "a veto of nothing": (
        lambda subject: replacing("strip.toml", "[phases", '[[veto]]\nat = "pkg/no.py:3"\nreason = "r"\n\n[phases')(subject),
        "{root}/strip.toml:21: [veto] at: 'pkg/no.py' is not a file under {root}/legacy",
    ),
}


@pytest.mark.parametrize(("edit", "error"), FAULTS.values(), ids=FAULTS)
def test_one_line_and_nothing_touched(
    edit: Edit, error: str, tiny: Subject, unbloat: Callable[..., Any], contents: Callable[[Path], object]
) -> None:
    output = tiny.stripped / "pkg"
    output.mkdir(parents=True)
    (output / "module.py").write_text("left = 'by an earlier run'\n")
    edit(tiny)
    outputs = contents(tiny.stripped)
    legacy = contents(tiny.legacy)
    assert unbloat("strip", tiny.root).error().startswith(error.format(root=tiny.root))
    assert contents(tiny.stripped) == outputs
    assert contents(tiny.legacy) == legacy
    assert not list(tiny.root.rglob("*.part")) and not list(tiny.root.rglob("__pycache__"))


def test_a_legacy_that_differs_from_its_manifest(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    (tiny.root / "MANIFEST").write_text(f"{'0' * 64}  pkg/module.py\n")
    replacing("strip.toml", 'legacy = "legacy"', 'legacy = "legacy"\nmanifest = "MANIFEST"')(tiny)
    error = unbloat("strip", tiny.root).error()
    assert error == f"{tiny.legacy}/pkg/__init__.py: not listed in MANIFEST; the legacy is never edited"


@pytest.mark.parametrize("command", ["plan", "strip", "verify"])
def test_a_phase_that_does_not_exist(command: str, tiny: Subject, unbloat: Callable[..., Any]) -> None:
    error = unbloat(command, tiny.root, "--phase", "no").error()
    assert error == f"{tiny.root}/strip.toml: no phase 'no'; known: all"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["verify"], "{root}/stripped: holds no package 'pkg'; strip first, or name another --tree"),
        (["verify", "--tree", "{root}/no"], "{root}/no: holds no package 'pkg'; strip first, or name another --tree"),
        (["verify", "--tree", "{root}/strip.toml"], "{root}/strip.toml: holds no package 'pkg'; strip first, or name"),
        (["report"], "phase 'all' is not stripped yet; run `unbloat strip --phase all` first"),
        (["explain", "module.py:3"], "phase 'all' is not stripped yet; run `unbloat strip --phase all` first"),
        (["explain", "module.py"], "'module.py' is not FILE:LINE"),
        (["explain", "module.py:x"], "'module.py:x' is not FILE:LINE"),
        (["explain", ":3"], "':3' is not FILE:LINE"),
        (["explain", "no.py:3"], "no.py: no such module under {root}/legacy/pkg"),
        (["explain", "{root}/strip.toml:3"], "{root}/strip.toml: no such module under {root}/legacy/pkg"),
        (["explain", "module.py:0"], "pkg/module.py:0: the legacy file has lines 1 to 33"),
        (["explain", "module.py:34"], "pkg/module.py:34: the legacy file has lines 1 to 33"),
        (["plan", "--json", "{root}/legacy"], "{root}/.legacy.part: Is a directory"),
        (["plan", "--json", "{root}/strip.toml/plan.json"], "{root}/strip.toml: File exists"),
    ],
)
def test_a_command_that_cannot_be_done(arguments: list[str], error: str, tiny: Subject, unbloat: Callable[..., Any]) -> None:
    command, *rest = (argument.format(root=tiny.root) for argument in arguments)
    assert unbloat(command, tiny.root, *rest).error().startswith(error.format(root=tiny.root))
    assert not tiny.stripped.exists()


def test_what_was_stripped_before_a_change_is_not_told_as_if_it_were_now(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    assert unbloat("strip", tiny.root).code == 0
    replacing("workloads.py", "CALLS = (", "CALLS = ((),) + (")(tiny)
    for arguments in (("report",), ("explain", "module.py:3")):
        command, *rest = arguments
        error = unbloat(command, tiny.root, *rest).error()
        assert error.startswith("phase 'all' was stripped before something that it depends on changed; run `unbloat strip")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_state_that_may_not_be_written(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    tiny.state.mkdir()
    tiny.state.chmod(0o500)
    try:
        assert unbloat("strip", tiny.root).error() == f"{tiny.state}/golden: Permission denied"
    finally:
        tiny.state.chmod(0o700)


DAMAGES = [(kind, damage) for kind in ("golden", "evidence") for damage in (b"", b'{"a', b"\xff\xfe\0")]


@pytest.mark.parametrize(("kind", "damage"), [*DAMAGES, ("golden", b"[]"), ("golden", b'{"entries": [1], "workload": "w"}')])
def test_a_damaged_recording_is_recorded_again(kind: str, damage: bytes, tiny: Subject, unbloat: Callable[..., Any]) -> None:
    assert unbloat("record", tiny.root).code == 0
    [file] = tiny.state.rglob(f"workload.{kind}.json")
    whole = file.read_bytes()
    file.write_bytes(damage)
    said = unbloat("record", tiny.root)
    assert said.code == 0 and "recording twice" in said.out
    assert file.read_bytes() == whole
    assert "recorded before" in unbloat("record", tiny.root).out


def test_as_a_process(tiny: Subject) -> None:
    """No traceback, whichever way it is started; nor for what argparse refuses."""
    for command in ([Path(sys.executable).with_name("unbloat")], [sys.executable, "-m", "unbloat.cli"]):
        done = subprocess.run([*command, "strip", "--subject", tiny.root / "no.toml"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        assert (
            done.stderr == f"unbloat: error: {tiny.root}/no.toml: no such file; name the subject's strip.toml with --subject\n"
        )
    done = subprocess.run([sys.executable, "-m", "unbloat.cli", "strip", "--no"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and "unrecognized arguments: --no" in done.stderr
