"""What is to run after a save, and in which order."""

from __future__ import annotations

import pytest
from unbloat.watch.known import Known, State

FILES = {"a.py": b"1", "b.py": b"1", "c.json": b"1"}
READS: dict[str, list[str] | None] = {"dear": ["a.py", "b.py"], "cheap": ["b.py"], "unknown": None}
SECONDS = {"dear": 3.0, "cheap": 1.0, "unknown": 2.0}

# (the files after the save, what changed, what is to run, cheapest first)
SAVES = [
    ({}, [], []),
    ({"a.py": b"2"}, ["a.py"], ["unknown", "dear"]),
    ({"b.py": b"2"}, ["b.py"], ["cheap", "unknown", "dear"]),
    ({"c.json": b"2"}, ["c.json"], ["cheap", "unknown", "dear"]),
    ({"new.py": b""}, ["new.py"], ["cheap", "unknown", "dear"]),
    ({"a.py": None}, ["a.py"], ["cheap", "unknown", "dear"]),
]


@pytest.mark.parametrize(("saved", "changed", "to_run"), SAVES)
def test_what_a_save_can_affect(saved: dict[str, bytes | None], changed: list[str], to_run: list[str]) -> None:
    state = State(list(READS))
    assert state.saved(FILES) == sorted(FILES)
    assert state.next() == "dear"  # Nothing ran yet: the first comes first.
    for name, reads in READS.items():
        state.ran(name, Known(None, None if reads is None else frozenset(reads), SECONDS[name]))
    assert state.next() is None
    assert state.saved({name: content for name, content in {**FILES, **saved}.items() if content is not None}) == changed
    order = []
    while (name := state.next()) is not None:
        order.append(name)
        state.ran(name, Known())
    assert order == to_run


def test_a_verdict_stays_until_its_workload_is_to_run_again() -> None:
    state = State(["one", "two"])
    state.saved(FILES)
    state.ran("one", Known("differs", frozenset({"a.py"})))
    state.ran("two", Known("differs", frozenset({"b.py"})))
    state.saved({**FILES, "b.py": b"2"})
    assert state.differing() == ["one"]
