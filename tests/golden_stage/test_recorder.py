"""What a workload may record, and what of it a ledger holds."""

from __future__ import annotations

import enum
import math
import struct
import warnings
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import omegaconf
import pytest
import torch
from unbloat.errors import WorkloadError
from unbloat.golden.ledger import Entry, Ledger, digest_of
from unbloat.golden.recorder import Recorder

Point = namedtuple("Point", "x y")
Colour = enum.Enum("Colour", "RED")


@dataclass
class Batch:
    size: int
    names: list[str]


def recorded(value: object, tmp_path: Path, **options: Any) -> tuple[Entry, ...]:
    recorder = Recorder("w", tmp_path, **options)
    recorder.record("v", value)
    return recorder.ledger().entries


def shown(value: object) -> str:
    """A name for a test: that of a set must not depend on its order, which is another in each process."""
    return (repr(sorted(value)) if isinstance(value, set | frozenset) else repr(value))[:60]


LEAVES = [
    (None, "scalar", "none", ()),
    (True, "scalar", "bool", ()),
    (10**30, "scalar", "int", ()),
    (0.1, "scalar", "float", ()),
    (1 + 2j, "scalar", "complex", ()),
    ("text", "text", "str", (4,)),
    (b"\0\1", "bytes", "bytes", (2,)),
    (Path("a/b"), "text", "path", (3,)),
    (numpy.float32(1.5), "scalar", "float32", ()),
    (numpy.float64(1.5), "scalar", "float64", ()),
    (numpy.zeros((2, 0)), "array", "float64", (2, 0)),
    (numpy.arange(6, dtype=">i4").reshape(2, 3).T, "array", "int32", (3, 2)),
    (numpy.array(["ab", "c"]), "array", "<U2", (2,)),
    (torch.tensor(3), "tensor", "int64", ()),
    (torch.zeros(2, 0), "tensor", "float32", (2, 0)),
    (torch.ones(2, 3, dtype=torch.bfloat16).T, "tensor", "bfloat16", (3, 2)),
    (torch.ones(3, dtype=torch.float8_e4m3fn), "tensor", "float8_e4m3fn", (3,)),
    (torch.tensor([True, False]), "tensor", "bool", (2,)),
    (torch.tensor([1 + 2j]).conj(), "tensor", "complex64", (1,)),
    (torch.nn.Parameter(torch.ones(2)), "tensor", "float32", (2,)),
    (torch.float16, "text", "dtype", (13,)),
    (torch.device("cpu"), "text", "device", (3,)),
]


@pytest.mark.parametrize(("value", "kind", "dtype", "shape"), LEAVES, ids=shown)
def test_a_leaf_is_one_entry_with_its_type_and_shape(
    value: object, kind: str, dtype: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    (entry,) = recorded(value, tmp_path)
    assert (entry.name, entry.kind, entry.dtype, entry.shape) == ("v", kind, dtype, shape)
    assert entry.values is not None
    assert entry.digest == digest_of(entry.dtype, entry.shape, entry.values)


def _compressed() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "in beta state"
        return torch.eye(2).to_sparse_csr()


CONTAINERS = [
    ([1, [2]], ["v", "v[0]", "v[1]", "v[1][0]"]),
    ((1, None), ["v", "v[0]", "v[1]"]),
    ({"a": 1, 2: {"b": 3}}, ["v", "v.a", "v[2]", "v[2].b"]),
    ({"b", "a"}, ["v", "v[0]", "v[1]"]),
    (Point(1, 2), ["v", "v.x", "v.y"]),
    (Batch(1, ["a"]), ["v", "v.size", "v.names", "v.names[0]"]),
    (omegaconf.OmegaConf.create({"a": 1, "b": ["${a}"]}), ["v", "v.a", "v.b", "v.b[0]"]),
    (torch.eye(2).to_sparse(), ["v", "v.indices", "v.values"]),
    (_compressed(), ["v", "v.crow_indices", "v.col_indices", "v.values"]),
    (torch.Size([2, 3]), ["v", "v[0]", "v[1]"]),
]


@pytest.mark.parametrize(("value", "names"), CONTAINERS, ids=shown)
def test_a_container_is_its_structure_and_its_parts(value: object, names: list[str], tmp_path: Path) -> None:
    entries = recorded(value, tmp_path)
    assert [entry.name for entry in entries] == names
    assert entries[0].kind == "structure"


DIFFERENT = [
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1: 0}, {"1": 0}),
    ([1], (1,)),
    ({}, OrderedDict()),
    (torch.ones(2, 3), torch.ones(3, 2)),
    (torch.ones(2), torch.ones(2, dtype=torch.float64)),
    (torch.ones(2), numpy.ones(2, dtype=numpy.float32)),
    (torch.tensor([0], dtype=torch.int32), torch.tensor([0.0])),
]


@pytest.mark.parametrize(("left", "right"), DIFFERENT, ids=shown)
def test_what_python_may_call_equal_is_told_apart(left: object, right: object, tmp_path: Path) -> None:
    def facts(value: object) -> list[tuple[str, str, str]]:
        return [(entry.name, entry.kind, entry.digest) for entry in recorded(value, tmp_path)]

    assert facts(left) != facts(right)


SAME = [
    (math.nan, math.nan),
    (torch.tensor([math.nan]), torch.tensor([math.nan])),
    ({"a", "b", "c"}, {"c", "b", "a"}),
    (torch.arange(6).reshape(2, 3).T.contiguous(), torch.arange(6).reshape(2, 3).T),
    (numpy.arange(3, dtype="<i8"), numpy.arange(3, dtype=">i8")),
]


@pytest.mark.parametrize(("left", "right"), SAME, ids=shown)
def test_layout_and_order_of_sets_do_not_matter(left: object, right: object, tmp_path: Path) -> None:
    assert recorded(left, tmp_path) == recorded(right, tmp_path)


def _cycle() -> list[object]:
    cycle: list[object] = []
    cycle.append(cycle)
    return cycle


UNSUPPORTED = [
    (object(), "'v': a ledger holds nothing of type builtins.object; record the tensors"),
    ([object()], r"'v\[0\]'"),
    (Colour.RED, "Colour"),
    (Batch, "builtins.type"),
    (torch.nn.Linear(1, 1), r"torch.*Linear; use golden.model\(name, module\)"),
    (torch.optim.SGD([torch.zeros(1)]), r"use golden.optimizer\(name, optimizer\)"),
    ({(1, 2): 3}, "the key .* of type tuple"),
    (numpy.array([object()]), "array of Python objects"),
    (numpy.ma.masked_array([1], [True]), "masked array"),
    (torch.zeros(1, device="meta"), "that is meta has no plain bytes"),
    (_cycle(), "contains itself"),
]


@pytest.mark.parametrize(("value", "message"), UNSUPPORTED, ids=range(len(UNSUPPORTED)))
def test_anything_else_is_refused_with_advice(value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=message):
        recorded(value, tmp_path)


def test_values_are_kept_for_small_and_captured_entries_only(tmp_path: Path) -> None:
    small, large = torch.arange(64), torch.arange(65)
    assert recorded(small, tmp_path)[0].values == struct.pack("<64q", *range(64))
    assert recorded(large, tmp_path)[0].values is None
    assert recorded(large, tmp_path, capture=frozenset({"v"}))[0].values == struct.pack("<65q", *range(65))
    assert recorded([large], tmp_path, capture=frozenset({"v"}))[1].values is not None
    assert recorded(large, tmp_path, capture=frozenset({"v"}))[0].digest == recorded(large, tmp_path)[0].digest


def test_a_name_that_comes_again_is_numbered(tmp_path: Path) -> None:
    recorder = Recorder("w", tmp_path)
    for value in range(3):
        recorder.record("loss", value)
    assert [entry.name for entry in recorder.ledger().entries] == ["loss", "loss#2", "loss#3"]


def test_texts_do_not_hold_the_folder_of_the_run(tmp_path: Path) -> None:
    assert [entry.preview for entry in recorded([tmp_path / "a", f"at {tmp_path}"], tmp_path)[1:]] == [
        "'<workdir>/a'",
        "'at <workdir>'",
    ]
    structure, score = recorded({f"{tmp_path}/best.ckpt": 1}, tmp_path)
    assert (structure.preview, score.name) == ("dict: '<workdir>/best.ckpt'", "v.<workdir>/best.ckpt")


def test_random_states_change_exactly_when_something_is_drawn(tmp_path: Path) -> None:
    recorder = Recorder("w", tmp_path)
    recorder.rng("a")
    recorder.rng("a")
    torch.rand(1)
    recorder.rng("a")
    digests = {entry.name: entry.digest for entry in recorder.ledger().entries}
    assert list(digests)[:3] == ["a.python", "a.numpy", "a.torch"]
    assert digests["a.torch"] == digests["a.torch#2"] != digests["a.torch#3"]
    assert digests["a.numpy"] == digests["a.numpy#3"]


def _written(folder: Path, note: str) -> Ledger:
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_text(f"log of {folder}")
    torch.save({"path": str(folder), "weight": torch.ones(2)}, folder / "sub" / "a.ckpt")
    (folder / "note").write_text(note)
    recorder = Recorder("w", folder)
    recorder.files("out", folder)
    return recorder.ledger()


def test_files_are_compared_without_the_name_of_their_folder(tmp_path: Path) -> None:
    first, same, other = (_written(tmp_path / name, note) for name, note in (("a", "x"), ("b", "x"), ("c", "y")))
    assert [entry.name for entry in first.entries] == ["out", "out/b.txt", "out/note", "out/sub/a.ckpt"]
    assert first == same
    differing = [a.name for a, b in zip(first.entries, other.entries, strict=True) if a != b]
    assert differing == ["out/note"]


def test_files_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="there is no folder"):
        Recorder("w", tmp_path).files("out", tmp_path / "none")


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Linear(2, 2, bias=False)
        self.b = torch.nn.Linear(2, 2, bias=False)
        self.b.weight = self.a.weight
        self.c = torch.nn.Linear(2, 1)
        self.c.bias.requires_grad_(False)
        self.register_buffer("mask", torch.ones(3), persistent=False)


def test_a_model_is_its_structure_and_its_values(tmp_path: Path) -> None:
    model = Tied()
    model.c.eval()
    recorder = Recorder("w", tmp_path)
    recorder.model("net", model)
    entries = {entry.name: entry for entry in recorder.ledger().entries}
    lines = {name: (entry.values or b"").decode().split("\n") for name, entry in entries.items() if entry.dtype == "lines"}
    assert lines["net.keys"][:2] == ["a.weight: float32[2, 2]", "b.weight: float32[2, 2]"]
    assert entries["net.tied[0][0]"].preview == "'a.weight'"
    assert entries["net.tied[0][1]"].preview == "'b.weight'"
    assert (entries["net.parameters"].preview, entries["net.trainable"].preview) == ("7", "6")
    assert lines["net.frozen"] == ["c.bias"]
    assert lines["net.modes"] == ["(root): train", "a: train", "b: train", "c: eval"]
    assert lines["net.buffers"] == ["mask: float32[3]"]
    assert entries["net.state.mask"].kind == "tensor"


def test_gradients_and_optimizer_follow_a_step(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    recorder = Recorder("w", tmp_path)
    recorder.gradients("grad", model)
    recorder.optimizer("opt", optimizer)
    entries = {entry.name: entry for entry in recorder.ledger().entries}
    assert entries["grad.weight"].preview == "[1, 1]"
    assert entries["grad.bias"].dtype == "none"
    assert entries["opt.groups[0].lr"].preview == "0.5"
    assert entries["opt.groups[0].params"].preview == "2"
    assert entries["opt.state[0].exp_avg"].shape == (1, 2)


def test_warnings_are_recorded_without_positions(tmp_path: Path) -> None:
    recorder = Recorder("w", tmp_path)
    with recorder.observing():
        for _ in range(2):
            warnings.warn("see /usr/lib/x.py:12, line 12, object at 0x7f00aa11bb", stacklevel=1)
        warnings.warn(f"{tmp_path}/checkpoint exists", DeprecationWarning, stacklevel=1)
    shown = [entry.preview for entry in recorder.ledger().entries if entry.kind == "warning"]
    assert shown == [
        "3 warnings",
        "'UserWarning: see ?, line ?, object at ?'",
        "'UserWarning: see ?, line ?, object at ?'",
        "'DeprecationWarning: <workdir>/checkpoint exists'",
    ]
