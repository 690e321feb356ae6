"""What the commands do: plan, strip and verify the phases of a subject, each from the tree of the one before."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from unbloat.errors import SubjectError
from unbloat.evidence import Facts
from unbloat.figures import save_figures
from unbloat.finish import finish
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.plan.passes import STAGES, Pass
from unbloat.plan.removal import Removal
from unbloat.record import Say, record, subject_key
from unbloat.restructure import Aliases, gate, load_aliases, save_aliases, with_aliases
from unbloat.restructure import Judge as TreeJudge
from unbloat.rounds import removals_of
from unbloat.strip import Judge, PhaseRun, tree_digest, write_output
from unbloat.subject import Phase, Subject, Workload
from unbloat.verify.journal import Journal, read_journal
from unbloat.verify.outcome import Failed, Request
from unbloat.verify.server import Server
from unbloat.verify.tree_checks import TreeChecks, assert_holds_package


@dataclass(frozen=True)
class Recording:
    """A warm server with everything that was recorded on the legacy."""

    subject: Subject
    server: Server
    goldens: Mapping[str, Ledger]
    facts: Facts
    key: str


@contextmanager
def recording(subject: Subject, say: Say, workloads: Sequence[Workload] | None = None) -> Iterator[Recording]:
    """Start the server and record, or find what was recorded; without a choice, what gates the phases."""
    with Server(subject.preload) as server:
        yield _recorded(subject, server, say, _gating(subject) if workloads is None else workloads)


@contextmanager
def recording_of_stripped(subject: Subject, say: Say) -> Iterator[Recording]:
    """As `recording`; whether the subject is stripped at all is asked before minutes go into that.

    Raises:
        SubjectError: the first phase was not stripped to its end, or not from what is there now.
    """
    with Server(subject.preload) as server:
        _accepted(subject, subject_key(subject, server.environment), subject.phases[0])
        yield _recorded(subject, server, say, _gating(subject))


def _gating(subject: Subject) -> list[Workload]:
    gates = {name for phase in subject.phases for name in phase.gate}
    return [workload for workload in subject.workloads if workload.name in gates]


def _recorded(subject: Subject, server: Server, say: Say, workloads: Sequence[Workload]) -> Recording:
    goldens, facts = record(subject, server, say, workloads)
    return Recording(subject, server, goldens, facts, subject_key(subject, server.environment))


def chosen_phases(subject: Subject, name: str | None) -> tuple[Phase, ...]:
    """The phases up to the named one, or all.

    Raises:
        SubjectError: there is no such phase.
    """
    if name is None:
        return subject.phases
    names = [phase.name for phase in subject.phases]
    if name not in names:
        raise SubjectError(f"{subject.file}: no phase {name!r}; known: {', '.join(names)}")
    return subject.phases[: names.index(name) + 1]


def journal_path(subject: Subject, phase: Phase) -> Path:
    return subject.state / f"{phase.name}.journal.jsonl"


def plan_phase(recorded: Recording, phase: Phase, earlier: Sequence[Removal], say: Say) -> PhaseRun:
    """Everything that a phase would try, checked without running a workload."""
    run = PhaseRun(recorded.subject, phase, recorded.facts, earlier)
    run.run(run.fault, None, say)
    return run


def strip_phase(
    recorded: Recording,
    phase: Phase,
    earlier: Sequence[Removal],
    say: Say,
    stages: Sequence[Sequence[Pass]] = STAGES,
) -> PhaseRun:
    """Strip one phase and put the tree in place; a run that was killed goes on where it was."""
    started = time.perf_counter()
    run = PhaseRun(recorded.subject, phase, recorded.facts, earlier, stages)
    basis = tree_digest({str(index): repr(removal).encode() for index, removal in enumerate(earlier)})
    journal = Journal(journal_path(recorded.subject, phase), f"{recorded.key}/{phase.name}/{basis[:16]}")
    resumed = len(journal.events) > 1
    judge = Judge(run, recorded.server, recorded.goldens, say)
    run.run(judge, journal, say)
    finished = finish(recorded.subject, phase, run.files(), _counted(recorded, run), journal, say)
    digest = write_output(recorded.subject, finished.files)
    save_aliases(recorded.subject, finished.aliases)
    if journal.events[-1]["event"] != "done":
        journal.add({"event": "done", "digest": digest})
    run.tally.seconds["all"] = time.perf_counter() - started
    save_figures(recorded.subject, phase, journal.events[0]["key"], run.tally, resumed=resumed)
    return run


def _counted(recorded: Recording, run: PhaseRun) -> TreeJudge:
    """The gate, as a judge of whole trees, whose verifications and seconds count like any other."""
    ask = gate(recorded.subject, recorded.server, recorded.goldens, run.phase.gate)

    def judge(files: Mapping[str, bytes], aliases: Aliases) -> str | None:
        started = time.perf_counter()
        run.tally.verifications += 1
        reason = ask(files, aliases)
        run.tally.spend("verification", started)
        return reason

    return judge


def journaled(recorded: Recording, phase: Phase) -> list[Removal]:
    """What an earlier `strip` accepted.

    Raises:
        SubjectError: the phase was not stripped to its end, or not from what is there now.
    """
    return _accepted(recorded.subject, recorded.key, phase)


def _accepted(subject: Subject, key: str, phase: Phase) -> list[Removal]:
    events = read_journal(journal_path(subject, phase))
    again = f"run `unbloat strip --phase {phase.name}` first"
    if not events or events[-1]["event"] != "done":
        raise SubjectError(f"phase {phase.name!r} is not stripped yet; {again}")
    if not str(events[0].get("key")).startswith(f"{key}/{phase.name}/"):
        raise SubjectError(f"phase {phase.name!r} was stripped before something that it depends on changed; {again}")
    return removals_of(events)


def stripped_phases(recorded: Recording) -> dict[str, list[Removal]]:
    """What was accepted in each phase, up to the first one that is open.

    Raises:
        SubjectError: no phase is stripped.
    """
    phases = recorded.subject.phases
    done = {phases[0].name: journaled(recorded, phases[0])}
    for phase in phases[1:]:
        try:
            done[phase.name] = journaled(recorded, phase)
        except SubjectError:
            break
    return done


def verify_tree(recorded: Recording, tree: Path, phases: Sequence[Phase], say: Say) -> list[str]:
    """Compare a tree with the legacy's goldens on every gate workload; one line per difference.

    Raises:
        SubjectError: the tree does not hold the package.
    """
    subject = recorded.subject
    assert_holds_package(subject, tree)
    found = TreeChecks(subject).faults(tree)
    names = list(dict.fromkeys(name for phase in phases for name in phase.gate))
    forbidden = () if tree == subject.legacy else (subject.legacy,)
    plain = [Request(tree, subject.workload(name), forbidden=forbidden, seed=subject.seed) for name in names]
    # A tree keeps what it calls differently beside its package.
    aliases = load_aliases(replace(subject, stripped=tree))
    requests = [with_aliases(request, aliases) for request in plain]
    for name, run in zip(names, recorded.server.run_many(requests), strict=True):
        if isinstance(run, Failed):
            found.append(run.reason)
            say(f"{name}: {run.reason}")
            continue
        divergence = compare(recorded.goldens[name], run.ledger)
        if divergence is not None:
            found.append(f"workload '{name}' differs at `{divergence.entry}`: {divergence.what}")
        say(f"{name}: {'identical' if divergence is None else divergence.what} ({run.seconds:.1f} s)")
    return found
