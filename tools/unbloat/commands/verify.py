"""Compare a tree with the legacy."""

from __future__ import annotations

import argparse

from rich.console import Console

from unbloat.commands.command import Command, add_phase, add_subject, add_tree
from unbloat.phases import chosen_phases, recording, verify_tree
from unbloat.report.progress import progress
from unbloat.subject import load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    add_phase(parser)
    add_tree(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    tree = (options.tree or subject.stripped).resolve()
    with progress(console, "verify") as say, recording(subject, say) as recorded:
        found = verify_tree(recorded, tree, chosen_phases(subject, options.phase), say)
    for line in found:
        console.print(f"differs: {line}", markup=False, highlight=False)
    console.print(f"{tree.name}: {'differs from' if found else 'identical to'} the legacy", highlight=False)
    return 1 if found else 0


COMMAND = Command("verify", "compare a tree with the legacy's goldens", add_arguments, run)
