"""What the benchmark times is what it says: runs that end as they should."""

from __future__ import annotations

import pytest
from unbloat.verify.server import Server

from tests.bench import bench


@pytest.mark.parametrize("observed", [False, True])
def test_a_timed_run_ends_well(observed: bool) -> None:
    with Server(bench.SUBJECT.preload) as server:
        bench.run(server, observed=observed)
