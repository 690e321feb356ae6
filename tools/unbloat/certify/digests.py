"""Everything on disk that a strip rests on, by name and sha256. Names are relative to the folder of strip.toml."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from unbloat.certify.statement import Resource, digest_of
from unbloat.errors import SubjectError
from unbloat.phases import journal_path
from unbloat.restructure.aliases import aliases_file
from unbloat.subject import Phase, Subject
from unbloat.verify.journal import read_journal

ROLE = "role"


def stripped_files(subject: Subject) -> list[Resource]:
    """What was made: every file of the stripped package, and what is called differently in it.

    Raises:
        SubjectError: nothing is stripped.
    """
    if not (subject.stripped / subject.package / "__init__.py").is_file():
        raise SubjectError(f"{subject.stripped}: holds no package {subject.package!r}; run `unbloat strip` first")
    found = _files(subject, subject.stripped / subject.package, "stripped")
    return found + [_file(subject, path, "stripped") for path in (aliases_file(subject),) if path.is_file()]


def materials(subject: Subject) -> list[Resource]:
    """What it was made from, and what judged it: legacy, strip.toml, config, inputs such as a checkpoint, workloads."""
    found = _files(subject, subject.legacy / subject.package, "legacy")
    found.append(_file(subject, subject.file, "description"))
    if subject.config_file is not None:
        found.append(_file(subject, subject.config_file, "config"))
    for path in subject.inputs:
        found += _files(subject, path, "input") if path.is_dir() else [_file(subject, path, "input")]
    workloads = {workload.file for workload in subject.workloads}
    found += [_file(subject, path, "workload" if path in workloads else "script") for path in subject.outside()]
    return list({one.name: one for one in found}.values())


def stripped_until(subject: Subject) -> tuple[Phase, ...]:
    """The phases that were stripped to their end, as their journals say.

    Raises:
        SubjectError: there is none.
    """
    done: list[Phase] = []
    for phase in subject.phases:
        events = read_journal(journal_path(subject, phase))
        if not events or events[-1]["event"] != "done":
            break
        done.append(phase)
    if not done:
        name = subject.phases[0].name
        raise SubjectError(f"phase {name!r} is not stripped here; run `unbloat strip --phase {name}` first")
    return tuple(done)


def plans(subject: Subject, phases: tuple[Phase, ...]) -> list[Resource]:
    """What was accepted and rejected in each phase; not under which key, which the tool's own source is part of."""
    return [
        Resource(
            f"plan/{phase.name}",
            digest_of(events := read_journal(journal_path(subject, phase))[1:]),
            {
                ROLE: "plan",
                "removals": sum(len(event["removals"]) for event in events if event["event"] == "accepted"),
                "rejected": sum(event["event"] == "rejected" for event in events),
            },
        )
        for phase in phases
    ]


def environment_resource(environment: dict[str, str]) -> Resource:
    """What bits depend on besides the code; a reader can tell from it which lane applies to him."""
    return Resource("environment", digest_of(environment), {ROLE: "environment", **environment})


def tool() -> Resource:
    """This tool, by its version."""
    found = {"name": "unbloat", "version": version("unbloat")}
    return Resource("unbloat", digest_of(found), {ROLE: "tool", "version": found["version"]})


def _files(subject: Subject, folder: Path, role: str) -> list[Resource]:
    return [_file(subject, path, role) for path in _beneath(folder)]


def _beneath(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _file(subject: Subject, path: Path, role: str) -> Resource:
    name = Path(os.path.relpath(path, subject.root)).as_posix()
    return Resource(name, hashlib.sha256(path.read_bytes()).hexdigest(), {ROLE: role})
