"""Whatever the author writes, the stripped package is identical, or says that it is not.

A failure names its seed. For long runs: `UNBLOAT_FUZZ_PROGRAMS=2000 pytest tests/fuzz`.
"""

from __future__ import annotations

import ast
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from unbloat.edit import Span
from unbloat.errors import WorkloadError
from unbloat.plan.passes import STAGES
from unbloat.strip import PhaseRun
from unbloat.verify.server import Server

from tests.differential import Comparison, Program, compare_uses, shown, stripped_under_pins
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


def test_what_the_pins_settle_went_one_way(tmp_path: Path, server: Server) -> None:
    """A decision that is found to be settled never went both ways in the runs, whatever the author writes."""
    settled = 0
    contradicted = []
    for seed in range(int(os.environ.get("UNBLOAT_FUZZ_PROGRAMS") or 8)):
        try:
            run = stripped_under_pins(author(seed), tmp_path / str(seed), server, stages=STAGES[:-1])
        except WorkloadError:
            continue
        for where, reached_both in _settled(run):
            settled += 1
            if reached_both:
                contradicted.append(f"seed {seed}: {where}")
    assert settled
    assert not contradicted


def _settled(run: PhaseRun) -> Iterator[tuple[str, bool]]:
    """The settled decisions of the code that is left once unseen code is wired, and whether the runs saw both outcomes."""
    view = run.view()
    for module, node in view.nodes():
        if module.enclosing(node, (ast.For, ast.While, ast.comprehension)) is not None:
            continue  # settled may be what it is in each pass
        if isinstance(node, ast.If | ast.IfExp) and view.flow.support(module, node.test) is not None:
            outcomes = view.facts.outcomes(module.file, Span.of(node), type(node).__name__.lower())
            yield f"{module.file}:{node.lineno}: {ast.unparse(node.test)}", bool(outcomes.true and outcomes.false)
