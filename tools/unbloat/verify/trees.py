"""Trees on disk: a candidate for a run, and the output that replaces the last one as a whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def write_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files under a folder that does not exist yet."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def replace_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` hold exactly these files.

    At every moment the folder is the old one, absent or the new one, never a mixture: the new one is complete on disk
    before two renames put it in place.
    """
    fresh = folder.with_name(f".{folder.name}.new")
    stale = folder.with_name(f".{folder.name}.old")
    for left in (fresh, stale):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    if folder.is_dir() and read_tree(folder) == files:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_tree(fresh, files)
    for path in fresh.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if folder.exists():
        folder.rename(stale)
    fresh.rename(folder)
    shutil.rmtree(stale, ignore_errors=True)


def read_tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, but for what Python leaves behind when it imports."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
