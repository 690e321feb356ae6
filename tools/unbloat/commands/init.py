"""Write a first strip.toml."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from unbloat.atomic import replace_text
from unbloat.commands.command import Command
from unbloat.errors import SubjectError
from unbloat.subject import first_toml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--package", required=True, help="the name that it is imported by")
    parser.add_argument("--workload", required=True, type=Path, help="a Python file with workload functions")
    parser.add_argument("--out", type=Path, default=Path("strip.toml"), help="what to write (default: %(default)s)")


def run(options: argparse.Namespace, console: Console) -> int:
    out: Path = options.out
    if out.exists():
        raise SubjectError(f"{out}: is there already; name another file with --out")
    replace_text(out, first_toml(options.package, options.workload, out.parent))
    console.print(f"{out}: written; run `unbloat record --subject {out}` next", markup=False, highlight=False)
    return 0


COMMAND = Command("init", "write a strip.toml for an installed package and a file of workloads", add_arguments, run)
