"""The driver: what can be changed, the runs of every change on both trees, and what they say."""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbloat.challenge.argument_changes import Called, argument_changes, called, objects_left_alone
from unbloat.challenge.change import Change, sample
from unbloat.challenge.config_changes import Pinned, config_changes, environment_changes
from unbloat.challenge.handed_configs import joined
from unbloat.challenge.hints import Hints
from unbloat.challenge.inject import plain_lines
from unbloat.challenge.schedule import Reader
from unbloat.challenge.verdict import Judgement, Verdict, judge
from unbloat.errors import SubjectError, WorkloadError
from unbloat.golden.compare import compare
from unbloat.phases import Recording
from unbloat.plan.guard import guard_module
from unbloat.record import Say, record
from unbloat.strip import tree_digest
from unbloat.subject import Subject
from unbloat.verify.journal import Journal
from unbloat.verify.outcome import Failed, Recorded, Request, Run
from unbloat.verify.trees import read_tree, write_tree

INJECT = "unbloat.challenge.inject:inject"
AT_ONCE = 8
"""Changes between two entries of the journal: enough that two processors are always busy."""
PATIENCE = 30.0
"""Seconds that a changed run may take beyond three times the unchanged one."""
DEFAULT_LIMIT = 200


@dataclass(frozen=True)
class Finding:
    """A change and what every workload that ran it says."""

    change: Change
    judgements: tuple[Judgement, ...]

    @property
    def worst(self) -> Judgement:
        order = list(Verdict)
        return max(self.judgements, key=lambda one: order.index(one.verdict))


@dataclass(frozen=True)
class Challenge:
    """All findings, in the order of the changes."""

    findings: tuple[Finding, ...]
    possible: int
    """How many changes there are; more than findings if a limit left some out."""
    left_alone: tuple[str, ...]
    """Parameters that hold objects, for which there is no other value to try."""


def challenge(recorded: Recording, tree: Path, limit: int, say: Say) -> Challenge:
    """Run at most `limit` changes on the legacy and on `tree`; what a killed run judged is not run again.

    Raises:
        SubjectError: the tree holds no package, differs without any change, or the config cannot be changed.
        WorkloadError: the legacy fails without any change.
    """
    subject = recorded.subject
    if not (tree / subject.package / "__init__.py").is_file():
        raise SubjectError(f"{tree}: holds no package {subject.package!r}; strip first, or name another --tree")
    files = {f"{subject.package}/{name}": content for name, content in read_tree(tree / subject.package).items()}
    # A copy: whatever is stripped meanwhile, all changes are about one and the same tree.
    frozen = recorded.server.candidates / "challenged"
    write_tree(frozen, files)
    journal = Journal(subject.state / "challenge.journal.jsonl", f"{recorded.key}/challenge/{tree_digest(files)}")
    trial = Trial(recorded, frozen)
    baselines = _baselines(trial, journal, tree, say)
    changes, calls = _changes(recorded, frozen, baselines, say)
    chosen = sample(changes, limit)
    say(f"{len(chosen)} changes of {len(changes)}")
    judged = _judge_all(trial, journal, chosen, {name: one["elapsed"] for name, one in baselines.items()}, say)
    return Challenge(
        tuple(Finding(change, tuple(judged[change.name])) for change in chosen),
        len(changes),
        tuple(objects_left_alone(calls)),
    )


class Trial:
    """Makes the two runs of a workload under one change."""

    def __init__(self, recorded: Recording, stripped: Path) -> None:
        self.recorded = recorded
        subject = recorded.subject
        self.trees = (subject.legacy, stripped)
        self.workloads = list(dict.fromkeys(name for phase in subject.phases for name in phase.gate))
        self._files = [str(file) for file in subject.outside()]
        self._text = None if subject.config_file is None else plain_lines(_text(subject.config_file))

    def requests(self, workload: str, change: Change | None, limit: float | None = None) -> list[Request]:
        """Legacy and stripped, under the same change."""
        subject = self.recorded.subject
        known = subject.workload(workload)
        return [
            Request(
                tree,
                known if limit is None else dataclasses.replace(known, limit=limit),
                forbidden=() if tree == subject.legacy else (subject.legacy,),
                seed=subject.seed,
                observer=INJECT,
                observer_options={
                    "package": subject.package,
                    "tree": str(tree.resolve()),
                    "files": self._files,
                    "text": self._text,
                    "parameters": list(subject.config_parameters),
                    "change": None if change is None else dict(change.injected),
                },
            )
            for tree in self.trees
        ]

    def pairs(self, requests: Sequence[Request]) -> Iterator[tuple[Run, Run]]:
        runs = self.recorded.server.run_many(requests)
        yield from zip(runs[::2], runs[1::2], strict=True)


def _text(file: Path) -> str:
    """As a run decodes what it is about to parse, whatever the encoding is."""
    return file.read_bytes().decode("utf-8", "replace")


def _baselines(trial: Trial, journal: Journal, tree: Path, say: Say) -> dict[str, dict[str, Any]]:
    """Both trees without any change: they agree, and show what there is to change and what a run costs."""
    for event in journal.events:
        if event["event"] == "baselines":
            say("resuming: both trees were run unchanged before")
            return dict(event["runs"])
    requests = [request for name in trial.workloads for request in trial.requests(name, None)]
    found = {}
    for name, (legacy, stripped) in zip(trial.workloads, trial.pairs(requests), strict=True):
        if isinstance(legacy, Failed):
            raise WorkloadError(f"the unchanged legacy fails: {legacy.reason}")
        found[name] = {"elapsed": legacy.seconds, **legacy.extra}
        again = f"{tree}: differs from the legacy before anything is changed"
        if isinstance(stripped, Failed):
            raise SubjectError(f"{again}: {stripped.reason.replace(str(trial.trees[1]) + '/', '')}")
        if (divergence := compare(legacy.ledger, stripped.ledger)) is not None:
            raise SubjectError(f"{again}: workload '{name}' at `{divergence.entry}`: {divergence.what}")
        say(f"{name}: identical without any change ({legacy.seconds:.1f} s)")
    journal.add({"event": "baselines", "runs": found})
    return found


def _changes(
    recorded: Recording, frozen: Path, baselines: Mapping[str, Mapping[str, Any]], say: Say
) -> tuple[list[Change], list[Called]]:
    """Everything that can be changed: the config, the environment, what the user's code passes."""
    subject = recorded.subject
    readers = {}
    for name, baseline in baselines.items():
        _, facts = record(subject, recorded.server, lambda _: None, [subject.workload(name)])
        readers[name] = Reader.of(name, baseline["seconds"], facts)
    trees = {file: ast.parse((subject.legacy / file).read_bytes()) for file in subject.sources()}
    hints = Hints(trees.values())
    pinned = Pinned.read(frozen / subject.package / f"{guard_module(subject.package, subject.sources())}.py")
    calls = called({name: baseline["calls"] for name, baseline in baselines.items()})
    everybody = list(readers.values())
    changes = [*environment_changes(everybody, pinned), *argument_changes(calls, everybody, trees, hints)]
    loading = {name: baseline["config"] for name, baseline in baselines.items() if baseline["config"] is not None}
    if subject.config_file is None and not loading:
        if subject.config_parameters:
            say("no workload hands over a config by the names of [config] parameters, so there are no config keys to change")
    else:
        config = _config(subject, [*loading.values()], is_read=any(baseline["is_read"] for baseline in baselines.values()))
        changes = [*config_changes(config, [readers[name] for name in loading], recorded.facts, pinned, hints), *changes]
    return changes, calls


def _config(subject: Subject, loaded: Sequence[Any], *, is_read: bool) -> Mapping[str, Any]:
    """What was loaded or handed over first, and what others have beyond it."""
    if subject.config_file is not None and not is_read:
        raise SubjectError(
            f"{subject.config_file}: no workload reads it through OmegaConf, PyYAML or json, so no change can come in"
        )
    if not isinstance(loaded[0], dict):
        raise SubjectError(f"{subject.config_file}: is no mapping of keys, so there are no keys to change")
    return functools.reduce(joined, [config for config in loaded if isinstance(config, dict)])


def _judge_all(
    trial: Trial, journal: Journal, changes: Sequence[Change], elapsed: Mapping[str, float], say: Say
) -> dict[str, list[Judgement]]:
    """First the workloads that judge in any case; then, for what is not out yet, the one that looks deeper."""
    judged: dict[str, list[Judgement]] = {change.name: [] for change in changes}
    known = {
        (event["change"], event["judgement"]["workload"]): Judgement.from_json(event["judgement"])
        for event in journal.events
        if event["event"] == "judged"
    }
    if known:
        say(f"resuming: {len(known)} judgements made before")

    def settle(todo: Sequence[tuple[Change, str]]) -> None:
        open_ones = [(change, name) for change, name in todo if (change.name, name) not in known]
        open_ones.sort(key=lambda one: elapsed[one[1]])  # What is wrong shows early, and what runs together takes as long.
        for start in range(0, len(open_ones), AT_ONCE):
            part = open_ones[start : start + AT_ONCE]
            for (change, _), judgement in zip(part, _judge_some(trial, part, elapsed), strict=True):
                known[change.name, judgement.workload] = judgement
                journal.add({"event": "judged", "change": change.name, "judgement": judgement.to_json()})
                if judgement.verdict in (Verdict.SILENT, Verdict.UNDECIDED):
                    say(f"{judgement.verdict}: {change.name}: {judgement.why}")
            say(f"  {start + len(part)} of {len(open_ones)} judged")
        for change, name in todo:
            judged[change.name].append(known[change.name, name])

    settle([(change, name) for change in changes for name in change.runs])
    passing = [
        (change, change.deep)
        for change in changes
        if change.deep is not None and all(_passes(one) for one in judged[change.name])
    ]
    say(f"{len(passing)} changes that passed are looked at more deeply")
    settle(passing)
    return judged


def _passes(judgement: Judgement) -> bool:
    return judgement.verdict in (Verdict.IDENTICAL, Verdict.BOTH_REFUSE)


def _judge_some(trial: Trial, part: Sequence[tuple[Change, str]], elapsed: Mapping[str, float]) -> Iterator[Judgement]:
    limits = [3 * elapsed[name] + PATIENCE for _, name in part]
    requests = [
        request for (change, name), limit in zip(part, limits, strict=True) for request in trial.requests(name, change, limit)
    ]
    for (change, name), limit, (legacy, stripped) in zip(part, limits, trial.pairs(requests), strict=True):
        judgement = judge(name, legacy, stripped, limit)
        if judgement.verdict is Verdict.SILENT and isinstance(legacy, Recorded) and isinstance(stripped, Recorded):
            again = trial.recorded.server.run_many(trial.requests(name, change, limit)[:1])[0]
            if isinstance(again, Failed) or compare(legacy.ledger, again.ledger) is not None:
                why = "the legacy does not repeat under this change"
                judgement = dataclasses.replace(judgement, verdict=Verdict.UNDECIDED, why=why)
        yield _without(judgement, f"{trial.trees[1]}/")


def _without(judgement: Judgement, folder: str) -> Judgement:
    """Where the copy lies says nothing, and is another place in every run."""
    error = judgement.stripped_error
    return dataclasses.replace(judgement, stripped_error=None if error is None else error.replace(folder, ""))
