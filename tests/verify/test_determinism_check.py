"""A workload that differs from itself is no golden, and the first value that differs is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.errors import WorkloadError
from unbloat.subject import Workload
from unbloat.verify.determinism_check import assert_deterministic
from unbloat.verify.server import Server

Subject = Callable[..., tuple[Path, Workload]]

PLANTED = [
    ("golden.record('v', int(time.time_ns()))", r"`v` \d+ != \d+; seed it or restrict threads in .*flows\.py"),
    ("golden.record('v', os.urandom(100))", r"`v` byte 0: \d+ != \d+;"),
    ("random.seed(); golden.rng('after')", r"`after\.python` the random state differs: .*;"),
    (
        "value = torch.zeros(20, 20); value[12, 3] = os.getpid() * 1.0; golden.record('v', value)",
        r"`v` \[12, 3\]: \d+\.0 != \d+\.0;",
    ),
    ("[torch.ones(2) for _ in range(300 + os.getpid() % 100)]", r"`tape\[1\]` line \d+: "),
    ("warnings.warn(str(os.getpid()))", r"`warnings\[0\]` 'UserWarning: \d+' != 'UserWarning: \d+';"),
    ("[golden.record(str(os.getpid()), 1)]", r"`\d+` missing entry"),
]


@pytest.mark.parametrize(("statement", "message"), PLANTED)
def test_planted_chance_is_found(torch_server: Server, subject: Subject, statement: str, message: str) -> None:
    tree, workload = subject(f"import os, random, time, torch, warnings\ndef go(golden):\n    {statement}")
    with pytest.raises(WorkloadError, match=f"^workload 'flow' is not deterministic: first differing value {message}"):
        assert_deterministic(torch_server, tree, workload)


def test_a_deterministic_workload_gives_its_ledger(torch_server: Server, subject: Subject) -> None:
    tree, workload = subject("import torch\ndef go(golden):\n    golden.record('v', torch.rand(2))")
    ledger = assert_deterministic(torch_server, tree, workload, seed=3)
    assert ledger.entries[0].name == "v"


def test_a_workload_that_fails_says_so(server: Server, subject: Subject) -> None:
    tree, workload = subject("def go(golden):\n    raise ValueError('no')")
    with pytest.raises(WorkloadError, match="raised ValueError: no at"):
        assert_deterministic(server, tree, workload)
