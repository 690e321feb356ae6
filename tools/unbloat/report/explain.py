"""The fate of one legacy line, and the evidence for it."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from unbloat.edit import DropModule, KeepBranch, Span
from unbloat.errors import SubjectError
from unbloat.evidence import Facts, Module
from unbloat.evidence.facts import Outcomes
from unbloat.evidence.support import type_of
from unbloat.plan.removal import Removal
from unbloat.plan.view import View
from unbloat.report.fate import Fate, fate_of
from unbloat.subject import Subject


def locate(subject: Subject, place: str) -> tuple[str, int]:
    """Read FILE:LINE; the file may be given relative to the legacy folder, the package, or from where the user stands.

    Raises:
        SubjectError: there is no such legacy file or line.
    """
    name, _, number = place.rpartition(":")
    if not name or not (number.isascii() and number.isdecimal()):
        raise SubjectError(f"{place!r} is not FILE:LINE")
    file = _module(subject, name)
    count = len(_lines(subject, file))
    if not 1 <= int(number) <= count:
        raise SubjectError(f"{file}:{number}: the legacy file has lines 1 to {count}")
    return file, int(number)


def _module(subject: Subject, name: str) -> str:
    """The path relative to the legacy; the end of a path will do where only one module ends so."""
    sources = subject.sources()
    for folder in (subject.legacy, subject.legacy / subject.package, Path.cwd()):
        path = (folder / name).resolve()
        if path.is_relative_to(subject.legacy) and path.relative_to(subject.legacy).as_posix() in sources:
            return path.relative_to(subject.legacy).as_posix()
    matches = [file for file in sources if file.endswith("/" + name)]
    if len(matches) != 1:
        what = "no such module" if not matches else f"could be {', '.join(matches)}"
        raise SubjectError(f"{name}: {what} under {subject.legacy / subject.package}")
    return matches[0]


def _lines(subject: Subject, file: str) -> list[str]:
    """As Python counts them: a form feed does not end a line."""
    return io.StringIO((subject.legacy / file).read_bytes().decode(), newline=None).read().removesuffix("\n").split("\n")


def explain(
    subject: Subject,
    view: View,
    after: View,
    place: tuple[str, int],
    accepted: Sequence[Removal],
    rejected: Sequence[tuple[Removal, str]],
) -> Iterator[str]:
    """What became of a line, in a few sentences; `view` is the subject before any edit, `after` with all accepted ones."""
    file, line = place
    lines = _lines(subject, file)
    yield f"{file}:{line}: {lines[line - 1].strip()}"
    ran = view.facts.executed(file, line)
    yield f"executed by: {', '.join(ran) if ran else 'no workload'}"
    module = view.program.module_at(file)
    is_gone = any(one.file == file and isinstance(one.edit, DropModule) for one in accepted)
    left = ast.Module([], []) if is_gone else after.program.module_at(file).tree
    fate, decisive = fate_of(lines, module.tree, left, line)
    yield f"fate: {fate.value}" + (f", with line {decisive}" if decisive != line else "")
    if fate is not Fate.KEPT:
        for one in _causes(module, [one for one in accepted if one.file == file], decisive):
            yield from _evidence(one, view.facts)
    if (veto := view.is_vetoed(file, Span(line, 0, line, 0))) is not None:
        yield f"veto: {veto}"
    for one, reason in rejected:
        if one.file == file and one.place.line <= line <= one.place.end_line:
            yield f"tried by `{one.pass_name}` and kept: {reason}"
    if fate is not Fate.REMOVED:
        yield from _decisions(view, module, line)


def _causes(module: Module, accepted: Sequence[Removal], line: int) -> list[Removal]:
    """The edits that name a line; else those within the statement that begins there, as with a `try` of dropped handlers.

    A fold names no line that was wired before it, but takes it away for good.
    """
    named = [
        one
        for one in accepted
        if any(first <= line <= last for first, last in one.gone) or _reaches(one, line) or _folds_away(one, module, line)
    ]
    if named:
        return named
    begun = [Span.of(node) for node in ast.walk(module.tree) if isinstance(node, ast.stmt) and node.lineno == line]
    return [one for one in accepted if any(span.holds(one.place) for span in begun)]


def _reaches(removal: Removal, line: int) -> bool:
    """Whether an edit that covers many lines is about this one."""
    place = removal.place
    return place.line == line or (place.line <= line <= place.end_line < place.line + 4)


def _folds_away(removal: Removal, module: Module, line: int) -> bool:
    """Whether an edit keeps one branch of a decision, and the line is in the other one."""
    edit = removal.edit
    if not isinstance(edit, KeepBranch):
        return False
    for node in ast.walk(module.tree):
        if isinstance(node, ast.If | ast.While) and Span.of(node) == edit.span:
            dropped = node.orelse if edit.outcome else node.body
            return any(one.lineno <= line <= (one.end_lineno or one.lineno) for one in dropped)
    return False


def _evidence(removal: Removal, facts: Facts) -> Iterator[str]:
    yield f"  {removal.pass_name} at line {removal.place.line}: {removal.reason}"
    yield f"  evidence: {removal.evidence.value}"
    for key in sorted(removal.support.keys):
        kind, value = facts.values[key][0]
        yield f"  pin: {key} {f'= {value!r}' if kind == 'value' else f'is {kind}'}"
    for key in sorted(removal.support.types):
        yield f"  pin: type of {key or 'the config'}: {type_of(facts.values[key][0])}"
    for name in sorted(removal.support.environment):
        yield f"  pin: environment variable {name}"
    for pin in sorted(removal.support.arguments, key=lambda pin: pin.name):
        yield f"  pin: argument {pin.name} of line {pin.function.line} in {pin.values!r}"


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
    if not outcomes.true and not outcomes.false:
        return "no workload got here"
    if outcomes.only is None:
        return "went both ways"
    if view.flow.support(module, test) is None:
        return "DYNAMIC: data, or something that is not known before the run, can decide it"
    if not view.purity.is_pure(module, test):
        return "STATIC, but evaluating it may have an effect"
    return "STATIC: the pins settle it"
