"""Every workload on every tree, in two lanes: bit for bit what the legacy does here, and close to what was committed.

Every workload runs in a process where only the tree in question can be imported: a read below any other fails. Committed
goldens come from `pytest --unbloat reproduction/strip.toml --unbloat-goldens tests/golden/ledgers --unbloat-accept REASON`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from unbloat.golden.closeness import is_floating
from unbloat.golden.compare import compare
from unbloat.golden.environment import Lane
from unbloat.golden.lanes import choose, judge
from unbloat.golden.ledger import Ledger
from unbloat.golden.store import load_with_environment
from unbloat.phases import Recording
from unbloat.pytest_plugin.goldens import SUFFIX, Goldens
from unbloat.subject import Subject, load_subject
from unbloat.verify.outcome import Failed, Recorded
from unbloat.verify.server import Server

SUBJECT = load_subject(Path(__file__).parents[2] / "reproduction" / "strip.toml")
LEDGERS = Path(__file__).parent / "ledgers"
TREES = ("legacy", "stripped")
NAMES = [workload.name for workload in SUBJECT.workloads]
COMMITTED = Goldens(SUBJECT, LEDGERS)
DOUBLE = [name for name in NAMES if name.endswith(SUFFIX)]

LARGEST = 5_000_000
"""Bytes of all committed goldens together."""

Run = Callable[[str, str], Ledger]


@pytest.fixture(scope="session")
def run(recorded: Recording, champion: Subject) -> Run:
    """A workload on a tree, once."""
    found: dict[tuple[str, str], Ledger] = {}

    def once(tree: str, name: str) -> Ledger:
        if (tree, name) not in found:
            found[tree, name] = ledger_of(recorded.server, champion, tree, name)
        return found[tree, name]

    return once


def ledger_of(server: Server, subject: Subject, tree: str, name: str) -> Ledger:
    others = tuple(subject.root / other for other in TREES if other != tree)
    outcome = server.run(subject.root / tree, subject.workload(name), forbidden=others, seed=subject.seed)
    assert isinstance(outcome, Recorded), outcome
    return outcome.ledger


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tree", TREES)
def test_every_bit_is_the_legacys(tree: str, name: str, run: Run, recorded: Recording, champion: Subject) -> None:
    golden = recorded.goldens.get(name)
    if golden is None and tree == "legacy" and name not in DOUBLE:
        golden = ledger_of(recorded.server, champion, "legacy", name)
    difference = compare(golden or run("legacy", name), run(tree, name))
    assert difference is None, difference


@pytest.mark.parametrize("name", COMMITTED.names())
@pytest.mark.parametrize("tree", TREES)
def test_the_committed_golden_holds(tree: str, name: str, run: Run, recorded: Recording) -> None:
    """On the machine that recorded it bit for bit, elsewhere as far as that can be; the latter is checked everywhere."""
    committed, recorded_in = load_with_environment(COMMITTED.file(name))
    verdict = judge(committed, recorded_in, run(tree, name), recorded.server.environment)
    assert verdict.divergence is None, str(verdict)
    assert compare(committed, run(tree, name), Lane.ACROSS_MACHINES) is None


def test_committed_goldens_are_complete_and_small() -> None:
    assert COMMITTED.unused() == []
    assert sum(COMMITTED.file(name).stat().st_size for name in COMMITTED.names()) <= LARGEST


def fewer_instructions() -> str:
    return "avx2" if torch.backends.cpu.get_cpu_capability() == "AVX512" else "default"


# This processor with fewer of its instructions: what another machine is, as far as results go.
PROCESSORS = [
    {"ATEN_CPU_CAPABILITY": fewer_instructions()},
    {"MKL_CBWR": "COMPATIBLE"},
    {"ATEN_CPU_CAPABILITY": fewer_instructions(), "MKL_CBWR": "COMPATIBLE"},
]


@pytest.fixture(scope="module", params=PROCESSORS, ids=lambda variables: " ".join(map("=".join, variables.items())))
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in request.param.items():
            environment.setenv(name, value)
        with Server(SUBJECT.preload) as server:
            yield server


@pytest.mark.parametrize("name", DOUBLE)
def test_double_precision_holds_on_another_processor(
    name: str, elsewhere: Server, run: Run, recorded: Recording, champion: Subject
) -> None:
    other = ledger_of(elsewhere, champion, "legacy", name)
    verdict = judge(run("legacy", name), recorded.server.environment, other, elsewhere.environment)
    assert (verdict.choice.lane, verdict.divergence) == (Lane.ACROSS_MACHINES, None), str(verdict)
    committed, recorded_in = load_with_environment(LEDGERS / f"{name}.json")
    assert judge(committed, recorded_in, other, elsewhere.environment).divergence is None


def test_single_precision_would_not(elsewhere: Server, run: Run, recorded: Recording, champion: Subject) -> None:
    here, other = run("legacy", "infer"), ledger_of(elsewhere, champion, "legacy", "infer")
    assert choose(recorded.server.environment, elsewhere.environment).lane is Lane.ACROSS_MACHINES
    assert compare(here, other) is not None
    pairs = list(zip(here.entries, other.entries, strict=True))
    assert any(left.digest != right.digest for left, right in pairs)
    assert all(left.digest == right.digest for left, right in pairs if not is_floating(left))


def test_only_the_tree_under_test_can_be_imported(recorded: Recording, champion: Subject) -> None:
    outcome = recorded.server.run(champion.stripped, champion.workload("prepare_finetune"), forbidden=(champion.stripped,))
    assert isinstance(outcome, Failed)
    assert "stripped" in outcome.reason
