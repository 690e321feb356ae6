"""The command line: every command reads one strip.toml and exits with 0, 1 (a difference was found) or 2 (bad input)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.bundle import make_bundle, write_bundle
from unbloat.challenge.challenge import DEFAULT_LIMIT, challenge
from unbloat.challenge.report import count_table, is_silent, lines, to_json
from unbloat.errors import SubjectError, UnbloatError
from unbloat.figures import save_memory
from unbloat.gather import gather
from unbloat.measure import Measure, measure_path
from unbloat.phases import (
    Recording,
    chosen_phases,
    journaled,
    plan_phase,
    recording,
    strip_phase,
    stripped_phases,
    verify_tree,
)
from unbloat.plan.removal import Removal
from unbloat.record import Say
from unbloat.report.executed import executed
from unbloat.report.explain import explain, locate
from unbloat.report.progress import progress
from unbloat.report.status import rejected, status_page
from unbloat.report.tables import file_rows, size_table
from unbloat.strip import PhaseRun
from unbloat.subject import Phase, first_toml, load_subject
from unbloat.verify.lock import exclusive

BAD_INPUT = 2
_PLAIN_WIDTH = 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    # A file or pipe has no width; a table must not be cut to that of a terminal nobody looks at.
    # And `file.py:100:` is a place, not a picture.
    console = Console(emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    try:
        return int(options.command(options, console))
    except UnbloatError as error:
        return _bad_input(str(error))
    except OSError as error:
        # The user's disk, permissions or paths: a full disk is not a fault of this program.
        place = f"{error.filename}: " if error.filename is not None else ""
        return _bad_input(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        print("unbloat: interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def _bad_input(message: str) -> int:
    print(f"unbloat: error: {' '.join(message.split())}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unbloat", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("init", _init, "write a strip.toml for an installed package and a file of workloads"),
        ("record", _record, "run the workloads on the legacy: goldens and evidence"),
        ("plan", _plan, "print what would go, why, and on what evidence; change nothing"),
        ("strip", _strip, "strip the phases, one after the other, and put the tree in place"),
        ("verify", _verify, "compare a tree with the legacy's goldens"),
        ("challenge", _challenge, "change one pin at a time: does the stripped tree follow, or say that it cannot?"),
        ("report", _report, "write the status page and print the sizes"),
        ("bundle", _bundle, "write a folder that works alone: the stripped package, its config, requirements and scripts"),
        ("explain", _explain, "tell the fate of a legacy line"),
        ("measure", _measure, "count statements, decisions and more in a tree"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        if name == "measure":
            command.add_argument("tree", type=Path, help="a Python file or a folder")
            command.add_argument("--json", action="store_true", help="print one JSON object")
            continue
        if name == "init":
            command.add_argument("--package", required=True, help="the name that it is imported by")
            command.add_argument("--workload", required=True, type=Path, help="a Python file with workload functions")
            command.add_argument("--out", type=Path, default=Path("strip.toml"), help="what to write (default: %(default)s)")
            continue
        command.add_argument("--subject", type=Path, default=Path("strip.toml"), help="the strip.toml (default: %(default)s)")
        if name in ("plan", "strip", "verify"):
            command.add_argument("--phase", help="stop after this phase (default: all)")
        if name == "plan":
            command.add_argument("--json", type=Path, help="also write the plan to this file")
        if name == "challenge":
            command.add_argument("--limit", type=int, default=DEFAULT_LIMIT, help="changes at most (default: %(default)s)")
            command.add_argument("--json", type=Path, help="also write every change and verdict to this file")
        if name in ("verify", "challenge"):
            command.add_argument("--tree", type=Path, help="the folder that holds the package (default: the stripped one)")
        if name == "report":
            command.add_argument("--status", type=Path, help="write the status page to this file")
            command.add_argument("--json", type=Path, help="write every figure to this file, for a page of results")
        if name == "bundle":
            command.add_argument("--out", type=Path, required=True, help="the folder to write, or to write anew")
        if name == "explain":
            command.add_argument("place", metavar="FILE:LINE", help="a line of the legacy")
    return parser


def _init(options: argparse.Namespace, console: Console) -> int:
    out: Path = options.out
    if out.exists():
        raise SubjectError(f"{out}: is there already; name another file with --out")
    replace_text(out, first_toml(options.package, options.workload, out.parent))
    console.print(f"{out}: written; run `unbloat record --subject {out}` next", markup=False, highlight=False)
    return 0


def _record(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    with progress(console, "record") as say, recording(subject, say, subject.workloads) as recorded:
        for name, golden in recorded.goldens.items():
            say(f"{name}: {len(golden.entries)} entries, digest {golden.digest()}")
    return 0


def _plan(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    phases = chosen_phases(subject, options.phase)
    plan: list[dict[str, object]] = []
    earlier: list[Removal] = []
    with progress(console, "plan") as say, recording(subject, say) as recorded:
        for phase in phases:
            run = plan_phase(recorded, phase, earlier, say)
            earlier += run.tally.accepted
            plan += _show_plan(phase, run, say)
    if options.json is not None:
        replace_text(options.json, json.dumps(plan, indent=1) + "\n")
        console.print(f"plan: {len(plan)} entries in {options.json}", markup=False)
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


def _strip(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    phases = chosen_phases(subject, options.phase)
    earlier: list[Removal] = []
    with exclusive(subject.state), progress(console, "strip") as say, recording(subject, say) as recorded:
        for phase in phases:
            say(f"phase {phase.name}")
            run = strip_phase(recorded, phase, earlier, say)
            earlier += run.tally.accepted
            _show_tally(phase, run, say)
    save_memory(subject, recorded.key)
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


def _verify(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    tree = (options.tree or subject.stripped).resolve()
    with progress(console, "verify") as say, recording(subject, say) as recorded:
        found = verify_tree(recorded, tree, chosen_phases(subject, options.phase), say)
    for line in found:
        console.print(f"differs: {line}", markup=False, highlight=False)
    console.print(f"{tree.name}: {'differs from' if found else 'identical to'} the legacy", highlight=False)
    return 1 if found else 0


def _challenge(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    if options.limit < 1:
        raise SubjectError(f"--limit {options.limit}: at least one change has to be tried")
    tree = (options.tree or subject.stripped).resolve()
    with exclusive(subject.state), progress(console, "challenge") as say, recording(subject, say) as recorded:
        result = challenge(recorded, tree, options.limit, say)
    if options.json is not None:
        replace_text(options.json, json.dumps(to_json(result), indent=1) + "\n")
    console.print(count_table(result))
    for line in lines(result):
        console.print(line, markup=False, highlight=False)
    return 1 if is_silent(result) else 0


def _report(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    with progress(console, "report") as say, recording(subject, say) as recorded:
        done = stripped_phases(recorded)
        phases = [phase for phase in subject.phases if phase.name in done]
        verdicts = {phase.name: _verdict(recorded, phase, say) for phase in phases}
        if options.json is not None:
            say("gathering figures")
            replace_text(options.json, json.dumps(gather(recorded, done, verdicts), indent=1) + "\n")
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


def _bundle(options: argparse.Namespace, console: Console) -> int:
    subject = load_subject(options.subject)
    with progress(console, "bundle") as say:
        made = make_bundle(subject, say)
    write_bundle(options.out.resolve(), made)
    for line in made.summary():
        console.print(line, markup=False, highlight=False)
    console.print(f"bundle: {len(made.files)} files in {options.out}", markup=False, highlight=False)
    return 0


def _explain(options: argparse.Namespace, console: Console) -> int:
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


def _measure(options: argparse.Namespace, console: Console) -> int:
    found = measure_path(options.tree)
    everything = sum(found.values(), Measure())
    if options.json:
        print(json.dumps({"files": {name: asdict(one) for name, one in found.items()}, "total": asdict(everything)}))
        return 0
    for name, one in [*found.items(), ("total", everything)]:
        counts = " ".join(f"{key}={value}" for key, value in asdict(one).items())
        console.print(f"{name} {counts}", markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
