"""A watched run: every step with its line, module and optimizer step, and the numbers of a run that nobody watches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from unbloat.golden.compare import compare
from unbloat.subject import Workload
from unbloat.trace.records import Record, content, load_trace, load_values
from unbloat.verify.outcome import Failed, Recorded, Run
from unbloat.verify.server import Server

Traced = tuple[Recorded, list[Record], Path]

PACKAGE = """
import torch
from torch.utils.checkpoint import checkpoint


class Inner(torch.nn.Module):
    def forward(self, x):
        return x.sin().exp()  # inner


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.parts = torch.nn.ModuleList([Inner()])

    def forward(self, x):
        x = x * self.weight  # outer
        x = checkpoint(self.parts[0], x, use_reentrant=False)
        return torch.nn.functional.dropout(x, 0.5)  # drop


def step(model, optimizer):
    loss = model(torch.ones(3)).sum()  # loss
    loss.backward()
    optimizer.step()  # update
    model.weight.data[1:].fill_(2.0)  # view
    return loss.item()
"""
WORKLOAD = """
import torch


def flow(golden):
    from pkg import Net, step

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    golden.record("before", model.weight)  # recorded
    for _ in range(2):
        golden.record("loss", step(model, optimizer))
    golden.rng("end")
    model.weight.cos()  # workload
    torch.ones(1).expand(4)[:1].neg()  # One element, and no stride.
    torch.ones(3).to_sparse().neg()
    if FAILING:
        raise ValueError("on purpose")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(["torch", "torch._dynamo"]) as running:
        yield running


def run(server: Server, folder: Path, *, failing: bool = False, watched: bool = True, number: int | None = None) -> Run:
    (folder / "tree" / "pkg").mkdir(parents=True, exist_ok=True)
    (folder / "tree" / "pkg" / "__init__.py").write_text(PACKAGE)
    (folder / "workloads.py").write_text(dedent(WORKLOAD).replace("FAILING", str(failing)))
    workload = Workload("flow", folder / "workloads.py", "flow", 60.0)
    options = {
        "tree": str(folder / "tree"),
        "workload": str(workload.file),
        "aliases": {"modules": {}, "names": {}},
        "file": str(folder / "trace.json"),
        "number": number,
    }
    if not watched:
        return server.run(folder / "tree", workload)
    return server.run(folder / "tree", workload, observer="unbloat.trace.observer:traced", observer_options=options)


@pytest.fixture(scope="module")
def traced(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    folder = tmp_path_factory.mktemp("traced")
    done = run(server, folder)
    assert isinstance(done, Recorded), done
    return done, load_trace(folder / "trace.json"), folder


def line_of(mark: str) -> str:
    """The place of the line with this comment."""
    for name, text in (("pkg/__init__.py", PACKAGE), ("workloads.py", dedent(WORKLOAD))):
        for number, line in enumerate(text.splitlines(), 1):
            if line.endswith(f"# {mark}"):
                return f"{name}:{number}"
    raise AssertionError(mark)


# (operation, which of its kind, mark of its line, module, optimizer steps before)
PLACED = [
    ("aten.sin.default", 0, "inner", "Net.parts.0", 0),
    ("aten.cos.default", 0, "inner", "Net.parts.0 (backward)", 0),
    ("aten.bernoulli_.float", 0, "drop", "Net", 0),
    ("aten.sum.default", 0, "loss", "", 0),
    ("aten.expand.default", 0, "loss", "(backward)", 0),
    ("aten.add_.Tensor", 0, "update", "(optimizer)", 0),
    ("aten.bernoulli_.float", 1, "drop", "Net", 1),
    ("aten.fill_.Scalar", 0, "view", "", 1),
    ("aten._local_scalar_dense.default", 1, None, "", 2),
    ("aten.cos.default", 2, "workload", "", 2),
    ("golden.record", 0, "recorded", "", 0),
]


@pytest.mark.parametrize(("name", "which", "mark", "module", "step"), PLACED)
def test_places(name: str, which: int, mark: str | None, module: str, step: int, traced: Traced) -> None:
    found = [record for record in traced[1] if record.name == name][which]
    assert (found.module, found.step) == (module, step)
    if mark is not None:
        assert f"{found.file}:{found.line}" == line_of(mark)
        assert found.in_tree is found.file.startswith("pkg/")


def test_a_forward_that_a_checkpoint_computes_anew_is_no_backward(traced: Traced) -> None:
    sines = [record.module for record in traced[1] if record.name == "aten.sin.default"]
    assert sines == ["Net.parts.0", "Inner"] * 2


def test_watching_changes_nothing(server: Server, traced: Traced, tmp_path: Path) -> None:
    plain = run(server, tmp_path, watched=False)
    assert isinstance(plain, Recorded)
    assert compare(plain.ledger, traced[0].ledger) is None


def test_recorded_values_are_steps_and_what_the_recorder_computes_is_none(traced: Traced) -> None:
    done, records, _ = traced
    entries = [entry for entry in done.ledger.entries if entry.kind != "tape"]
    found = [record for record in records if record.records]
    assert [(record.arguments, record.outputs) for record in found] == [(one.name, (one.digest,)) for one in entries]
    assert not any(record.file == "" for record in records if not record.records)


def test_a_value_is_known_by_its_digest_wherever_it_is_met(traced: Traced) -> None:
    records = traced[1]
    by_name = {record.arguments: record for record in records if record.records}
    losses = [record.outputs[0] for record in records if record.name == "aten._local_scalar_dense.default"]
    assert by_name["loss#2"].inputs[0] in losses
    left = [content(record.outputs[-1]) for record in records if record.name == "aten.bernoulli_.float"]
    assert by_name["end.torch"].inputs[0] == left[-1]


def test_who_wrote_to_the_memory_of_a_value_is_known(traced: Traced) -> None:
    records = traced[1]
    read = next(record for record in records if record.name == "aten.cos.default" and record.file == "workloads.py")
    assert records[read.writers[0]].name == "aten.fill_.Scalar"


def test_the_values_of_one_step_end_the_run(server: Server, traced: Traced, tmp_path: Path) -> None:
    number, record = next((at, one) for at, one in enumerate(traced[1]) if one.name == "aten.sin.default")
    assert isinstance(run(server, tmp_path, number=number), Failed)
    values = load_values(tmp_path / "trace.json")
    assert (values.record.inputs, values.record.outputs) == (record.inputs, record.outputs)
    assert [entry.shape for entry in (*values.inputs, *values.outputs)] == [(3,), (3,)]
    assert len(values.outputs[0].values or b"") == 12


def test_a_failing_run_leaves_what_it_did(server: Server, traced: Traced, tmp_path: Path) -> None:
    assert isinstance(run(server, tmp_path, failing=True), Failed)
    left = [(record.name, record.outputs) for record in load_trace(tmp_path / "trace.json")]
    # The warnings are recorded when a run has come to its end.
    assert left == [(record.name, record.outputs) for record in traced[1] if record.arguments != "warnings"]
