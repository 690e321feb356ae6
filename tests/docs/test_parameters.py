"""The comparison of the champion's tensors with the original's. That the legacy's agree, docs/legacy.md tells."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "legacy.md"
TOTALS = {"saved_tensors": 144, "saved_numbers": 1_819_531}

Tensors = list[Any]


def _as_in_the_original() -> Tensors:
    parameters = importlib.import_module("parameters")
    return [parameters.SavedTensor(name, shape, "parameter") for name, shape in parameters.original()]


def _reshaped(tensors: Tensors) -> Tensors:
    return [replace(tensors[0], shape=(1, 160)), *tensors[1:]]


@pytest.mark.parametrize(
    ("change", "totals", "lines"),
    [
        pytest.param(list, {}, [], id="as in the original"),
        pytest.param(lambda found: found[1:], {}, ["missing: bos_embed [160]"], id="missing"),
        pytest.param(lambda found: [*found, replace(found[0], name="more")], {}, ["unexpected: more [160]"], id="unexpected"),
        pytest.param(_reshaped, {}, ["shape: bos_embed is [1, 160], in the original [160]"], id="shape"),
        pytest.param(
            lambda found: [found[1], found[0], *found[2:]],
            {},
            ["order: input_embedding.G stands where bos_embed stands in the original"],
            id="order",
        ),
        pytest.param(list, {"saved_tensors": 145}, ["total: saved_tensors is 145, in the original 144"], id="total"),
    ],
)
def test_a_line_for_each_difference(change: Callable[[Tensors], Tensors], totals: dict[str, int], lines: list[str]) -> None:
    parameters = importlib.import_module("parameters")
    found = parameters.differences(change(_as_in_the_original()), parameters.original(), TOTALS | totals, TOTALS)
    assert found == lines


def test_the_totals_of_the_original_tensors() -> None:
    parameters = importlib.import_module("parameters")
    totals = parameters.original_totals()
    assert sum(tensor.numbers for tensor in _as_in_the_original()) == totals["saved_numbers"]
    assert totals["saved_numbers"] == totals["parameters"] + totals["buffers"] + totals["tied"]


def test_kinds_of_tensors() -> None:
    nn = importlib.import_module("torch").nn
    model = nn.Module()
    model.first = nn.Linear(2, 3, bias=False)
    model.second = nn.Linear(2, 3, bias=False)
    model.second.weight = model.first.weight
    model.register_buffer("table", importlib.import_module("torch").zeros(4))
    parameters = importlib.import_module("parameters")
    found = parameters.saved_tensors(model)
    assert {tensor.name: tensor.kind for tensor in found} == {
        "table": "buffer",
        "first.weight": "parameter",
        "second.weight": "tied",
    }
    assert parameters.by_component(found) == {"table": {"buffer": 4}, "first": {"parameter": 6}, "second": {"tied": 6}}


def test_the_legacy_has_the_original_tensors() -> None:
    assert "Names, shapes and totals are those of the original's checkpoint" in PAGE.read_text()
