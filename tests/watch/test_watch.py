"""A person saves files; after each save the verdicts come that this save can have changed, and no others."""

from __future__ import annotations

import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from unbloat.subject import Subject

PATIENCE = 300.0

FIRST = """
from pkg.shared import base


def first(cfg):
    return base(cfg) + 1
"""
SHARED = """
def base(cfg):
    return cfg.size * 2
"""
WORKLOADS = """
import time
from pathlib import Path

from omegaconf import OmegaConf

SIZE = 3


def one(golden):
    from pkg.first import first
    golden.record("first", first(OmegaConf.create({"size": SIZE})))


def two(golden):
    from pkg.shared import base
    golden.record("base", base(OmegaConf.create({"size": SIZE})))
    time.sleep(0.5)  # so that it is the dearer one


def three(golden):
    import subprocess, sys
    subprocess.run([sys.executable, "-c", ""], check=True)
    time.sleep(0.7)
"""


def _with_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Session:
    """`unbloat verify --watch` in a process, and what it has said."""

    def __init__(self, subject: Subject, *arguments: str) -> None:
        command = [sys.executable, "-m", "unbloat.cli", "verify", "--watch", "--subject", str(subject.file), *arguments]
        # Whoever runs the tests in the background may have Ctrl-C ignored, which a child would inherit.
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            preexec_fn=_with_interrupts,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))

    def until(self, *ends: str) -> list[str]:
        """The lines up to one that begins with one of these, without their times."""
        found: list[str] = []
        limit = time.monotonic() + PATIENCE
        while not found or not found[-1].startswith(ends):
            try:
                line = self._lines.get(timeout=max(limit - time.monotonic(), 0.01))
            except queue.Empty:
                pytest.fail(f"waited in vain for {ends}, got {found}")
            found.append(line.partition(" s  ")[2] or line)
        return found

    def verdict(self) -> list[str]:
        """What a save comes to, from the line that names it, without seconds; or the first runs.

        Workloads in the order of their names: which one is cheapest the machine decides.
        """
        said = self.until("identical to", "differs from")
        begin = max((number for number, line in enumerate(said) if line.startswith("saved ")), default=0)
        first, *between, last = said[begin:]
        return [first, *sorted(line.partition(" (")[0] for line in between), last]

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()


@pytest.fixture
def pair(make_subject: Callable[..., Subject]) -> Subject:
    subject = make_subject(
        "import os\n\n\ndef run(cfg):\n    return 1\n",
        others={"first.py": FIRST, "shared.py": SHARED},
        workload=WORKLOADS,
        strip=lambda text: text.replace('gate = ["workload"]', 'gate = ["two", "one"]'),
    )
    shutil.copytree(subject.legacy, subject.stripped)
    return subject


@pytest.fixture
def watching(pair: Subject) -> Iterator[Callable[..., Session]]:
    sessions: list[Session] = []

    def start(*arguments: str) -> Session:
        sessions.append(Session(pair, *arguments))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


def save(subject: Subject, name: str, old: str, new: str) -> None:
    file = subject.stripped / "pkg" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_each_save_reruns_what_it_can_affect(pair: Subject, watching: Callable[..., Session]) -> None:
    session = watching()
    assert {"  one: identical", "  two: identical"} <= set(session.verdict())

    save(pair, "first.py", "+ 1", "+ 2")
    assert session.verdict() == ["saved pkg/first.py", "  one: differs at `first`: 7 != 8", "differs from the legacy: one"]
    # Then, if nobody saves again, where it first differs.
    assert session.until("  workload 'one' differs")[-1] == (
        "  workload 'one' differs: another recorded value, which no operation shows"
    )

    # A verdict that a save cannot have changed stays in force.
    save(pair, "shared.py", "cfg.size * 2", "cfg.size + cfg.size")
    assert session.verdict() == [
        "saved pkg/shared.py",
        "  one: differs at `first`: 7 != 8",
        "  two: identical",
        "differs from the legacy: one",
    ]

    save(pair, "first.py", "+ 2", "+ 1")
    *_, last = said = session.verdict()
    assert said[:-1] == ["saved pkg/first.py", "  one: identical"]
    assert last.startswith("identical to the legacy: statements 8 → 8 (0.0 % gone), decisions 0 → 0")

    # Nobody imports it.
    save(pair, "module.py", "import os\n", "")
    assert session.verdict()[:-1] == ["saved pkg/module.py"]

    # Nobody imports this one either, but which modules exist anybody may ask.
    (pair.stripped / "pkg" / "new.py").write_text("")
    assert session.verdict()[:-1] == ["saved pkg/new.py", "  one: identical", "  two: identical"]
    (pair.stripped / "pkg" / "new.py").unlink()
    assert session.verdict()[:-1] == ["saved pkg/new.py", "  one: identical", "  two: identical"]
    (pair.stripped / "pkg" / "table.json").write_text("{}")
    assert session.verdict()[:-1] == ["saved pkg/table.json", "  one: identical", "  two: identical"]

    assert session.interrupt() == 130


# (where what is changed to what, what is said of it)
FAULTS = [
    ("first.py", "return base", "return (base", "pkg/first.py: does not compile: '(' was never closed (line 5)"),
    ("first.py", "base(cfg)", "nowhere", "pkg/first.py: undefined name `nowhere`"),
    ("shared.py", "def base", "def other", "pkg/first.py:1: imports `base`, which pkg/shared.py no longer has"),
]


def test_a_fault_is_told_without_running_anything(pair: Subject, watching: Callable[..., Session]) -> None:
    session = watching("--workload", "one")
    session.verdict()
    for file, old, new, fault in FAULTS:
        save(pair, file, old, new)
        assert session.until("  differs: ")[-2:] == [f"saved pkg/{file}", f"  differs: {fault}"]
        save(pair, file, new, old)
        assert session.verdict()[:-1] == [f"saved pkg/{file}", "  one: identical"]


def test_a_save_ends_what_runs(pair: Subject, watching: Callable[..., Session]) -> None:
    session = watching()
    session.verdict()
    save(pair, "shared.py", "* 2", "* 3")
    session.until("saved pkg/shared.py")
    save(pair, "shared.py", "* 3", "* 2")
    said = session.until("identical to")
    assert not any("two: differs" in line for line in said)
    assert said[-4] == "saved pkg/shared.py"
    assert {line.partition(" (")[0] for line in said[-3:-1]} == {"  one: identical", "  two: identical"}


def test_a_workload_that_starts_processes_is_always_run(pair: Subject, watching: Callable[..., Session]) -> None:
    """Another process may read any file of the tree."""
    session = watching("--workload", "three", "--workload", "one")
    session.verdict()
    save(pair, "module.py", "import os\n", "")
    assert session.verdict()[:-1] == ["saved pkg/module.py", "  three: identical"]


def test_a_tree_that_is_replaced_is_seen(pair: Subject, watching: Callable[..., Session]) -> None:
    """`unbloat strip` puts a new folder in the place of the old one."""
    session = watching("--workload", "one")
    session.verdict()
    for folder in (pair.stripped / "pkg", pair.stripped):
        shutil.copytree(folder, folder.with_name("new"))
        module = next(folder.with_name("new").rglob("first.py"))
        module.write_text(module.read_text().replace("+ 1", "+ 1 + 1"))
        folder.rename(folder.with_name("old"))
        folder.with_name("new").rename(folder)
        shutil.rmtree(folder.with_name("old"))
        assert "  one: differs at `first`: 7 != " in "\n".join(session.verdict())
        save(pair, "first.py", "+ 1 + 1", "+ 1")
        assert session.verdict()[-1].startswith(("identical", "differs"))


def test_goldens_that_no_longer_fit_are_recorded_anew(pair: Subject, watching: Callable[..., Session]) -> None:
    session = watching("--workload", "one")
    session.verdict()
    file = pair.root / "workloads.py"
    file.write_text(file.read_text().replace("SIZE = 3", "SIZE = 4"))
    save(pair, "first.py", "+ 1", "+ 2")
    said = session.until("differs from")
    assert "what the goldens rest on has changed" in said
    assert "one: recording twice" in said
    assert any(line.startswith("  one: differs at `first`: 9 != 10") for line in said)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--workload", "none"], "no workload 'none'; known: one, two, three"),
        (["--tree", "nowhere"], "nowhere: holds no package 'pkg'"),
        (["--phase", "none"], "no phase 'none'"),
    ],
)
def test_bad_input(arguments: list[str], error: str, watching: Callable[..., Session]) -> None:
    session = watching(*arguments)
    assert error in session.until("unbloat: error: ")[-1]
    assert session.process.wait(PATIENCE) == 2
