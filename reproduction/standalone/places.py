"""Where the champion's files lie in a bundle: all of them beside this one."""

from __future__ import annotations

from pathlib import Path

BUNDLE = Path(__file__).resolve().parent
CONFIG = BUNDLE / "configs" / "champion.yaml"
TASKS = BUNDLE / "data" / "tasks"
CHECKPOINT = BUNDLE / "weights" / "champion.ckpt"

TREES = {"stripped": BUNDLE}
"""Folders that hold the package; there is one."""
