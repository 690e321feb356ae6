"""The process that has imported the heavy libraries once, and of which every run is a fork.

Started as `python -m unbloat.verify.warm_process`; requests come as lines of JSON on its standard input, replies leave
as lines of JSON on its standard output. It has one thread, because a fork copies only the thread that forks: a lock
held by another one would stay locked in the copy for ever. For the same reason torch is settled on one thread here.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbloat.golden.determinism import settle
from unbloat.golden.environment import environment
from unbloat.verify.child import run_and_exit
from unbloat.verify.outcome import Request


@dataclass(frozen=True)
class Child:
    number: int
    started: float
    limit: float


class WarmProcess:
    """One loop over three events: a request came, a child ended, a child's time is over."""

    def __init__(self, control: int, replies: int) -> None:
        self._control = control
        self._replies = replies
        self._children: dict[int, Child] = {}
        self._timed_out: set[int] = set()
        self._unread = b""
        self._ended, self._wakeup = os.pipe()

    def prepare(self, preload: list[str]) -> bool:
        """The name goes out before the import, so that a module which takes the process down is known by name."""
        for name in preload:
            self._reply({"importing": name})
            importlib.import_module(name)
            if (count := thread_count()) > 1:
                self._reply({"refused": f"preloading '{name}' leaves {count} threads; a fork of them could hang"})
                return False
        settle(0)
        if "torch" in sys.modules:
            importlib.import_module("unbloat.golden.tape")
            importlib.import_module("unbloat.golden.torch_values")
        # Keeps the collector from touching, and thereby copying, every page that the forks share.
        gc.collect()
        gc.freeze()
        self._reply({"ready": environment()})
        return True

    def serve(self) -> None:
        """Until the caller closes the pipe or dies, which looks the same from here."""
        for end in (self._ended, self._wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            while True:
                readable, _, _ = select.select([self._control, self._ended], [], [], self._patience())
                if self._ended in readable:
                    os.read(self._ended, 4096)
                self._reap()
                self._end_overdue()
                if self._control in readable:
                    received = os.read(self._control, 65536)
                    if not received:
                        return
                    for message in self._messages(received):
                        self._heed(message)
        finally:
            for pid in self._children:
                kill_group(pid)
                os.waitpid(pid, 0)  # Until then it could still write into the folder that is removed next.

    def _messages(self, received: bytes) -> Iterator[dict[str, Any]]:
        *complete, self._unread = (self._unread + received).split(b"\n")
        for line in complete:
            yield json.loads(line)

    def _heed(self, message: dict[str, Any]) -> None:
        if "cancel" not in message:
            self._start(message)
            return
        for pid in self._children:
            kill_group(pid)

    def _start(self, message: dict[str, Any]) -> None:
        number = message["number"]
        if (count := thread_count()) > 1:
            self._reply({"number": number, "refused": f"the warm process has {count} threads; a fork could hang"})
            return
        request, folder, server = Request.from_json(message["request"]), Path(message["folder"]), os.getpid()
        pid = os.fork()
        if pid == 0:
            run_and_exit(request, folder, server, (self._control, self._replies, self._ended, self._wakeup))
        with suppress(ProcessLookupError, PermissionError):
            # The child does the same: whoever comes first, there is a group to kill from now on.
            os.setpgid(pid, pid)
        self._children[pid] = Child(number, time.monotonic(), request.workload.limit)

    def _patience(self) -> float | None:
        """Seconds until the next child's time is over."""
        waiting = [child for pid, child in self._children.items() if pid not in self._timed_out]
        if not waiting:
            return None
        return max(min(child.started + child.limit for child in waiting) - time.monotonic(), 0.0)

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for pid, child in self._children.items():
            if pid not in self._timed_out and now >= child.started + child.limit:
                self._timed_out.add(pid)
                kill_group(pid)

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            # Data loader workers and other processes that the run has left behind.
            kill_group(pid)
            del self._children[pid]
            self._reply(
                {
                    "number": child.number,
                    "status": os.waitstatus_to_exitcode(status),
                    "seconds": time.monotonic() - child.started,
                    "timed_out": pid in self._timed_out,
                }
            )
            self._timed_out.discard(pid)

    def _reply(self, message: dict[str, Any]) -> None:
        os.write(self._replies, json.dumps(message).encode() + b"\n")


def thread_count() -> int:
    """Python knows only the threads that it started; the kernel knows those of numerical libraries too."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def main() -> None:
    """Takes the two pipes away from standard input and output, so that no library can write into the protocol."""
    folder, preload = Path(sys.argv[1]), sys.argv[2:]
    control, replies = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    # Read by now. A Python that a run starts must not find the legacy through it: no hook would see that.
    os.environ.pop("PYTHONPATH", None)
    process = WarmProcess(control, replies)
    with suppress(BrokenPipeError):  # The caller was killed while this was starting: nobody is left to be told.
        if not process.prepare(preload):
            return
        process.serve()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
