"""How task files become samples and batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from .conftest import PAIRS, SIDE, TASK_IDS, Place

HELD_OUT = 2  # the last fifth of twelve


@pytest.fixture
def data(module: Callable[[str], ModuleType]) -> Any:
    module("scripting").use_tree("legacy")
    return module("champion_data")


@pytest.fixture
def config(place: Place, module: Callable[[str], ModuleType]) -> Any:
    return module("scripting").load_config(place.config)


def _padded(grid: list[list[int]]) -> torch.Tensor:
    canvas = torch.full((SIDE, SIDE), 10)
    canvas[: len(grid), : len(grid[0])] = torch.tensor(grid)
    return canvas


def test_the_last_fifth_is_held_out(data: Any, config: Any, place: Place) -> None:
    split = data.load_split(config, place.data, TASK_IDS, seed=42)
    assert (len(split.train), len(split.held_out)) == (3 * (PAIRS - HELD_OUT), 3 * HELD_OUT)
    for index, task_id in enumerate(TASK_IDS):
        pairs = json.loads((place.data / f"{task_id}.json").read_text())["train"]
        own = [item for item in (*split.train, *split.held_out) if int(item[4]) == index]
        for pair, item in zip(pairs, own, strict=True):
            assert torch.equal(item[0], _padded(pair["input"])) and torch.equal(item[1], _padded(pair["output"]))


def test_held_out_pairs_are_never_contexts(data: Any, config: Any, place: Place) -> None:
    for seed in range(5):
        split = data.load_split(config, place.data, TASK_IDS, seed=seed)
        held_out = {tuple(item[0].flatten().tolist()) for item in split.held_out}
        shown = {tuple(grid.flatten().tolist()) for item in split.train for grid in item[2]}
        assert shown and not shown & held_out


def test_contexts_follow_from_seed_and_task(data: Any, config: Any, place: Place) -> None:
    together = data.load_split(config, place.data, TASK_IDS, seed=42).held_out
    alone = data.load_split(config, place.data, TASK_IDS[1:2], seed=42, held_out=1).held_out
    other = data.load_split(config, place.data, TASK_IDS[1:2], seed=43, held_out=1).held_out
    assert len(alone) == 1
    assert torch.equal(alone[0][2], together[HELD_OUT][2])
    assert not torch.equal(alone[0][2], other[0][2])


def test_preparing_leaves_config_and_folder_alone(
    data: Any, config: Any, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = config.copy()
    data.load_split(config, place.data, TASK_IDS, seed=42)
    assert config == before
    assert list(tmp_path.iterdir()) == []


def test_missing_contexts_do_not_count(data: Any, config: Any, place: Place, module: Any) -> None:
    """A batch fills them up with PAD, which the context encoder leaves out."""
    items = data.load_split(config, place.data, TASK_IDS[:1], seed=42).train
    single = next(item for item in items if len(item[2]) == 1)
    double = next(item for item in items if len(item[2]) == 2)
    batch = data.collate([single, double])
    assert batch[2].shape == (2, 2, SIDE, SIDE) and bool((batch[2][0, 1] == 10).all())
    encoders = module("champion.model.context_encoder_pqa")
    torch.manual_seed(1)
    encoder = encoders.ContextEncoderPQA(encoders.ContextEncoderConfig(**config.model.context_encoder)).eval()
    alone = encoder(single[2][None], single[3][None])[0]
    with_filler = encoder(batch[2], batch[3])[0][:1]
    with_zeros = encoder(*(torch.cat([part[None], torch.zeros_like(part)[None]], dim=1) for part in single[2:4]))[0]
    torch.testing.assert_close(with_filler, alone)
    assert not torch.allclose(with_zeros, alone)


def _stream(data: Any, position: int = 0, rank: int = 0, ranks: int = 1) -> list[list[int]]:
    found: list[list[int]] = []
    stream = data.BatchStream(10, 2, 4, 42, lambda: position + len(found), rank, ranks)
    while len(found) < 8 - position:
        found += list(stream)
    return found


def test_batches_pass_over_all_samples(data: Any) -> None:
    places = [place for batch in _stream(data) for place in batch]
    assert sorted(places[:10]) == list(range(10))
    assert places[:10] != list(range(10)) and len(set(places[10:16])) == 6


@pytest.mark.parametrize("position", range(8))
def test_a_stream_goes_on_anywhere(position: int, data: Any) -> None:
    assert _stream(data, position) == _stream(data)[position:]


def test_processes_share_the_stream(data: Any) -> None:
    apart = [_stream(data, rank=rank, ranks=2) for rank in (0, 1)]
    together = [batch for pair in zip(*apart, strict=True) for batch in pair]
    assert together[:8] == _stream(data)


def test_validation_takes_tasks_by_turns(data: Any, config: Any, place: Place, module: Any) -> None:
    items = module("train").by_turns(data.load_split(config, place.data, TASK_IDS, seed=42).held_out)
    assert [int(item[4]) for item in items] == [0, 1, 2] * HELD_OUT
