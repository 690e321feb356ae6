"""Change the stripped algorithm on purpose: do the goldens notice?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.commands.command import Command, add_subject, add_tree
from unbloat.errors import SubjectError
from unbloat.mutate.report import count_table, lines, to_json
from unbloat.mutate.run import DEFAULT_LIMIT, mutate
from unbloat.phases import recording
from unbloat.report.progress import progress
from unbloat.subject import load_subject
from unbloat.verify.lock import exclusive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    add_tree(parser)
    parser.add_argument("--limit", type=int, default=DEFAULT_LIMIT, help="mutants at most (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write every mutant and verdict to this file")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    if options.limit < 1:
        raise SubjectError(f"--limit {options.limit}: at least one mutant has to be tried")
    tree = (options.tree or subject.stripped).resolve()
    with exclusive(subject.state), progress(console, "mutate") as say, recording(subject, say) as recorded:
        score = mutate(recorded, tree, options.limit, say)
    if options.json is not None:
        replace_text(options.json, json.dumps(to_json(score), indent=1) + "\n")
    console.print(count_table(score))
    for line in lines(score):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0 if score.is_complete else 1


COMMAND = Command("mutate", "change the algorithm a little, many times: do the goldens notice?", add_arguments, run)
