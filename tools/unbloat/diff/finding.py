"""What a search for the first divergence comes to, and how it reads."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from unbloat.diff.size import Size
from unbloat.golden.leaf import shortened


class Kind(enum.StrEnum):
    """In which way the first divergence is one."""

    INSERTED = "inserted operation"
    DELETED = "deleted operation"
    REPLACED = "another operation"
    ARGUMENT = "another argument"
    OPERAND = "another operand"
    OUTSIDE = "another value from outside the operations"
    GRADIENT = "the same values, and another flow of gradients"
    OUTPUT = "another result of the same operation on the same inputs"
    RECORDED = "another recorded value, which no operation shows"
    FAILED = "one run fails"


@dataclass(frozen=True)
class Place:
    """A line of source; `file` is relative to the tree, or to the workload's folder if no line of the tree was running."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Operation:
    """One step of a run: an operation of torch with its arguments, or the recording of a value.

    `number` counts the steps of the run from 0. `step` counts the optimizer steps that were finished before. `module` is
    the path of the module that was running, empty outside all modules; in the backward pass that of the forward operation.
    """

    number: int
    shown: str
    module: str
    step: int
    place: Place | None


@dataclass(frozen=True)
class Finding:
    """The first divergence of one workload.

    `first` and `second` are what the two trees did there. Of an inserted or deleted operation one of them is the operation,
    and the other what the tree without it did next, None at the end of its run. `size` is how far `measured` is apart.
    `earlier` are differences in the operations before, of which no value has shown an effect.
    """

    workload: str
    kind: Kind
    what: str
    first: Operation | None
    second: Operation | None
    measured: str = ""
    size: Size | None = None
    earlier: tuple[str, ...] = ()

    @property
    def operation(self) -> Operation | None:
        """The one that is in question: of an insertion that of the second tree."""
        return self.second if self.kind is Kind.INSERTED or self.first is None else self.first

    def line(self) -> str:
        """For a log or a failed test."""
        asked = self.operation
        module = f" in {asked.module}" if asked is not None and asked.module else ""
        places = " / ".join(_place(one) for one in (self.first, self.second))
        size = f"; {self.measured}: {self.size}" if self.size is not None else ""
        step = f", step {asked.step}" if asked is not None else ""
        return f"workload '{self.workload}'{step}: {self.kind}{module}: {self.what} at {places}{size}"

    def lines(self, first: str = "first", second: str = "second") -> Iterator[str]:
        """For a person; the arguments are what the two trees are called."""
        asked = self.operation
        yield f"workload '{self.workload}' differs: {self.kind}"
        yield f"  what      {self.what}"
        if asked is not None:
            yield f"  module    {asked.module or '(outside all modules)'}"
            yield f"  step      {asked.step}, counted in optimizer steps that are finished"
        for name, one in ((first, self.first), (second, self.second)):
            yield f"  {name:<9} {_place(one)}" + (f"  {one.place.text}" if one is not None and one.place is not None else "")
            if one is not None:
                yield f"            #{one.number} {shortened(one.shown)}"
        if self.size is not None:
            yield f"  size      {self.measured}: {self.size}"
        for change in self.earlier:
            yield f"  before    {change}, which no value has shown"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _place(operation: Operation | None) -> str:
    if operation is None:
        return "(end of the run)"
    return "(no line)" if operation.place is None else str(operation.place)
