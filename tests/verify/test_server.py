"""Whatever a run does, the server survives, says what happened, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from unbloat.errors import WorkloadError
from unbloat.subject import Workload
from unbloat.verify.outcome import Failed, Recorded, Request
from unbloat.verify.server import Server

Subject = Callable[..., tuple[Path, Workload]]

CRASHES = [
    ("os._exit(0)", "workload 'flow' left its process before it returned"),
    ("print('bye'); os._exit(7)", "workload 'flow' left its process with status 7: bye"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "workload 'flow' was ended by signal 9 (Killed)"),
    ("os.abort()", "workload 'flow' was ended by signal 6 (Aborted)"),
    ("ctypes.string_at(0)", "workload 'flow' was ended by signal 11 (Segmentation fault)"),
    ("time.sleep(60)", "workload 'flow' took longer than 1 seconds"),
    ("signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)", "workload 'flow' took longer than 1 seconds"),
]


@pytest.mark.parametrize(("statement", "reason"), CRASHES)
def test_a_crash_is_told_and_survived(server: Server, subject: Subject, statement: str, reason: str) -> None:
    tree, workload = subject(f"import ctypes, os, signal, time\ndef go(golden):\n    {statement}", limit=1)
    outcome = server.run(tree, workload)
    assert isinstance(outcome, Failed)
    assert outcome.reason == reason
    assert isinstance(server.run(*subject("def go(golden): pass")), Recorded)


def test_the_last_lines_of_the_output_belong_to_the_failure(server: Server, subject: Subject) -> None:
    tree, workload = subject(
        """
        import os, sys

        def go(golden):
            for number in range(100):
                print("line", number)
            os.write(1, b"from below\\n")
            print("to stderr", file=sys.stderr)
            os.kill(os.getpid(), 9)
        """
    )
    outcome = server.run(tree, workload)
    assert isinstance(outcome, Failed)
    assert outcome.output.splitlines()[-3:] == ["line 99", "from below", "to stderr"]
    assert "line 50" not in outcome.output


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(_alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _read_pids(file: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 20
    while not file.exists() or len(file.read_text().split()) < count:
        assert time.monotonic() < deadline, "the processes did not start"
        time.sleep(0.02)
    return [int(pid) for pid in file.read_text().split()]


SPAWNS = """
    import os, subprocess, sys, time

    def go(golden):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with open({file!r}, "w") as file:
            file.write(f"{{os.getpid()}} {{os.getppid()}} {{helper.pid}} ")
        {end}
"""


@pytest.mark.parametrize(("end", "kind"), [("return", Recorded), ("time.sleep(60)", Failed)], ids=["returns", "hangs"])
def test_processes_started_by_a_run_end_with_it(server: Server, subject: Subject, tmp_path: Path, end: str, kind: type) -> None:
    file = tmp_path / "pids"
    # A process that nobody waits for is a ResourceWarning, which the ledger may hold.
    assert isinstance(server.run(*subject(SPAWNS.format(file=str(file), end=end), limit=1)), kind)
    run, _, helper = _read_pids(file, 3)
    assert _gone([run, helper])


CALLER = """
import sys
from pathlib import Path
from unbloat.subject import Workload
from unbloat.verify.server import Server

with Server([]) as server:
    server.run(Path(sys.argv[1]), Workload("flow", Path(sys.argv[2]), "go"))
"""


@pytest.mark.parametrize("victim", ["caller", "server"])
def test_nothing_survives_a_kill(subject: Subject, tmp_path: Path, victim: str) -> None:
    file = tmp_path / "pids"
    tree, workload = subject(SPAWNS.format(file=str(file), end="time.sleep(60)"))
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, tree, workload.file],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
    )
    run, server, helper = _read_pids(file, 3)
    os.kill(caller.pid if victim == "caller" else server, signal.SIGKILL)
    _, errors = caller.communicate(timeout=20)
    assert _gone([run, server])
    if victim == "caller":
        assert _gone([helper])
    else:
        os.kill(helper, signal.SIGKILL)  # Its group has no one left who knows it.
        assert b"WorkloadError: the warm process ended with status -9" in errors
    assert not list(tmp_path.glob("unbloat-server-*"))


def test_leaving_the_server_ends_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Server([]) as server:
        assert list(tmp_path.iterdir())
        pid = server._process.pid
    assert not _alive(pid)
    assert not list(tmp_path.iterdir())


PRELOADS = [
    ("missing_module", None, "cannot preload 'missing_module': ModuleNotFoundError: No module named 'missing_module'"),
    ("failing", "raise OSError('no disk')", "cannot preload 'failing': OSError: no disk"),
    ("leaving", "import os; os._exit(5)", "cannot preload 'leaving': it ended with status 5"),
    (
        "threading_module",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "preloading 'threading_module' leaves 2 threads",
    ),
]


@pytest.mark.parametrize(("module", "source", "message"), PRELOADS)
def test_a_failing_preload_is_named(
    module: str, source: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source is not None:
        (tmp_path / f"{module}.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkloadError) as caught, Server(["json", module]):
        pass
    assert str(caught.value).startswith(message)


def test_what_a_preload_prints_does_not_disturb(subject: Subject) -> None:
    with Server(["this"]) as server:
        assert isinstance(server.run(*subject("def go(golden): print('{}')")), Recorded)


def test_nothing_of_the_caller_leaks_into_a_run(server: Server, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, workload = subject(
        """
        import os, sys

        def go(golden):
            golden.record("pytest", "pytest" in sys.modules)
            golden.record("variables", {name: os.environ.get(name) for name in
                          ("PYTHONPATH", "PYTHONHASHSEED", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "TZ")})
            golden.record("input", sys.stdin.read())
        """
    )
    before = dict(os.environ)
    outcome = server.run(tree, workload)
    assert isinstance(outcome, Recorded)
    seen = {entry.name: entry.preview for entry in outcome.ledger.entries}
    assert seen["pytest"] == "False"
    assert [seen[name] for name in seen if name.startswith("variables.")] == ["None", "'0'", "'1'", "''", "'UTC'"]
    assert dict(os.environ) == before
    assert server.environment["hash_seed"] == "0"


def test_many_runs_come_back_in_order_and_at_most_so_many_at_once(server: Server, subject: Subject, tmp_path: Path) -> None:
    source = """
        import os, time
        from pathlib import Path

        def go(golden):
            running = Path({folder!r})
            mine = running / str(os.getpid())
            mine.touch()
            time.sleep(0.1)
            golden.record("at once", len(list(running.iterdir())))
            golden.record("name", {name!r})
            mine.unlink()
    """
    (tmp_path / "running").mkdir()
    tree, workload = subject("")
    requests = []
    for name in "abcde":
        subject(source.format(folder=str(tmp_path / "running"), name=name))
        file = workload.file.with_name(f"{name}.py")
        workload.file.rename(file)
        requests.append(Request(tree, Workload(name, file, "go")))
    outcomes = server.run_many(requests, at_once=2)
    seen = [{entry.name: entry.preview for entry in outcome.ledger.entries} for outcome in outcomes]  # type: ignore[union-attr]
    assert [values["name"] for values in seen] == [f"'{name}'" for name in "abcde"]
    assert {int(values["at once"]) for values in seen} <= {1, 2}
    assert server.run_many([]) == []


def test_another_thread_can_end_what_runs(server: Server, subject: Subject, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    tree, workload = subject(f"import time\ndef go(golden):\n    open({str(begun)!r}, 'w').close()\n    time.sleep(60)")
    server.cancel()  # Nothing runs yet, and what comes later is none of its business.
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(server.run, tree, workload)
        while not begun.exists():
            time.sleep(0.01)
        server.cancel()
        outcome = run.result()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "workload 'flow' was ended by signal 9 (Killed)"
    assert isinstance(server.run(*subject("def go(golden): pass")), Recorded)


def test_the_output_of_a_failed_run_begins_with_the_users_code(server: Server, subject: Subject) -> None:
    outcome = server.run(*subject("def go(golden):\n    nowhere"))
    assert isinstance(outcome, Failed)
    first, place, *_ = outcome.output.splitlines()
    assert first == "Traceback (most recent call last):"
    assert "user/flows.py" in place


OBSERVER = """
import sys

class Observer:
    def __init__(self, options):
        self.seen = [options]
    def __enter__(self):
        self.seen.append("pkg" in sys.modules)
        return self
    def __exit__(self, *error):
        self.seen.append("left")
    def result(self):
        return {"seen": self.seen}
"""


def test_an_observer_encloses_the_run(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "watching.py").write_text(OBSERVER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    tree, workload = subject("import pkg\ndef go(golden): pass")
    options: dict[str, Any] = {"lines": [1, 2]}
    with Server([]) as server:
        outcome = server.run(tree, workload, observer="watching:Observer", observer_options=options)
        plain = server.run(tree, workload)
    assert isinstance(outcome, Recorded)
    assert isinstance(plain, Recorded)
    assert outcome.extra == {"seen": [options, False, "left"]}
    assert plain.extra == {}
    assert outcome.ledger == plain.ledger


def test_a_dead_server_is_reported(subject: Subject) -> None:
    with Server([]) as server:
        os.kill(server._process.pid, signal.SIGKILL)
        with pytest.raises(WorkloadError, match="the warm process ended with status -9"):
            server.run(*subject("def go(golden): pass"))
