"""Follows two aligned runs to the first value that differs, and from there back to what made it differ."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from unbloat.diff.align import Hunk, Pair, aligned
from unbloat.diff.finding import Kind
from unbloat.diff.provenance import Run
from unbloat.golden.leaf import shortened
from unbloat.trace.records import RANDOM_STATE, Record
from unbloat.trace.whereabouts import BACKWARD

TREES = ("first", "second")


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
    unproven = 0
    for one in aligned(first, second):
        if isinstance(one, Hunk):
            search.hunks.append(one)
            continue
        here, there = first[one.first], second[one.second]
        if here.outputs != there.outputs:
            cause = search.from_pair(one, unproven)
            # What the backward pass does was decided in the forward pass.
            return search.from_cut(*cut) if cut is not None and search.is_backward(cause) else cause
        if here.inputs == there.inputs:
            unproven = len(search.hunks)
        if here.gradients != there.gradients and cut is None:
            cut = one, len(search.hunks)
    return search.from_hunk(0, None) if search.hunks else None


class _Search:
    """All steps before have been seen; the paired ones came to the same, and `hunks` are those that have no partner."""

    def __init__(self, first: Sequence[Record], second: Sequence[Record]) -> None:
        self.hunks: list[Hunk] = []
        self._runs = Run(first), Run(second)

    def from_pair(self, pair: Pair, unproven: int) -> Cause:
        """Back from the first paired step with another result. Hunks from `unproven` on are not known to be harmless."""
        here, there = self._records(pair)
        differing = _differing(here.inputs, there.inputs)
        if not differing:
            what = f"{here.name}, on equal inputs, depends on something that is no argument"
            outputs = Measured(pair.first, pair.second, "outputs", _differing(here.outputs, there.outputs)[0])
            return self._cause(Kind.OUTPUT, what, pair, outputs)
        measured = Measured(pair.first, pair.second, "inputs", differing[0])
        if here.inputs[differing[0]].endswith(RANDOM_STATE):  # Which has no size; what was drawn has.
            measured = replace(measured, side="outputs", index=_differing(here.outputs, there.outputs)[0])
        if blamed := self._makers_of(pair, differing):
            return self.from_hunk(min(blamed), measured)
        if here.records:
            return self._cause(Kind.RECORDED, here.arguments, pair, measured)
        if unproven < len(self.hunks):
            return self.from_hunk(unproven, measured)
        return self._of_input(pair, differing[0], measured)

    def from_hunk(self, number: int, measured: Measured | None) -> Cause:
        """A change of the operations themselves, unless they only pass on what an earlier change has made."""
        if (behind := self._behind(number)) is not None:
            return self.from_hunk(behind, measured)
        hunk = self._without_equal_results(self.hunks[number])
        pair = Pair(hunk.first.start, hunk.second.start)
        here, there = (run.at(steps) for run, steps in zip(self._runs, hunk.sides, strict=True))
        match here, there:
            case (Record(), Record()) if here.name == there.name and not here.records:
                cause = self._of_same_operation(pair, here, there, measured)
            case (Record(), Record()):
                kind = Kind.RECORDED if here.records and there.records else Kind.REPLACED
                cause = self._cause(kind, f"{_named(here)} became {_named(there)}", pair, measured)
            case (None, Record()):
                kind = Kind.RECORDED if there.records else Kind.INSERTED
                cause = self._cause(kind, f"{_named(there)} is only in the second tree", pair, measured)
            case _:
                assert here is not None
                kind = Kind.RECORDED if here.records else Kind.DELETED
                cause = self._cause(kind, f"{_named(here)} is only in the first tree", pair, measured)
        return replace(cause, earlier=tuple(self.hunks[:number]))

    def from_cut(self, pair: Pair, known: int) -> Cause:
        """The first step whose inputs will or will not be asked for gradients: nothing shows it before the backward pass."""
        here, there = self._records(pair)
        index = _differing(here.gradients, there.gradients)[0]
        if blamed := self._makers_of(pair, [index]):
            return self.from_hunk(min(blamed), None)
        tree = TREES[here.gradients[index] == "-"]
        what = f"input {index} of {here.name} takes part in the backward pass of the {tree} tree alone"
        return replace(self._cause(Kind.GRADIENT, what, pair, None), earlier=tuple(self.hunks[:known]))

    def is_backward(self, cause: Cause) -> bool:
        """Whether a cause lies in the backward pass."""
        steps = (run.records[at : at + 1] for run, at in zip(self._runs, (cause.first, cause.second), strict=True))
        return any(record.module.endswith(BACKWARD) for found in steps for record in found)

    def _of_same_operation(self, pair: Pair, here: Record, there: Record, measured: Measured | None) -> Cause:
        differing = _differing(here.inputs, there.inputs)
        if differing and len(here.inputs) == len(there.inputs):
            return self._of_input(pair, differing[0], Measured(pair.first, pair.second, "inputs", differing[0]))
        if here.results == there.results and (outputs := _differing(here.outputs, there.outputs)):
            measured = Measured(pair.first, pair.second, "outputs", outputs[0])
        return self._cause(Kind.ARGUMENT, f"{here.name}: {_changed(here.arguments, there.arguments)}", pair, measured)

    def _of_input(self, pair: Pair, index: int, measured: Measured) -> Cause:
        """The operations are the same, and yet one takes another value: somebody else's, or one that no operation made."""
        here, there = self._records(pair)
        digests, numbers = [one.inputs[index] for one in (here, there)], (pair.first, pair.second)
        if digests[0].endswith(RANDOM_STATE):
            return self._cause(Kind.OUTSIDE, f"{here.name} draws from another random state", pair, measured)
        label = f"input {index} of {here.name}"
        makers = [run.maker(number, index) for run, number in zip(self._runs, numbers, strict=True)]
        asked = zip(self._runs, digests, numbers, makers, strict=True)
        new = [maker is None and not run.met_before(digest, number) for run, digest, number, maker in asked]
        if any(new):
            only = "" if all(new) else f" in the {TREES[new.index(True)]} tree"
            return self._cause(Kind.OUTSIDE, f"{label} comes from no operation{only}", pair, measured)
        shown = " became ".join(self._source(side, maker) for side, maker in enumerate(makers))
        return self._cause(Kind.OPERAND, f"{label}: {shown}", pair, measured)

    def _source(self, side: int, maker: int | None) -> str:
        if maker is None:
            return "a value used before"
        record = self._runs[side].records[maker]
        place = f" at {record.file}:{record.line}" if record.file else ""
        return f"the result of {record.name}{place}"

    def _cause(self, kind: Kind, what: str, pair: Pair, measured: Measured | None) -> Cause:
        return Cause(kind, what, pair.first, pair.second, measured, tuple(self.hunks))

    def _records(self, pair: Pair) -> tuple[Record, Record]:
        return self._runs[0].records[pair.first], self._runs[1].records[pair.second]

    def _makers_of(self, pair: Pair, indices: Sequence[int]) -> list[int]:
        """The hunks in which some inputs of a pair were made."""
        asked = ((side, number, index) for side, number in enumerate((pair.first, pair.second)) for index in indices)
        found = (self._hunk(side, self._runs[side].maker(number, index)) for side, number, index in asked)
        return [number for number in found if number is not None]

    def _behind(self, number: int) -> int | None:
        """An earlier hunk that made what this one takes, if the other run has not come to the same value."""
        sides = self.hunks[number].sides
        found: list[int] = []
        for side, steps in enumerate(sides):
            run, other, end = self._runs[side], self._runs[1 - side], sides[1 - side].stop
            for step in steps:
                for index, digest in enumerate(run.records[step].inputs):
                    made_in = self._hunk(side, run.maker(step, index))
                    if made_in is not None and made_in < number and not other.met_before(digest, end):
                        found.append(made_in)
        return min(found, default=None)

    def _hunk(self, side: int, step: int | None) -> int | None:
        """The number of the hunk that holds a step."""
        if step is None:
            return None
        at = bisect_right(self.hunks, step, key=lambda hunk: hunk.sides[side].start) - 1
        # Hunks without steps on this side begin where the next step is.
        while at >= 0 and not (steps := self.hunks[at].sides[side]) and steps.start == step:
            at -= 1
        return at if at >= 0 and step in self.hunks[at].sides[side] else None

    def _without_equal_results(self, hunk: Hunk) -> Hunk:
        """Past the steps at its start that come to the same in another way."""
        equal = 0
        for pair in map(Pair, hunk.first, hunk.second):
            here, there = self._records(pair)
            if here.outputs != there.outputs:
                break
            equal += 1
        whole = equal == max(len(hunk.first), len(hunk.second))
        return hunk if whole else Hunk(hunk.first[equal:], hunk.second[equal:])


def _differing(first: Sequence[str], second: Sequence[str]) -> list[int]:
    return [at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b]


def _named(record: Record) -> str:
    return f"the recorded '{record.arguments}'" if record.records else record.name


def _changed(first: str, second: str) -> str:
    """Two lists of arguments, from the first that differs to the last."""
    left, right = first.split(", "), second.split(", ")
    while left and right and left[0] == right[0]:
        left, right = left[1:], right[1:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    return " became ".join(shortened(", ".join(part)) or "nothing" for part in (left, right))
