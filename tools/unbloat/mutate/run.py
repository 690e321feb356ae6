"""The score: which mutants there are, which of them are tried, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unbloat.mutate.equivalent import Proofs
from unbloat.mutate.mutants import Mutant, mutants
from unbloat.mutate.notes import Explained, load_notes, stale
from unbloat.mutate.sample import sample
from unbloat.mutate.trial import Caught, Trial
from unbloat.phases import Recording
from unbloat.record import Say

DEFAULT_LIMIT = 480
CAUGHT, EQUIVALENT, MISSED, UNEXPLAINED = "caught", "equivalent", "missed", "unexplained"

SAME_VALUE = "the value is the same in every run, so no workload has the data"


@dataclass(frozen=True)
class Tried:
    """A mutant and what became of it."""

    mutant: Mutant
    workloads: tuple[str, ...]
    """Those that evaluate what it changes, the cheapest first."""
    caught: Caught | None
    proof: str | None
    """Why a program says that it is equivalent."""
    note: Explained | None
    """Why a person says that nobody notices it."""
    differs: bool | None
    """Whether its value was another one in some run; None if that was not asked."""

    @property
    def verdict(self) -> str:
        """Noticed or not, and if not, whether there is a proof, a reason, or neither."""
        if self.caught is not None:
            return CAUGHT
        if self.proof is not None:
            return EQUIVALENT
        if self.note is not None:
            return self.note.verdict
        return MISSED if self.differs is False else UNEXPLAINED

    @property
    def reason(self) -> str:
        """Why it was not noticed; empty where nobody knows."""
        if self.proof is not None or self.note is not None:
            return self.proof or (self.note.reason if self.note else "")
        return SAME_VALUE if self.differs is False else ""


@dataclass(frozen=True)
class Score:
    """Everything that was tried, in the order of the tree."""

    tried: tuple[Tried, ...]
    mistakes: tuple[Tried, ...]
    possible: int
    """All systematic mutants of the tree."""
    reachable: int
    """Those of them that a workload evaluates."""
    stale: tuple[str, ...]
    """Notes that explain nothing any more."""

    @property
    def is_complete(self) -> bool:
        """Whether every mistake was noticed, and every other mutant was or has a reason."""
        explained = all(one.verdict != UNEXPLAINED for one in self.tried)
        return explained and not self.stale and all(one.caught is not None for one in self.mistakes)


def mutate(recorded: Recording, tree: Path, limit: int, say: Say) -> Score:
    """Try at most `limit` systematic mutants of `tree` and every noted mistake; what a killed run judged is not run again.

    Raises:
        SubjectError: the tree holds no package, differs from the legacy as it is, or the notes do not fit it.
    """
    trial = Trial(recorded, tree)
    notes = load_notes(recorded.subject, trial.sources)
    everything = [mutant for source in trial.sources.values() for mutant in mutants(source)]
    baseline = trial.baseline(everything, say)
    reachable = [mutant for mutant in everything if baseline.workloads(mutant)]
    outside = [path.read_text(encoding="utf-8") for path in recorded.subject.outside()]
    proofs = Proofs(trial.sources, outside)
    chosen = [mutant for mutant in sample(reachable, limit) if proofs.compiles(mutant)]
    say(f"{len(chosen)} mutants of {len(reachable)} that a workload reaches, and {len(notes.mistakes)} mistakes")
    proved = {mutant: reason for mutant in chosen if (reason := proofs.reason(mutant)) is not None}
    runs = {mutant: baseline.workloads(mutant) for mutant in (*chosen, *notes.mistakes)}
    # Of what is proved, the cheapest run shows that the proof is not wrong.
    found = trial.judge({one: names[:1] if one in proved else names for one, names in runs.items()}, baseline, say)
    left = [one for one in chosen if found[one.name] is None and one not in proved]
    differing = trial.differing(left, baseline, say) if left else {}
    tried = {
        one: Tried(one, runs[one], found[one.name], proved.get(one), notes.of(one), differing.get(one.name)) for one in runs
    }
    noticed = {one.name: found[one.name] is not None or one in proved for one in chosen}
    return Score(
        tuple(tried[one] for one in chosen),
        tuple(tried[one] for one in notes.mistakes),
        len(everything),
        len(reachable),
        tuple(stale(notes, everything, noticed)),
    )
