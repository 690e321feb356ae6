"""In the process of a run: it ends where it first differs from the golden, since nothing after that can take it back."""

from __future__ import annotations

import json
import math
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from unbloat.golden.leaf import Leaf
from unbloat.golden.ledger import Entry, Ledger
from unbloat.golden.recorder import Recorder
from unbloat.verify.aliased import aliased

DIFFERS = "unbloat: differs at "
"""How the last line begins that such a run prints."""

MORE_MEMORY = 4 * 2**30
"""Bytes of addresses that a run may take beyond what the warm process had: a wrong size must not take the machine down."""


class Watched:
    """Tells what a run that came to its end has taken."""

    def result(self) -> dict[str, float]:
        """Seconds of processor time: what else the machine is busy with must not decide."""
        return {"seconds": time.process_time()}


@contextmanager
def watched(options: Mapping[str, Any]) -> Iterator[Watched]:
    """The run ends at the first difference.

    Options: `aliases`; `expected`, a file that `write_expected` has written; `seconds` of processor time that the run may take,
    or None.
    """
    expected = json.loads(Path(options["expected"]).read_text(encoding="utf-8"))
    left = [iter(expected[kind]) for kind in ("values", "tape")]
    original = Recorder._add
    _limit_memory()
    if options["seconds"] is not None:
        seconds = math.ceil(time.process_time() + options["seconds"])
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))

    def add(recorder: Recorder, name: str, leaf: Leaf) -> None:
        original(recorder, name, leaf)
        entry = recorder._entries[-1]
        want = next(left[entry.kind == "tape"], None)
        if want != _key(entry):
            _leave(entry.name if want is None else want[0])

    with mock.patch.object(Recorder, "_add", add), aliased(options["aliases"]):
        yield Watched()


def write_expected(path: Path, golden: Ledger) -> None:
    """What a run is compared with while it runs: in the same way as `unbloat.golden.compare`, values and tape apart."""
    keys: dict[str, list[list[str]]] = {"values": [], "tape": []}
    for entry in golden.entries:
        keys["tape" if entry.kind == "tape" else "values"].append(_key(entry))
    path.write_text(json.dumps(keys), encoding="utf-8")


def _key(entry: Entry) -> list[str]:
    return [entry.name, entry.kind, entry.digest]


def _leave(name: str) -> None:
    """At once, and past all streams: the code under test could swallow any error, and hold back what is printed."""
    os.write(1, f"\n{DIFFERS}`{name}`\n".encode())
    os._exit(1)


def _limit_memory() -> None:
    status = Path("/proc/self/statm")
    if status.exists():
        held = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MORE_MEMORY, held + MORE_MEMORY))
