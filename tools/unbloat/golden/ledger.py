"""Everything that one run of a workload let us observe, in the order in which it happened."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash

from unbloat.golden.sketch import Sketch


@dataclass(frozen=True)
class Entry:
    """One observed value. `digest` decides equality; `preview` and `values` help a person to see a difference.

    Across machines floating values are not equal but close: `values` tells for few, `sketch` for many.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    preview: str
    values: bytes | None
    sketch: Sketch | None = None

    def to_json(self) -> dict[str, Any]:
        """`values` and `sketch` are left out where there are none, which is the usual case."""
        fields: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "digest": self.digest,
            "preview": self.preview,
        }
        if self.values is not None:
            fields["values"] = base64.b64encode(self.values).decode("ascii")
        if self.sketch is not None:
            fields["sketch"] = [self.sketch.norm, *self.sketch.projections]
            if self.sketch.special:
                fields["special"] = self.sketch.special
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Entry:
        values, numbers = fields.get("values"), fields.get("sketch")
        return cls(
            name=fields["name"],
            kind=fields["kind"],
            dtype=fields["dtype"],
            shape=tuple(fields["shape"]),
            digest=fields["digest"],
            preview=fields["preview"],
            values=None if values is None else base64.b64decode(values),
            sketch=None if numbers is None else Sketch(numbers[0], tuple(numbers[1:]), fields.get("special", "")),
        )


@dataclass(frozen=True)
class Ledger:
    """The entries of one workload, in execution order."""

    workload: str
    entries: tuple[Entry, ...]

    def digest(self) -> str:
        """One number for the whole run; what was captured for reading does not change it."""
        hasher = xxhash.xxh3_128(self.workload.encode())
        for entry in self.entries:
            hasher.update(f"\n{entry.name}|{entry.kind}|{entry.dtype}|{entry.shape}|{entry.digest}".encode())
        return hasher.hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {"workload": self.workload, "entries": [entry.to_json() for entry in self.entries]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Ledger:
        return cls(fields["workload"], tuple(Entry.from_json(entry) for entry in fields["entries"]))


def digest_of(dtype: str, shape: Sequence[int], raw: Any) -> str:
    """Type and shape are part of the digest: the same bytes read as another type are another value.

    `raw` is anything with the buffer protocol, so that a large array is hashed where it lies.
    """
    hasher = xxhash.xxh3_128(f"{dtype}|{tuple(shape)}|".encode())
    hasher.update(raw)
    return hasher.hexdigest()
