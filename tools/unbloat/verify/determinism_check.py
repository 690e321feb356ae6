"""A golden is worth something only if the same code gives the same golden twice."""

from __future__ import annotations

from pathlib import Path

from unbloat.errors import WorkloadError
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.subject import Workload
from unbloat.verify.outcome import Failed, Request
from unbloat.verify.server import Server


def assert_deterministic(server: Server, tree: Path, workload: Workload, seed: int = 0) -> Ledger:
    """Two runs, and two more only to show what differs."""
    first, second = _twice(server, Request(tree, workload, seed=seed))
    divergence = compare(first, second)
    if divergence is None:
        return first
    closer = compare(*_twice(server, Request(tree, workload, seed=seed, capture=frozenset({divergence.entry}))))
    shown = closer if closer is not None and closer.entry == divergence.entry else divergence
    raise WorkloadError(
        f"workload '{workload.name}' is not deterministic: first differing value `{shown.entry}` {shown.what}; "
        f"seed it or restrict threads in {workload.file}"
    )


def _twice(server: Server, request: Request) -> tuple[Ledger, Ledger]:
    ledgers = []
    # One after the other: both at once would hold twice the memory of the largest workload.
    for outcome in server.run_many([request, request], at_once=1):
        if isinstance(outcome, Failed):
            raise WorkloadError(outcome.reason)
        ledgers.append(outcome.ledger)
    return ledgers[0], ledgers[1]
