"""What came of it: counts for each kind, what nobody noticed one by one, and everything as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from unbloat.mutate.notes import MISTAKE
from unbloat.mutate.run import CAUGHT, EQUIVALENT, MISSED, UNEXPLAINED, Score, Tried

_VERDICTS = (CAUGHT, EQUIVALENT, MISSED, UNEXPLAINED)


def count_table(score: Score) -> Table:
    """For the console: of every kind, how many were tried, and what became of them."""
    title = f"{len(score.tried)} mutants of {score.reachable} that a workload reaches, of {score.possible}"
    table = Table("kind", "mutants", *_VERDICTS, title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, counts in by_kind(score).items():
        table.add_row(kind, *map(str, counts.values()))
    return table


def by_kind(score: Score) -> dict[str, dict[str, int]]:
    """Of every kind, mistakes and all of them together: how many, and by verdict."""
    everything = [*score.tried, *score.mistakes]
    kinds = sorted({one.mutant.kind for one in score.tried}) + ([MISTAKE] if score.mistakes else [])
    found = {kind: _counts([one for one in everything if one.mutant.kind == kind]) for kind in kinds}
    return {**found, "all": _counts(everything)}


def _counts(some: list[Tried]) -> dict[str, int]:
    counts = Counter(one.verdict for one in some)
    return {"mutants": len(some), **{verdict: counts[verdict] for verdict in _VERDICTS}}


def lines(score: Score) -> Iterator[str]:
    """Who noticed what, the score, and what a person has to look at."""
    everything = [*score.tried, *score.mistakes]
    caught = Counter(one.caught.workload for one in everything if one.caught is not None)
    if caught:
        yield f"caught by {', '.join(f'{name} ({count})' for name, count in caught.most_common())}"
    yield f"score: {share(score):.1%} of {len(everything) - _counts(everything)[EQUIVALENT]} that are not equivalent"
    for verdict in (MISSED, UNEXPLAINED):
        for one in everything:
            if one.verdict == verdict:
                yield f"{verdict}: {told(one)}"
    for entry in score.stale:
        yield f"stale note: {entry}"


def share(score: Score) -> float:
    """Of the mutants that are not equivalent, those that some workload noticed."""
    counts = _counts([*score.tried, *score.mistakes])
    return counts[CAUGHT] / max(counts["mutants"] - counts[EQUIVALENT], 1)


def told(one: Tried) -> str:
    """A mutant that nobody noticed, in one line."""
    why = f": {one.reason}" if one.reason else ""
    where = f" in {one.mutant.function}" if one.mutant.function else ""
    line = f" [{one.mutant.line}]" if one.mutant.line else ""
    value = ", with another value" if one.differs else ""
    ran = f", run by {', '.join(one.workloads)}{value}"
    return f"{one.mutant.at}{where}: {one.mutant.kind}: {one.mutant.change}{line}{ran}{why}"


def to_json(score: Score) -> dict[str, Any]:
    """Every mutant, with all that is known of it."""
    return {
        "possible": score.possible,
        "reachable": score.reachable,
        "score": round(share(score), 4),
        "counts": by_kind(score),
        "stale": list(score.stale),
        "mutants": [
            {
                "kind": one.mutant.kind,
                "at": one.mutant.at,
                "function": one.mutant.function,
                "line": one.mutant.line,
                "change": one.mutant.change,
                "verdict": one.verdict,
                "workloads": list(one.workloads),
                "caught_by": None if one.caught is None else one.caught.workload,
                "how": "" if one.caught is None else one.caught.how,
                "reason": one.reason,
                "differs": one.differs,
            }
            for one in (*score.tried, *score.mistakes)
        ],
    }
