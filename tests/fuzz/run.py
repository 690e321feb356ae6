"""The long run: `python -m tests.fuzz.run --programs 2000`. It goes on where it was interrupted, and writes the figures.

What a program came to is kept as a line of `.unbloat-fuzz/`, under a digest of the tool and of the author of programs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

import unbloat
from unbloat.atomic import replace_text
from unbloat.verify.server import Server

from tests.fuzz.trial import PRELOAD, Trial, trial

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "results.fuzz.json"
VERDICTS = ("identical", "loud", "undefined", "quieter", "silent")
SHOWN_EVERY = 50


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=2000, help="how many seeds, from 0 (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=FIGURES, help="where the figures go (default: %(default)s)")
    parser.add_argument("--state", type=Path, default=Path(__file__).parent / ".unbloat-fuzz", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    trials = tried(range(options.programs), options.workers, options.state / f"{digest()}.jsonl")
    found = figures(trials)
    replace_text(options.out, json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    for one in trials:
        if one.silent or one.crash:
            print(f"\nseed {one.seed}:\n{one.silent or one.crash}")
    return 1 if found["verdicts"]["silent"] or found["crashes"] else 0


def figures(trials: Sequence[Trial]) -> dict[str, object]:
    """Counts over all programs that run under their pins."""
    verdicts, accepted = Counter[str](), Counter[str]()
    for one in trials:
        verdicts.update(one.verdicts)
        accepted.update(one.accepted)
    return {
        "programs": sum(one.usable for one in trials),
        "unusable": sum(not one.usable for one in trials),
        "uses": sum(verdicts.values()),
        "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS},
        "crashes": sum(bool(one.crash) for one in trials),
        "rejected": sum(len(one.rejected) for one in trials),
        "accepted": dict(sorted(accepted.items())),
    }


def tried(seeds: Sequence[int], workers: int, state: Path) -> list[Trial]:
    """Each seed's trial, in the order of the seeds; those that `state` holds are not made again."""
    done = {one.seed: one for one in _before(state)}
    replace_text(state, "".join(map(_line, done.values())))
    with state.open("a", encoding="utf-8") as log, ProcessPoolExecutor(workers, initializer=_start) as pool:
        try:
            running = {pool.submit(_run, seed): seed for seed in seeds if seed not in done}
            for number, future in enumerate(as_completed(running), 1):
                one = _outcome(running[future], future)
                done[one.seed] = one
                log.write(_line(one))
                log.flush()
                if number % SHOWN_EVERY == 0 or one.silent or one.crash:
                    print(_progress(done, len(seeds), one), file=sys.stderr, flush=True)
        finally:
            pool.shutdown(cancel_futures=True)  # After Ctrl-C nobody waits for the rest.
    return [done[seed] for seed in seeds]


def _progress(done: dict[int, Trial], wanted: int, latest: Trial) -> str:
    found = figures(list(done.values()))
    what = "SILENT" if latest.silent else "CRASH" if latest.crash else "seed"
    return f"{len(done)} of {wanted}: {found['verdicts']}, {found['crashes']} crashes; {what} {latest.seed}"


def _line(one: Trial) -> str:
    return json.dumps(one.to_json()) + "\n"


def _before(state: Path) -> Iterator[Trial]:
    """What an earlier run came to; the last line may be half of one."""
    for line in state.read_text(encoding="utf-8").splitlines() if state.exists() else ():
        try:
            yield Trial(**json.loads(line))
        except ValueError:
            continue


def _outcome(seed: int, future: Future[Trial]) -> Trial:
    error = future.exception()
    return future.result() if error is None else Trial(seed, crash="".join(traceback.format_exception(error)))


_server: Server


def _start() -> None:
    """In each worker: a warm process of its own, which ends when the worker does."""
    global _server
    _server = Server(PRELOAD)
    _server.__enter__()


def _run(seed: int) -> Trial:
    with tempfile.TemporaryDirectory(prefix="unbloat-fuzz-") as folder:
        return trial(seed, Path(folder), _server)


def digest() -> str:
    """Of the tool and of what writes and judges programs: a change of either makes every outcome void."""
    found = hashlib.sha256()
    tool, tests = Path(unbloat.__file__).parent, Path(__file__).parent
    for file in sorted(
        [*tool.rglob("*.py"), *tests.glob("*.py"), tests.parent / "differential.py", tests.parent / "handing.py"]
    ):
        found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
