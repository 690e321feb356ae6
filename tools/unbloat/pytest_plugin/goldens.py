"""Committed goldens: a folder with one file for each workload that a phase is judged by, and a log of why they changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from unbloat.golden.compare import Divergence, compare
from unbloat.golden.environment import Lane
from unbloat.golden.lanes import choose
from unbloat.golden.ledger import Ledger
from unbloat.golden.store import load_with_environment, save
from unbloat.restructure import load_aliases, with_aliases
from unbloat.subject import Subject
from unbloat.verify.determinism_check import assert_deterministic
from unbloat.verify.outcome import Request
from unbloat.verify.server import Server

LOG = "LOG.md"
SUFFIX = "_float64"
"""Of the variant of a workload in double precision."""


def stand_in(subject: Subject, name: str) -> str:
    """What is committed for a workload: its variant in double precision if it has one, which holds on any machine."""
    return f"{name}{SUFFIX}" if any(workload.name == f"{name}{SUFFIX}" for workload in subject.workloads) else name


@dataclass(frozen=True)
class Differs:
    """A run that is not what its golden says; `lane` is how strictly they were compared."""

    divergence: Divergence
    lane: Lane


@dataclass(frozen=True)
class Goldens:
    """Of one subject, in one folder."""

    subject: Subject
    folder: Path

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def names(self) -> list[str]:
        """Every workload that a golden is committed for, once."""
        gates = (name for phase in self.subject.phases for name in phase.gate)
        return list(dict.fromkeys(stand_in(self.subject, name) for name in gates))

    def unused(self) -> list[Path]:
        """Files that no test looks at, and that would therefore hold for ever."""
        used = {self.file(name) for name in self.names()}
        return sorted(file for file in self.folder.glob("*.json") if file not in used)

    def request(self, tree: Path, name: str) -> Request:
        """The run of a workload on a tree, which cannot read the legacy unless it is the tree."""
        forbidden = () if tree == self.subject.legacy else (self.subject.legacy,)
        plain = Request(tree, self.subject.workload(name), forbidden, seed=self.subject.seed)
        return with_aliases(plain, load_aliases(replace(self.subject, stripped=tree)))

    def compare(self, name: str, ledger: Ledger, environment: dict[str, str]) -> Differs | None:
        """As strictly as the environment allows.

        Raises:
            WorkloadError: there is no golden, or the file is none.
        """
        golden, recorded_in = load_with_environment(self.file(name))
        where = choose(recorded_in, environment).lane
        divergence = compare(golden, ledger, where)
        return None if divergence is None else Differs(divergence, where)

    def accept(self, server: Server, name: str, reason: str) -> str | None:
        """Record a golden that is missing, or that the legacy no longer has; what was done, None if it holds.

        A golden is what the legacy does, never what another tree made of it.

        Raises:
            WorkloadError: the workload fails on the legacy or does not repeat, or the file is no golden.
        """
        recorded = assert_deterministic(server, self.subject.legacy, self.subject.workload(name), self.subject.seed)
        file, change = self.file(name), recorded.digest()
        if file.exists():
            if self.compare(name, recorded, server.environment) is None:
                return None
            change = f"{load_with_environment(file)[0].digest()} → {change}"
        save(recorded, file, server.environment)
        line = f"`{name}`: {change}: {' '.join(reason.split())}"
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"- {line}\n")
        return line
