"""What was accepted and rejected, on disk before it counts: a killed run goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Events of one phase under one key; a journal of another key is begun anew."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []
        known = list(_read(path))
        if known and known[0] == {"event": "begin", "key": key}:
            self.events = known
            self._rewrite()  # drops a line that a kill cut short
        else:
            self.events = [{"event": "begin", "key": key}]
            self._rewrite()

    def add(self, event: dict[str, Any]) -> None:
        """Append an event and wait until the disk has it."""
        self.events.append(event)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(event))
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".part")
        temporary.write_text("".join(map(_line, self.events)), encoding="utf-8")
        temporary.replace(self.path)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The events of a journal; none if there is no such file."""
    return list(_read(path))


def _read(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        yield json.loads(line)


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event, sort_keys=True, separators=(",", ":")) + "\n"
