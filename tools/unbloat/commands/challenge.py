"""Ask the stripped tree for what was removed."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.challenge.challenge import DEFAULT_LIMIT, challenge
from unbloat.challenge.report import count_table, is_silent, lines, written
from unbloat.commands.command import Command, add_subject, add_tree
from unbloat.errors import SubjectError
from unbloat.phases import recording
from unbloat.report.progress import progress
from unbloat.subject import load_subject
from unbloat.verify.lock import exclusive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    add_tree(parser)
    parser.add_argument("--limit", type=int, default=DEFAULT_LIMIT, help="changes at most (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write every change and verdict to this file")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    if options.limit < 1:
        raise SubjectError(f"--limit {options.limit}: at least one change has to be tried")
    tree = (options.tree or subject.stripped).resolve()
    with exclusive(subject.state), progress(console, "challenge") as say, recording(subject, say) as recorded:
        result = challenge(recorded, tree, options.limit, say)
    if options.json is not None:
        replace_text(options.json, written(result, subject.root))
    console.print(count_table(result))
    for line in lines(result):
        console.print(line, markup=False, highlight=False)
    return 1 if is_silent(result) else 0


COMMAND = Command(
    "challenge",
    "change one pin at a time: does the stripped tree follow, or say that it cannot?",
    add_arguments,
    run,
)
