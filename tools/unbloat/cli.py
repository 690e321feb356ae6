"""The command line: every command reads one strip.toml and exits with 0, 1 (a difference was found) or 2 (bad input)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from unbloat.commands import COMMANDS
from unbloat.errors import UnbloatError

BAD_INPUT = 2
_PLAIN_WIDTH = 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    # A file or pipe has no width; a table must not be cut to that of a terminal nobody looks at.
    # And `file.py:100:` is a place, not a picture.
    console = Console(emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    try:
        return int(options.run(options, console))
    except UnbloatError as error:
        return _bad_input(str(error))
    except OSError as error:
        # The user's disk, permissions or paths: a full disk is not a fault of this program.
        place = f"{error.filename}: " if error.filename is not None else ""
        return _bad_input(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        print("unbloat: interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def _bad_input(message: str) -> int:
    print(f"unbloat: error: {' '.join(message.split())}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unbloat", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = commands.add_parser(command.name, help=command.text, description=command.text)
        subparser.set_defaults(run=command.run)
        command.add_arguments(subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
