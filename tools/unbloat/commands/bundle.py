"""Write a folder that works alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from unbloat.bundle import make_bundle, write_bundle
from unbloat.commands.command import Command, add_subject
from unbloat.report.progress import progress
from unbloat.subject import load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, or to write anew")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    with progress(console, "bundle") as say:
        made = make_bundle(subject, say)
    write_bundle(options.out.resolve(), made)
    for line in made.summary():
        console.print(line, markup=False, highlight=False)
    console.print(f"bundle: {len(made.files)} files in {options.out}", markup=False, highlight=False)
    return 0


COMMAND = Command(
    "bundle",
    "write a folder that works alone: the stripped package, its config, requirements and scripts",
    add_arguments,
    run,
)
