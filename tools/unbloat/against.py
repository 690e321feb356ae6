"""Compare a tree with goldens that came with it, on a machine where nothing was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unbloat.errors import SubjectError
from unbloat.golden.lanes import choose, judge
from unbloat.golden.ledger import Ledger
from unbloat.golden.store import load_with_environment
from unbloat.record import Say
from unbloat.restructure import load_aliases, with_aliases
from unbloat.subject import Subject, Workload
from unbloat.verify.outcome import Failed, Request
from unbloat.verify.server import Server


@dataclass(frozen=True)
class Committed:
    """A golden of one workload, and the environment that it was recorded in."""

    workload: Workload
    golden: Ledger
    recorded_in: Mapping[str, str]


def committed(subject: Subject, folder: Path) -> list[Committed]:
    """The goldens of a folder, one `WORKLOAD.json` each, in the order of the workloads.

    Raises:
        SubjectError: the folder holds no golden, or one of a workload that the subject does not have.
        WorkloadError: a file is no golden.
    """
    files = {file.stem: file for file in sorted(folder.glob("*.json"))}
    if not files:
        raise SubjectError(f"{folder}: holds no golden; name a folder with a file WORKLOAD.json for each workload")
    known = {workload.name for workload in subject.workloads}
    for name, file in files.items():
        if name not in known:
            raise SubjectError(f"{file}: {subject.file.name} has no workload {name!r}; known: {', '.join(sorted(known))}")
    chosen = [workload for workload in subject.workloads if workload.name in files]
    return [Committed(workload, *load_with_environment(files[workload.name])) for workload in chosen]


def verify_against(subject: Subject, tree: Path, goldens: list[Committed], say: Say) -> list[str]:
    """One line per workload that differs. The lane of each is said before anything runs.

    Raises:
        SubjectError: the tree does not hold the package.
    """
    if not (tree / subject.package / "__init__.py").is_file():
        raise SubjectError(f"{tree}: holds no package {subject.package!r}; strip first, or name another --tree")
    forbidden = () if tree == subject.legacy else (subject.legacy,)
    aliases = load_aliases(replace(subject, stripped=tree))
    found = []
    with Server(subject.preload) as server:
        for one in goldens:
            say(f"{one.workload.name}: {choose(one.recorded_in, server.environment)}")
        requests = [Request(tree, one.workload, forbidden=forbidden, seed=subject.seed) for one in goldens]
        runs = server.run_many([with_aliases(request, aliases) for request in requests])
        for one, run in zip(goldens, runs, strict=True):
            if isinstance(run, Failed):
                found.append(run.reason)
                continue
            verdict = judge(one.golden, one.recorded_in, run.ledger, server.environment)
            if verdict.divergence is not None:
                found.append(f"workload '{one.workload.name}' {verdict}")
    return found
