"""Show what came of stripping."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.commands.command import Command, add_subject
from unbloat.finished import check_in_place, finished
from unbloat.gather import gather
from unbloat.html import collect, page
from unbloat.integrity import integrity_report
from unbloat.integrity.show import show_report
from unbloat.phases import Recording, recording_of_stripped, stripped_phases, verify_tree
from unbloat.record import Say
from unbloat.report.executed import executed
from unbloat.report.progress import progress
from unbloat.report.status import status_page
from unbloat.report.tables import file_rows, size_table
from unbloat.subject import Phase, load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--status", type=Path, help="write the status page to this file")
    parser.add_argument("--integrity", type=Path, help="write the self-check of the reproduction to this file")
    parser.add_argument("--json", type=Path, help="write every figure to this file, for a page of results")
    parser.add_argument("--html", type=Path, help="write one page to this file: both trees, and the evidence for every line")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    with progress(console, "report") as say, recording_of_stripped(subject, say) as recorded:
        done = stripped_phases(recorded)
        phases = [phase for phase in subject.phases if phase.name in done]
        verdicts = {phase.name: _verdict(recorded, phase, say) for phase in phases}
        if options.json is not None or options.html is not None:
            say("gathering figures")
            state = finished(recorded, done)
            check_in_place(subject, state)
            figures = gather(recorded, done, state, verdicts)
            if options.json is not None:
                replace_text(options.json, json.dumps(figures, indent=1) + "\n")
            if options.html is not None:
                say("tracing every line")
                replace_text(options.html, page(collect(recorded, done, state, verdicts, figures)))
        checked = integrity_report(recorded, done, verdicts, say) if options.integrity is not None else None
    for phase in phases:
        console.print(size_table(file_rows(subject, phase, done[phase.name])))
    ran = executed(subject, recorded.facts) if subject.installed is not None else None
    if ran is not None:
        console.print(ran.line(), highlight=False)
    if options.status is not None:
        replace_text(options.status, status_page(subject, done, verdicts, ran))
    for what, path in (("status page", options.status), ("figures", options.json), ("report", options.html)):
        if path is not None:
            console.print(f"{what}: {path}", markup=False)
    if checked is not None:
        show_report(options.integrity, checked, console)
    failed = checked is not None and checked.failed
    return 0 if not failed and all(verdict == "identical" for verdict in verdicts.values()) else 1


def _verdict(recorded: Recording, phase: Phase, say: Say) -> str:
    found = verify_tree(recorded, recorded.subject.stripped, [phase], say)
    return found[0] if found else "identical"


COMMAND = Command("report", "write the status page, the figures or the HTML report, and print the sizes", add_arguments, run)
