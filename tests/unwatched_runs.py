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
from unbloat.subject import Subject, Workload

DRIVER = Path(__file__).parent / "golden_stage" / "unwatched.py"


def unwatched(subject: Subject, workload: Workload, out: Path, preload: Sequence[str]) -> Ledger:
    """What a workload hands over in a fresh process, without tape, probes or coverage."""
    tools = str(Path(unbloat.__file__).parents[1])
    what = (subject.legacy, workload.file, workload.function, subject.seed, out, *preload)
    subprocess.run(
        [sys.executable, str(DRIVER), *map(str, what)],
        check=True,
        env={**os.environ, **SERVER_ENVIRONMENT, "PYTHONPATH": tools, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return Ledger.from_json(json.loads(out.read_text()))


def final_bits(ledger: Ledger, names: Sequence[str]) -> dict[str, str]:
    """Digests of the entries whose names begin or end so, and of the last state of each random number generator."""
    values = [entry for entry in ledger.entries if entry.kind != "rng"]
    states = [entry for entry in ledger.entries if entry.kind == "rng"]
    chosen = [entry for entry in values if entry.name.startswith(tuple(names)) or entry.name.endswith(".loss")]
    found = {entry.name: entry.digest for entry in chosen}
    return found | {f"rng.{entry.name.rpartition('.')[2]}": entry.digest for entry in states}
