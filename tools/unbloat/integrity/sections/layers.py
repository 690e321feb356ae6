"""Every module of every model, with its parameters and buffers, legacy beside stripped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from unbloat.integrity.report import Check, Section, Table, compared
from unbloat.integrity.watched import Watched

TITLE = "Layers and parameters"
_TENSOR = ("shape", "dtype", "trained")
Models = list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]]


def layers(watched: Watched | None) -> Section:
    """From what a run saw; of two models that are built alike, the first."""
    if watched is None:
        return Section(TITLE, notes=("Not applicable: the workloads do not preload torch.",))
    found = models(watched)
    checks = [watched.check, *_checks(found, watched)]
    notes = () if found else ("No workload built a `torch.nn.Module` of the package.",)
    return Section(TITLE, tuple(checks), tuple(_tables(found)), notes)


def models(watched: Watched) -> Models:
    """Name, legacy layers, stripped layers; a model that looks as one before it is left out."""
    found: Models = []
    for workload, legacy, stripped in watched.both():
        for name, layers in legacy["models"].items():
            other = [] if stripped is None else stripped["models"].get(name, [])
            if not any(_built_alike(layers, known) for _, known, _ in found):
                found.append((f"{workload}/{name}", layers, other))
    return found


def _built_alike(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return [_outline(layer) for layer in one] == [_outline(layer) for layer in other]


def _outline(layer: Mapping[str, Any]) -> object:
    tensors = [(name, [tensor[key] for key in _TENSOR]) for name, tensor in layer["parameters"].items()]
    return layer["path"], layer["class"], tensors


def _checks(found: Models, watched: Watched) -> Iterator[Check]:
    questions: dict[str, Callable[[list[dict[str, Any]]], dict[str, Any]]] = {
        "modules: same paths, order and classes": _modules,
        "parameters of each layer: same names, shapes, types, trained or frozen": lambda one: _tensors(one, "parameters"),
        "buffers of each layer: same names, shapes and types": lambda one: _tensors(one, "buffers"),
        "parameters in all": lambda one: {"": total(one)},
    }
    for name, ask in questions.items():
        pairs = [row for model, old, new in found for row in _beside(model, ask(old), ask(new))]
        yield Check(name, 0, (), watched.waits_for) if watched.waits_for else compared(name, pairs)
    name = "tied tensors: same groups"
    tied = [
        (f"{workload}/{model}", groups, None if stripped is None else stripped["tied"].get(model))
        for workload, legacy, stripped in watched.both()
        for model, groups in legacy["tied"].items()
    ]
    yield Check(name, 0, (), watched.waits_for) if watched.waits_for else compared(name, tied)


def _beside(model: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys([*old, *new]):
        yield f"{model} {key}".rstrip(), old.get(key), new.get(key)


def _modules(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {layer["path"] or "(root)": (number, layer["class"]) for number, layer in enumerate(found)}


def _tensors(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return {
        f"{layer['path']}.{name}".lstrip("."): tuple(str(tensor[key]) for key in _TENSOR)
        for layer in found
        for name, tensor in layer[kind].items()
    }


def total(found: list[dict[str, Any]]) -> int:
    """Numbers in parameters, each tensor once: a layer that is reached by two paths is listed at its first."""
    return sum(count(layer) for layer in found)


def count(layer: Mapping[str, Any]) -> int:
    return sum(math.prod(tensor["shape"]) for tensor in layer["parameters"].values())


def _tables(found: Models) -> Iterator[Table]:
    header = ("layer", "class", "parameters, legacy", "parameters, stripped", "shapes", "type", "same")
    for name, old, new in found:
        there = {layer["path"]: layer for layer in new}
        rows = [_row(layer, there.get(layer["path"])) for layer in old if layer["parameters"] or layer["buffers"]]
        rows.append(("**in all**", "", f"{total(old):,}", f"{total(new):,}" if new else "–", "", "", ""))
        yield Table(f"`{name}`: {len(old)} modules, of which these hold parameters or buffers", header, tuple(rows))


def _row(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> tuple[str, ...]:
    tensors = {**old["parameters"], **old["buffers"]}
    shapes = ", ".join(f"{name} {'×'.join(map(str, one['shape'])) or 'scalar'}" for name, one in tensors.items())
    frozen = [name for name, one in old["parameters"].items() if not one["trained"]]
    kinds = ", ".join(sorted({one["dtype"] for one in tensors.values()})) + (f"; frozen: {', '.join(frozen)}" if frozen else "")
    same = "–" if new is None else "yes" if _outline(old) == _outline(new) and old["buffers"] == new["buffers"] else "no"
    return (
        old["path"] or "(root)",
        old["class"],
        f"{count(old):,}",
        "–" if new is None else f"{count(new):,}",
        shapes,
        kinds,
        same,
    )
