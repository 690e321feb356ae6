"""Which mutants are tried if there are more than can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest

from unbloat.mutate.mutants import Mutant


def sample(mutants: Sequence[Mutant], limit: int) -> list[Mutant]:
    """At most `limit`, in their order: first one of every kind in every file, then of each kind in turn.

    Who is next is decided by a digest of the code that changes: the same in every run, and an edit elsewhere leaves it.
    """
    firsts: dict[tuple[str, str], Mutant] = {}
    kinds: dict[str, list[Mutant]] = {}
    for mutant in sorted(mutants, key=lambda one: one.rank):
        firsts.setdefault((mutant.kind, mutant.file), mutant)
        kinds.setdefault(mutant.kind, []).append(mutant)
    ranked = dict.fromkeys(mutant.name for mutant in chain(firsts.values(), _in_turn(kinds.values())))
    chosen = set(list(ranked)[:limit])
    return [mutant for mutant in mutants if mutant.name in chosen]


def _in_turn(groups: Iterable[list[Mutant]]) -> Iterator[Mutant]:
    for turn in zip_longest(*groups):
        yield from (mutant for mutant in turn if mutant is not None)
