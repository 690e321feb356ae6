"""The driver: a step is done on a copy, checked, judged, and then either counts or never happened."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unbloat.errors import RestructureError
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.record import Say
from unbloat.restructure.aliases import Aliases
from unbloat.restructure.local_imports import localised
from unbloat.restructure.moving import merge, module_name, move, rename, sources
from unbloat.restructure.provenance import Line, identity, traced
from unbloat.subject import Step, Subject
from unbloat.verify.checks import undefined_names
from unbloat.verify.outcome import Failed, Request
from unbloat.verify.server import Server
from unbloat.verify.trees import read_tree, write_tree

OBSERVER = "unbloat.verify.aliased:aliased"

Judge = Callable[[Mapping[str, bytes], Aliases], str | None]
"""None if the tree cannot be told from the legacy by whoever uses legacy names; else the first thing that can."""


@dataclass(frozen=True)
class Restructured:
    """A tree after its steps."""

    files: Mapping[str, bytes]
    aliases: Aliases
    rejected: tuple[tuple[Step, str], ...]
    lines: Mapping[Line, Line]
    """Each line's place before the first step; a line that is missing is new."""


def restructure(files: Mapping[str, bytes], steps: Sequence[Step], judge: Judge, say: Say) -> Restructured:
    """Do the steps that nothing notices, one after the other. `files` are the whole package, by path from its parent folder."""
    found = Restructured(dict(files), Aliases(), (), identity(_texts(files)))
    for step in steps:
        try:
            candidate = _done(found, step)
            reason = _fault(found.files, candidate.files) or judge(candidate.files, candidate.aliases)
        except RestructureError as error:
            reason = str(error)
        if reason is None:
            say(f"{step}: identical")
            found = candidate
        else:
            say(f"left out {step}: {reason}")
            found = Restructured(found.files, found.aliases, (*found.rejected, (step, reason)), found.lines)
    return found


def with_aliases(request: Request, aliases: Aliases) -> Request:
    """The same run, whose workload may import by legacy names."""
    assert request.observer is None, "a run has one observer"
    return replace(request, observer=OBSERVER, observer_options=aliases.to_json()) if aliases else request


def gate(subject: Subject, server: Server, goldens: Mapping[str, Ledger], names: Sequence[str]) -> Judge:
    """The judge that runs workloads, in a process where only the tree can be imported, by legacy names or its own."""

    def judge(files: Mapping[str, bytes], aliases: Aliases) -> str | None:
        with tempfile.TemporaryDirectory(prefix="tree-", dir=server.candidates) as folder:
            tree = Path(folder)
            write_tree(tree, files)
            plain = [Request(tree, subject.workload(name), forbidden=(subject.legacy,), seed=subject.seed) for name in names]
            requests = [with_aliases(request, aliases) for request in plain]
            for request, run in zip(requests, server.run_many(requests), strict=True):
                if isinstance(run, Failed):
                    return run.reason.replace(f"{tree}/", "")
                divergence = compare(goldens[request.workload.name], run.ledger)
                if divergence is not None:
                    return f"workload '{request.workload.name}' differs at `{divergence.entry}`: {divergence.what}"
        return None

    return judge


def _done(found: Restructured, step: Step) -> Restructured:
    """The tree with a step on top, checked by nobody yet."""
    with tempfile.TemporaryDirectory(prefix="unbloat-") as temporary:
        folder = Path(temporary).resolve()
        write_tree(folder, found.files)
        aliases, made = found.aliases, {}
        match step.kind:
            case "move":
                move(folder, step)
            case "merge":
                merge(folder, step)
            case "rename":
                rename(folder, step)
                module, _, name = step.what[0].partition(":")
                aliases = aliases.renamed(module, name, step.to)
            case _:
                (package,) = {file.partition("/")[0] for file in found.files}
                for file, text in localised(sources(folder), package).items():
                    (folder / file).write_text(text, encoding="utf-8")
        if step.kind in ("move", "merge"):
            made = {step.to: step.what}
            for file in step.what:
                if file != step.to:
                    aliases = aliases.moved(module_name(file), module_name(step.to))
        files = read_tree(folder)
    lines = traced(_texts(found.files), _texts(files), made, found.lines)
    return Restructured(files, aliases, found.rejected, lines)


def _fault(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str | None:
    """Whether a module no longer compiles, or reads a name that nobody defines; what was there before is no fault."""
    known = {name for text in _texts(before).values() for name in undefined_names(ast.parse(text))}
    for file, text in _texts(after).items():
        if before.get(file) == after[file]:
            continue
        try:
            compile(text, file, "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"{file}:{error.lineno}: does not compile: {error.msg}"
        for name in undefined_names(ast.parse(text)):
            if name not in known:
                return f"{file}: undefined name `{name}`"
    return None


def _texts(files: Mapping[str, bytes]) -> dict[str, str]:
    return {file: content.decode("utf-8") for file, content in files.items() if file.endswith(".py")}
