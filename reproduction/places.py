"""Where the champion's files lie. A bundle, which holds one tree and its own config and tasks, has another `places.py`."""

from __future__ import annotations

from pathlib import Path

REPRODUCTION = Path(__file__).resolve().parent
CONFIG = REPRODUCTION / "configs" / "champion.yaml"
TASKS = REPRODUCTION.parent / "data" / "tasks"
CHECKPOINT = REPRODUCTION.parent / "weights" / "champion_bootstrap.ckpt"

TREES = {name: REPRODUCTION / name for name in ("legacy", "stripped")}
"""Folders that hold the package; the first is the usual one."""
