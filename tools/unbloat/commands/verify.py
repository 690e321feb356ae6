"""Compare a tree with the legacy, or with goldens that came with it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from unbloat.against import committed, verify_against
from unbloat.commands.command import Command, add_phase, add_subject, add_tree
from unbloat.errors import SubjectError
from unbloat.phases import chosen_phases, recording, verify_tree
from unbloat.report.progress import progress
from unbloat.subject import Phase, Subject, load_subject
from unbloat.verify.tree_checks import assert_holds_package


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    which = parser.add_mutually_exclusive_group()
    add_phase(which)
    which.add_argument(
        "--against", type=Path, metavar="FOLDER", help="compare with these goldens, maybe of another machine; record nothing"
    )
    add_tree(parser)
    parser.add_argument(
        "--workload", action="append", metavar="NAME", help="only this one, may be repeated (default: the gates)"
    )
    parser.add_argument("--watch", action="store_true", help="verify again on every save, until Ctrl-C")


def run(options: argparse.Namespace, console: Console) -> int:
    if options.against is not None and (options.watch or options.workload):
        raise SubjectError("--against compares with every golden of a folder, once; leave out --watch and --workload")
    subject = load_subject(options.subject)
    tree = (options.tree or subject.stripped).resolve()
    gate = _gate(subject, options.phase, options.workload)
    assert_holds_package(subject, tree)
    if options.watch:
        _watch(options, tree, console)
    with progress(console, "verify") as say:
        if options.against is not None:
            found = verify_against(subject, tree, committed(subject, options.against), say)
            verdict = f"{'differs from' if found else 'agrees with'} the goldens in {options.against}"
        else:
            with recording(subject, say, [subject.workload(name) for name in gate]) as recorded:
                found = verify_tree(recorded, tree, [Phase("chosen", (), gate)], say)
            verdict = f"{'differs from' if found else 'identical to'} the legacy"
    for line in found:
        console.print(f"differs: {line}", markup=False, highlight=False)
    console.print(f"{tree.name}: {verdict}", markup=False, highlight=False)
    return 1 if found else 0


def _watch(options: argparse.Namespace, tree: Path, console: Console) -> None:
    """Until Ctrl-C; begins anew when something changes that the goldens rest on."""
    # Nobody else needs the library that it watches files with.
    from unbloat.watch import watch

    while True:
        subject = load_subject(options.subject)
        gate = _gate(subject, options.phase, options.workload)
        with progress(console, "watch") as say, recording(subject, say, [subject.workload(name) for name in gate]) as recorded:
            say(f"watching {tree}; Ctrl-C ends it")
            watch(recorded, tree, gate, say)


def _gate(subject: Subject, phase: str | None, workloads: Sequence[str] | None) -> tuple[str, ...]:
    """The workloads that were asked for, each once, in the order of the phases."""
    known = [workload.name for workload in subject.workloads]
    for name in workloads or ():
        if name not in known:
            raise SubjectError(f"{subject.file}: no workload {name!r}; known: {', '.join(known)}")
    if workloads:
        return tuple(dict.fromkeys(workloads))
    return tuple(dict.fromkeys(name for one in chosen_phases(subject, phase) for name in one.gate))


COMMAND = Command("verify", "compare a tree with the legacy's goldens", add_arguments, run)
