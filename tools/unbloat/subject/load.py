"""The only reader of strip.toml: every key is known, every value has its type, every path exists."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbloat.errors import SubjectError
from unbloat.subject.model import Contract, Phase, Subject, Veto, Workload
from unbloat.subject.sources import parse_file

_TABLES: Mapping[str, frozenset[str]] = {
    "subject": frozenset({"package", "legacy", "stripped", "manifest"}),
    "config": frozenset({"file", "parameters"}),
    "golden": frozenset({"workloads", "preload", "inputs", "seed", "limit"}),
    "contract": frozenset({"loggers", "logging_setup", "algorithm"}),
    "phases": frozenset(),
    "veto": frozenset({"at", "reason"}),
}
_PHASE = frozenset({"files", "gate"})
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
        legacy = self._folder("subject", "legacy")
        if not package.isidentifier() or not (legacy / package / "__init__.py").is_file():
            raise self._error("subject", "package", f"{legacy / package} holds no __init__.py; is it the package's name?")
        workloads = self._workloads()
        subject = Subject(
            root=self.path.parent,
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
            phases=self._phases(legacy, package, {workload.name for workload in workloads}),
            contract=Contract(**{key: self._texts("contract", key) for key in sorted(self._table("contract"))}),
            vetoes=self._vetoes(legacy),
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

    # -- the parts ----------------------------------------------------------------------------------------------

    def _workloads(self) -> tuple[Workload, ...]:
        file = self._optional_file("golden", "workloads")
        if file is None:
            raise self._error("golden", None, "needs `workloads`, the Python file with the workload functions")
        tree = parse_file(file)
        limit = float(self._whole("golden", "limit", 300))
        found = tuple(
            Workload(node.name, file, node.name, limit)
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and not node.name.startswith("_")
            and [argument.arg for argument in node.args.args] == ["golden"]
        )
        if not found:
            raise SubjectError(f"{file}: no workload; write at least one function whose only parameter is `golden`")
        return found

    def _phases(self, legacy: Path, package: str, workloads: set[str]) -> tuple[Phase, ...]:
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

    # -- single values ------------------------------------------------------------------------------------------

    def _reject_unknown(self) -> None:
        for table, content in self.data.items():
            if table not in _TABLES:
                raise self._error(table, None, f"unknown table; known: {', '.join(_TABLES)}")
            if table in ("phases", "veto"):
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


def _bare(name: str) -> str:
    """A dotted key without quotes and blanks."""
    return re.sub(r"[\s\"']", "", name)
