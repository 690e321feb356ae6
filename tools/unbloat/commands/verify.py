"""Compare a tree with the legacy, or with goldens that came with it."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from unbloat.against import committed, verify_against
from unbloat.commands.command import Command, add_phase, add_subject, add_tree
from unbloat.phases import chosen_phases, recording, verify_tree
from unbloat.report.progress import progress
from unbloat.subject import load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    which = parser.add_mutually_exclusive_group()
    add_phase(which)
    which.add_argument(
        "--against", type=Path, metavar="FOLDER", help="compare with these goldens, maybe of another machine; record nothing"
    )
    add_tree(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    tree = (options.tree or subject.stripped).resolve()
    with progress(console, "verify") as say:
        if options.against is not None:
            found = verify_against(subject, tree, committed(subject, options.against), say)
            verdict = f"{'differs from' if found else 'agrees with'} the goldens in {options.against}"
        else:
            with recording(subject, say) as recorded:
                found = verify_tree(recorded, tree, chosen_phases(subject, options.phase), say)
            verdict = f"{'differs from' if found else 'identical to'} the legacy"
    for line in found:
        console.print(f"differs: {line}", markup=False, highlight=False)
    console.print(f"{tree.name}: {verdict}", markup=False, highlight=False)
    return 1 if found else 0


COMMAND = Command("verify", "compare a tree with the legacy's goldens", add_arguments, run)
