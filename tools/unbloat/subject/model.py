"""What is stripped, under which pins, and by what it is judged: the frozen content of strip.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workload:
    """One function that uses the subject as a user would and records what it sees."""

    name: str
    file: Path
    function: str
    limit: float = 300.0
    unreadable: tuple[Path, ...] = ()
    """What no run may read, whichever tree it is about: where pip put the package. Only one tree may hold it."""


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
    engineering: tuple[str, ...] = ()
    """Dotted names of functions whose effects nobody asks for: `package.module.function` or `package.module.Class.method`."""
    algorithm: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One step of restructuring the stripped package.

    `kind` is "move" or "merge" (files to a file), "rename" (MODULE:NAME to a name) or "local_imports" (of nothing to nothing).
    """

    kind: str
    what: tuple[str, ...] = ()
    to: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {', '.join(self.what)} to {self.to}" if self.what else "make imports local"


@dataclass(frozen=True)
class Bundle:
    """What lies beside the stripped package in a folder that works alone."""

    scripts: tuple[Path, ...]
    gate: tuple[str, ...]
    """The workloads that it has to serve: what they read of the config stays."""
    files: Mapping[str, Path]
    """Files and folders to copy, by their path in the bundle."""
    requires: tuple[str, ...]
    """Distributions that are needed though nothing imports them by name."""


@dataclass(frozen=True)
class Subject:
    """A package, its pins, its workloads and its phases."""

    file: Path
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
    installed: str | None = None
    """NAME==VERSION, if the legacy is a copy of what pip installed."""
    restructure: tuple[Step, ...] = ()
    bundle: Bundle | None = None

    @property
    def root(self) -> Path:
        """The folder that paths in strip.toml are relative to."""
        return self.file.parent

    @property
    def state(self) -> Path:
        """Where journals, ledgers and evidence of this subject are kept between runs; of two in one folder, apart."""
        return self.root / (".unbloat" if self.file.name == "strip.toml" else f".unbloat-{self.file.stem}")

    def workload(self, name: str) -> Workload:
        return next(workload for workload in self.workloads if workload.name == name)

    def sources(self) -> tuple[str, ...]:
        """Every module of the package, as a path relative to the legacy folder."""
        return modules(self.legacy, self.package)

    def outside(self) -> tuple[Path, ...]:
        """What a user has written, and may import it: Python files beside strip.toml, a workload file or a bundle's script."""
        scripts = () if self.bundle is None else self.bundle.scripts
        folders = {self.root, *(workload.file.parent for workload in self.workloads), *(script.parent for script in scripts)}
        return tuple(sorted({path for folder in folders for path in folder.glob("*.py") if path.is_file()}))


def modules(tree: Path, package: str) -> tuple[str, ...]:
    """Every module of a package, as a path relative to the folder that holds it."""
    found = sorted((tree / package).rglob("*.py"))
    return tuple(path.relative_to(tree).as_posix() for path in found if "__pycache__" not in path.parts)
