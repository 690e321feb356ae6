"""Keeps a candidate's run away from the legacy tree; a test that can import the original proves nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from unbloat.errors import WorkloadError
from unbloat.golden.imports import is_beneath, places_of


class ForbiddenAccess(PermissionError):
    """Raised at the place that opens or imports the file."""


class Isolation:
    """Remembers every attempt, since the code under test may swallow the error and go on."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(Path(os.path.realpath(folder)) for folder in folders)
        self._attempts: list[str] = []

    def assert_kept(self) -> None:
        """After a run: nothing beneath the folders was read, nor has been imported before the hook was there."""
        if self._attempts:
            raise WorkloadError(f"read {self._attempts[0]}, which lies in a folder that this run may not read")
        for name, module in sorted(sys.modules.items()):
            for place in places_of(module):
                if is_beneath(place, *self._folders):
                    raise WorkloadError(
                        f"imported '{name}' from {place}, a folder that this run may not read; "
                        "if a module under `preload` imports it, take that one out of strip.toml"
                    )

    def audit(self, event: str, args: tuple[object, ...]) -> None:
        """Called by the interpreter for every audited event, so the common case has to be quick."""
        if event == "open":
            touched = args[0]
        elif event in ("import", "compile"):
            touched = args[1]
        else:
            return
        if isinstance(touched, bytes | os.PathLike):
            touched = os.fsdecode(touched)
        if isinstance(touched, str) and is_beneath(os.path.realpath(touched), *self._folders):
            self._attempts.append(touched)
            raise ForbiddenAccess(f"this run may not read {touched}: only the tree under test counts")


def forbid(folders: Sequence[Path]) -> Isolation:
    """For the rest of this process: audit hooks cannot be removed.

    The hook sees what Python opens. It does not see other programs that the code starts, or libraries that open files
    in C.
    """
    isolation = Isolation(folders)
    if folders:
        sys.addaudithook(isolation.audit)
    return isolation
