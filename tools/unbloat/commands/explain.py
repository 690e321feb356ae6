"""Tell the fate of a legacy line, or the origin of a line that is left."""

from __future__ import annotations

import argparse

from rich.console import Console

from unbloat.commands.command import Command, add_subject
from unbloat.finished import check_in_place, finished, provenance
from unbloat.phases import journaled, recording_of_stripped, stripped_phases
from unbloat.report.explain import explain, explain_stripped, is_stripped, locate, locate_stripped
from unbloat.report.status import rejected
from unbloat.strip import PhaseRun
from unbloat.subject import load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--stripped", action="store_true", help="FILE:LINE is a line of the stripped tree, not of the legacy")
    parser.add_argument("place", metavar="FILE:LINE", help="a line of the legacy, or of a file in the stripped folder")


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    backwards = options.stripped or is_stripped(subject, options.place)
    place = (locate_stripped if backwards else locate)(subject, options.place)
    with recording_of_stripped(subject, lambda _: None) as recorded:
        done = stripped_phases(recorded)
        phases = [phase for phase in subject.phases if phase.name in done]
        for phase in subject.phases:
            if not backwards and place[0] in phase.files and phase.name not in done:
                journaled(recorded, phase)
        state = finished(recorded, done)
        if backwards:
            check_in_place(subject, state)
        traced = provenance(subject, done, state)
        if backwards:
            lines = explain_stripped(subject, recorded.facts, traced, place)
        else:
            kept = [one for phase in phases for one in rejected(subject, phase)]
            lines = explain(subject, PhaseRun(subject, phases[-1], recorded.facts, []).view(), traced, place, kept)
        for text in lines:
            console.print(text, markup=False, highlight=False)
    return 0


COMMAND = Command("explain", "tell the fate of a legacy line, or the origin of one that is left", add_arguments, run)
