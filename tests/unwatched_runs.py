"""Compare a run that nobody looked at with one that was recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import unbloat
from unbloat.golden.determinism import SERVER_ENVIRONMENT
from unbloat.golden.ledger import Ledger

DRIVER = Path(__file__).parent / "golden_stage" / "unwatched.py"


def unwatched(tree: Path, workloads: Path, function: str, out: Path, preload: Sequence[str]) -> Ledger:
    """What a workload hands over in a fresh process, without tape, probes or coverage."""
    tools = str(Path(unbloat.__file__).parents[1])
    subprocess.run(
        [sys.executable, str(DRIVER), str(tree), str(workloads), function, str(out), *preload],
        check=True,
        env={**os.environ, **SERVER_ENVIRONMENT, "PYTHONPATH": tools, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return Ledger.from_json(json.loads(out.read_text()))


def final_bits(ledger: Ledger, names: Sequence[str]) -> dict[str, str]:
    """Digests of the entries whose names begin or end so, and of the last state of each random number generator."""
    found = {entry.name: entry.digest for entry in ledger.entries if entry.name.startswith(tuple(names))}
    found |= {entry.name: entry.digest for entry in ledger.entries if entry.name.endswith(".loss")}
    return found | {f"rng.{entry.name.rpartition('.')[2]}": entry.digest for entry in ledger.entries if entry.kind == "rng"}
