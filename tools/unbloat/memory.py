"""The memory that a command and all processes below it hold together, sampled while it works."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_PROC = Path("/proc")
_SHORTEST = 0.2
# Asking for a gigabyte takes the kernel some hundredths of a second: at most one part in so many goes into it.
_SHARE = 10


class PeakMemory:
    """A context manager; `peak` is the most bytes that were seen, None where the system does not tell.

    A page that several processes share counts once: the kernel gives each its share of it (Linux, `Pss`).
    """

    def __init__(self) -> None:
        self.peak: int | None = None
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        if (_PROC / "self" / "smaps_rollup").exists():
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._left.set()
        if self._thread.is_alive():
            self._thread.join()

    def _sample(self) -> None:
        pause = 0.0
        while not self._left.wait(pause):
            started = time.thread_time()
            self.peak = max(self.peak or 0, sum(map(_share, _family(os.getpid()))))
            pause = max(_SHORTEST, _SHARE * (time.thread_time() - started))


def _family(root: int) -> Iterator[int]:
    """A process and all that it and they started."""
    pending = [root]
    while pending:
        pid = pending.pop()
        yield pid
        # A thread may end, or a process, between two looks at it.
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in (_PROC / str(pid) / "task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):
                    pending += map(int, (thread / "children").read_text().split())


def _share(pid: int) -> int:
    """The bytes of a process in memory, what it shares by its share; none if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            name, *rest = line.split()
            if name == "Pss:":
                return int(rest[0]) * 1024
    return 0
