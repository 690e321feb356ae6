"""Everything that a page of results shows, from the journals, recordings and trees of a strip; nothing is run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from unbloat.figures import load_figures, load_memory
from unbloat.finished import Finished
from unbloat.phases import Recording
from unbloat.plan.removal import Removal
from unbloat.record import recordings
from unbloat.report.results import recording_seconds, results


def gather(
    recorded: Recording, done: Mapping[str, Sequence[Removal]], state: Finished, verdicts: Mapping[str, str]
) -> dict[str, Any]:
    """The figures of the phases in `done` (accepted removals by phase), and of the `state` that they left, as JSON.

    Raises:
        SubjectError: the stripped tree on disk is not what these phases have left.
    """
    subject = recorded.subject
    phases = [phase for phase in subject.phases if phase.name in done]
    tree = state.tree
    found = results(subject, recorded.facts, state.view, state.removals, state.rendered, tree.files, tree.lines)
    seconds = {phase.name: load_figures(subject, phase) for phase in phases}
    return {
        **found,
        "verdicts": dict(verdicts),
        "left_out": [] if state.event is None else state.event["left_out"],
        "recording": recording_seconds(recordings(subject, recorded.server.environment), recorded.facts),
        "took": {name: {key: value for key, value in one.items() if key != "key"} for name, one in seconds.items() if one},
        "memory": load_memory(subject, recorded.key),
        "machine": {"processors": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
    }
