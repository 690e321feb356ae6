"""What was accepted and rejected, on disk before it counts: a killed run goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unbloat.atomic import replace_text

_CONTENT = {
    "begin": frozenset({"key"}),
    "tried": frozenset({"held", "reason"}),
    "accepted": frozenset({"removals"}),
    "rejected": frozenset({"removal", "reason"}),
    "round": frozenset({"number"}),
    "restructured": frozenset({"steps", "left_out"}),
    "done": frozenset({"digest"}),
    "baselines": frozenset({"runs"}),
    "judged": frozenset({"change", "judgement"}),
}


class Journal:
    """Events of one phase, or of one challenge, under one key; a journal of another key is begun anew."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []
        known = list(_read(path))
        if known and known[0] == {"event": "begin", "key": key}:
            self.events = known
        else:
            self.events = [{"event": "begin", "key": key}]
        self._rewrite()  # drops a line that a kill cut short

    def restart(self) -> None:
        """Forget everything but the key."""
        del self.events[1:]
        self._rewrite()

    def add(self, *events: dict[str, Any]) -> None:
        """Append events and wait until the disk has them."""
        self.events += events
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(map(_line, events)))
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self) -> None:
        replace_text(self.path, "".join(map(_line, self.events)))


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The events of a journal; none if there is no such file."""
    return list(_read(path))


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Up to the first line that is not an event: a kill or a crash may have cut it short."""
    if not path.is_file():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not _is_event(event):
            return
        yield event


def _is_event(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    kind = value.get("event")
    return isinstance(kind, str) and kind in _CONTENT and _CONTENT[kind] <= value.keys()


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event, sort_keys=True, separators=(",", ":")) + "\n"
