"""The champion ends in the same bits whether it is recorded or not; each recording asserts that probes change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from unbloat.phases import Recording
from unbloat.subject import Subject

from tests.unwatched_runs import final_bits, unwatched

# (workload, how the names begin of what is final when it is handed over)
FINAL = [
    ("load", ("loaded.", "hyper_parameters")),
    ("infer", ("both.", "one.", "no_contexts.", "no_target.", "source_only.", "validate", "predict", "test", "parameters")),
    ("train", ("trained.", "fit.end.metrics")),
]


@pytest.mark.parametrize(("name", "final"), FINAL)
def test_recording_changes_nothing(
    name: str, final: tuple[str, ...], recorded: Recording, champion: Subject, tmp_path: Path
) -> None:
    plain = unwatched(champion, champion.workload(name), tmp_path / "plain.json", champion.preload)
    expected = final_bits(plain, final)
    assert {"rng.python", "rng.numpy", "rng.torch"} <= expected.keys() and len(expected) > 10
    assert final_bits(recorded.goldens[name], final) == expected
