"""Goldens are committed, so they must survive a round trip and read well in a diff."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from unbloat.errors import WorkloadError
from unbloat.golden import store
from unbloat.golden.ledger import Ledger
from unbloat.golden.recorder import Recorder


def _ledger() -> Ledger:
    recorder = Recorder("train", Path("/nowhere"), capture=frozenset({"captured"}))
    for name, value in {"a": 1, "text": "ä\ud800\n", "big": torch.rand(100), "captured": torch.rand(100)}.items():
        recorder.record(name, value)
    return recorder.ledger()


def test_a_ledger_survives_a_round_trip(tmp_path: Path) -> None:
    ledger, file = _ledger(), tmp_path / "goldens" / "train.json"
    store.save(ledger, file)
    assert store.load(file) == ledger
    assert [found.name for found in file.parent.iterdir()] == ["train.json"]


def test_a_ledger_keeps_what_it_was_recorded_in_and_its_sketches(tmp_path: Path) -> None:
    recorder = Recorder("train", Path("/nowhere"))
    recorder.record("plain", torch.rand(100))
    recorder.record("special", torch.full((100,), float("nan")))
    store.save(recorder.ledger(), tmp_path / "g.json", {"processor": "p"})
    ledger, recorded_in = store.load_with_environment(tmp_path / "g.json")
    assert (ledger, recorded_in) == (recorder.ledger(), {"processor": "p"})
    assert [entry.sketch is not None and bool(entry.sketch.special) for entry in ledger.entries] == [False, True]


def test_every_entry_has_its_own_line_with_sorted_keys(tmp_path: Path) -> None:
    store.save(_ledger(), tmp_path / "g.json")
    lines = (tmp_path / "g.json").read_text().splitlines()
    entries = [json.loads(line.rstrip(",")) for line in lines[1:-1]]
    assert [entry["name"] for entry in entries] == ["a", "text", "big", "captured"]
    assert all(list(entry) == sorted(entry) for entry in entries)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"entries": [{}], "workload": "w"}'])
def test_a_bad_golden_is_named(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "g.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(WorkloadError, match=r"g\.json.*record it"):
        store.load(file)


def test_the_digest_ignores_what_was_captured_and_nothing_else() -> None:
    plain, captured = (Recorder("w", Path("/nowhere"), capture=frozenset(names)) for names in ((), ("v",)))
    other = Recorder("w", Path("/nowhere"))
    for recorder, value in ((plain, 0), (captured, 0), (other, 1)):
        recorder.record("v", torch.full((100,), value))
    assert plain.ledger().digest() == captured.ledger().digest() != other.ledger().digest()
