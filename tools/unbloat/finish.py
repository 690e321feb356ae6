"""What comes after the last phase: the steps of [[restructure]], judged like every edit by the gate of the phase.

First all of them at once, and only if that does not hold one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unbloat.record import Say
from unbloat.restructure import Aliases, Judge, Restructured, restructure
from unbloat.subject import Phase, Step, Subject
from unbloat.verify.journal import Journal


def finish(
    subject: Subject, phase: Phase, files: Mapping[str, bytes], judge: Judge, journal: Journal, say: Say
) -> Restructured:
    """Do what is left to do after a phase; a verdict that the journal has is not asked for again."""
    steps = subject.restructure if phase == subject.phases[-1] else ()
    if not steps or (event := restructured_event(journal.events)) is not None:
        return restructured(subject, files, event if steps else None)
    found = _unjudged(files, steps)
    if judge(found.files, found.aliases) is not None:
        found = restructure(files, steps, judge, say)
    left_out = {id(step) for step, _ in found.rejected}
    done = [number for number, step in enumerate(steps) if id(step) not in left_out]
    say(f"restructured: {len(done)} of {len(steps)} steps")
    for step, reason in found.rejected:
        say(f"left out {step}: {reason}")
    rejected = [[str(step), reason] for step, reason in found.rejected]
    journal.add({"event": "restructured", "steps": done, "left_out": rejected})
    return found


def restructured_event(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What a journal says that was done after the phase."""
    return next((event for event in events if event["event"] == "restructured"), None)


def restructured(subject: Subject, files: Mapping[str, bytes], event: Mapping[str, Any] | None) -> Restructured:
    """A phase's tree with the steps that a journal says were done after it."""
    return _unjudged(files, [] if event is None else [subject.restructure[number] for number in event["steps"]])


def _unjudged(files: Mapping[str, bytes], steps: Sequence[Step]) -> Restructured:
    return restructure(files, steps, _nobody, lambda line: None)


def _nobody(files: Mapping[str, bytes], aliases: Aliases) -> str | None:
    """A judge that finds nothing, of what is judged elsewhere."""
    return None
