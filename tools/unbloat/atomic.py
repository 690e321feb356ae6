"""Files that are there as a whole or not at all, whenever a run is killed."""

from __future__ import annotations

from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file, or put it in the place of the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of a fixed name, so that what a killed run left behind is overwritten by the next.
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
