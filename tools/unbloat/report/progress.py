"""What a person sees while it works: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from unbloat.record import Say


@contextmanager
def progress(console: Console, title: str) -> Iterator[Say]:
    """Hands out a function that shows a line; lines that begin with a blank are details of the one before."""
    started = time.perf_counter()
    if not console.is_terminal:

        def say_plainly(line: str) -> None:
            console.print(f"{time.perf_counter() - started:6.1f} s  {line}", markup=False, highlight=False, soft_wrap=True)

        yield say_plainly
        return
    with console.status(title) as status:

        def say(line: str) -> None:
            if not line.startswith(" "):
                status.update(f"{title}: {line}")
            # In one piece: the live line is redrawn after whatever is printed.
            console.print(Text.assemble((f"{time.perf_counter() - started:6.1f} s  ", "dim"), line), soft_wrap=True)

        yield say
