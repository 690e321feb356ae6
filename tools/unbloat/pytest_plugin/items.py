"""The tests: one for each workload of each phase, and one for goldens that nobody uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from unbloat.errors import UnbloatError
from unbloat.golden.environment import Lane
from unbloat.pytest_plugin.goldens import Differs, Goldens, stand_in
from unbloat.subject import Phase, load_subject
from unbloat.verify.outcome import Failed, Run
from unbloat.verify.server import Server
from unbloat.verify.tree_checks import assert_holds_package


class Mismatch(Exception):
    """Why a test fails, for a person: the way that it took through this tool explains nothing."""


class Tests:
    """Everything that the tests of one session share: the subject, its goldens, the warm server, and runs already done."""

    __test__ = False

    def __init__(self, file: Path, tree: Path | None, goldens: Path | None, reason: str | None) -> None:
        """`reason`: why goldens may be recorded; None if they must not.

        Raises:
            SubjectError: strip.toml cannot be used, or the tree does not hold the package.
        """
        self.subject = load_subject(file)
        self.tree = (tree or self.subject.stripped).resolve()
        self.goldens = Goldens(self.subject, (goldens or self.subject.root / "goldens").resolve())
        self.accepted: list[str] = []
        self._reason = reason
        self._runs: dict[str, Run] = {}
        self._settled: set[str] = set()
        self._open = ExitStack()
        self._server: Server | None = None
        assert_holds_package(self.subject, self.tree)

    def close(self) -> None:
        self._open.close()

    def check(self, phase: Phase, workload: str) -> None:
        """
        Raises:
            Mismatch: the tree differs from the golden, or there is none.
            WorkloadError: the golden cannot be read or recorded.
        """
        name = stand_in(self.subject, workload)
        title = f"workload '{name}' of phase '{phase.name}'"
        if self._reason is not None and name not in self._settled:
            line = self.goldens.accept(self._warm(), name, self._reason)
            self.accepted += [] if line is None else [line]
            self._settled.add(name)
        if not self.goldens.file(name).exists():
            raise Mismatch(f"{title}: missing golden: run with --unbloat-accept REASON to record {self._shown(name)}")
        run = self._run(name)
        if isinstance(run, Failed):
            printed = "".join(f"\n    {line}" for line in run.output.splitlines())
            raise Mismatch(f"{title} fails on {_relative(self.tree)}\n  {run.reason}{printed}\n  {self._more(name)}")
        if (found := self.goldens.compare(name, run.ledger, self._warm().environment)) is not None:
            raise Mismatch(self._difference(title, name, found))

    def _difference(self, title: str, name: str, found: Differs) -> str:
        where = "the same environment" if found.lane is Lane.SAME_MACHINE else "another environment"
        return "\n".join(
            [
                f"{title} differs on {_relative(self.tree)}",
                f"  entry    {found.divergence.entry}",
                f"  what     {found.divergence.what}",
                f"  golden   {self._shown(name)}, recorded in {where}: {found.lane.value}",
                f"  {self._more(name)}",
            ]
        )

    def _more(self, name: str) -> str:
        subject, tree = _relative(self.subject.file), _relative(self.tree)
        return f"more     unbloat diff --subject {subject} legacy {tree} --workload {name}"

    def _shown(self, name: str) -> str:
        return _relative(self.goldens.file(name))

    def _run(self, name: str) -> Run:
        """Phases share workloads, but there is one tree: each runs once."""
        if name not in self._runs:
            (self._runs[name],) = self._warm().run_many([self.goldens.request(self.tree, name)])
        return self._runs[name]

    def _warm(self) -> Server:
        if self._server is None:
            self._server = self._open.enter_context(Server(self.subject.preload))
        return self._server


class SubjectTests(pytest.Collector):
    """A subject: its phases, and a look at its folder of goldens."""

    def __init__(self, *, tests: Tests, **others: Any) -> None:
        super().__init__(**others)
        self._tests = tests
        self.path = tests.subject.file
        if self.config.getoption("dist", None) is not None:
            # One warm process serves them all, and runs each workload once.
            self.add_marker(pytest.mark.xdist_group("unbloat"))

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        yield UnusedGoldens.from_parent(self, name="goldens", tests=self._tests)
        for phase in self._tests.subject.phases:
            yield PhaseTests.from_parent(self, name=phase.name, tests=self._tests, phase=phase)


class PhaseTests(pytest.Collector):
    """A phase: the workloads that must not notice it."""

    def __init__(self, *, tests: Tests, phase: Phase, **others: Any) -> None:
        super().__init__(**others)
        self._tests, self._phase = tests, phase

    def collect(self) -> Iterator[pytest.Item]:
        for name in self._phase.gate:
            yield WorkloadTest.from_parent(self, name=name, tests=self._tests, phase=self._phase)


class UnbloatItem(pytest.Item):
    """A test whose failures are shown as text."""

    def __init__(self, *, tests: Tests, **others: Any) -> None:
        super().__init__(**others)
        self.tests = tests

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> object:  # type: ignore[override]
        if isinstance(excinfo.value, Mismatch | UnbloatError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.nodeid


class WorkloadTest(UnbloatItem):
    """One workload, because one phase must not be noticed by it."""

    def __init__(self, *, tests: Tests, phase: Phase, **others: Any) -> None:
        super().__init__(tests=tests, **others)
        self._phase = phase

    def runtest(self) -> None:
        self.tests.check(self._phase, self.name)


class UnusedGoldens(UnbloatItem):
    """Fails for files that no workload is compared with."""

    def runtest(self) -> None:
        if unused := self.tests.goldens.unused():
            shown = ", ".join(map(_relative, unused))
            raise Mismatch(f"unused golden: {shown}: no phase has such a workload in its gate; delete the file")


def _relative(path: Path) -> str:
    """As somebody would type it where the tests were started."""
    return os.path.relpath(path)
