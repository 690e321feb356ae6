"""In a run's own process: which files of the tree it opened or loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unbloat.golden.imports import is_beneath
from unbloat.restructure import Aliases
from unbloat.verify.aliased import aliased

OBSERVER = "unbloat.watch.reads:reads"

_PROCESSES = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen")


def options(tree: Path, aliases: Aliases) -> dict[str, Any]:
    """What `reads` is told: whose files count, and by which names the workload may import."""
    return {"tree": str(tree), **aliases.to_json()}


@contextmanager
def reads(told: Mapping[str, Any]) -> Iterator[Reads]:
    """An observer; its result is a sorted list of files relative to the tree, or None if not all can be known."""
    seen = Reads(Path(os.path.realpath(told["tree"])))
    sys.addaudithook(seen.audit)
    with aliased(told):
        yield seen


class Reads:
    """What Python opens in this process. Another one that the run starts may read anything: then nothing is known."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._files: set[str] = set()
        self._alone = True

    def result(self) -> dict[str, Any]:
        return {"reads": sorted(self._files) if self._alone else None}

    def audit(self, event: str, args: tuple[object, ...]) -> None:
        """Called by the interpreter for every audited event, so the common case has to be quick."""
        if event == "open":
            touched = args[0]
        elif event == "import":
            touched = args[1]
        else:
            self._alone = self._alone and event not in _PROCESSES
            return
        if isinstance(touched, bytes | os.PathLike):
            touched = os.fsdecode(touched)
        if isinstance(touched, str) and is_beneath(path := os.path.realpath(touched), self._tree):
            self._files.add(os.path.relpath(path, self._tree))
