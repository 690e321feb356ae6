"""The fate of one legacy line, and the evidence for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from unbloat.edit import Span
from unbloat.errors import SubjectError
from unbloat.evidence import Facts, Module, Unsupported
from unbloat.evidence.support import type_of
from unbloat.plan.removal import Removal
from unbloat.plan.view import View
from unbloat.subject import Subject


def locate(subject: Subject, place: str) -> tuple[str, int]:
    """Read FILE:LINE; the file may be given relative to the legacy folder, the package, or from where the user stands.

    Raises:
        SubjectError: there is no such legacy file or line.
    """
    name, _, number = place.rpartition(":")
    if not name or not number.isdecimal():
        raise SubjectError(f"{place!r} is not FILE:LINE")
    matches = [file for file in subject.sources() if file == name or name.endswith("/" + file) or file.endswith("/" + name)]
    if len(matches) != 1:
        what = "no such file" if not matches else f"could be {', '.join(matches)}"
        raise SubjectError(f"{name}: {what} under {subject.legacy}")
    count = len((subject.legacy / matches[0]).read_text(encoding="utf-8").splitlines())
    if not 1 <= int(number) <= count:
        raise SubjectError(f"{matches[0]}:{number}: the legacy file has lines 1 to {count}")
    return matches[0], int(number)


def explain(
    subject: Subject,
    view: View,
    file: str,
    line: int,
    accepted: Sequence[Removal],
    rejected: Sequence[tuple[Removal, str]],
) -> Iterator[str]:
    """What became of a line, in a few sentences; `view` is the subject before any edit."""
    text = (subject.legacy / file).read_text(encoding="utf-8").splitlines()[line - 1]
    yield f"{file}:{line}: {text.strip()}"
    ran = view.facts.executed(file, line)
    yield f"executed by: {', '.join(ran) if ran else 'no workload'}"
    causes = [one for one in accepted if one.file == file and any(first <= line <= last for first, last in one.gone)]
    touching = [one for one in accepted if one.file == file and one.place.line <= line <= one.place.end_line]
    if causes:
        yield "fate: removed"
    elif any(one.file == file and _reaches(one, line) for one in touching):
        yield "fate: changed"
    else:
        yield "fate: kept"
    for one in dict.fromkeys([*causes, *(one for one in touching if _reaches(one, line))]):
        yield from _evidence(one, view.facts)
    for one, reason in rejected:
        if one.file == file and one.place.line <= line <= one.place.end_line:
            yield f"tried by `{one.pass_name}` and kept: {reason}"
    if not causes:
        yield from _decisions(view, view.program.modules[file], line)


def _reaches(removal: Removal, line: int) -> bool:
    """Whether an edit that covers many lines is about this one."""
    return removal.place.line == line or removal.place.end_line - removal.place.line < 4


def _evidence(removal: Removal, facts: Facts) -> Iterator[str]:
    yield f"  {removal.pass_name} at line {removal.place.line}: {removal.reason}"
    yield f"  evidence: {removal.evidence.value}"
    for key in sorted(removal.support.keys):
        kind, value = facts.values[key][0]
        yield f"  pin: {key} {f'= {value!r}' if kind == 'value' else f'is {kind}'}"
    for key in sorted(removal.support.types):
        yield f"  pin: type of {key}: {type_of(facts.values[key][0])}"
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
            yield f"  {_obstacle(view, module, node)}"


def _obstacle(view: View, module: Module, node: ast.If | ast.While | ast.IfExp) -> str:
    outcomes = view.facts.outcomes(module.file, Span.of(node), type(node).__name__.lower())
    if not outcomes.true and not outcomes.false:
        return "no workload got here"
    if outcomes.only is None:
        return "went both ways"
    if not view.binding.is_static(module, node.test):
        return "DYNAMIC: data, or something that is not known before the run, can decide it"
    support = view.supports.of(module, node.test)
    if isinstance(support, Unsupported):
        return f"STATIC, but not pinned: {support.reason}"
    if not view.purity.is_pure(module, node.test):
        return "STATIC, but evaluating it may have an effect"
    return "STATIC: the pins settle it"
