"""Known limits: what stayed because nobody knows, what raises, what was tried and did not hold, and what covers what."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from unbloat.integrity.report import Check, Section, Table
from unbloat.integrity.reproduction import Reproduction
from unbloat.report.survivors import decisions
from unbloat.report.verbatim import is_wire

_PLACE = re.compile(r"([\w/]+\.py):(\d+)(?:-(\d+))?")


def limits(found: Reproduction) -> Section:
    """Nothing here is wrong; all of it is where a reader should look twice."""
    wires = list(_wires(found))
    unknown = [f"{place}: names {name}" for place, text in wires for name in _unknown_lines(found, text)]
    checks = [Check("each error in the place of stripped code names lines that the legacy has", len(wires), tuple(unknown))]
    return Section("Known limits", tuple(checks), tuple(_tables(found, wires)), tuple(_notes(found)))


def _wires(found: Reproduction) -> Iterator[tuple[str, str]]:
    for file, tree in found.definitions.stripped.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise | ast.Call) and is_wire(node):
                yield f"{file}:{node.lineno}", ast.unparse(node)


def _unknown_lines(found: Reproduction, text: str) -> Iterator[str]:
    for file, first, last in _PLACE.findall(text):
        end = int(last or first)
        if file not in found.legacy or not 1 <= int(first) <= end <= found.legacy[file].count("\n") + 1:
            yield f"{file}:{first}"


def _tables(found: Reproduction, wires: list[tuple[str, str]]) -> Iterator[Table]:
    yield Table("Errors in the place of code that no workload ran", ("stripped", "error"), tuple(wires))
    files = sorted({file for phase in found.phases for file in phase.files} & found.now.keys())
    kept = decisions(found.view, found.definitions.legacy, files)
    rows = tuple((f"{one.file}:{one.line}", f"`{one.text}`", one.reason) for one in kept)
    yield Table("Decisions that stay, and why", ("legacy", "decision", "why it stays"), rows)
    tried = tuple((f"{one.file}:{one.line}", one.pass_name, reason) for one, reason in found.rejected)
    yield Table("Removals that were tried and did not hold", ("legacy", "pass", "first difference"), tried)
    vetoes = tuple((one.file if one.line is None else f"{one.file}:{one.line}", one.reason) for one in found.subject.vetoes)
    yield Table("Vetoes", ("place", "reason"), vetoes)
    yield Table("Steps of restructuring that were left out", ("step", "because"), found.left_out)
    yield Table("What covers each phase", ("phase", "files", "workloads"), tuple(_phases(found)))


def _phases(found: Reproduction) -> Iterator[tuple[str, ...]]:
    done = {phase.name for phase in found.phases}
    for phase in found.subject.phases:
        yield f"{phase.name}{'' if phase.name in done else ' (open)'}", str(len(phase.files)), ", ".join(phase.gate)


def _notes(found: Reproduction) -> Iterator[str]:
    yield "What no workload exercises is not proved: bring the workloads that you would miss."
    if waiting := [phase.name for phase in found.subject.phases if phase not in found.phases]:
        yield f"Open phases: {', '.join(waiting)}."
