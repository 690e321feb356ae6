"""Notices that somebody saved below a folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from watchfiles import Change, DefaultFilter, watch

TICK = 50
"""Milliseconds between two looks at what else goes on, and those after which a burst of saves is over."""

_LONGEST_BURST = 400

# Where the tree lies is no reason to ignore it: only names of files count, and Python's own folder.
_worth_a_look = DefaultFilter(ignore_dirs=["__pycache__"])


def saves(folder: Path) -> Iterator[bool]:
    """For ever: True after a save, False if nothing happened for a tick.

    A folder that is replaced by another of its name, as `unbloat strip` does, counts as saved.
    """
    while True:
        watched = _identity(folder)
        for changes in watch(
            folder,
            watch_filter=_worth_a_look,
            debounce=_LONGEST_BURST,
            step=TICK,
            rust_timeout=TICK,
            yield_on_timeout=True,
        ):
            if _identity(folder) != watched:
                break
            yield bool(changes)
        while not folder.is_dir():
            time.sleep(TICK / 1000)
            yield False
        yield True


def content(folder: Path) -> dict[str, bytes]:
    """The files below a folder by relative path, without what editors, Python and version control leave there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if _counts(path.relative_to(folder)) and path.is_file()
    }


def _counts(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts[:-1])
    return not hidden and _worth_a_look(Change.modified, str(Path("/", path)))


def _identity(folder: Path) -> tuple[int, int] | None:
    if not folder.is_dir():
        return None
    status = folder.stat()
    return status.st_dev, status.st_ino
