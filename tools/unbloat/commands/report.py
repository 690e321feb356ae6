"""Show what came of stripping."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.commands.command import Command, add_subject
from unbloat.finished import finished
from unbloat.gather import gather
from unbloat.phases import Recording, recording, stripped_phases, verify_tree
from unbloat.record import Say
from unbloat.report.executed import executed
from unbloat.report.progress import progress
from unbloat.report.status import status_page
from unbloat.report.tables import file_rows, size_table
from unbloat.subject import Phase, load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--status", type=Path, help="write the status page to this file")
    parser.add_argument("--json", type=Path, help="write every figure to this file, for a page of results")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    with progress(console, "report") as say, recording(subject, say) as recorded:
        done = stripped_phases(recorded)
        phases = [phase for phase in subject.phases if phase.name in done]
        verdicts = {phase.name: _verdict(recorded, phase, say) for phase in phases}
        if options.json is not None:
            say("gathering figures")
            replace_text(options.json, json.dumps(gather(recorded, done, finished(recorded, done), verdicts), indent=1) + "\n")
    for phase in phases:
        console.print(size_table(file_rows(subject, phase, done[phase.name])))
    ran = executed(subject, recorded.facts) if subject.installed is not None else None
    if ran is not None:
        console.print(ran.line(), highlight=False)
    page = status_page(subject, done, verdicts, ran)
    if options.status is not None:
        replace_text(options.status, page)
        console.print(f"status page: {options.status}", markup=False)
    if options.json is not None:
        console.print(f"figures: {options.json}", markup=False)
    return 0 if all(verdict == "identical" for verdict in verdicts.values()) else 1


def _verdict(recorded: Recording, phase: Phase, say: Say) -> str:
    found = verify_tree(recorded, recorded.subject.stripped, [phase], say)
    return found[0] if found else "identical"


COMMAND = Command("report", "write the status page and print the sizes", add_arguments, run)
