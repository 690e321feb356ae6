"""What is stripped, under which pins, and by what it is judged: the frozen content of strip.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workload:
    """One function that uses the subject as a user would and records what it sees."""

    name: str
    file: Path
    function: str
    limit: float = 300.0


@dataclass(frozen=True)
class Phase:
    """Files that are stripped together, and the workloads that must not notice."""

    name: str
    files: tuple[str, ...]
    gate: tuple[str, ...]


@dataclass(frozen=True)
class Veto:
    """A place that no edit may touch: a legacy file, and a line of it or the whole file."""

    file: str
    line: int | None
    reason: str

    def covers(self, file: str, first: int, last: int) -> bool:
        return self.file == file and (self.line is None or first <= self.line <= last)


@dataclass(frozen=True)
class Contract:
    """What a user of the stripped package does not ask for, or insists on."""

    loggers: tuple[str, ...] = ()
    logging_setup: tuple[str, ...] = ()
    algorithm: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A package, its pins, its workloads and its phases."""

    root: Path
    package: str
    legacy: Path
    stripped: Path
    manifest: Path | None
    config_file: Path | None
    config_parameters: tuple[str, ...]
    workloads: tuple[Workload, ...]
    preload: tuple[str, ...]
    inputs: tuple[Path, ...]
    seed: int
    phases: tuple[Phase, ...]
    contract: Contract
    vetoes: tuple[Veto, ...]

    @property
    def state(self) -> Path:
        """Where journals, ledgers and evidence of this subject are kept between runs."""
        return self.root / ".unbloat"

    def workload(self, name: str) -> Workload:
        return next(workload for workload in self.workloads if workload.name == name)

    def sources(self) -> tuple[str, ...]:
        """Every module of the package, as a path relative to the legacy folder."""
        folder = self.legacy / self.package
        return tuple(
            path.relative_to(self.legacy).as_posix() for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts
        )

    def outside(self) -> tuple[Path, ...]:
        """What a user has written: every Python file beside strip.toml or beside a workload file, which may import it."""
        folders = {self.root, *(workload.file.parent for workload in self.workloads)}
        return tuple(sorted({path for folder in folders for path in folder.glob("*.py") if path.is_file()}))
