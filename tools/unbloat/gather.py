"""Everything that a page of results shows, from the journals, recordings and trees of a strip; nothing is run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from unbloat.figures import load_figures, load_memory
from unbloat.finish import restructured, restructured_event
from unbloat.phases import Recording, journal_path
from unbloat.plan.removal import Removal
from unbloat.record import recordings
from unbloat.report.results import recording_seconds, results
from unbloat.strip import PhaseRun
from unbloat.verify.journal import read_journal


def gather(recorded: Recording, done: Mapping[str, Sequence[Removal]], verdicts: Mapping[str, str]) -> dict[str, Any]:
    """The figures of the phases in `done` (accepted removals by phase), as JSON.

    Raises:
        SubjectError: the stripped tree on disk is not what these phases have left.
    """
    subject = recorded.subject
    phases = [phase for phase in subject.phases if phase.name in done]
    removals = [removal for accepted in done.values() for removal in accepted]
    run = PhaseRun(subject, phases[-1], recorded.facts, removals)
    rendered = run.files()
    event = restructured_event(read_journal(journal_path(subject, phases[-1])))
    tree = restructured(subject, rendered, event)
    found = results(subject, recorded.facts, run.view(), removals, rendered, tree.files, tree.lines)
    seconds = {phase.name: load_figures(subject, phase) for phase in phases}
    return {
        **found,
        "verdicts": dict(verdicts),
        "left_out": [] if event is None else event["left_out"],
        "recording": recording_seconds(recordings(subject, recorded.server.environment), recorded.facts),
        "took": {name: {key: value for key, value in one.items() if key != "key"} for name, one in seconds.items() if one},
        "memory": load_memory(subject, recorded.key),
        "machine": {"processors": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
    }
