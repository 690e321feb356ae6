"""What a recording or a plan is made by, so that only what matters invalidates it."""

from __future__ import annotations

import pytest
from unbloat.behind import behind
from unbloat.record import RECORDING

# (modules, files behind them, files that are not)
BEHIND = [
    (("unbloat.errors",), {"errors.py"}, {"cli.py", "golden/ledger.py"}),
    (("unbloat.golden.compare",), {"golden/ledger.py", "golden/sketch.py"}, {"golden/recorder.py", "subject/load.py"}),
    (
        RECORDING,
        {"record.py", "golden/tape.py", "evidence/instrument.py", "verify/child.py", "subject/load.py"},
        {"evidence/flow/analysis.py", "plan/passes/fold_decisions.py", "cli.py", "report/status.py"},
    ),
    (
        ("unbloat.phases",),
        {"evidence/flow/analysis.py", "plan/passes/fold_decisions.py", "edit/render.py", "strip.py"},
        {"cli.py", "report/status.py", "challenge/challenge.py", "bundle/make.py"},
    ),
    (("json", "unbloat.nothing"), set(), {"errors.py"}),
]


@pytest.mark.parametrize(("modules", "there", "absent"), BEHIND, ids=lambda value: "-".join(sorted(value)))
def test_behind(modules: tuple[str, ...], there: set[str], absent: set[str]) -> None:
    found = {file.as_posix().partition("/tools/unbloat/")[2] for file in behind(*modules)}
    assert there <= found
    assert not absent & found
