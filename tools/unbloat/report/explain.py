"""The fate of a legacy line, or the origin of a line that is left, and the evidence for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from unbloat.edit import Span
from unbloat.errors import SubjectError
from unbloat.evidence import Facts, Module
from unbloat.evidence.facts import Outcomes
from unbloat.evidence.support import type_of
from unbloat.plan.removal import Removal
from unbloat.plan.view import View
from unbloat.report.fate import Fate
from unbloat.report.lexed import Lexed
from unbloat.report.provenance import Provenance
from unbloat.restructure.provenance import Line
from unbloat.subject import Subject
from unbloat.subject.model import modules


def locate(subject: Subject, place: str) -> Line:
    """Read FILE:LINE of the legacy; FILE relative to the legacy folder, the package, or where the user stands.

    Raises:
        SubjectError: there is no such legacy file or line.
    """
    return _locate(subject.legacy, subject.sources(), subject.package, place, "legacy")


def locate_stripped(subject: Subject, place: str) -> Line:
    """The same for a line of the stripped tree."""
    return _locate(subject.stripped, modules(subject.stripped, subject.package), subject.package, place, "stripped")


def is_stripped(subject: Subject, place: str) -> bool:
    """Whether FILE:LINE names a file in the stripped folder, as seen from where the user stands."""
    path = (Path.cwd() / place.rpartition(":")[0]).resolve()
    return path.is_relative_to(subject.stripped) and path.is_file()


def _locate(tree: Path, files: Sequence[str], package: str, place: str, what: str) -> Line:
    name, _, number = place.rpartition(":")
    if not name or not (number.isascii() and number.isdecimal()):
        raise SubjectError(f"{place!r} is not FILE:LINE")
    file = _module(tree, files, package, name)
    count = max(len(_lines(tree, file)), 1)
    if not 1 <= int(number) <= count:
        raise SubjectError(f"{file}:{number}: the {what} file has lines 1 to {count}")
    return file, int(number)


def _module(tree: Path, files: Sequence[str], package: str, name: str) -> str:
    """The path relative to the tree; the end of a path will do where only one module ends so."""
    for folder in (tree, tree / package, Path.cwd()):
        path = (folder / name).resolve()
        if path.is_relative_to(tree) and path.relative_to(tree).as_posix() in files:
            return path.relative_to(tree).as_posix()
    matches = [file for file in files if file.endswith("/" + name)]
    if len(matches) != 1:
        what = "no such module" if not matches else f"could be {', '.join(matches)}"
        raise SubjectError(f"{name}: {what} under {tree / package}")
    return matches[0]


def _lines(tree: Path, file: str) -> list[str]:
    return Lexed((tree / file).read_bytes().decode()).lines or [""]


def explain(
    subject: Subject, view: View, traced: Provenance, place: Line, rejected: Sequence[tuple[Removal, str]]
) -> Iterator[str]:
    """What became of a legacy line, in a few sentences; `view` is the subject before any edit."""
    file, line = place
    yield f"{file}:{line}: {_lines(subject.legacy, file)[line - 1].strip()}"
    ran = view.facts.executed(file, line)
    yield f"executed by: {', '.join(ran) if ran else 'no workload'}"
    told = traced.legacy[file][line - 1] if traced.legacy[file] else None
    if told is None:
        return
    yield f"fate: {told.fate.value}" + (f", with line {told.decider}" if told.decider != line else "")
    if told.why:
        yield told.why
    if told.went:
        yield f"is now: {_places(told.went)}"
    for number in told.causes:
        yield from _evidence(traced.removals[number], view.facts)
    if (veto := view.is_vetoed(file, Span(line, 0, line, 0))) is not None:
        yield f"veto: {veto}"
    for one, reason in rejected:
        if one.file == file and one.place.line <= line <= one.place.end_line:
            yield f"tried by `{one.pass_name}` and kept: {reason}"
    if told.fate not in (Fate.REMOVED, Fate.FOLDED):
        yield from _decisions(view, view.program.module_at(file), line)


def explain_stripped(subject: Subject, facts: Facts, traced: Provenance, place: Line) -> Iterator[str]:
    """Where a line that is left has come from, and on what evidence it is not the legacy's to the letter."""
    file, line = place
    yield f"{file}:{line}: {_lines(subject.stripped, file)[line - 1].strip()}"
    if not traced.stripped[file]:
        return
    told = traced.stripped[file][line - 1]
    yield f"origin: {told.origin.value}" + (f", {told.why}" if told.why else "")
    for source, number in told.legacy:
        yield f"legacy {source}:{number}: {_lines(subject.legacy, source)[number - 1].strip()}"
    for number in told.causes:
        yield from _evidence(traced.removals[number], facts)


def _places(lines: Sequence[Line]) -> str:
    return ", ".join(f"{file}:{line}" for file, line in lines)


def _evidence(removal: Removal, facts: Facts) -> Iterator[str]:
    yield f"  {removal.pass_name} at line {removal.place.line}: {removal.reason}"
    yield f"  evidence: {removal.evidence.value}"
    yield from (f"  pin: {pin}" for pin in pins_of(removal, facts))


def pins_of(removal: Removal, facts: Facts) -> Iterator[str]:
    """What a removal rests on, one pin a line."""
    for key in sorted(removal.support.keys):
        kind, value = facts.values[key][0]
        yield f"{key} {f'= {value!r}' if kind == 'value' else f'is {kind}'}"
    for key in sorted(removal.support.types):
        yield f"type of {key or 'the config'}: {type_of(facts.values[key][0])}"
    for name in sorted(removal.support.environment):
        yield f"environment variable {name}"
    for pin in sorted(removal.support.arguments, key=lambda pin: pin.name):
        yield f"argument {pin.name} of line {pin.function.line} in {pin.values!r}"


def _decisions(view: View, module: Module, line: int) -> Iterator[str]:
    """The decisions that begin on a line: what was seen, and what stands in the way of folding them."""
    for site, per_workload in sorted(view.facts.counts.get(module.file, {}).items()):
        if site.span.line != line or site.kind in ("function", "try", "walk"):
            continue
        seen = ", ".join(f"{name} {count.true} true / {count.false} false" for name, count in per_workload.items())
        yield f"decision ({site.kind}): {seen}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.If | ast.While | ast.IfExp) and node.lineno == line:
            outcomes = view.facts.outcomes(module.file, Span.of(node), type(node).__name__.lower())
            yield f"  {obstacle(view, module, node.test, outcomes)}"


def obstacle(view: View, module: Module, test: ast.expr, outcomes: Outcomes) -> str:
    """Why a decision was not folded, in a few words."""
    if module.file not in view.files:
        return "no phase that is stripped has this file"
    if not outcomes.true and not outcomes.false:
        return "no workload got here"
    if outcomes.only is None:
        return "went both ways"
    if view.flow.support(module, test) is None:
        return "DYNAMIC: data, or something that is not known before the run, can decide it"
    if not view.purity.is_pure(module, test):
        return "STATIC, but evaluating it may have an effect"
    return "STATIC: the pins settle it"
