"""What a report is made of: sections with tables and checks. A box is ticked by a check that ran, and by nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    NOTHING = "nothing to compare"
    """A check that has compared nothing says nothing."""


@dataclass(frozen=True)
class Check:
    """What was compared with what, how many of it, and every difference."""

    name: str
    compared: int
    differences: tuple[str, ...] = ()
    waits_for: str = ""
    """What has to happen before this can be checked."""

    @property
    def outcome(self) -> Outcome:
        if self.waits_for:
            return Outcome.NOT_RUN
        if self.differences:
            return Outcome.FAILED
        return Outcome.PASSED if self.compared else Outcome.NOTHING

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "compared": self.compared,
            "differences": list(self.differences),
            "waits_for": self.waits_for,
        }


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; `text` stands above it."""

    text: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "header": list(self.header), "rows": [list(row) for row in self.rows]}


@dataclass(frozen=True)
class Section:
    """One question of a reproduction's self-check."""

    title: str
    checks: tuple[Check, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "checks": [check.to_json() for check in self.checks],
            "tables": [table.to_json() for table in self.tables],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Report:
    """All sections; the title says of what, the introduction how it came about."""

    title: str
    introduction: str
    sections: tuple[Section, ...]

    @property
    def checks(self) -> list[Check]:
        return [check for section in self.sections for check in section.checks]

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.outcome is Outcome.FAILED]

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "introduction": self.introduction,
            "sections": [section.to_json() for section in self.sections],
        }


def compared(name: str, pairs: Sequence[tuple[str, object, object]]) -> Check:
    """A check that two plain values are the same, for each of some (name, legacy, stripped): `0` is not `False`."""
    apart = [
        f"{what}: {_shown(old)} in the legacy, {_shown(new)} in the stripped tree"
        for what, old, new in pairs
        if repr(old) != repr(new)
    ]
    return Check(name, len(pairs), tuple(apart))


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)
