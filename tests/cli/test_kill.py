"""`kill -9` at any moment of a strip: nothing is half written, nothing is left running, and the next run gets there."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from unbloat.subject import Subject
from unbloat.verify.trees import read_tree, replace_tree

KILLS = 20
CONSOLE_COMMAND = Path(sys.executable).with_name("unbloat")

# Nothing may go from `told`, which reads its own source, so every proposal there is found guilty by halving.
MODULE = """
import inspect
import logging

logger = logging.getLogger(__name__)


def unused(x):
    return x


def told(cfg):
    count = len(inspect.getsource(told))
    if cfg.flag:
        count += 1
    if cfg.size == 3:
        count += 2
    return count


def run(cfg, values=(1, 2)):
    total = told(cfg)
    if cfg.flag:
        total += 5
    try:
        total += cfg.size
    except Exception:
        total = 1
    logger.info("x")
    if len(values) > 9:
        values = values[:9]
        values = sorted(values)
    return total + sum(values)
"""


@dataclass(frozen=True)
class Place:
    """A folder with one subject, and one for the temporary files of its runs."""

    root: Path
    temporary: Path

    def start(self, seed: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [CONSOLE_COMMAND, "strip", "--subject", self.root / "strip.toml"],
            env={**os.environ, "TMPDIR": str(self.temporary), "PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def legacy(self) -> dict[str, tuple[bytes, int]]:
        found = (path for path in sorted((self.root / "legacy").rglob("*")))
        return {str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns) for path in found}

    def output(self) -> dict[str, bytes] | None:
        folder = self.root / "stripped" / "pkg"
        return read_tree(folder) if folder.exists() else None

    def events(self) -> list[dict[str, object]]:
        """The journal but for its key, which knows the folder."""
        lines = (self.root / ".unbloat" / "all.journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines][1:]

    def state(self) -> set[str]:
        """The files of the tool and of its output, whatever the key of the recordings."""
        folders = (self.root / ".unbloat", self.root / "stripped")
        found = (path for folder in folders for path in folder.rglob("*"))
        keys = {path.name for path in (self.root / ".unbloat" / "golden").iterdir()}
        return {"/".join(part for part in path.relative_to(self.root).parts if part not in keys) for path in found}

    def running(self) -> list[int]:
        """The warm process and its forks, known by the folder in their command line."""
        found = []
        for process in Path("/proc").iterdir():
            try:
                command = (process / "cmdline").read_bytes() if process.name.isdecimal() else b""
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(self.temporary).encode() in command:
                found.append(int(process.name))
        return found

    def wait_until_quiet(self) -> None:
        deadline = time.monotonic() + 15
        while self.running():
            assert time.monotonic() < deadline, "processes are left running"
            time.sleep(0.02)


@pytest.fixture
def make_place(make_subject: Callable[..., Subject], tmp_path: Path) -> Callable[[str], Place]:
    original = make_subject(MODULE, config={"flag": False, "size": 3}, calls=((), ([1],)))

    def make(name: str) -> Place:
        place = Place(tmp_path / name / "subject", tmp_path / name / "tmp")
        place.temporary.mkdir(parents=True)
        place.root.mkdir()
        shutil.copytree(original.legacy, place.root / "legacy")
        for file in ("strip.toml", "workloads.py"):
            shutil.copy(original.root / file, place.root)
        return place

    return make


OLD = {"__init__.py": b"", "module.py": b"old = 1\n", "gone.py": b"gone = 1\n"}


def test_killed_at_any_moment(make_place: Callable[[str], Place]) -> None:
    whole = make_place("whole")
    started = time.monotonic()
    said, _ = whole.start(0).communicate(timeout=60)
    duration = time.monotonic() - started
    new, events, state = whole.output(), whole.events(), whole.state()
    assert new is not None and any(event["event"] == "rejected" for event in events), said.decode()

    dice = random.Random(7)
    moments = [duration * (number + dice.random()) / KILLS for number in range(KILLS)]
    places = [make_place(f"kill-{number:02}") for number in range(KILLS)]

    def trial(number: int) -> int:
        place = places[number]
        legacy = place.legacy()
        old = OLD if number % 2 else None
        if old is not None:
            replace_tree(place.root / "stripped" / "pkg", old)
        process = place.start(number)
        time.sleep(moments[number])
        # The warm process has a session of its own, so either way it must notice by itself.
        (os.killpg if number % 4 < 2 else os.kill)(process.pid, signal.SIGKILL)
        process.communicate()
        place.wait_until_quiet()
        assert place.output() in (None, old, new)
        assert place.legacy() == legacy

        again = place.start(number + 100)
        said, _ = again.communicate(timeout=60)
        assert again.returncode == 0, said.decode()
        assert place.output() == new
        assert place.events() == events
        assert place.state() == state
        assert place.legacy() == legacy
        place.wait_until_quiet()
        assert not [path for path in place.temporary.rglob("*") if path.is_file() and path.name != "output.txt"]
        return process.returncode

    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(trial, range(KILLS)))
    assert codes.count(-signal.SIGKILL) >= KILLS // 2, "most kills came too late to prove anything"


class KilledError(BaseException):
    """Nothing catches it, as nothing catches a signal 9."""


STEPS = ("pathlib.Path.mkdir", "pathlib.Path.write_bytes", "os.fsync", "pathlib.Path.rename", "shutil.rmtree")


@pytest.mark.parametrize("old", [None, OLD], ids=["nothing there", "old there"])
def test_output_is_replaced_as_a_whole(old: dict[str, bytes] | None, tmp_path: Path) -> None:
    """Killed before each of its steps in turn, and after the last."""
    new = {"__init__.py": b"", "module.py": b"new = 1\n", "inner/added.py": b"added = 1\n"}
    seen = set()
    for steps in range(100):
        folder = tmp_path / str(steps) / "pkg"
        if old is not None:
            replace_tree(folder, old)
        with pytest.MonkeyPatch.context() as patch:
            _kill_after(steps, patch)
            try:
                replace_tree(folder, new)
            except KilledError:
                finished = False
            else:
                finished = True
        left = read_tree(folder) if folder.exists() else None
        assert left in (None, old, new)
        seen.add(None if left is None else left["module.py"])
        replace_tree(folder, new)
        assert read_tree(folder) == new
        assert [path.name for path in folder.parent.iterdir()] == ["pkg"]
        if finished:
            break
    assert finished and seen == {None, b"new = 1\n", *((b"old = 1\n",) if old else ())}


def _kill_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    left = [steps]
    for name in STEPS:
        module, _, attribute = name.rpartition(".")
        original = (
            getattr(Path, attribute) if module == "pathlib.Path" else getattr({"os": os, "shutil": shutil}[module], attribute)
        )

        def step(*arguments: object, _original: Callable[..., object] = original, **options: object) -> object:
            if not left[0]:
                raise KilledError
            left[0] -= 1
            return _original(*arguments, **options)

        patch.setattr(name, step)
