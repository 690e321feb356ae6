"""The driver: passes propose, this accepts or rejects, and nobody else decides.

Round by round, everything that is proposed becomes one batch. A batch holds if the candidate compiles, defines every
name, keeps every scope, and every gate workload ends in the legacy's bits with only the candidate importable. Nearly all
batches hold, so rounds go ahead on the checks alone until nothing more is proposed, and are verified together. Where that
fails, the first round that does not hold is found by halving, and in it the guilty removals: they stay in the code, are
reported, and are not tried again.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from unbloat.errors import VerificationError
from unbloat.evidence import Facts
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.plan.passes import STAGES, Pass
from unbloat.plan.removal import Removal
from unbloat.plan.view import View
from unbloat.rounds import (
    Batch,
    Event,
    Round,
    Told,
    Tried,
    about,
    depth,
    events_of,
    rejections_of,
    removals_of,
    settled,
    suspects_last,
)
from unbloat.states import States
from unbloat.subject import Phase, Subject
from unbloat.verify.journal import Journal
from unbloat.verify.outcome import Failed, Request
from unbloat.verify.search import OtherSearchError, Outcome, longest
from unbloat.verify.server import Server
from unbloat.verify.trees import replace_tree, write_tree

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Means:
    """Who judges a batch, and who is told of it."""

    judge: Callable[[Batch], str | None]
    journal: Journal | None
    say: Say

    def tell(self, *events: Event) -> None:
        if self.journal is not None:
            self.journal.add(*events)


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
        self._states = States(subject, phase, facts, earlier, stages)

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self, judge: Callable[[Batch], str | None], journal: Journal | None, say: Say) -> None:
        """Rounds until nothing new is proposed; with a journal, from where an earlier run stopped.

        Raises:
            VerificationError: without a new removal, the tree differs from the legacy.
        """
        means = _Means(judge, journal, say)
        try:
            self._rounds(means)
        except OtherSearchError:
            assert journal is not None
            say("the journal does not fit what is proposed; starting over")
            journal.restart()
            self.tally = Tally()
            self._rounds(means)

    def _rounds(self, means: _Means) -> None:
        told = self._replay(means)
        tries = list(told.tries)
        if told.open is not None:
            self._carry_out(told.open, self._ahead(told.open.held - self.tally.rounds, means, told.begun), means, told.begun)
        is_verified = False
        while rounds := self._ahead(depth(tries), means):
            tries.append(self._try(rounds, means.judge, is_verified))
            is_verified = True
            means.tell(tries[-1].to_event())
            self._carry_out(tries[-1], rounds, means)
        if not is_verified:
            self._assert_verified(means.judge)

    def _ahead(self, depth: int | None, means: _Means, past: Sequence[Event] = ()) -> list[Round]:
        """The next rounds, should all hold that passes the checks; `past` are the first events of the first."""
        rounds: list[Round] = []
        while (depth is None or len(rounds) < depth) and (batch := self._batch(rounds)):
            means.say(f"round {self.tally.rounds + len(rounds) + 1}: {len(batch)} removals proposed")
            rounds.append(Round(batch, tuple(self._checked(batch, _accepted(rounds), past))))
            past = ()
        return rounds

    def _checked(self, batch: Batch, before: Batch, past: Sequence[Event]) -> Iterator[Outcome[Batch]]:
        """What of a batch passes the checks; a search for faults looks through the files in which they show, and no others."""
        for part in suspects_last(batch, self.candidate((*before, *batch))[1]):
            for outcome in settled(part, partial(self._fault_after, before), about(past, part)):
                yield outcome
                before = (*before, *Round((), (outcome,)).accepted)

    def _try(self, rounds: Sequence[Round], judge: Callable[[Batch], str | None], is_verified: bool) -> Tried:
        """Verify rounds together; if they do not hold, find one that does not on top of rounds that do."""

        def judge_first(count: int) -> str | None:
            return judge(_accepted(rounds[:count]))

        if (reason := judge_first(len(rounds))) is None:
            return Tried(self.tally.rounds + len(rounds))
        if not is_verified:
            self._assert_verified(judge)
        held, reason = longest(len(rounds), judge_first, reason)
        return Tried(self.tally.rounds + held, reason)

    def _carry_out(self, tried: Tried, rounds: Sequence[Round], means: _Means, past: Sequence[Event] = ()) -> None:
        """Take the rounds that hold, and settle the one that does not; `past` are the first events of the first."""
        count = tried.held - self.tally.rounds
        if len(rounds) < count:
            raise OtherSearchError
        for one in rounds[:count]:
            self._take(one.outcomes, means, past)
            past = ()
        if tried.reason is not None:
            batch = rounds[count].batch if count < len(rounds) else self._batch()
            self._take(settled(batch, means.judge, past, tried.reason), means, past)

    def _take(self, outcomes: Iterable[Outcome[Batch]], means: _Means, past: Sequence[Event]) -> None:
        """Count a round and tell the journal of it, but for the events that it knows."""
        known = len(past)
        for outcome in outcomes:
            one, events = Round((), (outcome,)), events_of(outcome)
            self.tally.accepted += one.accepted
            self.tally.rejected += one.rejected
            for removal, reason in one.rejected:
                means.say(f"kept {removal.file}:{removal.line}: {reason}")
            means.tell(*events[known:])
            known = max(known - len(events), 0)
        self.tally.rounds += 1
        means.tell({"event": "round", "number": self.tally.rounds})

    def _replay(self, means: _Means) -> Told:
        """Take over the rounds that came to their end."""
        told = Told.by(means.journal.events if means.journal is not None else ())
        for events in told.rounds:
            self.tally.accepted += removals_of(events)
            self.tally.rejected += rejections_of(events)
        self.tally.rounds = len(told.rounds)
        if count := len(self.tally.accepted) + len(removals_of(told.begun)):
            means.say(f"resuming: {count} removals accepted before")
        return told

    def _assert_verified(self, judge: Callable[[Batch], str | None]) -> None:
        if (reason := judge(())) is not None:
            what = "the tree that was accepted before" if self.tally.accepted else "the tree it starts from"
            raise VerificationError(f"phase {self.phase.name}: {what} differs from the legacy: {reason}")

    def _batch(self, rounds: Sequence[Round] = ()) -> Batch:
        """What is proposed after these rounds."""
        started = time.perf_counter()
        kept = [*self.tally.rejected, *(pair for one in rounds for pair in one.rejected)]
        accepted = (*self.tally.accepted, *_accepted(rounds))
        batch, self.tally.vetoed = self._states.proposals(accepted, [removal for removal, _ in kept])
        self.tally.spend("passes", started)
        return batch

    # -- states -------------------------------------------------------------------------------------------------

    def view(self) -> View:
        """The subject as it stands after everything accepted so far."""
        return self._states.view(self.tally.accepted)

    def candidate(self, batch: Sequence[Removal]) -> tuple[dict[str, bytes], list[str]]:
        """The files of the tree with a batch on top of what is accepted, and the faults that rule it out."""
        started = time.perf_counter()
        files, found = self._states.candidate((*self.tally.accepted, *batch))
        self.tally.spend("edit and check", started)
        return files, found

    def _fault_after(self, before: Batch, batch: Batch) -> str | None:
        return self.fault((*before, *batch))

    def fault(self, batch: Sequence[Removal]) -> str | None:
        """The first fault of a candidate that shows without running it."""
        return next(iter(self.candidate(batch)[1]), None)

    def files(self) -> dict[str, bytes]:
        """The tree with everything that is accepted."""
        files, found = self.candidate(())
        assert not found, found
        return files


class Judge:
    """Runs a candidate through the gate."""

    def __init__(self, run: PhaseRun, server: Server, goldens: Mapping[str, Ledger], say: Say) -> None:
        self._run = run
        self._server = server
        self._goldens = goldens
        self._say = say

    def __call__(self, batch: tuple[Removal, ...]) -> str | None:
        """None if the candidate cannot be told from the legacy; else the first thing that can."""
        files, found = self._run.candidate(batch)
        if found:
            return found[0]
        tally, started = self._run.tally, time.perf_counter()
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


def _accepted(rounds: Sequence[Round]) -> Batch:
    return tuple(removal for one in rounds for removal in one.accepted)
