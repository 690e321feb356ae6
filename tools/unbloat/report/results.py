"""The figures of a whole strip, as JSON for a page: sizes, survivors, rewritten statements, seconds, memory."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unbloat.edit import Edit
from unbloat.errors import SubjectError
from unbloat.evidence import Facts
from unbloat.measure import Measure, measure_source
from unbloat.plan.guard import guard_edits
from unbloat.plan.removal import Removal
from unbloat.plan.view import View, specialised
from unbloat.report.executed import executed
from unbloat.report.survivors import bodies, decisions
from unbloat.report.verbatim import count_checks, survival
from unbloat.restructure.provenance import Line
from unbloat.subject import Subject

_SHOWN_BODIES = 40


def results(
    subject: Subject,
    facts: Facts,
    view: View,
    removals: Sequence[Removal],
    rendered: Mapping[str, bytes],
    final: Mapping[str, bytes],
    places: Mapping[Line, Line],
) -> dict[str, Any]:
    """Everything that can be read off the trees. `view` has all removals, `rendered` is its package, `final` that of the end.

    Raises:
        SubjectError: the stripped tree on disk is another one.
    """
    for file, content in final.items():
        path = subject.stripped / file
        if not path.is_file() or path.read_bytes() != content:
            raise SubjectError(f"{path}: is not what `unbloat strip` has left; run it again")
    legacy = {file: (subject.legacy / file).read_text(encoding="utf-8") for file in subject.sources()}
    before = {file: ast.parse(text) for file, text in legacy.items()}
    old, new = _texts(rendered), _texts(final)
    files = sorted(file for file in legacy if file in old)
    edits: dict[str, list[Edit]] = {file: list(found) for file, found in guard_edits(view, removals).items()}
    for removal in removals:
        edits.setdefault(removal.file, []).append(removal.edit)
    guarded = specialised(before, edits)
    after = {file: guarded[file] for file in files}
    left = survival(legacy, after, old, new, places, removals)
    ran = executed(subject, facts)
    generated = [text for file, text in new.items() if file not in legacy and file in old]
    return {
        "package": subject.installed or subject.package,
        "phases": [{"name": phase.name, "files": list(phase.files), "gate": list(phase.gate)} for phase in subject.phases],
        "files": [_size(file, legacy[file], old.get(file)) for file in legacy],
        "generated": asdict(sum((measure_source(text) for text in generated), Measure())),
        "executed": asdict(ran),
        "statements": {
            "surviving": left.surviving,
            "verbatim": left.verbatim,
            "wires": left.wires,
            "checks": left.checks,
            "expression_wires": left.expression_wires,
            "guard": left.guard,
        },
        "rewritten": [asdict(one) for one in left.rewritten],
        "functions": [asdict(body) for body in bodies(before, after, facts)[:_SHOWN_BODIES]],
        "decisions": [asdict(one) for one in decisions(view, before, files)],
    }


def recording_seconds(folder: Path, facts: Facts) -> dict[str, dict[str, float]]:
    """By workload, what recording and observing it took; without those of which nobody knows."""
    found = {}
    for workload in facts.workloads:
        path = folder / f"{workload}.seconds.json"
        if path.is_file():
            found[workload] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _size(file: str, before: str, after: str | None) -> dict[str, Any]:
    old = measure_source(before, file)
    new = measure_source(after, file) if after is not None else Measure()
    return {
        "file": file,
        "dropped": after is None,
        "before": {"bytes": old.bytes, "statements": old.statements, "decisions": old.decisions},
        "after": {"bytes": new.bytes, "statements": new.statements, "decisions": new.decisions},
        "checks": count_checks(after) if after is not None else 0,
        "undefined": max(new.undefined - old.undefined, 0),
    }


def _texts(files: Mapping[str, bytes]) -> dict[str, str]:
    return {file: content.decode("utf-8") for file, content in files.items() if file.endswith(".py")}
