"""One strip or challenge of a subject at a time: two would write the same journal and the same tree."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unbloat.errors import SubjectError


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; the system gives it back even if the process is killed.

    Raises:
        SubjectError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SubjectError(f"{folder}: another strip or challenge of it is under way; wait for its end") from None
        yield
