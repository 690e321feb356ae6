"""Run the workloads on the legacy."""

from __future__ import annotations

import argparse

from rich.console import Console

from unbloat.commands.command import Command, add_subject
from unbloat.phases import recording
from unbloat.report.progress import progress
from unbloat.subject import load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    with progress(console, "record") as say, recording(subject, say, subject.workloads) as recorded:
        for name, golden in recorded.goldens.items():
            say(f"{name}: {len(golden.entries)} entries, digest {golden.digest()}")
    return 0


COMMAND = Command("record", "run the workloads on the legacy: goldens and evidence", add_arguments, run)
