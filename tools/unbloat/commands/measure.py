"""Count what a tree holds."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from unbloat.commands.command import Command
from unbloat.measure import Measure, measure_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tree", type=Path, help="a Python file or a folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace, console: Console) -> int:
    found = measure_path(options.tree)
    everything = sum(found.values(), Measure())
    if options.json:
        print(json.dumps({"files": {name: asdict(one) for name, one in found.items()}, "total": asdict(everything)}))
        return 0
    for name, one in [*found.items(), ("total", everything)]:
        counts = " ".join(f"{key}={value}" for key, value in asdict(one).items())
        console.print(f"{name} {counts}", markup=False, highlight=False)
    return 0


COMMAND = Command("measure", "count statements, decisions and more in a tree", add_arguments, run)
