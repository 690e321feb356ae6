"""Tell the fate of a line."""

from __future__ import annotations

import argparse

from rich.console import Console

from unbloat.commands.command import Command, add_subject
from unbloat.phases import journaled, recording, stripped_phases
from unbloat.report.explain import explain, locate
from unbloat.report.status import rejected
from unbloat.strip import PhaseRun
from unbloat.subject import load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("place", metavar="FILE:LINE", help="a line of the legacy")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    place = locate(subject, options.place)
    with recording(subject, lambda _: None) as recorded:
        done = stripped_phases(recorded)
        phases = [phase for phase in subject.phases if phase.name in done]
        for phase in subject.phases:
            if place[0] in phase.files and phase.name not in done:
                journaled(recorded, phase)
        accepted = [removal for removals in done.values() for removal in removals]
        kept = [one for phase in phases for one in rejected(subject, phase)]
        before, after = (PhaseRun(subject, phases[-1], recorded.facts, edits).view() for edits in ([], accepted))
        for text in explain(subject, before, after, place, accepted, kept):
            console.print(text, markup=False, highlight=False)
    return 0


COMMAND = Command("explain", "tell the fate of a legacy line", add_arguments, run)
