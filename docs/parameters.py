"""The champion's tensors: `python docs/parameters.py` lists them and compares them with those of the original's checkpoint.

Exit code 1, and a line for each difference, if names, shapes, order or totals differ.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LEGACY = ROOT / "reproduction" / "legacy"
CONFIG = ROOT / "reproduction" / "configs" / "champion.yaml"
ORIGINAL = ROOT / "tests" / "legacy" / "champion_tensors.json"
FACTS = ROOT / "docs" / "legacy_facts.toml"

Totals = dict[str, int]


@dataclass(frozen=True)
class SavedTensor:
    """One entry of the model's state: a parameter, a buffer, or one that is tied to an earlier entry."""

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def component(self) -> str:
        return self.name.partition(".")[0]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, chdir(folder):  # the package logs where it runs
        trainer = legacy_trainer()()
    found = saved_tensors(trainer.core_model)
    for tensor in found:
        print(f"{tensor.name:<60} {'×'.join(map(str, tensor.shape)):>10} {tensor.kind:>10} {tensor.numbers:>9,}")
    print()
    for component, kinds in by_component(found).items():
        print(f"{component:<60} {', '.join(f'{kind} {numbers:,}' for kind, numbers in kinds.items())}")
    totals = totals_of(found, trainer)
    print("\n" + ", ".join(f"{name} {number:,}" for name, number in totals.items()))
    wrong = differences(found, original(), totals, original_totals())
    print("\n".join(wrong) or "as in the original")
    return 1 if wrong else 0


def legacy_trainer() -> Callable[[], Any]:
    """Import the legacy; the result builds its trainer with the champion's config."""
    if str(LEGACY) not in sys.path:
        sys.path.insert(0, str(LEGACY))
    import torch
    from champion.model.trainer import TransformerTrainer
    from omegaconf import OmegaConf

    torch.set_num_threads(1)
    torch.manual_seed(0)
    return lambda: TransformerTrainer(OmegaConf.load(CONFIG))


def saved_tensors(model: Any) -> list[SavedTensor]:
    """What the model saves, in its order."""
    buffers = {name for name, _ in model.named_buffers()}
    seen: set[int] = set()
    found = []
    for name, tensor in model.state_dict().items():
        kind = "buffer" if name in buffers else "tied" if tensor.data_ptr() in seen else "parameter"
        seen.add(tensor.data_ptr())
        found.append(SavedTensor(name, tuple(tensor.shape), kind))
    return found


def by_component(tensors: Sequence[SavedTensor]) -> dict[str, dict[str, int]]:
    """How many numbers of each kind the parts of the model save, in the order of the model."""
    found: dict[str, dict[str, int]] = {}
    for tensor in tensors:
        kinds = found.setdefault(tensor.component, {})
        kinds[tensor.kind] = kinds.get(tensor.kind, 0) + tensor.numbers
    return found


def totals_of(tensors: Sequence[SavedTensor], trainer: Any) -> Totals:
    """The totals that are known of the original's checkpoint, for these tensors."""
    of_kind = dict.fromkeys(("parameter", "buffer", "tied"), 0)
    for tensor in tensors:
        of_kind[tensor.kind] += tensor.numbers
    return {
        "saved_tensors": len(tensors),
        "saved_numbers": sum(of_kind.values()),
        "buffers": of_kind["buffer"],
        "tied": of_kind["tied"],
        "parameters": of_kind["parameter"],
        "parameters_with_trainer": sum(parameter.numel() for parameter in trainer.parameters()),
    }


def original() -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the original's checkpoint, in the order in which the original registers them."""
    return [(name, tuple(shape)) for name, shape in json.loads(ORIGINAL.read_text(encoding="utf-8"))]


def original_totals() -> Totals:
    totals: Totals = tomllib.loads(FACTS.read_text(encoding="utf-8"))["totals"]
    return totals


def differences(
    found: Sequence[SavedTensor], expected: Sequence[tuple[str, tuple[int, ...]]], totals: Totals, expected_totals: Totals
) -> list[str]:
    """One line for everything that is not as in the original."""
    shapes, expected_shapes = {tensor.name: tensor.shape for tensor in found}, dict(expected)
    lines = [f"missing: {name} {list(shape)}" for name, shape in expected if name not in shapes]
    lines += [f"unexpected: {name} {list(shape)}" for name, shape in shapes.items() if name not in expected_shapes]
    both = [name for name in expected_shapes if name in shapes]
    lines += [
        f"shape: {name} is {list(shapes[name])}, in the original {list(expected_shapes[name])}"
        for name in both
        if shapes[name] != expected_shapes[name]
    ]
    order = [name for name in shapes if name in expected_shapes]
    misplaced = next((pair for pair in zip(order, both, strict=True) if pair[0] != pair[1]), None)
    if misplaced:
        lines.append(f"order: {misplaced[0]} stands where {misplaced[1]} stands in the original")
    lines += [
        f"total: {name} is {totals[name]:,}, in the original {number:,}"
        for name, number in expected_totals.items()
        if totals[name] != number
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
