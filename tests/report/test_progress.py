"""What a person sees meanwhile: plain lines in a file, one live line on a terminal, nothing lost in either."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from unbloat.report.progress import progress

LINES = ["phase data", "  12 removals: identical", "kept pkg/a.py:3: [bold]not markup[/bold]", "x" * 300]


@pytest.mark.parametrize("terminal", [False, True], ids=["file", "terminal"])
def test_every_line_is_shown_whole(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=400, soft_wrap=True)
    with progress(console, "strip") as say:
        for line in LINES:
            say(line)
    assert isinstance(console.file, io.StringIO)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    for line in LINES:
        assert re.search(rf"\d+\.\d s  {re.escape(line)}", shown), line


def test_a_file_gets_plain_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    with progress(console, "strip") as say:
        for line in LINES:
            say(line)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue().splitlines()
    assert [re.sub(r"^ *\d+\.\d s  ", "", line) for line in shown] == LINES


@pytest.mark.parametrize("terminal", [False, True], ids=["file", "terminal"])
def test_an_error_passes_through(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal)
    with pytest.raises(ValueError, match="mine"), progress(console, "strip"):
        raise ValueError("mine")
