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

_TABLES: Mapping[str, frozenset[str]] = {
    "subject": frozenset({"package", "legacy", "stripped", "manifest"}),
    "config": frozenset({"file", "parameters"}),
    "golden": frozenset({"workloads", "preload", "inputs", "seed", "limit"}),
    "contract": frozenset({"loggers", "logging_setup", "algorithm"}),
    "phases": frozenset(),
    "veto": frozenset({"at", "reason"}),
}
_PHASE = frozenset({"files", "gate"})
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
        root = self.path.parent
        package = self._text("subject", "package")
        legacy = self._folder("subject", "legacy")
        if not (legacy / package / "__init__.py").is_file():
            raise self._error("subject", "package", f"{legacy / package} holds no __init__.py; is it the package's name?")
        manifest = self._optional_file("subject", "manifest")
        workloads = self._workloads()
        contract = self._table("contract")
        return Subject(
            root=root,
            package=package,
            legacy=legacy,
            stripped=root / self._text("subject", "stripped"),
            manifest=manifest,
            config_file=self._optional_file("config", "file"),
            config_parameters=self._texts("config", "parameters") if "parameters" in self._table("config") else (),
            workloads=workloads,
            preload=self._texts("golden", "preload") if "preload" in self._table("golden") else (),
            inputs=self._inputs(),
            seed=self._whole("golden", "seed", 0),
            phases=self._phases(legacy, package, {workload.name for workload in workloads}),
            contract=Contract(**{key: self._texts("contract", key) for key in sorted(contract)}),
            vetoes=self._vetoes(legacy),
        )

    # -- the parts ----------------------------------------------------------------------------------------------

    def _workloads(self) -> tuple[Workload, ...]:
        file = self._optional_file("golden", "workloads")
        if file is None:
            raise self._error("golden", None, "needs `workloads`, the Python file with the workload functions")
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise SubjectError(f"{file}:{error.lineno}: not valid Python: {error.msg}") from None
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
            for key in sorted(set(table) - _PHASE):
                raise self._error(section, key, f"unknown key; known: {', '.join(sorted(_PHASE))}")
            files = self._texts(section, "files", table)
            gate = self._texts(section, "gate", table)
            for file in files:
                if not (legacy / file).is_file():
                    raise self._error(section, "files", f"{file!r} is not a file under {legacy}")
                if not file.startswith(f"{package}/"):
                    raise self._error(section, "files", f"{file!r} is not in the package {package!r}")
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
        for table in tables:
            for key in sorted(set(table) - _TABLES["veto"]):
                raise self._error("veto", key, f"unknown key; known: {', '.join(sorted(_TABLES['veto']))}")
            place = self._text("veto", "at", table)
            file, _, line = place.partition(":")
            if not (legacy / file).is_file():
                raise self._error("veto", "at", f"{file!r} is not a file under {legacy}")
            if line and not line.isdecimal():
                raise self._error("veto", "at", f"{place!r} is not FILE or FILE:LINE")
            vetoes.append(Veto(file, int(line) if line else None, self._text("veto", "reason", table)))
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

    def _text(self, section: str, key: str, table: dict[str, Any] | None = None) -> str:
        value = (self._table(section) if table is None else table).get(key)
        if not isinstance(value, str) or not value:
            raise self._error(section, key, "must be a non-empty string" if value is not None else "is missing")
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

    def _error(self, section: str, key: str | None, what: str) -> SubjectError:
        name = f"[{section}] {key}" if key else f"[{section}]"
        line = self._line(section, key)
        return SubjectError(f"{self.path}:{line}: {name}: {what}" if line else f"{self.path}: {name}: {what}")

    def _line(self, section: str, key: str | None) -> int | None:
        """The line of a key, or of its table where the key is absent."""
        current, header = "", None
        for number, line in enumerate(self.lines, 1):
            if found := _HEADER.match(line):
                current = found.group(1).replace('"', "").replace(" ", "")
                if current == section:
                    header = number
            elif current == (section if key else "") and re.match(rf"\s*[\"']?{re.escape(key or section)}[\"']?\s*=", line):
                return number
        return header
