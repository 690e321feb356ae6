"""Runs a workload as its user would, with nothing of the toolkit looking on; what it handed over is digested afterwards.

`python unwatched.py TREE WORKLOADS FUNCTION SEED LEDGER MODULE…`: the modules are imported first, as by the warm process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from unbloat.golden.determinism import settle


class Keeper:
    """Takes what a recorder takes, and does nothing with it while the workload runs.

    What the workload changes later is seen as it is at the end: only final values, and those that nobody changes, can be
    compared with what a recorder saw.
    """

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.kept: list[tuple[str, str, Any]] = []

    def record(self, name: str, value: object) -> None:
        self.kept.append(("record", name, value))

    def model(self, name: str, module: object) -> None:
        self.kept.append(("model", name, module))

    def gradients(self, name: str, module: object) -> None:
        self.kept.append(("gradients", name, module))

    def optimizer(self, name: str, optimizer: object) -> None:
        self.kept.append(("optimizer", name, optimizer))

    def rng(self, name: str) -> None:
        pass

    def files(self, name: str, folder: Path) -> None:
        pass


def main(tree: str, workloads: str, function: str, seed: str, out: str, *preload: str) -> None:
    for module in preload:
        importlib.import_module(module)
    sys.path[:0] = [tree, str(Path(workloads).parent)]
    settle(int(seed))
    run = getattr(importlib.import_module(Path(workloads).stem), function)
    settle(int(seed))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        keeper = Keeper(Path(folder).resolve())
        run(keeper)
        Path(out).write_text(json.dumps(_ledger(keeper)))
        os.chdir(tree)


def _ledger(keeper: Keeper) -> dict[str, Any]:
    from unbloat.golden.recorder import Recorder

    recorder = Recorder("unwatched", keeper.workdir)
    recorder.rng("end")
    for method, name, value in keeper.kept:
        getattr(recorder, method)(name, value)
    return recorder.ledger().to_json()


if __name__ == "__main__":
    main(*sys.argv[1:])
