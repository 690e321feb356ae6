"""What the tool's main ideas cost and save, as ratios within one run: absolute times of a shared machine say little.

`python tests/bench/bench.py` prints a table; `--write` also puts it into docs/benchmarks.md.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from unbloat.phases import Recording, recording
from unbloat.record import OBSERVER
from unbloat.subject import load_subject
from unbloat.verify.outcome import Recorded
from unbloat.verify.server import Server

ROOT = Path(__file__).parents[2]
SUBJECT = load_subject(ROOT / "reproduction" / "strip.toml")
WORKLOAD = SUBJECT.workload("prepare_finetune")
ROUNDS = 5


def main() -> None:
    with recording(SUBJECT, lambda line: None) as recorded:
        plain = seconds(lambda: run(recorded.server))
        rows = [
            ("verification in a fresh process / in a fork of the warm one", seconds(cold) / plain),
            ("probed run / plain run", seconds(lambda: run(recorded.server, observed=True)) / plain),
            ("stripped tree / legacy, same workload", seconds(lambda: run_stripped(recorded)) / plain),
            ("import of the stripped data modules / of the legacy's", imports("stripped") / imports("legacy")),
        ]
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    lines = ["| ratio, median of five in one run | |", "|---|---|", *(f"| {name} | {ratio:.2f} |" for name, ratio in rows)]
    lines.append(f"| peak memory of the tool and its runs, MiB | {peak:.0f} |")
    print("\n".join(lines))
    if "--write" in sys.argv:
        header = "# Benchmarks\n\nWritten by `python -m nox -s bench -- --write`.\n\n"
        (ROOT / "docs" / "benchmarks.md").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


def seconds(action: Callable[[], None]) -> float:
    """The median of a few runs after one that warms up."""
    action()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def run(server: Server, *, observed: bool = False) -> None:
    options = {
        "tree": str(SUBJECT.legacy),
        "package": SUBJECT.package,
        "parameters": list(SUBJECT.config_parameters),
        "workload": WORKLOAD.name,
    }
    found = server.run(
        SUBJECT.legacy,
        WORKLOAD,
        seed=SUBJECT.seed,
        observer=OBSERVER if observed else None,
        observer_options=options if observed else None,
    )
    assert isinstance(found, Recorded), found


def run_stripped(recorded: Recording) -> None:
    found = recorded.server.run(SUBJECT.stripped, WORKLOAD, seed=SUBJECT.seed, forbidden=(SUBJECT.legacy,))
    assert isinstance(found, Recorded), found


def cold() -> None:
    """A server of its own for a single run: what each verification would cost without the warm one."""
    with Server(SUBJECT.preload) as server:
        run(server)


def imports(tree: str) -> float:
    """Seconds to import the data modules once torch is there."""
    script = (
        "import torch, omegaconf, torch.utils.data, time; started = time.perf_counter(); "
        "import champion.data.data_preparation; print(time.perf_counter() - started)"
    )

    def once() -> float:
        done = subprocess.run(
            [sys.executable, "-B", "-c", script], cwd=SUBJECT.root / tree, capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    return statistics.median(once() for _ in range(ROUNDS))


if __name__ == "__main__":
    main()
