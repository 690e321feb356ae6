"""The tape sees every operation of the workload, nothing of the recorder's, and changes no number."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.golden.recorder import Recorder
from unbloat.golden.tape import CHUNK


def taped(work: Callable[[Recorder], object], tmp_path: Path, capture: frozenset[str] = frozenset()) -> Ledger:
    recorder = Recorder("w", tmp_path, capture=capture)
    with recorder.observing():
        work(recorder)
    return recorder.ledger()


def ops(ledger: Ledger) -> list[str]:
    chunks = [entry.values or b"" for entry in ledger.entries if entry.name.startswith("tape[")]
    return [line for chunk in chunks for line in chunk.decode().split("\n")]


def test_an_operation_has_its_name_and_the_types_and_shapes_around_it(tmp_path: Path) -> None:
    ledger = taped(lambda _: torch.cat([torch.ones(2, 3), torch.ones(1, 3)]), tmp_path)
    assert ops(ledger)[-1] == "aten.cat.default(float32[2, 3], float32[1, 3]) -> float32[3, 3]"


def test_what_the_recorder_computes_is_not_on_the_tape(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)

    def work(recorder: Recorder) -> None:
        recorder.model("model", model)
        recorder.gradients("gradients", model)
        recorder.rng("rng")
        recorder.record("transposed", model.weight)

    assert ops(taped(work, tmp_path)) == []


def _multiply(count: int, extra_at: int | None = None) -> Callable[[Recorder], None]:
    def work(recorder: Recorder) -> None:
        value = torch.ones(2)
        for step in range(count):
            if step == extra_at:
                torch.neg(value)
            value = value * 2
        recorder.record("value", value)

    return work


def test_chunks_are_folded_and_counted(tmp_path: Path) -> None:
    ledger = taped(_multiply(2 * CHUNK), tmp_path)
    shapes = {entry.name: (entry.shape, entry.preview) for entry in ledger.entries if entry.kind == "tape"}
    assert shapes["tape[0]"][0] == shapes["tape[1]"][0] == (CHUNK,)
    assert shapes["tape[2]"][0] == (1,)
    assert shapes["tape"][1] == f"{2 * CHUNK + 1} operations"


def test_an_inserted_operation_is_found_and_named_when_captured(tmp_path: Path) -> None:
    plain, inserted = _multiply(600), _multiply(600, extra_at=300)
    divergence = compare(taped(plain, tmp_path), taped(inserted, tmp_path))
    assert divergence is not None
    assert divergence.entry == "tape[1]"
    capture = frozenset({divergence.entry})
    closer = compare(taped(plain, tmp_path, capture), taped(inserted, tmp_path, capture))
    assert closer is not None
    # The first chunk holds torch.ones and 255 products.
    assert closer.what == ("line 45: aten.mul.Tensor(float32[2]) -> float32[2] != aten.neg.default(float32[2]) -> float32[2]")


def _train() -> list[torch.Tensor]:
    torch.manual_seed(0)
    model = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(2, 3, 8)).square().mean().backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return [model(torch.randn(2, 3, 8)), *(parameter.detach() for parameter in model.parameters())]


def test_numbers_are_the_same_with_and_without_a_tape(tmp_path: Path) -> None:
    results: list[list[torch.Tensor]] = []
    taped(lambda _: results.append(_train()), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(results[0], _train(), strict=True))


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_looking_on_changes_no_number(mode: Callable[[], AbstractContextManager[None]], tmp_path: Path) -> None:
    """Attention over a transposed batch: `matmul` chooses its kernel by whether a view of a parameter asks for gradients."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerDecoderLayer(32, 4, 64, batch_first=True, norm_first=True).eval()
    x, found = torch.randn(2, 300, 32), []

    def work(_: object) -> None:
        with mode():
            found.append(layer(x, x))
            found.append(torch.nn.functional.linear(x.transpose(0, 1), layer.linear1.weight, layer.linear1.bias))
            found.append(found[0].flatten(1).chunk(2)[0].reshape(-1) * 2)

    work(None)
    taped(work, tmp_path)
    assert all(torch.equal(plain, watched) for plain, watched in zip(found[:3], found[3:], strict=True))
