"""The only reader of strip.toml: every key is known, every value has its type, every path exists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from keyword import iskeyword
from pathlib import Path, PurePosixPath
from typing import Any

from unbloat.errors import SubjectError
from unbloat.subject.installed import Installed, find_installed, unpack
from unbloat.subject.model import Bundle, Contract, Phase, Step, Subject, Veto, Workload, modules
from unbloat.subject.sources import parse_file, workload_names

_TABLES: Mapping[str, frozenset[str]] = {
    "subject": frozenset({"package", "legacy", "installed", "stripped", "manifest"}),
    "config": frozenset({"file", "parameters"}),
    "golden": frozenset({"workloads", "preload", "inputs", "seed", "limit"}),
    "contract": frozenset({"loggers", "logging_setup", "engineering", "algorithm"}),
    "phases": frozenset(),
    "veto": frozenset({"at", "reason"}),
    "restructure": frozenset({"move", "merge", "rename", "local_imports", "to"}),
    "bundle": frozenset({"scripts", "gate", "files", "requires"}),
}
COPIES = ".unbloat/legacy"
EVERYTHING = "**"
_PHASE = frozenset({"files", "gate"})
_STEPS = ("move", "merge", "rename", "local_imports")
_RENAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_ASSIGNMENT = re.compile(r"^\s*([\w.\s\"'-]+?)\s*=")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"^\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")


def load_subject(path: Path) -> Subject:
    """Read and validate `path`.

    Raises:
        SubjectError: the file is missing or malformed, a key is unknown or has the wrong type, or a path does not exist.
    """
    path = path.resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SubjectError(f"{path}: no such file; name the subject's strip.toml with --subject") from None
    except IsADirectoryError:
        raise SubjectError(f"{path}: is a folder; name the strip.toml in it") from None
    except UnicodeDecodeError as error:
        raise SubjectError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SubjectError(f"{path}: not valid TOML: {error}") from None
    return _Reader(path, text, data).subject()


class _Reader:
    """Turns the parsed TOML into a `Subject`, with the file's line in every complaint."""

    def __init__(self, path: Path, text: str, data: dict[str, Any]) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.data = data

    def subject(self) -> Subject:
        self._reject_unknown()
        package = self._text("subject", "package")
        installed = self._installed(package)
        legacy = self._folder("subject", "legacy") if installed is None else unpack(installed, self.path.parent / COPIES)
        if not package.isidentifier() or not (legacy / package / "__init__.py").is_file():
            raise self._error("subject", "package", f"{legacy / package} holds no __init__.py; is it the package's name?")
        workloads = self._workloads(() if installed is None else (installed.origin,))
        subject = Subject(
            file=self.path,
            package=package,
            legacy=legacy,
            stripped=(self.path.parent / self._text("subject", "stripped")).resolve(),
            manifest=self._optional_file("subject", "manifest"),
            config_file=self._optional_file("config", "file"),
            config_parameters=self._texts("config", "parameters") if "parameters" in self._table("config") else (),
            workloads=workloads,
            preload=self._texts("golden", "preload") if "preload" in self._table("golden") else (),
            inputs=self._inputs(),
            seed=self._whole("golden", "seed", 0),
            phases=self._phases(legacy, package, [workload.name for workload in workloads]),
            contract=Contract(**{key: self._texts("contract", key) for key in sorted(self._table("contract"))}),
            vetoes=self._vetoes(legacy),
            installed=None if installed is None else installed.requirement,
            restructure=self._restructure(package),
            bundle=self._bundle({workload.name for workload in workloads}),
        )
        self._check_modules(subject)
        self._check_output(subject)
        return subject

    def _check_modules(self, subject: Subject) -> None:
        """Files are named as the plan names them; a name that is merely another way to one would never match."""
        known = set(subject.sources())
        named = [("contract", "algorithm", 0, file) for file in subject.contract.algorithm]
        named += [(f"phases.{phase.name}", "files", 0, file) for phase in subject.phases for file in phase.files]
        named += [("veto", "at", number, veto.file) for number, veto in enumerate(subject.vetoes)]
        for section, key, number, file in named:
            if file not in known:
                what = f"{file!r} is no module of the package; write it relative to the legacy, as {subject.package}/….py"
                raise self._error(section, key, what, number)

    def _check_output(self, subject: Subject) -> None:
        """What is replaced as a whole must hold nothing else."""
        output = subject.stripped / subject.package
        for folder in (subject.stripped, output):
            if folder.exists() and not folder.is_dir():
                raise self._error("subject", "stripped", f"{folder} is not a folder")
        if output.is_relative_to(subject.legacy):
            raise self._error("subject", "stripped", f"{output} lies in the legacy, which is never edited")
        files = [workload.file for workload in subject.workloads]
        for path in (self.path, subject.legacy, *subject.inputs, *files, subject.config_file, subject.manifest):
            if path is not None and path.is_relative_to(output):
                raise self._error("subject", "stripped", f"{output} would be replaced, but {path} lies in it")

    def _installed(self, package: str) -> Installed | None:
        if "installed" not in self._table("subject"):
            return None
        if "legacy" in self._table("subject"):
            raise self._error("subject", "installed", "the sources are either `installed` or in the folder `legacy`, not both")
        requirement = self._text("subject", "installed")
        try:
            return find_installed(requirement, package)
        except SubjectError as error:
            raise self._error("subject", "installed", str(error)) from None

    # -- the parts ----------------------------------------------------------------------------------------------

    def _workloads(self, unreadable: tuple[Path, ...]) -> tuple[Workload, ...]:
        file = self._optional_file("golden", "workloads")
        if file is None:
            raise self._error("golden", None, "needs `workloads`, the Python file with the workload functions")
        limit = float(self._whole("golden", "limit", 300))
        found = tuple(Workload(name, file, name, limit, unreadable) for name in workload_names(parse_file(file)))
        if not found:
            raise SubjectError(f"{file}: no workload; write at least one function whose only parameter is `golden`")
        return found

    def _phases(self, legacy: Path, package: str, workloads: Sequence[str]) -> tuple[Phase, ...]:
        if "phases" not in self.data:
            return (Phase("all", modules(legacy, package), tuple(workloads)),)
        phases = []
        for name, table in self._table("phases").items():
            section = f"phases.{name}"
            if not isinstance(table, dict):
                raise self._error("phases", name, "must be a table: [phases.NAME]")
            if not _NAME.fullmatch(name):
                raise self._error(section, None, "a phase's name is made of letters, digits, `-` and `_`")
            for key in sorted(set(table) - _PHASE):
                raise self._error(section, key, f"unknown key; known: {', '.join(sorted(_PHASE))}")
            files = self._texts(section, "files", table)
            gate = self._texts(section, "gate", table)
            if files == (EVERYTHING,):
                files = modules(legacy, package)
            for file in files:
                if not (legacy / file).is_file():
                    raise self._error(section, "files", f"{file!r} is not a file under {legacy}")
            for workload in gate:
                if workload not in workloads:
                    raise self._error(section, "gate", f"unknown workload {workload!r}; known: {', '.join(sorted(workloads))}")
            if not files or not gate:
                raise self._error(section, "gate" if files else "files", "must not be empty")
            phases.append(Phase(name, files, gate))
        if not phases:
            raise self._error("phases", None, "needs at least one phase: [phases.NAME] with `files` and `gate`")
        return tuple(phases)

    def _inputs(self) -> tuple[Path, ...]:
        names = self._texts("golden", "inputs") if "inputs" in self._table("golden") else ()
        inputs = tuple((self.path.parent / name).resolve() for name in names)
        for path in inputs:
            if not path.exists():
                raise self._error("golden", "inputs", f"{path} does not exist")
        return inputs

    def _vetoes(self, legacy: Path) -> tuple[Veto, ...]:
        tables = self.data.get("veto", [])
        if not isinstance(tables, list):
            raise self._error("veto", None, "must be written [[veto]]")
        vetoes = []
        for number, table in enumerate(tables):
            if not isinstance(table, dict):
                raise self._error("veto", None, "must be written [[veto]]")
            for key in sorted(set(table) - _TABLES["veto"]):
                raise self._error("veto", key, f"unknown key; known: {', '.join(sorted(_TABLES['veto']))}", number)
            place, reason = (self._text("veto", key, table, number) for key in ("at", "reason"))
            file, _, line = place.partition(":")
            if not (legacy / file).is_file():
                raise self._error("veto", "at", f"{file!r} is not a file under {legacy}", number)
            if line and not (line.isascii() and line.isdecimal()):
                raise self._error("veto", "at", f"{place!r} is not FILE or FILE:LINE", number)
            count = len((legacy / file).read_bytes().splitlines())
            if line and not 1 <= int(line) <= count:
                raise self._error("veto", "at", f"{place!r}: the legacy file has {count} lines", number)
            vetoes.append(Veto(file, int(line) if line else None, reason))
        return tuple(vetoes)

    def _restructure(self, package: str) -> tuple[Step, ...]:
        tables = self.data.get("restructure", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._error("restructure", None, "must be written [[restructure]]")
        return tuple(self._step(package, table, number) for number, table in enumerate(tables))

    def _step(self, package: str, table: dict[str, Any], number: int) -> Step:
        for key in sorted(set(table) - _TABLES["restructure"]):
            raise self._error("restructure", key, f"unknown key; known: {', '.join(sorted(_TABLES['restructure']))}", number)
        kinds = [kind for kind in _STEPS if kind in table]
        if len(kinds) != 1:
            raise self._error("restructure", None, f"a step has exactly one of {', '.join(_STEPS)}", number)
        kind = kinds[0]
        if kind == "local_imports":
            if table != {"local_imports": True}:
                raise self._error("restructure", kind, "is written `local_imports = true`, with nothing beside it", number)
            return Step(kind)
        what, to = table[kind], self._text("restructure", "to", table, number)
        if kind == "rename":
            if not isinstance(what, str) or not _RENAMED.fullmatch(what) or what.partition(".")[0] != package:
                raise self._error("restructure", kind, f"must be {package}.MODULE:NAME", number)
            if not to.isidentifier() or iskeyword(to):
                raise self._error("restructure", "to", f"{to!r} is no name", number)
            return Step(kind, (what,), to)
        files = [what] if kind == "move" else what
        if not isinstance(files, list) or not files or not all(_is_module(file, package) for file in files):
            what_it_is = "a module" if kind == "move" else "a list of modules"
            raise self._error("restructure", kind, f"must be {what_it_is}, written {package}/….py", number)
        if not _is_module(to, package):
            raise self._error("restructure", "to", f"must be a module, written {package}/….py", number)
        return Step(kind, tuple(files), to)

    def _bundle(self, workloads: set[str]) -> Bundle | None:
        if "bundle" not in self.data:
            return None
        scripts = tuple((self.path.parent / name).resolve() for name in self._texts("bundle", "scripts"))
        for script in scripts:
            if not script.is_file() or script.suffix != ".py":
                raise self._error("bundle", "scripts", f"{script} is no Python file")
        gate = self._texts("bundle", "gate")
        for workload in gate:
            if workload not in workloads:
                raise self._error("bundle", "gate", f"unknown workload {workload!r}; known: {', '.join(sorted(workloads))}")
        if not gate:
            raise self._error("bundle", "gate", "must not be empty")
        table = self._table("bundle").get("files", {})
        if not isinstance(table, dict) or not all(isinstance(source, str) for source in table.values()):
            raise self._error("bundle", "files", "must be a table of PATH IN THE BUNDLE = FILE OR FOLDER")
        files = {name: (self.path.parent / source).resolve() for name, source in table.items()}
        for name, source in files.items():
            if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise self._error("bundle", "files", f"{name!r} is no path in the bundle")
            if not source.exists():
                raise self._error("bundle", "files", f"{source} does not exist")
        requires = self._texts("bundle", "requires") if "requires" in self._table("bundle") else ()
        return Bundle(scripts, gate, files, requires)

    # -- single values ------------------------------------------------------------------------------------------

    def _reject_unknown(self) -> None:
        for table, content in self.data.items():
            if table not in _TABLES:
                raise self._error(table, None, f"unknown table; known: {', '.join(_TABLES)}")
            if table in ("phases", "veto", "restructure"):
                continue
            if not isinstance(content, dict):
                raise self._error(table, None, "must be a table")
            for key in content:
                if key not in _TABLES[table]:
                    raise self._error(table, key, f"unknown key; known: {', '.join(sorted(_TABLES[table]))}")

    def _table(self, name: str) -> dict[str, Any]:
        table = self.data.get(name, {})
        if not isinstance(table, dict):
            raise self._error(name, None, "must be a table")
        return table

    def _text(self, section: str, key: str, table: dict[str, Any] | None = None, number: int = 0) -> str:
        value = (self._table(section) if table is None else table).get(key)
        if not isinstance(value, str) or not value:
            raise self._error(section, key, "must be a non-empty string" if value is not None else "is missing", number)
        return value

    def _texts(self, section: str, key: str, table: dict[str, Any] | None = None) -> tuple[str, ...]:
        value = (self._table(section) if table is None else table).get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._error(section, key, "must be a list of strings" if value is not None else "is missing")
        return tuple(value)

    def _whole(self, section: str, key: str, default: int) -> int:
        value = self._table(section).get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._error(section, key, "must be a whole number, 0 or more")
        return value

    def _folder(self, section: str, key: str) -> Path:
        folder = (self.path.parent / self._text(section, key)).resolve()
        if not folder.is_dir():
            raise self._error(section, key, f"{folder} is not a folder")
        return folder

    def _optional_file(self, section: str, key: str) -> Path | None:
        if key not in self._table(section):
            return None
        file = (self.path.parent / self._text(section, key)).resolve()
        if not file.is_file():
            raise self._error(section, key, f"{file} is not a file")
        return file

    def _error(self, section: str, key: str | None, what: str, number: int = 0) -> SubjectError:
        name = f"[{section}] {key}" if key else f"[{section}]"
        line = self._line(section, key, number)
        return SubjectError(f"{self.path}:{line}: {name}: {what}" if line else f"{self.path}: {name}: {what}")

    def _line(self, section: str, key: str | None, number: int) -> int | None:
        """The line of a key, or of its table where the key is absent; of tables in an array, that of the given number."""
        section = _bare(section)
        current, header, seen = "", None, -1
        for position, line in enumerate(self.lines, 1):
            if found := _HEADER.match(line):
                current = _bare(found.group(1))
                seen += current == section
                if current == section and seen == number:
                    header = position
                elif key and current == f"{section}.{key}":
                    return position
            elif found := _ASSIGNMENT.match(line):
                path = f"{current}.{_bare(found.group(1))}".strip(".")
                if path == (f"{section}.{key}" if key else section) and (current != section or seen == number):
                    return position
                if header is None and path == section:
                    header = position
        return header


def _is_module(file: object, package: str) -> bool:
    """Whether it is written as a module of the package."""
    parts = file.removesuffix(".py").split("/") if isinstance(file, str) and file.endswith(".py") else []
    return len(parts) > 1 and parts[0] == package and all(part.isidentifier() for part in parts)


def _bare(name: str) -> str:
    """A dotted key without quotes and blanks."""
    return re.sub(r"[\s\"']", "", name)
