"""The loop: a save ends what is under way; whatever it can affect is checked, then run, and each verdict shown at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from unbloat.diff import Finding, locate
from unbloat.errors import WorkloadError
from unbloat.golden.compare import compare
from unbloat.measure import Measure, measure_path
from unbloat.phases import Recording
from unbloat.record import Say, subject_key
from unbloat.report.tables import gone
from unbloat.restructure import load_aliases
from unbloat.subject import load_subject
from unbloat.verify.outcome import Failed, Request, Run
from unbloat.verify.tree_checks import TreeChecks
from unbloat.watch.known import Known, State
from unbloat.watch.reads import OBSERVER, options
from unbloat.watch.runs import Runs
from unbloat.watch.saves import content, saves

Result = Run | Finding | WorkloadError
"""Of a run, or of a search for the operation in which it first differs, which may end without an answer."""

SHOWN = 3
"""Of many files that were saved at once."""


def watch(recorded: Recording, tree: Path, names: Sequence[str], say: Say) -> None:
    """Show verdicts until a save finds that the goldens no longer fit: workloads, config or legacy have changed.

    Raises:
        SubjectError: strip.toml can no longer be used.
        WorkloadError: the warm process ended.
    """
    with Runs[Result](recorded.server) as runs:
        _Loop(recorded, tree, names, say, runs).go(saves(tree))


class _Loop:
    def __init__(self, recorded: Recording, tree: Path, names: Sequence[str], say: Say, runs: Runs[Result]) -> None:
        self._recorded, self._tree, self._say, self._runs = recorded, tree, say, runs
        self._state = State(names)
        self._checks = TreeChecks(recorded.subject)
        self._before = _size(recorded.subject.legacy / recorded.subject.package)
        self._faults: list[str] = []
        self._running = ""
        self._summed_up = self._explained = False

    def go(self, saved: Iterable[bool]) -> None:
        self._take_in()
        for something in saved:
            if something:
                if self._stale():
                    self._say("what the goldens rest on has changed")
                    return
                self._take_in()
            if (result := self._runs.result()) is not None:
                self._show(result)
            if not self._runs.busy:
                self._go_on()

    def _stale(self) -> bool:
        recorded = self._recorded
        return subject_key(load_subject(recorded.subject.file), recorded.server.environment) != recorded.key

    def _take_in(self) -> None:
        """The files as they are now; nothing that ran on others counts."""
        first = not self._state.content
        changed = self._state.saved(content(self._tree))
        if not changed:
            return
        self._runs.cancel()
        self._summed_up = self._explained = False
        if not first:
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            self._say(f"saved {', '.join(changed[:SHOWN])}{more}")
        self._faults = self._checks.faults(self._tree)
        for fault in self._faults:
            self._say(f"  differs: {fault}")

    def _go_on(self) -> None:
        """The next run, then what all came to, then why; of a tree with faults nothing is run."""
        if self._faults:
            return
        name = self._state.next()
        if name is not None:
            self._running = name
            request = self._request(name)
            self._runs.start(lambda: self._recorded.server.run_many([request])[0])
        elif not self._summed_up:
            self._summed_up = True
            self._say(self._summary())
        elif not self._explained and (differing := self._state.differing()):
            self._explained = True
            self._runs.start(partial(self._located, differing[0]))

    def _located(self, name: str) -> Result:
        subject = self._recorded.subject
        try:
            return locate(self._recorded.server, subject, subject.workload(name), subject.legacy, self._tree)
        except WorkloadError as error:
            return error

    def _request(self, name: str) -> Request:
        subject, tree = self._recorded.subject, self._tree
        aliases = load_aliases(replace(subject, stripped=tree))
        forbidden = () if tree == subject.legacy else (subject.legacy,)
        return Request(
            tree,
            subject.workload(name),
            forbidden,
            seed=subject.seed,
            observer=OBSERVER,
            observer_options=options(tree, aliases),
        )

    def _show(self, result: Result) -> None:
        if content(self._tree) != self._state.content:
            return  # Saved while it ran: which files it read nobody knows, and the save is about to be noticed.
        match result:
            case Finding():
                for line in result.lines("legacy", self._tree.name):
                    self._say(f"  {line}")
            case WorkloadError():
                self._say(f"  {result}")
            case _:
                self._judge(result)

    def _judge(self, run: Run) -> None:
        name = self._running
        if isinstance(run, Failed):
            known = Known(run.reason, None, run.seconds)
        else:
            divergence = compare(self._recorded.goldens[name], run.ledger)
            what = None if divergence is None else f"at `{divergence.entry}`: {divergence.what}"
            reads = run.extra["reads"]
            known = Known(what, None if reads is None else frozenset(reads), run.seconds)
        self._state.ran(name, known)
        self._say(
            f"  {name}: {'identical' if known.difference is None else f'differs {known.difference}'} ({run.seconds:.1f} s)"
        )

    def _summary(self) -> str:
        if differing := self._state.differing():
            return f"differs from the legacy: {', '.join(differing)}"
        before, after = self._before, _size(self._tree / self._recorded.subject.package)
        return (
            f"identical to the legacy: statements {before.statements} → {after.statements} "
            f"({gone(before.statements, after.statements)} gone), decisions {before.decisions} → {after.decisions} "
            f"({gone(before.decisions, after.decisions)} gone)"
        )


def _size(folder: Path) -> Measure:
    return sum(measure_path(folder).values(), Measure())
