"""One proposed removal: what goes, where in the legacy, why, and on what evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from unbloat.edit import Edit, Span, from_json, to_json
from unbloat.evidence import PinnedArgument, Support


class Evidence(StrEnum):
    """The kinds of evidence that remove code."""

    PINNED = "pinned"
    UNREFERENCED = "unreferenced"
    UNSEEN = "unseen"
    HANDLER = "handler"
    ENGINEERING = "engineering"


@dataclass(frozen=True)
class Removal:
    """One edit with its evidence; `gone` are the legacy lines that it takes away."""

    file: str
    edit: Edit
    pass_name: str
    evidence: Evidence
    reason: str
    place: Span
    gone: tuple[tuple[int, int], ...]
    support: Support = field(default_factory=Support)

    @property
    def line(self) -> int:
        return self.place.line

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "edit": to_json(self.edit),
            "pass": self.pass_name,
            "evidence": self.evidence.value,
            "reason": self.reason,
            "place": _span_to_json(self.place),
            "gone": [list(lines) for lines in self.gone],
            "keys": sorted(self.support.keys),
            "types": sorted(self.support.types),
            "environment": sorted(self.support.environment),
            "arguments": [
                {"file": pin.file, "function": _span_to_json(pin.function), "name": pin.name, "values": list(pin.values)}
                for pin in sorted(self.support.arguments, key=lambda pin: (pin.file, pin.function, pin.name))
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Removal:
        return cls(
            file=data["file"],
            edit=from_json(data["edit"]),
            pass_name=data["pass"],
            evidence=Evidence(data["evidence"]),
            reason=data["reason"],
            place=Span(*data["place"]),
            gone=tuple((first, last) for first, last in data["gone"]),
            support=Support(
                keys=frozenset(data["keys"]),
                types=frozenset(data["types"]),
                environment=frozenset(data["environment"]),
                arguments=frozenset(map(_pin_from_json, data["arguments"])),
            ),
        )


def _pin_from_json(data: dict[str, Any]) -> PinnedArgument:
    return PinnedArgument(data["file"], Span(*data["function"]), data["name"], tuple(data["values"]))


def _span_to_json(span: Span) -> list[int]:
    return [span.line, span.column, span.end_line, span.end_column]
