"""Insertion decoding, symmetries and extracted skills."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

Nodes = Callable[[str], DictConfig]
PAD, EOS = 10, 23


def decoding() -> ModuleType:
    return importlib.import_module("champion.decoding")


def test_aggregated_logits() -> None:
    logits = torch.randn(2, 3, 24, dtype=torch.float64)
    found = decoding().aggregate_logits(logits)
    assert found.shape == (2, 3, 11)
    for colour in (0, 4, 10):
        z, hedge = logits[1, 2, colour].item(), logits[1, 2, 12 + colour].item()
        assert found[1, 2, colour].item() == pytest.approx(math.log(math.exp(z) + math.exp(hedge)))
    assert decoding().aggregate_logits(found) is found
    assert torch.isfinite(decoding().aggregate_logits(torch.full((1, 24), 1e30))).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [True, True, True]),
        ({"pad_marks_complete": True}, [True, False, True]),
        ({"predicted": True, "eos_conf_threshold": 2.775}, [True, True, False]),
        ({"predicted": True, "eos_conf_threshold": -9.0}, [False, False, False]),
    ],
    ids=str,
)
def test_slot_state(options: dict[str, object], expected: list[bool]) -> None:
    logits = torch.zeros(3, 24)
    logits[2, EOS] = math.log(23) + 2.8
    state = decoding().compute_slot_state(torch.tensor([1, PAD, 3]), logits, **options)
    assert state.tolist() == expected
    assert decoding().compute_slot_state(None, logits, pad_marks_complete=True).all()


def test_gating_lowers_everything_but_eos_on_complete_slots(node: Nodes) -> None:
    shift = node("model.insertion").gating_logit_shift
    logits = torch.randn(2, 24, dtype=torch.float64, requires_grad=True)
    gated = decoding().apply_insertion_gating(logits, torch.tensor([True, False]), shift)
    assert torch.equal(gated[0], logits[0]) and gated[1, EOS] == logits[1, EOS]
    assert (logits[1, :EOS] - gated[1, :EOS]).tolist() == pytest.approx([shift] * 23)
    gated.sum().backward()
    assert torch.equal(logits.grad, torch.ones_like(logits))


def decoder(node: Nodes, **changes: object):  # type: ignore[no-untyped-def]
    cfg = OmegaConf.merge(node("model.insertion"), {"decode": changes})
    return decoding().InsertionDecoder(cfg)


def cells(strengths: list[float], colours: list[int]) -> Callable[[Tensor], Tensor]:
    """A model that wants these colours, with this strength, whatever is on the canvas."""
    logits = torch.zeros(1, 1, len(colours), 24)
    for cell, (strength, colour) in enumerate(zip(strengths, colours, strict=True)):
        logits[0, 0, cell, colour] = strength
    return lambda canvas: logits.expand(len(canvas), 1, len(colours), 24)


@pytest.mark.parametrize(
    ("changes", "order"),
    [
        ({}, [1, 0, 1, 0]),
        ({"strategy": "confidence", "selection_k": 1}, [3, 0, 2, 1]),
        ({"strategy": "margin", "selection_k": 3}, [1, 0, 0, 0]),
        ({"strategy": "raster", "selection_k": 1}, [0, 1, 2, 3]),
        ({"max_steps": 1}, [-1, 0, -1, 0]),
        ({"min_conf": 0.5}, [-1, 0, -1, 0]),
        ({"min_conf": 1.1}, [-1, -1, -1, -1]),
    ],
    ids=str,
)
def test_slots_are_filled_in_the_order_of_the_strategy(node: Nodes, changes: dict[str, object], order: list[int]) -> None:
    model = cells([1.0, 9.0, 2.0, 5.0], [3, 4, 12 + 5, EOS])
    found = decoder(node, **changes).decode(model, torch.full((1, 1, 4), PAD))
    assert found.order.flatten().tolist() == order
    written = [colour if step >= 0 else PAD for colour, step in zip([3, 4, 5, PAD], order, strict=True)]
    assert found.grid.flatten().tolist() == written
    assert found.steps == max(order) + 1


def test_filled_slots_stay_and_random_order_repeats(node: Nodes) -> None:
    canvas = torch.full((2, 1, 6), PAD)
    canvas[0, 0, 2] = 7
    model = cells([3.0] * 6, [1, 2, 3, 4, 5, 6])
    runs = [decoder(node, strategy="random", selection_k=1, random_seed=seed).decode(model, canvas) for seed in (5, 5, 6)]
    assert torch.equal(runs[0].order, runs[1].order) and not torch.equal(runs[0].order, runs[2].order)
    assert runs[0].grid[0, 0].tolist() == [1, 2, 7, 4, 5, 6] and runs[0].grid[1, 0].tolist() == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert runs[0].order[0, 0, 2] == -1


@pytest.mark.parametrize("changes", [{"strategy": "guess"}, {"selection_k": 0}], ids=str)
def test_decoder_refuses(node: Nodes, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"strategy|selection_k"):
        decoder(node, **changes)


def padded(rows: list[list[int]], size: int = 5) -> Tensor:
    grid = torch.full((size, size), PAD)
    inner = torch.tensor(rows)
    grid[: inner.size(0), : inner.size(1)] = inner
    return grid


def test_symmetries_are_the_group_of_the_square_and_invertible() -> None:
    module = importlib.import_module("champion.decoding.augmentations")
    grid = padded([[1, 2, 3], [4, 5, 6]])
    views = [augmentation.apply(grid) for augmentation in module.D4]
    assert len({tuple(view.flatten().tolist()) for view in views}) == 8
    assert torch.equal(views[1], padded([[3, 6], [2, 5], [1, 4]]))
    assert torch.equal(views[4], padded([[3, 2, 1], [6, 5, 4]]))
    shuffled = module.Augmentation(3, True, (9, 0, 1, 2, 3, 4, 5, 6, 7, 8))
    assert torch.equal(shuffled.apply(padded([[0, 1]])), padded([[0], [9]]))
    for augmentation in (*module.D4, shuffled):
        assert torch.equal(augmentation.invert(augmentation.apply(grid)), grid)


def test_augmentation_refuses() -> None:
    module = importlib.import_module("champion.decoding.augmentations")
    with pytest.raises(ValueError, match="permutation"):
        module.Augmentation(colours=(0,) * 10)
    with pytest.raises(ValueError, match="does not fit"):
        module.D4[1].apply(torch.zeros(2, 3, dtype=torch.long))


@pytest.mark.parametrize(("count", "colours", "found"), [(16, True, 16), (5, False, 5), (20, False, 8), (0, True, 0)])
def test_sampled_augmentations(count: int, colours: bool, found: int) -> None:
    sample = importlib.import_module("champion.decoding.augmentations").sample_augmentations
    views = sample(count, 3, colours)
    assert len(views) == len(set(views)) == found
    assert views == sample(count, 3, colours)
    assert all(view.colours[0] == 0 for view in views)
    assert not views or (views[0].turns, views[0].mirror) == (0, False)


def test_vote() -> None:
    vote = importlib.import_module("champion.decoding.augmentations").vote
    one, two = torch.tensor([[1]]), torch.tensor([[2]])
    assert vote([one, two, two.clone()]) is two
    assert vote([one, two]) is one
    assert vote([one, two], weights=[0.2, 0.7]) is two
    with pytest.raises(ValueError, match="nothing"):
        vote([])


def states() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    base = {
        "w": torch.randn(6, 4, dtype=torch.float64),
        "b": torch.randn(6, dtype=torch.float64),
        "same": torch.ones(2, 2),
        "count": torch.tensor([1]),
        "gone": torch.ones(1),
    }
    tuned = {name: value.clone() for name, value in base.items() if name != "gone"}
    tuned["w"] += torch.randn(6, 4, dtype=torch.float64)
    tuned["b"] += 1
    tuned["count"] += 1
    return base, tuned


@pytest.mark.parametrize("rank", [1, 2, 4, 9])
def test_skill_is_the_best_approximation_of_its_rank(rank: int) -> None:
    module = importlib.import_module("champion.lora.extract_skills")
    base, tuned = states()
    skill = module.extract_skill(base, tuned, "task", rank)
    assert set(skill.factors) == {"w"} and set(skill.offsets) == {"b"}
    rebuilt = module.apply_skill(base, skill)
    lost = torch.linalg.svdvals(tuned["w"] - base["w"])[rank:]
    assert (rebuilt["w"] - tuned["w"]).norm().item() == pytest.approx(lost.norm().item(), abs=1e-9)
    assert torch.allclose(rebuilt["b"], tuned["b"])
    total = ((tuned["w"] - base["w"]) ** 2).sum() + 6
    assert skill.kept_energy == pytest.approx(1 - ((lost**2).sum() / total).item())
    half = module.apply_skill(base, skill, 0.5)
    assert torch.allclose(half["w"], (rebuilt["w"] + base["w"]) / 2)
    assert module.extract_skill(base, base, "none").kept_energy == 1.0
    with pytest.raises(ValueError, match="rank"):
        module.extract_skill(base, tuned, "task", 0)


def test_skills_of_checkpoints(tmp_path: Path) -> None:
    module = importlib.import_module("champion.lora.extract_skills")
    base, tuned = states()
    torch.save({"state_dict": base, "hyper_parameters": {}}, tmp_path / "base.ckpt")
    torch.save({"state_dict": tuned}, tmp_path / "tuned.ckpt")
    tasks = [("a", tmp_path / "tuned.ckpt"), ("b", tmp_path / "missing.ckpt")]
    written = module.extract_skills(tmp_path / "base.ckpt", tasks, tmp_path / "skills", rank=4)
    assert list(written) == ["a"]
    skill = module.Skill.load(written["a"])
    assert skill.task_id == "a"
    assert torch.allclose(module.apply_skill(base, skill)["w"], tuned["w"])
