"""The report as the page's script reads it: small numbers and tables, every text once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

from unbloat.html.highlight import runs
from unbloat.html.model import Report
from unbloat.html.tables import badges, challenge, goldens, phases, totals
from unbloat.report.fate import Fate
from unbloat.report.lexed import Lexed
from unbloat.report.provenance import LegacyLine, Origin, StrippedLine
from unbloat.restructure.provenance import Line

Value = TypeVar("Value", bound=Hashable)


class _Table(Generic[Value]):
    """Values by number, each once."""

    def __init__(self, *first: Value) -> None:
        self._numbers: dict[Value, int] = {}
        for value in first:
            self.number(value)

    def number(self, value: Value) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def values(self) -> list[Value]:
        return list(self._numbers)


def page_data(report: Report) -> dict[str, Any]:
    """Everything that the page needs, ready to be written as JSON."""
    return _Encoder(report).encoded()


class _Encoder:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._names: _Table[str] = _Table()
        self._groups: _Table[tuple[int, ...]] = _Table(())
        self._runs: _Table[tuple[str, ...]] = _Table(())
        self._whys: _Table[str] = _Table("")
        self._pins: _Table[str] = _Table()

    def encoded(self) -> dict[str, Any]:
        report, traced = self._report, self._report.provenance
        legacy = {file: self._legacy(file, lines) for file, lines in traced.legacy.items()}
        stripped = {file: self._stripped(file, lines) for file, lines in traced.stripped.items()}
        removals = [self._removal(number) for number in range(len(traced.removals))]
        return {
            "title": f"unbloat: {report.title}",
            "badges": badges(report),
            "totals": totals(report),
            "phases": phases(report),
            "goldens": goldens(report),
            "challenge": challenge(report),
            "files": [
                {"file": one["file"], "before": one["before"], "after": one["after"]}
                for one in report.figures["files"]
                if one["file"] in legacy
            ],
            "kinds": {"legacy": [fate.value for fate in Fate], "stripped": [origin.value for origin in Origin]},
            "legacy": legacy,
            "stripped": stripped,
            "removals": removals,
            "names": self._names.values(),
            "groups": self._groups.values(),
            "runs": self._runs.values(),
            "whys": self._whys.values(),
            "pins": self._pins.values(),
        }

    def _legacy(self, file: str, lines: Sequence[LegacyLine]) -> dict[str, Any]:
        ran = self._report.executed.get(file, {})
        decisions = [one for one in self._report.figures["decisions"] if one["file"] == file]
        tried = [(one, reason) for one, reason in self._report.rejected if one.file == file]
        return {
            **self._text(self._report.legacy[file]),
            "kinds": _digits([list(Fate).index(line.fate) for line in lines]),
            "links": [self._links(file, line.went) for line in lines],
            "causes": [self._groups.number(line.causes) for line in lines],
            "whys": [self._whys.number(line.why) for line in lines],
            "deciders": {number: line.decider for number, line in enumerate(lines, 1) if line.decider != number},
            "ran": [self._runs.number(tuple(ran.get(number, ()))) for number in range(1, len(lines) + 1)],
            "decisions": [[one["line"], one["text"], one["reason"]] for one in decisions],
            "tried": [[one.place.line, one.place.end_line, one.pass_name, reason] for one, reason in tried],
        }

    def _stripped(self, file: str, lines: Sequence[StrippedLine]) -> dict[str, Any]:
        return {
            **self._text(self._report.stripped[file]),
            "kinds": _digits([list(Origin).index(line.origin) for line in lines]),
            "links": [self._links(file, line.legacy) for line in lines],
            "causes": [self._groups.number(line.causes) for line in lines],
            "whys": [self._whys.number(line.why) for line in lines],
        }

    def _text(self, text: str) -> dict[str, Any]:
        plain = Lexed(text).text
        return {"text": plain, "runs": [line or 0 for line in runs(plain)]}

    def _links(self, file: str, places: Sequence[Line]) -> int | list[list[int]]:
        """The usual case, one line of the file of the same name, is its number alone; 0 is none."""
        if len(places) == 1 and places[0][0] == file:
            return places[0][1]
        return [[self._names.number(name), line] for name, line in places] or 0

    def _removal(self, number: int) -> list[Any]:
        traced = self._report.provenance
        one = traced.removals[number]
        pins = [self._pins.number(pin) for pin in self._report.pins[number]]
        name = self._names.number(one.file)
        return [name, one.place.line, one.pass_name, one.evidence.value, one.reason, traced.phases[number], pins]


def _digits(numbers: Sequence[int]) -> str:
    return "".join(map(str, numbers))
