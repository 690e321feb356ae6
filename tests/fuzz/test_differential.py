"""Whatever the author writes, the stripped package is identical, or says that it is not.

A failure names its seed. For long runs: `UNBLOAT_FUZZ_PROGRAMS=2000 pytest tests/fuzz`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from unbloat.errors import WorkloadError
from unbloat.verify.server import Server

from tests.differential import Comparison, Program, compare_uses, shown
from tests.fuzz.programs import author

SECONDS = 30


def test_nothing_is_quietly_different(tmp_path: Path, server: Server) -> None:
    wanted = os.environ.get("UNBLOAT_FUZZ_PROGRAMS")
    started = time.monotonic()
    verdicts: Counter[str] = Counter()
    silent: list[tuple[int, Program, Comparison]] = []
    for seed in range(int(wanted or 60)):
        if wanted is None and time.monotonic() - started > SECONDS:
            break
        program = author(seed)
        try:
            comparison = compare_uses(program, tmp_path / str(seed), server)
        except WorkloadError:
            verdicts["does not run under its pins"] += 1
            continue
        verdicts.update(outcome.verdict for outcome in comparison.outcomes)
        verdicts["programs"] += 1
        if comparison.silent:
            silent.append((seed, program, comparison))
    assert verdicts["programs"]
    assert verdicts["loud"], "nothing was stripped"
    if silent:
        seed, program, comparison = silent[0]
        pytest.fail(f"seeds {[seed for seed, *_ in silent]}; {dict(verdicts)}; seed {seed}:\n{shown(program, comparison)}")
