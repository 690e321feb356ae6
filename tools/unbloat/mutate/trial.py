"""The runs: a tree as it is, with probes, and with one mutant after the other, the cheapest workload first."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from unbloat.behind import behind
from unbloat.edit import Span
from unbloat.errors import SubjectError
from unbloat.golden.compare import compare
from unbloat.mutate.both_ways import both_ways
from unbloat.mutate.mutants import Mutant
from unbloat.mutate.probes import probed
from unbloat.mutate.source import Source, replaced
from unbloat.mutate.watch import DIFFERS, write_expected
from unbloat.phases import Recording
from unbloat.plan.guard import guard_module
from unbloat.record import Say, recordings
from unbloat.restructure import load_aliases
from unbloat.strip import tree_digest
from unbloat.verify.journal import Journal
from unbloat.verify.outcome import Failed, Recorded, Request, Run
from unbloat.verify.trees import read_tree, write_tree

WATCHED, REACHED = "unbloat.mutate.watch:watched", "unbloat.mutate.observe:reached"
AT_ONCE = 8
"""Mutants between two entries of the journal: enough that two processors are always busy."""
TIMES, PATIENCE = 5.0, 5.0
"""A mutant may take so many times the processor time that the workload takes, and so many seconds more."""
IDENTICAL = "identical"

Place = tuple[str, Span]


@dataclass(frozen=True)
class Baseline:
    """What the workloads do on the unchanged tree."""

    seconds: Mapping[str, float]
    """Of processor time."""
    reached: Mapping[str, frozenset[Place]]
    """The places that each workload evaluates, of those that are changed."""

    def workloads(self, mutant: Mutant) -> tuple[str, ...]:
        """Those that evaluate what a mutant changes, the cheapest first; all, if its place is not known."""
        ranked = sorted(self.seconds, key=lambda name: self.seconds[name])
        return tuple(name for name in ranked if mutant.site is None or (mutant.file, mutant.site) in self.reached[name])


@dataclass(frozen=True)
class Caught:
    """The workload that noticed a mutant, and how."""

    workload: str
    how: str


class Trial:
    """One tree of a recorded subject, which stays as it is now whatever is stripped meanwhile."""

    def __init__(self, recorded: Recording, tree: Path) -> None:
        """
        Raises:
            SubjectError: the tree does not hold the package.
        """
        self._recorded = recorded
        self._tree = tree
        subject = recorded.subject
        if not (tree / subject.package / "__init__.py").is_file():
            raise SubjectError(f"{tree}: holds no package {subject.package!r}; strip first, or name another --tree")
        self._files = {f"{subject.package}/{name}": content for name, content in read_tree(tree / subject.package).items()}
        self._aliases = load_aliases(dataclasses.replace(subject, stripped=tree)).to_json()
        self._workloads = list(dict.fromkeys(name for phase in subject.phases for name in phase.gate))
        self._journal = Journal(subject.state / "mutate.journal.jsonl", self._key())
        self._numbers = count()
        self._guard = guard_module(subject.package, subject.sources())
        self.sources = {file: self._source(file) for file in sorted(self._files) if self._is_algorithm(file)}

    def _key(self) -> str:
        tool = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(behind("unbloat.mutate.watch"))))
        folder = recordings(self._recorded.subject, self._recorded.server.environment)
        return f"{folder.name}/mutate/{tree_digest(self._files)}/{tool.hexdigest()[:16]}"

    def _is_algorithm(self, file: str) -> bool:
        return file.endswith(".py") and file != f"{self._recorded.subject.package}/{self._guard}.py"

    def _source(self, file: str) -> Source:
        contract = self._recorded.subject.contract
        module = file.removesuffix(".py").replace("/", ".") + "."
        idle = (*contract.engineering, *contract.logging_setup)
        names = frozenset(name.rpartition(".")[2] for name in idle if name.startswith(module))
        return Source(file, self._files[file].decode(), self._guard, names)

    # -- the unchanged tree -------------------------------------------------------------------------------------

    def baseline(self, mutants: Sequence[Mutant], say: Say) -> Baseline:
        """Run every workload as it is, and once more with probes at the places that the mutants change.

        Raises:
            SubjectError: the tree differs from the legacy before anything is changed, or with probes.
        """
        places = list(dict.fromkeys((one.file, one.site) for one in mutants if one.site is not None))
        files = self._files | {file: self._probed(file, places).encode() for file in self.sources}
        digest = tree_digest(files)
        for event in self._journal.events:
            if event["event"] == "baselines" and event["runs"]["digest"] == digest:
                say("resuming: the unchanged tree was run before")
                return _baseline(event["runs"], places)
        plain, with_probes = self._written(self._files), self._written(files)
        found: dict[str, Any] = {"digest": digest, "seconds": {}, "reached": {}}
        for name in self._workloads:
            write_expected(self._expected(name), self._recorded.goldens[name])
            requests = [self._request(plain, name, WATCHED), self._request(with_probes, name, REACHED)]
            runs = self._recorded.server.run_many(requests)
            for run, when in zip(runs, ("before anything is changed", "once it is probed"), strict=True):
                if (how := self._how(name, run)) is not None:
                    raise SubjectError(f"{self._tree}: differs from the legacy {when}: workload '{name}': {how}")
            for run, key in zip(runs, ("seconds", "reached"), strict=True):
                assert isinstance(run, Recorded)
                found[key][name] = run.extra[key]
            say(f"{name}: identical without any change ({runs[0].seconds:.1f} s)")
        self._journal.add({"event": "baselines", "runs": found})
        return _baseline(found, places)

    def _probed(self, file: str, places: Sequence[Place]) -> str:
        numbers = {place[1]: number for number, place in enumerate(places) if place[0] == file}
        return probed(self._source(file), numbers)

    # -- mutants ------------------------------------------------------------------------------------------------

    def judge(self, mutants: Mapping[Mutant, Sequence[str]], baseline: Baseline, say: Say) -> dict[str, Caught | None]:
        """By name, who noticed each mutant; every one runs the workloads that are given, in order, until one does."""
        for name in self._workloads:
            write_expected(self._expected(name), self._recorded.goldens[name])
        known = {
            (event["change"], event["judgement"]["workload"]): str(event["judgement"]["how"])
            for event in self._journal.events
            if event["event"] == "judged"
        }
        found: dict[str, Caught | None] = {mutant.name: None for mutant in mutants}
        for workload in sorted(self._workloads, key=lambda name: baseline.seconds[name]):
            due = [mutant for mutant, names in mutants.items() if workload in names and found[mutant.name] is None]
            hows = self._settle(due, workload, TIMES * baseline.seconds[workload] + PATIENCE, known, say)
            for mutant, how in zip(due, hows, strict=True):
                if how != IDENTICAL:
                    found[mutant.name] = Caught(workload, how)
        return found

    def _settle(
        self, due: Sequence[Mutant], workload: str, limit: float, known: dict[tuple[str, str], str], say: Say
    ) -> list[str]:
        digests = [tree_digest(self._changed(mutant)) for mutant in due]
        todo = [(mutant, digest) for mutant, digest in zip(due, digests, strict=True) if (digest, workload) not in known]
        say(f"{workload}: {len(due)} mutants, {len(due) - len(todo)} of them judged before")
        for start in range(0, len(todo), AT_ONCE):
            part = todo[start : start + AT_ONCE]
            trees = [self._written(self._files | self._changed(mutant)) for mutant, _ in part]
            runs = self._recorded.server.run_many([self._request(tree, workload, WATCHED, limit) for tree in trees])
            for (_, digest), tree, run in zip(part, trees, runs, strict=True):
                how = self._how(workload, run) or IDENTICAL
                known[digest, workload] = how.replace(f"{tree}/", "")
                judgement = {"workload": workload, "how": known[digest, workload]}
                self._journal.add({"event": "judged", "change": digest, "judgement": judgement})
                shutil.rmtree(tree)
            say(f"  {start + len(part)} of {len(todo)} judged")
        return [known[digest, workload] for digest in digests]

    def _changed(self, mutant: Mutant) -> dict[str, bytes]:
        """The files that a mutant changes; edits of one file from its end, so that the places of the others stay."""
        texts = {edit.file: self.sources[edit.file].text for edit in mutant.edits}
        for edit in sorted(mutant.edits, key=lambda one: one.span, reverse=True):
            texts[edit.file] = replaced(texts[edit.file], edit.span, edit.text)
        return {file: text.encode() for file, text in texts.items()}

    def differing(self, mutants: Sequence[Mutant], baseline: Baseline, say: Say) -> dict[str, bool]:
        """By name, whether some run computes another value where a mutant is; only of those that can be tried in passing."""
        say(f"{len(mutants)} that nobody noticed: does a value differ?")
        files, asked = dict(self._files), set[int]()
        for file in {mutant.file for mutant in mutants}:
            edits = {number: mutant.edits[0] for number, mutant in enumerate(mutants) if mutant.file == file}
            text, numbers = both_ways(self._source(file), edits)
            files[file] = text.encode()
            asked |= numbers
        names = [name for name in self._workloads if any(name in baseline.workloads(mutants[number]) for number in asked)]
        tree = self._written(files)
        runs = self._recorded.server.run_many([self._request(tree, name, REACHED) for name in names])
        if any(isinstance(run, Failed) for run in runs):
            return {}  # Something had an effect after all.
        hit = {number for run in runs if isinstance(run, Recorded) for number in run.extra["reached"]}
        return {mutants[number].name: number in hit for number in asked}

    # -- single runs --------------------------------------------------------------------------------------------

    def _request(self, tree: Path, name: str, observer: str, seconds: float | None = None) -> Request:
        subject = self._recorded.subject
        options = {"aliases": self._aliases, "expected": str(self._expected(name)), "seconds": seconds}
        return Request(
            tree,
            subject.workload(name),
            forbidden=(subject.legacy,),
            seed=subject.seed,
            observer=observer,
            observer_options=options,
        )

    def _how(self, workload: str, run: Run) -> str | None:
        """How a run differs from the golden; None if it does not."""
        if isinstance(run, Failed):
            last = run.output.rpartition("\n")[2]
            return last.removeprefix("unbloat: ") if last.startswith(DIFFERS) else run.reason
        divergence = compare(self._recorded.goldens[workload], run.ledger)
        return None if divergence is None else f"differs at `{divergence.entry}`"

    def _written(self, files: Mapping[str, bytes]) -> Path:
        folder = self._recorded.server.candidates / f"tree-{next(self._numbers)}"
        write_tree(folder, files)
        return folder

    def _expected(self, workload: str) -> Path:
        return self._recorded.server.candidates / f"{workload}.expected.json"


def _baseline(runs: Mapping[str, Any], places: Sequence[Place]) -> Baseline:
    reached = {name: frozenset(places[number] for number in numbers) for name, numbers in runs["reached"].items()}
    return Baseline(runs["seconds"], reached)
