"""Strip the phases."""

from __future__ import annotations

import argparse

from rich.console import Console

from unbloat.commands.command import Command, add_phase, add_subject
from unbloat.figures import save_memory
from unbloat.memory import PeakMemory
from unbloat.phases import chosen_phases, recording, strip_phase
from unbloat.plan.removal import Removal
from unbloat.record import Say
from unbloat.report.progress import progress
from unbloat.report.tables import file_rows, size_table
from unbloat.strip import PhaseRun
from unbloat.subject import Phase, load_subject
from unbloat.verify.lock import exclusive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    add_phase(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    phases = chosen_phases(subject, options.phase)
    earlier: list[Removal] = []
    with (
        exclusive(subject.state),
        progress(console, "strip") as say,
        PeakMemory() as memory,
        recording(subject, say) as recorded,
    ):
        for phase in phases:
            say(f"phase {phase.name}")
            run = strip_phase(recorded, phase, earlier, say)
            earlier += run.tally.accepted
            _show_tally(phase, run, say)
    save_memory(subject, recorded.key, memory.peak)
    for phase in phases:
        console.print(size_table(file_rows(subject, phase, earlier)))
    return 0


def _show_tally(phase: Phase, run: PhaseRun, say: Say) -> None:
    tally = run.tally
    for removal, reason in tally.vetoed:
        say(f"vetoed {removal.file}:{removal.line}: {reason}")
    spent = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in tally.seconds.items())
    say(
        f"phase {phase.name}: {len(tally.accepted)} removals accepted, {len(tally.rejected)} kept after all, "
        f"{tally.verifications} verifications; {spent}"
    )


COMMAND = Command("strip", "strip the phases, one after the other, and put the tree in place", add_arguments, run)
