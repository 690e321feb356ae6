"""Name the first operation or recorded value in which two trees differ."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.commands.command import Command, add_subject
from unbloat.diff import first_divergence
from unbloat.errors import SubjectError
from unbloat.report.progress import progress
from unbloat.subject import Subject, Workload, load_subject
from unbloat.verify.server import Server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("first", "second"):
        parser.add_argument(name, metavar="TREE", help="a folder that holds the package, or `legacy` or `stripped`")
    add_subject(parser)
    parser.add_argument("--workload", action="append", help="ask this workload; may be given again (default: all of the gates)")
    parser.add_argument("--json", type=Path, help="also write what was found to this file")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    first, second = (_tree(subject, name) for name in (options.first, options.second))
    found = None
    with progress(console, "diff") as say, Server(subject.preload) as server:
        for workload in _chosen(subject, options.workload):
            found = first_divergence(server, subject, workload, first, second)
            say(f"{workload.name}: {'identical' if found is None else found.kind}")
            if found is not None:
                break
    if options.json is not None:
        fields = {"first": str(first), "second": str(second), "finding": None if found is None else found.to_json()}
        replace_text(options.json, json.dumps(fields, indent=1) + "\n")
    for line in [f"{options.second}: identical to {options.first}"] if found is None else found.lines("first", "second"):
        console.print(line, markup=False, highlight=False)
    return 0 if found is None else 1


def _tree(subject: Subject, name: str) -> Path:
    tree = {"legacy": subject.legacy, "stripped": subject.stripped}.get(name, Path(name)).resolve()
    if not (tree / subject.package / "__init__.py").is_file():
        raise SubjectError(f"{tree}: holds no package {subject.package!r}; name a folder that does, `legacy` or `stripped`")
    return tree


def _chosen(subject: Subject, names: list[str] | None) -> list[Workload]:
    """In the order of the gates, which have the cheapest first."""
    known = [workload.name for workload in subject.workloads]
    for name in names or ():
        if name not in known:
            raise SubjectError(f"{subject.file}: no workload {name!r}; known: {', '.join(known)}")
    gates = [name for phase in subject.phases for name in phase.gate]
    return [subject.workload(name) for name in dict.fromkeys(names or gates)]


COMMAND = Command("diff", "name the first operation or recorded value in which two trees differ", add_arguments, run)
