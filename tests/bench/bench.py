"""What the tool's main ideas cost and save, as ratios within one run: absolute times of a shared machine say little.

`python tests/bench/bench.py` prints a table; `--write` also puts it into docs/benchmarks.md.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from unbloat.phases import Recording, recording
from unbloat.record import OBSERVER
from unbloat.subject import Workload, load_subject
from unbloat.verify.outcome import Recorded
from unbloat.verify.server import Server

ROOT = Path(__file__).parents[2]
SUBJECT = load_subject(ROOT / "reproduction" / "strip.toml")
WORKLOAD = SUBJECT.workload("prepare_finetune")
WATCHED = SUBJECT.workload("infer")
ROUNDS = 5


def main() -> None:
    with recording(SUBJECT, lambda line: None) as recorded:
        plain = seconds(lambda: run(recorded.server))
        rows = [
            ("verification in a fresh process / in a fork of the warm one", seconds(cold) / plain),
            ("probed run / plain run", seconds(lambda: run(recorded.server, observed=True)) / plain),
            ("stripped tree / legacy, same workload", seconds(lambda: run_stripped(recorded)) / plain),
            (
                "watch mode, from a save to the verdict / the run alone",
                watched() / seconds(lambda: run_stripped(recorded, WATCHED)),
            ),
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
        "watches": True,
    }
    found = server.run(
        SUBJECT.legacy,
        WORKLOAD,
        seed=SUBJECT.seed,
        observer=OBSERVER if observed else None,
        observer_options=options if observed else None,
    )
    assert isinstance(found, Recorded), found


def run_stripped(recorded: Recording, workload: Workload = WORKLOAD) -> None:
    found = recorded.server.run(SUBJECT.stripped, workload, seed=SUBJECT.seed, forbidden=(SUBJECT.legacy,))
    assert isinstance(found, Recorded), found


def watched() -> float:
    """The median of seconds between a save of a module and the verdict that follows it."""
    with tempfile.TemporaryDirectory(prefix="unbloat-bench-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(SUBJECT.stripped, tree)
        module = tree / SUBJECT.package / "model" / "trainer.py"
        command = [sys.executable, "-m", "unbloat.cli", "verify", "--watch", "--subject", str(SUBJECT.file)]
        command += ["--tree", str(tree), "--workload", WATCHED.name]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment) as process:
            assert process.stdout is not None

            def verdict() -> None:
                assert process.stdout is not None
                assert any(f"{WATCHED.name}: identical" in line for line in process.stdout), "the run ended"

            def save() -> None:
                module.write_text(module.read_text() + "\n")
                verdict()

            verdict()
            found = seconds(save)
            process.send_signal(signal.SIGINT)
    return found


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
