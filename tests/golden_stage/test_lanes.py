"""The environment is looked at before any number, and what differs in it is said together with the lane that applies."""

from __future__ import annotations

from pathlib import Path

import pytest
from unbloat.golden.environment import Lane, environment
from unbloat.golden.lanes import choose, judge
from unbloat.golden.ledger import Ledger
from unbloat.golden.recorder import Recorder

HERE = {"processor": "left", "torch": "2.0", "cpu_capability": "AVX2"}
SAME, ACROSS = Lane.SAME_MACHINE, Lane.ACROSS_MACHINES
UNKNOWN = "nobody noted where the golden was recorded"

# (where the golden was recorded, where it is compared, the lane, what differs)
ENVIRONMENTS = [
    (HERE, HERE, SAME, ()),
    (HERE, {**HERE, "processor": "right"}, ACROSS, ("processor was left and is right",)),
    (HERE, {**HERE, "torch": "2.1", "processor": "x"}, ACROSS, ("processor was left and is x", "torch was 2.0 and is 2.1")),
    (HERE, {**HERE, "MKL_CBWR": "COMPATIBLE"}, ACROSS, ("MKL_CBWR was unset and is COMPATIBLE",)),
    ({**HERE, "lightning": "2.0"}, HERE, ACROSS, ("lightning was 2.0 and is unset",)),
    ({}, HERE, ACROSS, (UNKNOWN,)),
    ({}, {}, ACROSS, (UNKNOWN,)),
]


@pytest.mark.parametrize(("recorded_in", "here", "lane", "reasons"), ENVIRONMENTS)
def test_the_environment_chooses_the_lane(
    recorded_in: dict[str, str], here: dict[str, str], lane: Lane, reasons: tuple[str, ...]
) -> None:
    choice = choose(recorded_in, here)
    assert (choice.lane, choice.reasons) == (lane, reasons)
    assert str(choice).startswith("same machine: every bit" if lane is SAME else "across machines: what is discrete")
    assert all(reason in str(choice) for reason in reasons)


def ledger(number: float, count: int = 1) -> Ledger:
    recorder = Recorder("train", Path("/nowhere"))
    recorder.record("loss", number)
    recorder.record("count", count)
    return recorder.ledger()


GOLDEN = ledger(1.0)
ELSEWHERE = {**HERE, "processor": "right"}

# (the run, where it ran, how the verdict begins)
RUNS = [
    (GOLDEN, HERE, "same machine"),
    (GOLDEN, ELSEWHERE, "across machines"),
    (ledger(1.0 + 1e-12), HERE, "differs at `loss`: 1.0 != 1.000000000001 (same machine: every bit is equal)"),
    (ledger(1.0 + 1e-12), ELSEWHERE, "across machines"),
    (ledger(1.0 + 1e-9), ELSEWHERE, "differs at `loss`: 1e-09 of the norm apart"),
    (ledger(1.0, 2), ELSEWHERE, "differs at `count`: 1 != 2 (across machines: "),
]


@pytest.mark.parametrize(("run", "here", "begins"), RUNS)
def test_a_golden_is_compared_in_its_lane(run: Ledger, here: dict[str, str], begins: str) -> None:
    verdict = judge(GOLDEN, HERE, run, here)
    assert str(verdict).startswith(begins)
    assert (verdict.divergence is not None) == begins.startswith("differs")


@pytest.mark.parametrize("name", ["MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE"])
def test_a_process_that_is_told_to_calculate_otherwise_is_another_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name, raising=False)
    before = environment()
    monkeypatch.setenv(name, "COMPATIBLE")
    assert choose(before, before).lane is SAME
    assert choose(before, environment()).reasons == (f"{name} was unset and is COMPATIBLE",)
