"""Which workloads judge a change: few and cheap, but every file that asks for the pin, and the code that lives on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unbloat.evidence import Facts

WALK = 64
"""An expression that reads more keys than this goes through the config; it does not ask for any of them."""

SECOND_LOOK = 10.0
"""Seconds of processor time that a run may cost which only looks again at what has passed."""


@dataclass(frozen=True)
class Reader:
    """What one workload does, as far as it matters here."""

    workload: str
    seconds: float
    """Of processor time: what else the machine is busy with must not decide who judges."""
    keys: Mapping[str, frozenset[str]]
    """The files that ask for a config key by name."""
    lines: frozenset[tuple[str, int]]
    """Those of the package that it executes."""

    @classmethod
    def of(cls, workload: str, seconds: float, facts: Facts) -> Reader:
        places: dict[str, list[tuple[int, str]]] = {}
        for file, reads in facts.reads.items():
            for _, found in reads:
                if len(found) <= WALK:
                    for key in found:
                        places.setdefault(key.partition("[")[0], []).append((len(found), file))
        # Of expressions within each other, the one that reads least is where the key is asked for.
        least = {key: min(found)[0] for key, found in places.items()}
        keys = {key: frozenset(file for count, file in found if count == least[key]) for key, found in places.items()}
        lines = frozenset((file, line) for file, numbers in facts.lines.items() for line in numbers)
        return cls(workload, seconds, keys, lines)


@dataclass(frozen=True)
class Runs:
    """The workloads that judge a change in any case, and one more for a change that those let pass."""

    always: tuple[str, ...]
    deep: str | None


def runs_for_key(readers: Sequence[Reader], key: str) -> Runs | None:
    """None if nobody asks for that key by name."""
    asking = [(reader, reader.keys[key]) for reader in readers if key in reader.keys]
    return _runs(asking) if asking else None


def runs_for_any(readers: Sequence[Reader]) -> Runs:
    """For what all of the workloads are equally concerned with."""
    return _runs([(reader, frozenset({""})) for reader in readers])


def cheapest(readers: Sequence[Reader]) -> Reader:
    return min(readers, key=lambda reader: (reader.seconds, reader.workload))


def _runs(asking: Sequence[tuple[Reader, frozenset[str]]]) -> Runs:
    """From the cheapest on, whoever asks in a file that nobody cheaper asks in.

    A constructor reads nearly everything, and what it reads may matter only when the model is trained: so, of the rest,
    the one that executes most further lines comes in too, unless it is dear or the change is out before.
    """
    ordered = sorted(asking, key=lambda one: (one[0].seconds, one[0].workload))
    always: list[Reader] = []
    covered: set[str] = set()
    for reader, files in ordered:
        if not files <= covered:
            always.append(reader)
            covered |= files
    executed = frozenset[tuple[str, int]]().union(*(reader.lines for reader in always))
    rest = [reader for reader, _ in ordered if reader not in always and reader.seconds <= SECOND_LOOK]
    further = [reader for reader in rest if reader.lines - executed]
    deep = max(further, key=lambda reader: len(reader.lines - executed)).workload if further else None
    return Runs(tuple(reader.workload for reader in always), deep)
