"""The states of a phase: what the passes see after some removals, what they propose then, and the tree that it makes."""

from __future__ import annotations

from collections.abc import Sequence

from unbloat.edit import DropModule, Edit, Edited, Span
from unbloat.edit.changes import parse
from unbloat.errors import EditError
from unbloat.evidence import Catchers, Facts, identifiers_of, program_around
from unbloat.plan.guard import guard_edits, guard_module, guard_source
from unbloat.plan.passes import LAST_STAGES, Pass
from unbloat.plan.removal import Removal
from unbloat.plan.view import View
from unbloat.rounds import Batch, together
from unbloat.subject import Phase, Subject
from unbloat.verify.checks import faults
from unbloat.verify.trees import read_tree

Kept = tuple[Removal, str]
"""A removal that was not accepted, and why."""


class States:
    """Everything about one phase that does not depend on what is accepted in it."""

    def __init__(
        self, subject: Subject, phase: Phase, facts: Facts, earlier: Sequence[Removal], stages: Sequence[Sequence[Pass]]
    ) -> None:
        self._subject = subject
        self._facts = facts
        self._earlier = tuple(earlier)
        self._stages = (*stages, *LAST_STAGES) if phase == subject.phases[-1] else tuple(stages)
        sources = {file: (subject.legacy / file).read_bytes().decode("utf-8") for file in subject.sources()}
        self._trees = {file: parse(text) for file, text in sources.items()}
        self._edited = Edited(self._trees, sources)
        self._outside = identifiers_of(subject.outside())
        # What an earlier phase had to leave may go once code that used it has gone.
        self._files = frozenset(phase.files) | {removal.file for removal in earlier}
        self._legacy_errors = Catchers(program_around(self._trees, self._files), facts, every_handler=True)
        self._last: tuple[Batch, dict[str, bytes], list[str]] | None = None

    def view(self, accepted: Sequence[Removal]) -> View:
        """The subject as it stands after these removals."""
        return View(
            self._edited.trees(_by_file([*self._earlier, *accepted])),
            self._facts,
            self._subject.contract,
            frozenset(self._subject.config_parameters),
            self._outside,
            self._files,
            self._legacy_errors,
            self._subject.vetoes,
        )

    def proposals(self, accepted: Sequence[Removal], rejected: Sequence[Removal]) -> tuple[Batch, list[Kept]]:
        """Everything new that the first stage with anything to say proposes, and what a veto keeps."""
        view = self.view(accepted)
        gone = {(removal.file, removal.edit) for removal in accepted}
        kept = {(removal.file, removal.edit) for removal in rejected}
        batch: dict[tuple[str, Edit], Removal] = {}
        vetoed: list[Kept] = []
        for stage in self._stages:
            for group in together(removal for one in stage for removal in one.propose(view)):
                places = {(removal.file, removal.edit): removal for removal in group}
                new = {place: removal for place, removal in places.items() if place not in gone and place not in batch}
                heard = (view.is_heard(removal.file, removal.place, removal.support) for removal in new.values())
                if not kept.isdisjoint(places) or not all(heard):
                    continue
                reason = next((found for one in new.values() if (found := _vetoed(view, one)) is not None), None)
                if reason is None:
                    batch |= new
                else:
                    vetoed += [(removal, reason) for removal in new.values()]
            if batch:
                break
        return tuple(batch.values()), vetoed

    def candidate(self, accepted: Sequence[Removal]) -> tuple[dict[str, bytes], list[str]]:
        """The files of the tree after these removals, and the faults that rule it out."""
        removals = tuple(dict.fromkeys([*self._earlier, *accepted]))
        if self._last is None or self._last[0] != removals:
            try:
                self._last = removals, *self._candidate(removals)
            except EditError as error:
                self._last = removals, {}, [f"cannot be written: {error}"]
        return self._last[1], self._last[2]

    def _candidate(self, removals: Sequence[Removal]) -> tuple[dict[str, bytes], list[str]]:
        edits = _by_file(removals)
        trees = self._edited.trees(edits)
        view = View(trees, self._facts, self._subject.contract, frozenset(), self._outside, self._files, self._legacy_errors)
        guards = guard_edits(view, removals)
        for file, checks in guards.items():
            edits.setdefault(file, []).extend(checks)
        changed = self._edited.texts(edits)
        pinned = f"{self._subject.package}/{guard_module(self._subject.package, self._trees)}.py"
        final = self._edited.trees(edits)
        if guards:
            changed[pinned] = guard_source(self._facts, removals, [edit for checks in guards.values() for edit in checks])
            final[pinned] = parse(changed[pinned])
        files = {**read_tree(self._subject.legacy / self._subject.package)}
        gone = {file for file, found in edits.items() if DropModule() in found}
        tree = {f"{self._subject.package}/{name}": content for name, content in files.items()}
        tree = {file: content for file, content in tree.items() if file not in gone}
        tree |= {file: text.encode() for file, text in changed.items()}
        return tree, faults(self._trees, final, changed)


def _vetoed(view: View, removal: Removal) -> str | None:
    """The reason of a veto on anything that an edit rests on or takes away."""
    places = [removal.place, *(Span(first, 0, last, 0) for first, last in removal.gone)]
    return next((reason for place in places if (reason := view.is_vetoed(removal.file, place)) is not None), None)


def _by_file(removals: Sequence[Removal]) -> dict[str, list[Edit]]:
    edits: dict[str, list[Edit]] = {}
    for removal in removals:
        edits.setdefault(removal.file, []).append(removal.edit)
    return edits
