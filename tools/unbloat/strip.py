"""The driver: passes propose, this accepts or rejects, and nobody else decides.

Round by round, everything that is proposed becomes one batch. A batch holds if the candidate compiles, defines every
name, keeps every scope, and every gate workload ends in the legacy's bits with only the candidate importable. A batch
that does not hold is halved down to the guilty removals, which stay in the code, are reported, and are not tried again.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unbloat.edit import DropModule, Edit, Edited, Span
from unbloat.edit.changes import parse
from unbloat.errors import EditError
from unbloat.evidence import Catchers, Facts, identifiers_of, program_around
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.plan.guard import guard_edits, guard_module, guard_source
from unbloat.plan.passes import LAST_STAGES, STAGES, Pass
from unbloat.plan.removal import Removal
from unbloat.plan.view import View
from unbloat.subject import Phase, Subject
from unbloat.verify.checks import faults
from unbloat.verify.journal import Journal
from unbloat.verify.outcome import Failed, Request
from unbloat.verify.search import Accepted, OtherSearchError, Outcome, Rejected, settle
from unbloat.verify.server import Server
from unbloat.verify.trees import read_tree, replace_tree, write_tree

Say = Callable[[str], None]


@dataclass
class Tally:
    """What became of a phase's proposals, and where the time went."""

    rounds: int = 0
    accepted: list[Removal] = field(default_factory=list)
    rejected: list[tuple[Removal, str]] = field(default_factory=list)
    vetoed: list[tuple[Removal, str]] = field(default_factory=list)
    verifications: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def spend(self, what: str, since: float) -> None:
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - since


class PhaseRun:
    """One phase from its evidence to its tree."""

    def __init__(
        self,
        subject: Subject,
        phase: Phase,
        facts: Facts,
        earlier: Sequence[Removal] = (),
        stages: Sequence[Sequence[Pass]] = STAGES,
    ) -> None:
        self.subject = subject
        self.phase = phase
        self.facts = facts
        self.tally = Tally()
        self._earlier = list(earlier)
        self._stages = (*stages, *LAST_STAGES) if phase == subject.phases[-1] else tuple(stages)
        self._sources = {file: _read(subject.legacy / file) for file in subject.sources()}
        self._trees = {file: parse(text) for file, text in self._sources.items()}
        self._edited = Edited(self._trees, self._sources)
        self._outside = identifiers_of(subject.outside())
        # What an earlier phase had to leave may go once code that used it has gone.
        self._files = frozenset(phase.files) | {removal.file for removal in earlier}
        self._legacy_errors = Catchers(program_around(self._trees, self._all_files()), facts, every_handler=True)

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self, judge: Callable[[tuple[Removal, ...]], str | None], journal: Journal | None, say: Say) -> None:
        """Rounds until nothing new is proposed; with a journal, from where an earlier run stopped."""
        past = self._replay(journal, say) if journal is not None else []
        while batch := self._batch():
            self.tally.rounds += 1
            say(f"round {self.tally.rounds}: {len(batch)} removals proposed")
            try:
                for number, outcome in enumerate(settle(batch, judge, past)):
                    event = self._take(outcome, say)
                    if journal is not None and number >= len(past):
                        journal.add(event)
            except OtherSearchError:
                assert journal is not None
                say("the journal does not fit what is proposed; starting over")
                journal.restart()
                self.tally, past = Tally(), []
                continue
            past = []
            if journal is not None:
                journal.add({"event": "round", "number": self.tally.rounds})

    def _take(self, outcome: Outcome[Removal], say: Say) -> dict[str, Any]:
        """Count an outcome; the journal's event for it."""
        if isinstance(outcome, Accepted):
            self.tally.accepted += outcome.items
            return {"event": "accepted", "removals": [removal.to_json() for removal in outcome.items]}
        self.tally.rejected.append((outcome.item, outcome.reason))
        say(f"kept {outcome.item.file}:{outcome.item.line}: {outcome.reason}")
        return {"event": "rejected", "removal": outcome.item.to_json(), "reason": outcome.reason}

    def _replay(self, journal: Journal, say: Say) -> list[Outcome[Removal]]:
        """Take over the rounds that came to their end; the outcomes of the one that did not."""
        unfinished: list[Outcome[Removal]] = []
        for event in journal.events:
            match event["event"]:
                case "accepted":
                    unfinished.append(Accepted(tuple(map(Removal.from_json, event["removals"]))))
                case "rejected":
                    unfinished.append(Rejected(Removal.from_json(event["removal"]), event["reason"]))
                case "round":
                    for outcome in unfinished:
                        self._take(outcome, say)
                    unfinished.clear()
                    self.tally.rounds = event["number"]
        known = [*self.tally.accepted, *(item for one in unfinished if isinstance(one, Accepted) for item in one.items)]
        if known:
            say(f"resuming: {len(known)} removals accepted before")
        return unfinished

    def _batch(self) -> tuple[Removal, ...]:
        """Everything new that the first stage with anything to say proposes."""
        started = time.perf_counter()
        view = self.view()
        known = {(removal.file, removal.edit) for removal in self.tally.accepted}
        known |= {(removal.file, removal.edit) for removal, _ in self.tally.rejected}
        self.tally.vetoed.clear()
        for stage in self._stages:
            batch: dict[tuple[str, Edit], Removal] = {}
            for removal in (removal for one in stage for removal in one.propose(view)):
                place = (removal.file, removal.edit)
                if place in known or place in batch:
                    continue
                if (reason := _vetoed(view, removal)) is not None:
                    self.tally.vetoed.append((removal, reason))
                    continue
                batch[place] = removal
            if batch:
                self.tally.spend("passes", started)
                return tuple(batch.values())
        self.tally.spend("passes", started)
        return ()

    # -- states -------------------------------------------------------------------------------------------------

    def view(self) -> View:
        """The subject as it stands after everything accepted so far."""
        edits = _by_file(self._earlier + self.tally.accepted)
        return View(
            self._edited.trees(edits),
            self.facts,
            self.subject.contract,
            frozenset(self.subject.config_parameters),
            self._outside,
            self._files,
            self._legacy_errors,
            self.subject.vetoes,
        )

    def candidate(self, batch: Sequence[Removal]) -> tuple[dict[str, bytes], list[str]]:
        """The files of the tree with a batch on top of what is accepted, and the faults that rule it out."""
        removals = list(dict.fromkeys([*self._earlier, *self.tally.accepted, *batch]))
        try:
            return self._candidate(removals)
        except EditError as error:
            return {}, [f"cannot be written: {error}"]

    def _candidate(self, removals: Sequence[Removal]) -> tuple[dict[str, bytes], list[str]]:
        edits = _by_file(removals)
        trees = self._edited.trees(edits)
        view = View(
            trees, self.facts, self.subject.contract, frozenset(), self._outside, self._all_files(), self._legacy_errors
        )
        guards = guard_edits(view, removals)
        for file, checks in guards.items():
            edits.setdefault(file, []).extend(checks)
        changed = self._edited.texts(edits)
        pinned = f"{self.subject.package}/{guard_module(self.subject.package, self._trees)}.py"
        final = self._edited.trees(edits)
        if guards:
            changed[pinned] = guard_source(self.facts, removals)
            final[pinned] = parse(changed[pinned])
        files = {**read_tree(self.subject.legacy / self.subject.package)}
        gone = {file for file, found in edits.items() if DropModule() in found}
        tree = {f"{self.subject.package}/{name}": content for name, content in files.items()}
        tree = {file: content for file, content in tree.items() if file not in gone}
        tree |= {file: text.encode() for file, text in changed.items()}
        return tree, faults(self._trees, final, changed)

    def files(self) -> dict[str, bytes]:
        """The tree with everything that is accepted."""
        files, found = self.candidate(())
        assert not found, found
        return files

    def _all_files(self) -> frozenset[str]:
        return self._files | {removal.file for removal in self._earlier}


class Judge:
    """Runs a candidate through the gate."""

    def __init__(self, run: PhaseRun, server: Server, goldens: Mapping[str, Ledger], say: Say) -> None:
        self._run = run
        self._server = server
        self._goldens = goldens
        self._say = say

    def __call__(self, batch: tuple[Removal, ...]) -> str | None:
        """None if the candidate cannot be told from the legacy; else the first thing that can."""
        tally = self._run.tally
        started = time.perf_counter()
        files, found = self._run.candidate(batch)
        tally.spend("edit and check", started)
        if found:
            return found[0]
        started = time.perf_counter()
        tally.verifications += 1
        reason = self.verify(files)
        tally.spend("verification", started)
        self._say(f"  {len(batch)} removals: {'identical' if reason is None else reason}")
        return reason

    def verify(self, files: Mapping[str, bytes]) -> str | None:
        """Write a tree to a folder of its own and compare every gate workload with its golden."""
        subject, phase = self._run.subject, self._run.phase
        with tempfile.TemporaryDirectory(prefix="tree-", dir=self._server.candidates) as folder:
            tree = Path(folder)
            write_tree(tree, files)
            requests = [
                Request(tree, subject.workload(name), forbidden=(subject.legacy,), seed=subject.seed) for name in phase.gate
            ]
            for request, run in zip(requests, self._server.run_many(requests), strict=True):
                if isinstance(run, Failed):
                    return run.reason.replace(str(tree) + "/", "")
                divergence = compare(self._goldens[request.workload.name], run.ledger)
                if divergence is not None:
                    return f"workload '{request.workload.name}' differs at `{divergence.entry}`: {divergence.what}"
        return None


def write_output(subject: Subject, files: Mapping[str, bytes]) -> str:
    """Put a tree in place; its digest."""
    package = {name.partition("/")[2]: content for name, content in files.items()}
    replace_tree(subject.stripped / subject.package, package)
    return tree_digest(files)


def tree_digest(files: Mapping[str, bytes]) -> str:
    """One digest for the names and bytes of a tree."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def _vetoed(view: View, removal: Removal) -> str | None:
    """The reason of a veto on anything that an edit rests on or takes away."""
    places = [removal.place, *(Span(first, 0, last, 0) for first, last in removal.gone)]
    return next((reason for place in places if (reason := view.is_vetoed(removal.file, place)) is not None), None)


def _by_file(removals: Sequence[Removal]) -> dict[str, list[Edit]]:
    edits: dict[str, list[Edit]] = {}
    for removal in removals:
        edits.setdefault(removal.file, []).append(removal.edit)
    return edits


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def removals_of(events: Sequence[Mapping[str, Any]]) -> list[Removal]:
    """What a journal says was accepted."""
    return [Removal.from_json(removal) for event in events if event["event"] == "accepted" for removal in event["removals"]]
