"""The legacy beside what is left of it, with what was decided on the way: all that the sections of a report look at.

What is left is either the tree on disk, after a strip, or what a plan would leave, before any edit.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from unbloat.edit import Span
from unbloat.errors import SubjectError
from unbloat.finish import restructured, restructured_event
from unbloat.integrity.definitions import Definitions
from unbloat.phases import Recording, journal_path
from unbloat.plan.removal import Removal
from unbloat.plan.view import View
from unbloat.report.status import rejected
from unbloat.restructure import Aliases, load_aliases
from unbloat.strip import PhaseRun
from unbloat.subject import Phase, Subject
from unbloat.verify.journal import read_journal
from unbloat.verify.trees import read_tree

Node = ast.stmt | ast.expr | ast.arg


@dataclass(frozen=True)
class Reproduction:
    """`legacy` and `stripped` are texts by file; `expected` is the tree that the plan leaves, to the byte."""

    recorded: Recording
    phases: tuple[Phase, ...]
    removals: tuple[Removal, ...]
    rejected: tuple[tuple[Removal, str], ...]
    legacy: Mapping[str, str]
    stripped: Mapping[str, str]
    expected: Mapping[str, bytes]
    aliases: Aliases
    steps: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    view: View
    verdicts: Mapping[str, str]
    """What verifying the gate of each phase has said: `identical`, or the first difference. Empty for a plan."""

    @property
    def subject(self) -> Subject:
        return self.recorded.subject

    @property
    def planned(self) -> bool:
        """Whether nothing was stripped yet."""
        return not self.verdicts

    @property
    def waits_for(self) -> str:
        return "`unbloat strip`, then `unbloat report --integrity`" if self.planned else ""

    @cached_property
    def definitions(self) -> Definitions:
        names = {file: dict(self.aliases.names.get(_module(now), {})) for file, now in self.now.items()}
        return Definitions(_parsed(self.legacy), _parsed(self.stripped), self.now, names)

    @cached_property
    def now(self) -> dict[str, str]:
        """Where each legacy file is now, if it is not gone."""
        found = {}
        for file in self.legacy:
            module = _module(file)
            moved = self.aliases.modules.get(module, module)
            places = [f"{moved.replace('.', '/')}{end}" for end in (".py", "/__init__.py")]
            if (place := next((one for one in places if one in self.stripped), None)) is not None:
                found[file] = place
        return found

    def edited_within(self, file: str, node: Node) -> Removal | None:
        """A removal that changed a node of the legacy, or something inside it."""
        span = Span.of(node)
        return next((one for one in self._removals_of(file) if any(span.holds(place) for place in _places(one))), None)

    def gone_at(self, file: str, node: Node) -> Removal | None:
        """A removal that took the lines of a node away."""
        span = Span.of(node)
        for one in self._removals_of(file):
            if any(first <= span.line and span.end_line <= last for first, last in one.gone):
                return one
        return self.edited_within(file, node)

    def _removals_of(self, file: str) -> list[Removal]:
        return self._by_file.get(file, [])

    @cached_property
    def _by_file(self) -> dict[str, list[Removal]]:
        found: dict[str, list[Removal]] = {}
        for one in self.removals:
            found.setdefault(one.file, []).append(one)
        return found


def of_strip(recorded: Recording, done: Mapping[str, Sequence[Removal]], verdicts: Mapping[str, str]) -> Reproduction:
    """What was stripped, as the journals and the tree on disk have it."""
    subject = recorded.subject
    phases = tuple(phase for phase in subject.phases if phase.name in done)
    removals = tuple(removal for accepted in done.values() for removal in accepted)
    run = PhaseRun(subject, phases[-1], recorded.facts, removals)
    event = restructured_event(read_journal(journal_path(subject, phases[-1])))
    steps = [] if event is None else [str(subject.restructure[number]) for number in event["steps"]]
    return Reproduction(
        recorded=recorded,
        phases=phases,
        removals=removals,
        rejected=tuple(one for phase in phases for one in rejected(subject, phase)),
        legacy=_legacy(subject),
        stripped=_texts({f"{subject.package}/{name}": text for name, text in _on_disk(subject).items()}),
        expected=restructured(subject, run.files(), event).files,
        aliases=load_aliases(subject),
        steps=tuple(steps),
        left_out=() if event is None else tuple((step, reason) for step, reason in event["left_out"]),
        view=run.view(),
        verdicts=verdicts,
    )


def of_plan(recorded: Recording, runs: Sequence[PhaseRun]) -> Reproduction:
    """What the plans of some phases would leave; `runs` are these plans, in order."""
    subject = recorded.subject
    files = runs[-1].files()
    return Reproduction(
        recorded=recorded,
        phases=tuple(run.phase for run in runs),
        removals=tuple(removal for run in runs for removal in run.tally.accepted),
        rejected=tuple(one for run in runs for one in run.tally.rejected),
        legacy=_legacy(subject),
        stripped=_texts(files),
        expected=files,
        aliases=Aliases(),
        steps=(),
        left_out=(),
        view=runs[-1].view(),
        verdicts={},
    )


def _places(removal: Removal) -> list[Span]:
    return [place for place in vars(removal.edit).values() if isinstance(place, Span)]


def _on_disk(subject: Subject) -> dict[str, bytes]:
    found = read_tree(subject.stripped / subject.package)
    if not found:
        raise SubjectError(f"{subject.stripped}: holds no package {subject.package!r}; run `unbloat strip` first")
    return found


def _legacy(subject: Subject) -> dict[str, str]:
    return {file: (subject.legacy / file).read_text(encoding="utf-8") for file in subject.sources()}


def _texts(files: Mapping[str, bytes]) -> dict[str, str]:
    return {file: content.decode("utf-8") for file, content in files.items() if file.endswith(".py")}


def _parsed(texts: Mapping[str, str]) -> dict[str, ast.Module]:
    return {file: ast.parse(text) for file, text in texts.items()}


def _module(file: str) -> str:
    path = PurePosixPath(file)
    return ".".join((path.parent if path.name == "__init__.py" else path.with_suffix("")).parts)
