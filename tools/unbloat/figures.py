"""What a strip took, kept beside its journal: the journal says what was decided, and must not depend on a clock."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from unbloat.atomic import replace_text
from unbloat.strip import Tally
from unbloat.subject import Phase, Subject

AT_ONCE = 3
"""Processes beside the command itself: the warm one, and two runs."""


def save_figures(subject: Subject, phase: Phase, key: str, tally: Tally, *, resumed: bool) -> None:
    """Keep counts and seconds of a phase; a run that only went on says nothing where a whole one has told."""
    path = _path(subject, phase)
    if resumed and _read(path).get("key") == key:
        return
    figures = {
        "key": key,
        "resumed": resumed,
        "rounds": tally.rounds,
        "accepted": len(tally.accepted),
        "rejected": len(tally.rejected),
        "verifications": tally.verifications,
        "seconds": {what: round(seconds, 2) for what, seconds in tally.seconds.items()},
    }
    replace_text(path, json.dumps(figures, indent=1) + "\n")


def load_figures(subject: Subject, phase: Phase) -> dict[str, Any]:
    """What the last run of a phase took; empty if none has told."""
    return _read(_path(subject, phase))


def save_memory(subject: Subject, key: str, together: int | None) -> None:
    """Keep the peak of this process, of the largest of its runs once these have ended, and of all `together` if measured."""
    path = _memory_path(subject)
    before = _read(path)
    known = before if before.get("key") == key else {}
    found = {
        "command": max(_peak(resource.RUSAGE_SELF), known.get("command", 0)),
        "largest_run": max(_peak(resource.RUSAGE_CHILDREN), known.get("largest_run", 0)),
        "together": max(together or 0, known.get("together") or 0) or None,
    }
    replace_text(path, json.dumps({"key": key, **found}, indent=1) + "\n")


def load_memory(subject: Subject, key: str) -> dict[str, int | None]:
    """Bytes at the peak: of the command, of its largest run, of all of them together as measured, and at most."""
    found = _read(_memory_path(subject))
    if found.get("key") != key:
        return {}
    command, largest, together = found["command"], found["largest_run"], found.get("together")
    return {"command": command, "largest_run": largest, "together": together, "at_most": command + AT_ONCE * largest}


def _peak(who: int) -> int:
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _path(subject: Subject, phase: Phase) -> Path:
    return subject.state / f"{phase.name}.figures.json"


def _memory_path(subject: Subject) -> Path:
    return subject.state / "memory.json"


def _read(path: Path) -> dict[str, Any]:
    """Empty for what a crash of the machine left half written: the next run tells anew."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
