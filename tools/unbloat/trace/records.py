"""What one run did, step by step: every operation and every recorded value, with digests of what went in and came out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from unbloat.atomic import replace_text
from unbloat.golden.ledger import Entry

RECORDING = "golden.record"
"""The name of the step in which a workload records a value."""

RANDOM_STATE = "@random state"
"""Marks the digest of the state that an operation draws from: an input that no argument shows."""


class Record(NamedTuple):
    """One step; a run has many, so they are plain tuples.

    A digest may carry, after an `@`, what else about the value counts; `content` is without. `writers` has, for each input,
    the number of the step that made or last changed its memory, -1 if none did. `gradients` has, for each input that is a
    tensor, a sign: `+` if autograd will ask for its gradient.
    """

    name: str
    types: str
    arguments: str
    results: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    writers: tuple[int, ...]
    gradients: str
    module: str
    step: int
    file: str
    in_tree: bool
    line: int

    @property
    def shown(self) -> str:
        return f"{self.name}({self.arguments})" + (f" -> {self.results}" if self.results else "")

    @property
    def records(self) -> bool:
        return self.name == RECORDING


_TEXTS = {at for at, field in enumerate(Record._fields) if field not in ("writers", "step", "in_tree", "line")}


@dataclass(frozen=True)
class Values:
    """What went into one step and came out of it, with all bytes; one entry for each digest of the record."""

    record: Record
    inputs: tuple[Entry, ...]
    outputs: tuple[Entry, ...]


def content(digest: str) -> str:
    """The digest of the value alone."""
    return digest.partition("@")[0]


def save_trace(file: Path, records: Sequence[Record]) -> None:
    """Each text is written once: most inputs were outputs before, and a training loop repeats itself."""
    texts: dict[str, int] = {}
    number = texts.setdefault

    def packed(value: Any) -> Any:
        if isinstance(value, str):
            return number(value, len(texts))
        return [number(part, len(texts)) for part in value]

    rows = [[packed(field) if at in _TEXTS else field for at, field in enumerate(record)] for record in records]
    replace_text(file, json.dumps({"texts": list(texts), "rows": rows}))


def load_trace(file: Path) -> list[Record]:
    """What `save_trace` wrote."""
    fields = json.loads(file.read_text(encoding="utf-8"))
    texts = fields["texts"]

    def unpacked(value: Any) -> Any:
        return texts[value] if isinstance(value, int) else tuple(texts[part] for part in value)

    return [Record._make(unpacked(field) if at in _TEXTS else field for at, field in enumerate(row)) for row in fields["rows"]]


def save_values(file: Path, values: Values) -> None:
    """Of one step, to a file of its own."""
    entries = {side: [entry.to_json() for entry in getattr(values, side)] for side in ("inputs", "outputs")}
    replace_text(file, json.dumps({"record": values.record, **entries}))


def load_values(file: Path) -> Values:
    """What `save_values` wrote."""
    fields = json.loads(file.read_text(encoding="utf-8"))
    inputs, outputs = (tuple(map(Entry.from_json, fields[side])) for side in ("inputs", "outputs"))
    return Values(_record(fields["record"]), inputs, outputs)


def _record(fields: Iterable[Any]) -> Record:
    """JSON has no tuples."""
    return Record._make(tuple(field) if isinstance(field, list) else field for field in fields)
