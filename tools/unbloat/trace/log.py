"""In a run's own process: collects the steps of the run, or the values of a single one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from unbloat.golden.leaf import Leaf
from unbloat.golden.ledger import Entry, digest_of
from unbloat.trace.records import Record, Values, save_trace, save_values
from unbloat.trace.whereabouts import Whereabouts


class Note:
    """A step while it is made: what it takes, then what it gives."""

    def __init__(self, name: str, *, with_values: bool) -> None:
        self.name = name
        self.types = self.arguments = self.results = self.gradients = ""
        self.taken: list[str] = []
        self.given: list[str] = []
        self.writers: list[int] = []
        self.entries: tuple[list[Entry], list[Entry]] = [], []
        self._with_values = with_values

    def take(self, leaves: Sequence[Leaf], mark: str, writer: int) -> None:
        """A value that goes in; `mark` is what else about it counts, `writer` the step that made or last changed it."""
        self._add(self.taken, self.entries[0], leaves, mark)
        self.writers.append(writer)

    def give(self, leaves: Sequence[Leaf], mark: str) -> None:
        """A value that comes out."""
        self._add(self.given, self.entries[1], leaves, mark)

    def _add(self, digests: list[str], entries: list[Entry], leaves: Sequence[Leaf], mark: str) -> None:
        found = [digest_of(leaf.dtype, leaf.shape, leaf.raw) for leaf in leaves]
        # A sparse tensor has several parts.
        digests.append((found[0] if len(found) == 1 else digest_of("parts", (), "".join(found).encode())) + mark)
        if self._with_values:
            leaf = leaves[-1]
            entries.append(Entry("value", leaf.kind, leaf.dtype, leaf.shape, digests[-1], leaf.preview, bytes(leaf.raw)))


class Log:
    """With a `number`, only that step is looked at, and the run ends with it: what comes after can tell nothing more."""

    def __init__(self, file: Path, number: int | None) -> None:
        self._file, self._number = file, number
        self._records: list[Record] = []
        self.count = 0
        self.step = 0
        """Optimizer steps that are finished."""

    def asks(self) -> bool:
        """Whether the step that comes now is to be looked at."""
        return self._number is None or self.count == self._number

    def skip(self) -> None:
        self.count += 1

    def note(self, name: str) -> Note:
        return Note(name, with_values=self._number is not None)

    def add(self, note: Note, here: Whereabouts) -> None:
        self.count += 1
        record = Record(
            note.name,
            note.types,
            note.arguments,
            note.results,
            tuple(note.taken),
            tuple(note.given),
            tuple(note.writers),
            note.gradients,
            here.module,
            self.step,
            here.file,
            here.in_tree,
            here.line,
        )
        if self._number is None:
            self._records.append(record)
            return
        save_values(self._file, Values(record, *map(tuple, note.entries)))
        sys.stdout.flush()
        os._exit(0)

    def save(self) -> None:
        """After the run; a step that never came leaves no file."""
        if self._number is None:
            save_trace(self._file, self._records)
