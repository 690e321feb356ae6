"""Follows two aligned runs to the first value that differs, and from there back to what made it differ."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from unbloat.diff.align import Hunk, Pair, aligned
from unbloat.diff.finding import Kind
from unbloat.golden.leaf import shortened
from unbloat.trace.records import RANDOM_STATE, Record, content
from unbloat.trace.whereabouts import BACKWARD


@dataclass(frozen=True)
class Measured:
    """The values that show how far the runs are apart: one of the `inputs` or `outputs` of a step of each."""

    first: int
    second: int
    side: str
    index: int


@dataclass(frozen=True)
class Cause:
    """Steps by their numbers; past the end of a run there is none. `earlier` are changes that no value has shown."""

    kind: Kind
    what: str
    first: int
    second: int
    measured: Measured | None = None
    earlier: tuple[Hunk, ...] = ()


def find_cause(first: Sequence[Record], second: Sequence[Record]) -> Cause | None:
    """None if the runs agree in every step."""
    search = _Search(first, second)
    cut: tuple[Pair, int] | None = None
    undecided = 0
    for one in aligned(first, second):
        if isinstance(one, Hunk):
            search.hunks.append(one)
            continue
        here, there = first[one.first], second[one.second]
        if here.outputs != there.outputs:
            cause = search.from_pair(one, undecided)
            return cause if cut is None or not search.is_backward(cause) else search.from_cut(*cut)
        if here.inputs == there.inputs:
            undecided = len(search.hunks)
        if here.gradients != there.gradients and cut is None:
            cut = one, len(search.hunks)
    return search.from_hunk(0, None) if search.hunks else None


class _Search:
    """What is known once every step before has been seen: in those, whatever the two runs share came out equal."""

    def __init__(self, first: Sequence[Record], second: Sequence[Record]) -> None:
        self.hunks: list[Hunk] = []
        self._runs = _Run(first), _Run(second)

    def from_pair(self, pair: Pair, undecided: int) -> Cause:
        """Back from the first step with another result. Hunks from `undecided` on have had no chance to show an effect."""
        here, there = (run.records[at] for run, at in zip(self._runs, (pair.first, pair.second), strict=True))
        differing = [at for at, (a, b) in enumerate(zip(here.inputs, there.inputs, strict=False)) if a != b]
        if not differing:
            index = _first_differing(here.outputs, there.outputs)
            what = f"{here.name} on equal inputs: it depends on something that is no argument"
            return self._cause(Kind.OUTPUT, what, pair, Measured(pair.first, pair.second, "outputs", index))
        measured = Measured(pair.first, pair.second, "inputs", differing[0])
        if blamed := [at for index in differing for at in self._blamed(pair, index)]:
            return self.from_hunk(min(blamed), measured)
        if here.records:
            return self._cause(Kind.RECORDED, here.arguments, pair, measured)
        if undecided < len(self.hunks):
            return self.from_hunk(undecided, measured)
        return self._of_input(pair, measured)

    def from_hunk(self, number: int, measured: Measured | None) -> Cause:
        """A change of the operations themselves."""
        hunk = self._without_equal_results(self.hunks[number])
        pair, earlier = Pair(hunk.first.start, hunk.second.start), self.hunks[:number]
        here, there = (run.at(steps) for run, steps in zip(self._runs, (hunk.first, hunk.second), strict=True))
        match here, there:
            case (Record(), Record()) if here.name == there.name and not here.records:
                cause = self._same_operation(pair, here, there, measured)
            case (Record(), Record()):
                kind = Kind.RECORDED if here.records and there.records else Kind.REPLACED
                cause = Cause(kind, f"{_named(here)} became {_named(there)}", pair.first, pair.second, measured)
            case (None, Record()):
                kind = Kind.RECORDED if there.records else Kind.INSERTED
                cause = Cause(kind, f"{_named(there)} is only in the second tree", pair.first, pair.second, measured)
            case _:
                assert here is not None
                kind = Kind.RECORDED if here.records else Kind.DELETED
                cause = Cause(kind, f"{_named(here)} is only in the first tree", pair.first, pair.second, measured)
        return replace(cause, earlier=tuple(earlier))

    def from_cut(self, pair: Pair, known: int) -> Cause:
        """The first step whose inputs will or will not be asked for gradients: nothing shows it before the backward pass."""
        here, there = (run.records[at] for run, at in zip(self._runs, (pair.first, pair.second), strict=True))
        differing = [at for at, (a, b) in enumerate(zip(here.gradients, there.gradients, strict=False)) if a != b]
        if blamed := [at for index in differing for at in self._blamed(pair, index)]:
            return self.from_hunk(min(blamed), None)
        asked = ("second", "first")["+" in here.gradients[differing[0]]]
        what = f"input {differing[0]} of {here.name} takes part in the backward pass of the {asked} tree alone"
        return Cause(Kind.GRADIENT, what, pair.first, pair.second, None, tuple(self.hunks[:known]))

    def is_backward(self, cause: Cause) -> bool:
        """Whether a cause lies in the backward pass, of which the forward pass is the reason."""
        steps = (run.records[at : at + 1] for run, at in zip(self._runs, (cause.first, cause.second), strict=True))
        return any(record.module.endswith(BACKWARD) for found in steps for record in found)

    def _same_operation(self, pair: Pair, here: Record, there: Record, measured: Measured | None) -> Cause:
        differing = [at for at, (a, b) in enumerate(zip(here.inputs, there.inputs, strict=False)) if a != b]
        if differing and len(here.inputs) == len(there.inputs):
            return self._of_input(pair, Measured(pair.first, pair.second, "inputs", differing[0]))
        if here.results == there.results and here.outputs != there.outputs:
            index = _first_differing(here.outputs, there.outputs)
            measured = Measured(pair.first, pair.second, "outputs", index)
        what = f"{here.name}: {shortened(here.arguments)} became {shortened(there.arguments)}"
        return Cause(Kind.ARGUMENT, what, pair.first, pair.second, measured)

    def _of_input(self, pair: Pair, measured: Measured) -> Cause:
        """The operations are the same, and yet one takes another value: somebody else's, or one that no operation made."""
        at = pair.first, pair.second
        origins = [run.origin(number, measured.index) for run, number in zip(self._runs, at, strict=True)]
        here = self._runs[0].records[pair.first]
        if here.inputs[measured.index].endswith(RANDOM_STATE):
            return self._cause(Kind.OUTSIDE, f"{here.name} draws from another random state", pair, measured)
        label = f"input {measured.index} of {here.name}"
        if None in origins:
            where = " and ".join(f"{name} tree" for name, one in zip(("first", "second"), origins, strict=True) if one is None)
            return self._cause(Kind.OUTSIDE, f"{label} comes from no operation in the {where}", pair, measured)
        shown = " became that of ".join(
            f"#{number} {run.records[number].name}"
            for run, number in zip(self._runs, origins, strict=True)
            if number is not None
        )
        return self._cause(Kind.OPERAND, f"{label}: the value of {shown}", pair, measured)

    def _cause(self, kind: Kind, what: str, pair: Pair, measured: Measured) -> Cause:
        return Cause(kind, what, pair.first, pair.second, measured, tuple(self.hunks))

    def _blamed(self, pair: Pair, index: int) -> Iterator[int]:
        """The hunks that hold the makers of an input of this step."""
        for side, (run, number) in enumerate(zip(self._runs, (pair.first, pair.second), strict=True)):
            origin = run.origin(number, index)
            for at, hunk in enumerate(self.hunks):
                if origin is not None and origin in (hunk.second if side else hunk.first):
                    yield at

    def _without_equal_results(self, hunk: Hunk) -> Hunk:
        """Past the steps at its start that come to the same in another way."""
        equal = 0
        for here, there in zip(hunk.first, hunk.second, strict=False):
            if self._runs[0].records[here].outputs != self._runs[1].records[there].outputs:
                break
            equal += 1
        whole = equal == max(len(hunk.first), len(hunk.second))
        return hunk if whole else Hunk(hunk.first[equal:], hunk.second[equal:])


class _Run:
    """The steps of a run, and where a value was met."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self._made: Mapping[str, list[int]] | None = None
        self._taken: dict[str, int] = {}

    def at(self, steps: range) -> Record | None:
        return self.records[steps.start] if steps else None

    def origin(self, number: int, index: int) -> int | None:
        """The step that made an input, or the first one that took the same value; None if it was never met before."""
        record = self.records[number]
        value = content(record.inputs[index])
        makers = self._makers().get(value, [])
        if earlier := bisect_left(makers, number):
            return makers[earlier - 1]
        if record.writers[index] >= 0:
            return record.writers[index]
        met = self._taken.get(value, number)
        return met if met < number else None

    def _makers(self) -> Mapping[str, list[int]]:
        # Only asked for once something differs.
        if self._made is None:
            made = defaultdict(list)
            for number, record in enumerate(self.records):
                for value in map(content, record.inputs):
                    self._taken.setdefault(value, number)
                for value in () if record.records else map(content, record.outputs):
                    made[value].append(number)
            self._made = made
        return self._made


def _first_differing(first: Sequence[str], second: Sequence[str]) -> int:
    return next(at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)


def _named(record: Record) -> str:
    return f"the recorded '{record.arguments}'" if record.records else record.name
