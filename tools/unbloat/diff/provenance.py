"""Where the values of a run come from."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property

from unbloat.trace.records import Record, content


class Run:
    """The steps of one run. Values are told apart by their digests, so equal values count as one."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records

    def at(self, steps: range) -> Record | None:
        """The first of some steps, if there are any."""
        return self.records[steps.start] if steps else None

    def maker(self, number: int, index: int) -> int | None:
        """The step that made an input of a step: the last one before it that came to this value, or wrote to its memory."""
        record = self.records[number]
        writer, makers = record.writers[index], self._makers.get(content(record.inputs[index]), [])
        earlier = bisect_left(makers, number)
        if writer >= 0 and (writer in makers[:earlier] or not earlier):
            return writer
        return makers[earlier - 1] if earlier else None

    def met_before(self, digest: str, number: int) -> bool:
        """Whether a value went into or came out of an earlier step."""
        return self._first_met.get(content(digest), number) < number

    # Both are only asked for once something differs.

    @cached_property
    def _makers(self) -> Mapping[str, list[int]]:
        made = defaultdict(list)
        for number, record in enumerate(self.records):
            for digest in () if record.records else record.outputs:
                made[content(digest)].append(number)
        return made

    @cached_property
    def _first_met(self) -> Mapping[str, int]:
        met: dict[str, int] = {}
        for number, record in enumerate(self.records):
            for digest in (*record.inputs, *record.outputs):
                met.setdefault(content(digest), number)
        return met
