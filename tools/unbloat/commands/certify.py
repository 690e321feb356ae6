"""Write a certificate, or recompute one."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.certify import certify, check, load_statement, result_of, to_text
from unbloat.certify.statement import Result
from unbloat.commands.command import Command, add_subject
from unbloat.golden.environment import Lane
from unbloat.report.progress import progress
from unbloat.subject import Subject, load_subject
from unbloat.verify.lock import exclusive
from unbloat.verify.server import Server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="run every gate on both trees and write what came of it to this file")
    what.add_argument("--check", type=Path, help="recompute this certificate and name the first thing that differs")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    # Nobody may strip meanwhile: the digests would be of one tree, and the runs of another.
    with exclusive(subject.state):
        return _check(options.check, subject, console) if options.check is not None else _write(options.out, subject, console)


def _write(out: Path, subject: Subject, console: Console) -> int:
    with progress(console, "certify") as say, Server(subject.preload) as server:
        found = certify(subject, server, say)
    replace_text(out, to_text(found))
    console.print(f"{out}: {result_of(found)}", markup=False, highlight=False)
    return 1 if result_of(found) is Result.FAILED else 0


def _check(path: Path, subject: Subject, console: Console) -> int:
    certificate = load_statement(path)
    with progress(console, "certify") as say, Server(subject.preload) as server:
        verdict = check(subject, server, certificate, say)
    across = verdict.lane is Lane.ACROSS_MACHINES
    lines = [f"lane: {'across machines' if across else 'same machine'}: {verdict.lane.value}", *verdict.environment]
    lines += [f"not compared: {', '.join(verdict.left_out)}"] if verdict.left_out else []
    if verdict.difference is not None:
        lines.append(f"differs: {verdict.difference}")
    else:
        lines.append(f"{path}: {result_of(certificate)}, as recomputed here; {verdict.compared} things compared")
    for line in lines:
        console.print(line, markup=False, highlight=False)
    return 0 if verdict.difference is None and result_of(certificate) is not Result.FAILED else 1


COMMAND = Command("certify", "write a certificate of the stripped tree, or recompute one", add_arguments, run)
