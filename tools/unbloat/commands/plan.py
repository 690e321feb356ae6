"""Show what stripping would do."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.commands.command import Command, add_phase, add_subject
from unbloat.integrity import plan_report
from unbloat.integrity.show import show_report
from unbloat.phases import chosen_phases, plan_phase, recording
from unbloat.plan.removal import Removal
from unbloat.record import Say
from unbloat.report.progress import progress
from unbloat.strip import PhaseRun
from unbloat.subject import Phase, load_subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    add_phase(parser)
    parser.add_argument("--json", type=Path, help="also write the plan to this file")
    parser.add_argument(
        "--report", type=Path, help="also write the report of what would be left, before any edit, to this file"
    )


def run(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    phases = chosen_phases(subject, options.phase)
    plan: list[dict[str, object]] = []
    earlier: list[Removal] = []
    runs: list[PhaseRun] = []
    with progress(console, "plan") as say, recording(subject, say) as recorded:
        for phase in phases:
            run = plan_phase(recorded, phase, earlier, say)
            earlier += run.tally.accepted
            runs.append(run)
            plan += _show_plan(phase, run, say)
        planned = plan_report(recorded, runs, say) if options.report is not None else None
    if options.json is not None:
        replace_text(options.json, json.dumps(plan, indent=1) + "\n")
        console.print(f"plan: {len(plan)} entries in {options.json}", markup=False)
    if planned is not None:
        show_report(options.report, planned, console)
    return 0


def _show_plan(phase: Phase, run: PhaseRun, say: Say) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    for removal in run.tally.accepted:
        say(f"{removal.file}:{removal.line}  {removal.pass_name} [{removal.evidence.value}] {removal.reason}")
        entries.append({"phase": phase.name, "fate": "remove", **removal.to_json()})
    for fate, found in (("kept", run.tally.rejected), ("veto", run.tally.vetoed)):
        for removal, reason in found:
            say(f"{removal.file}:{removal.line}  {fate}: {reason}")
            entries.append({"phase": phase.name, "fate": fate, "because": reason, **removal.to_json()})
    return entries


COMMAND = Command("plan", "print what would go, why, and on what evidence; change nothing", add_arguments, run)
