"""What the phases have left, made once for whoever shows it: views, texts, and where each line is in the end."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unbloat.edit import Edit
from unbloat.errors import SubjectError
from unbloat.finish import restructured, restructured_event
from unbloat.phases import Recording, journal_path
from unbloat.plan.guard import guard_edits
from unbloat.plan.removal import Removal
from unbloat.plan.view import View, specialised
from unbloat.report.provenance import Provenance, Trees, trace
from unbloat.restructure import Restructured
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.journal import read_journal


@dataclass(frozen=True)
class Finished:
    """`view` has all removals, `rendered` is its package, `tree` that of the end; `event` says what was restructured."""

    removals: Sequence[Removal]
    view: View
    rendered: Mapping[str, bytes]
    tree: Restructured
    event: Mapping[str, Any] | None


def finished(recorded: Recording, done: Mapping[str, Sequence[Removal]]) -> Finished:
    """The state after the phases in `done` (accepted removals by phase)."""
    subject = recorded.subject
    phases = [phase for phase in subject.phases if phase.name in done]
    removals = [removal for accepted in done.values() for removal in accepted]
    run = PhaseRun(subject, phases[-1], recorded.facts, removals)
    rendered = run.files()
    event = restructured_event(read_journal(journal_path(subject, phases[-1])))
    return Finished(removals, run.view(), rendered, restructured(subject, rendered, event), event)


def check_in_place(subject: Subject, state: Finished) -> None:
    """See that the stripped tree on disk is the one that is talked about.

    Raises:
        SubjectError: it is not what the phases have left.
    """
    for file, content in state.tree.files.items():
        path = subject.stripped / file
        if not path.is_file() or path.read_bytes() != content:
            raise SubjectError(f"{path}: is not what `unbloat strip` has left; run it again")


def provenance(subject: Subject, done: Mapping[str, Sequence[Removal]], state: Finished) -> Provenance:
    """Where every line of the legacy has gone, and where every line that is left has come from."""
    legacy = {file: (subject.legacy / file).read_bytes().decode("utf-8") for file in subject.sources()}
    rendered, final = _texts(state.rendered), _texts(state.tree.files)
    edits: dict[str, list[Edit]] = {file: list(found) for file, found in guard_edits(state.view, state.removals).items()}
    for removal in state.removals:
        edits.setdefault(removal.file, []).append(removal.edit)
    after = specialised({file: ast.parse(text.removeprefix("\ufeff")) for file, text in legacy.items()}, edits)
    return trace(Trees(legacy, after, rendered, final, state.tree.lines), done)


def _texts(files: Mapping[str, bytes]) -> dict[str, str]:
    return {file: content.decode("utf-8") for file, content in files.items() if file.endswith(".py")}
