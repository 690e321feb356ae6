"""What a command is, and the options that several have."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console


@dataclass(frozen=True)
class Command:
    """`run` returns the exit code: 0, or 1 if a difference was found; for bad input it raises an `UnbloatError`."""

    name: str
    text: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Console], int]


def add_subject(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subject", type=Path, default=Path("strip.toml"), help="the strip.toml (default: %(default)s)")


def add_phase(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--phase", help="stop after this phase (default: all)")


def add_tree(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tree", type=Path, help="the folder that holds the package (default: the stripped one)")
