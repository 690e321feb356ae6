"""Which of the two lanes a stored golden is compared in: decided by where it was recorded, before any number is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from unbloat.golden.compare import Divergence, compare
from unbloat.golden.environment import Lane
from unbloat.golden.ledger import Ledger


@dataclass(frozen=True)
class Choice:
    """A lane, and what differs between where a golden was recorded and here; nothing on the same machine."""

    lane: Lane
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        if self.lane is Lane.SAME_MACHINE:
            return f"same machine: {self.lane.value}"
        return f"across machines: {self.lane.value}, because {', '.join(self.reasons)}"


@dataclass(frozen=True)
class Verdict:
    """What a golden says of a run, and in which lane it was asked."""

    choice: Choice
    divergence: Divergence | None

    def __str__(self) -> str:
        if self.divergence is None:
            return str(self.choice)
        return f"differs at `{self.divergence.entry}`: {self.divergence.what} ({self.choice})"


def choose(recorded_in: Mapping[str, str], here: Mapping[str, str]) -> Choice:
    """Bits are promised only where nothing that they depend on differs."""
    if not recorded_in:
        return Choice(Lane.ACROSS_MACHINES, ("nobody noted where the golden was recorded",))
    names = sorted(name for name in recorded_in.keys() | here.keys() if recorded_in.get(name) != here.get(name))
    reasons = (f"{name} was {recorded_in.get(name, 'unset')} and is {here.get(name, 'unset')}" for name in names)
    return Choice(Lane.ACROSS_MACHINES if names else Lane.SAME_MACHINE, tuple(reasons))


def judge(golden: Ledger, recorded_in: Mapping[str, str], run: Ledger, here: Mapping[str, str]) -> Verdict:
    """Compare a run with a golden that came with `recorded_in`; `here` is the environment of the process that ran.

    Both are what `environment()` gives.
    """
    choice = choose(recorded_in, here)
    return Verdict(choice, compare(golden, run, choice.lane))
