"""One program of a seed: stripped under its pins, used in all ways, and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unbloat.errors import WorkloadError
from unbloat.verify.server import Server

from tests.differential import compare_uses, shown
from tests.fuzz.programs import author

PRELOAD = ("omegaconf", "coverage", "unbloat.evidence.observer")
"""What every run of a program imports."""


@dataclass(frozen=True)
class Trial:
    """What became of the other uses, by verdict; what each pass took; and every silent difference with its program."""

    seed: int
    usable: bool = True
    """False if the program does not even run under its own pins."""
    verdicts: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    """What the gate refused: a removal that a pass should not have proposed."""
    silent: str = ""
    crash: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def trial(seed: int, folder: Path, server: Server) -> Trial:
    """Whatever it raises is a fault of the tool."""
    program = author(seed)
    try:
        comparison = compare_uses(program, folder, server)
    except WorkloadError:
        return Trial(seed, usable=False)
    return Trial(
        seed,
        verdicts=dict(Counter(outcome.verdict for outcome in comparison.outcomes)),
        accepted=dict(Counter(removal.pass_name for removal in comparison.removals)),
        rejected=[f"{removal.pass_name} {removal.file}:{removal.line}: {why}" for removal, why in comparison.rejected],
        silent=shown(program, comparison) if comparison.silent else "",
    )
