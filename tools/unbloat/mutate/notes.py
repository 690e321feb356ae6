"""What people know about mutants: mistakes that must be noticed, and why some changes are not.

It lies beside strip.toml, as `strip.mutants.toml`:

    [[mistake]]                       # is tried beside the systematic mutants
    name = "the target is not shifted"
    file = "pkg/model.py"
    old = "target[:, :-1]"            # occurs once in the stripped file
    new = "target[:, 1:]"             # several places: [[mistake.edits]] with file, old and new each

    [[equivalent]]                    # does what the original does, for a reason that no program sees
    file = "pkg/model.py"
    line = "x = x * scale"            # as the survivor is listed; or `function`, for all in a function or class
    change = "x * scale → x / scale"  # without it, every change on such a line
    reason = "the scale is one"

    [[missed]]                        # does something else, and the workloads cannot tell; counts against the score
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbloat.edit import Span
from unbloat.errors import SubjectError
from unbloat.mutate.mutants import Edit, Mutant
from unbloat.mutate.source import Source
from unbloat.subject import Subject

MISTAKE = "mistake"
_KEYS = {MISTAKE: {"name", "file", "old", "new", "edits"}, "equivalent": {"file", "function", "line", "change", "reason"}}
_KEYS["missed"] = _KEYS["equivalent"]


@dataclass(frozen=True)
class Explained:
    """Why nobody notices a change. `verdict` is "equivalent" or "missed"."""

    verdict: str
    file: str
    function: str | None
    line: str | None
    change: str | None
    reason: str

    def covers(self, mutant: Mutant) -> bool:
        within = self.function is None or f"{mutant.function}.".startswith(f"{self.function}.")
        return self.file == mutant.file and within and self.line in (None, mutant.line) and self.change in (None, mutant.change)

    def __str__(self) -> str:
        said = ", ".join(repr(one) for one in (self.function, self.line, self.change) if one is not None)
        return f"[[{self.verdict}]] {self.file}: {said}"


@dataclass(frozen=True)
class Notes:
    """The content of the file; empty if there is none."""

    path: Path
    mistakes: tuple[Mutant, ...] = ()
    explained: tuple[Explained, ...] = ()

    def of(self, mutant: Mutant) -> Explained | None:
        return next((one for one in self.explained if one.covers(mutant)), None)


def notes_file(subject: Subject) -> Path:
    return subject.file.with_name(f"{subject.file.stem}.mutants.toml")


def load_notes(subject: Subject, sources: Mapping[str, Source]) -> Notes:
    """Read the notes of a subject, whose stripped tree has these modules.

    Raises:
        SubjectError: the file is damaged, a mistake's `old` does not occur exactly once, or a line is nowhere in its file.
    """
    path = notes_file(subject)
    if not path.is_file():
        return Notes(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SubjectError(f"{path}: {error}") from None
    reader = _Reader(path, sources)
    for table, entries in data.items():
        if table not in _KEYS or not isinstance(entries, list):
            raise SubjectError(f"{path}: {table}: unknown; known are [[{']], [['.join(_KEYS)}]]")
        for entry in entries:
            if unknown := sorted(set(entry) - _KEYS[table]):
                raise SubjectError(f"{path}: [[{table}]]: unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS[table]))}")
    mistakes = tuple(reader.mistake(entry) for entry in data.get(MISTAKE, []))
    explained = [reader.explained(verdict, entry) for verdict in ("equivalent", "missed") for entry in data.get(verdict, [])]
    return Notes(path, mistakes, tuple(explained))


class _Reader:
    def __init__(self, path: Path, sources: Mapping[str, Source]) -> None:
        self._path = path
        self._sources = sources

    def mistake(self, entry: Mapping[str, Any]) -> Mutant:
        name = self._text(entry, "name", "[[mistake]]")
        where = f"[[mistake]] {name!r}"
        parts: Sequence[Mapping[str, Any]] = entry.get("edits") or [entry]
        edits = tuple(self._edit(part, where) for part in parts)
        source = self._sources[edits[0].file]
        line = source.text.splitlines()[edits[0].span.line - 1].strip()
        return Mutant(MISTAKE, edits, "", line, name)

    def _edit(self, entry: Mapping[str, Any], where: str) -> Edit:
        source = self._source(entry, where)
        old, new = (self._text(entry, key, where, empty=key == "new") for key in ("old", "new"))
        if (count := source.text.count(old)) != 1:
            raise SubjectError(f"{self._path}: {where}: `old` occurs {count} times in {source.file}, not once: {old!r}")
        start = source.text.index(old)
        return Edit(source.file, Span(*_place(source.text, start), *_place(source.text, start + len(old))), new)

    def explained(self, verdict: str, entry: Mapping[str, Any]) -> Explained:
        where = f"[[{verdict}]]"
        source = self._source(entry, where)
        function, line, change = (
            self._text(entry, key, where) if key in entry else None for key in ("function", "line", "change")
        )
        if function is None and line is None:
            raise SubjectError(f"{self._path}: {where}: needs a `line` or a `function` of {source.file}")
        return Explained(verdict, source.file, function, line, change, self._text(entry, "reason", where))

    def _source(self, entry: Mapping[str, Any], where: str) -> Source:
        file = self._text(entry, "file", where)
        if file not in self._sources:
            raise SubjectError(f"{self._path}: {where}: {file!r} is no module of the stripped tree")
        return self._sources[file]

    def _text(self, entry: Mapping[str, Any], key: str, where: str, *, empty: bool = False) -> str:
        value = entry.get(key)
        if not isinstance(value, str) or not (value or empty):
            raise SubjectError(f"{self._path}: {where}: needs `{key}`, a text")
        return value


def stale(notes: Notes, mutants: Sequence[Mutant], noticed: Mapping[str, bool]) -> Iterator[str]:
    """Entries that explain nothing: no such change can be made, or all that were tried are noticed.

    `noticed` says of each mutant that was tried whether it was; an entry of which none was tried says nothing wrong.
    """
    for entry in notes.explained:
        covered = [mutant.name for mutant in mutants if entry.covers(mutant)]
        tried = [name for name in covered if name in noticed]
        if not covered:
            yield f"{entry}: there is no such change"
        elif tried and all(noticed[name] for name in tried):
            yield f"{entry}: is noticed"


def _place(text: str, at: int) -> tuple[int, int]:
    """Line from 1 and column in bytes from 0."""
    before = text[:at]
    return before.count("\n") + 1, len(before.rpartition("\n")[2].encode())
