"""Which mutants are tried if there are more than can be."""

from __future__ import annotations

from collections.abc import Sequence

from unbloat.mutate.mutants import Mutant


def sample(mutants: Sequence[Mutant], limit: int) -> list[Mutant]:
    """At most `limit`, in their order: of every kind in every file one, then whatever comes next by chance.

    Chance is a digest of the code that changes, so the choice is the same in every run and an edit elsewhere leaves it.
    """
    firsts: dict[tuple[str, str], Mutant] = {}
    ranked = sorted(mutants, key=lambda one: one.rank)
    for mutant in ranked:
        firsts.setdefault((mutant.kind, mutant.file), mutant)
    chosen = {mutant.name: None for mutant in (*firsts.values(), *ranked)}
    kept = set(list(chosen)[:limit])
    return [mutant for mutant in mutants if mutant.name in kept]
