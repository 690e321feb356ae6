"""Every test here sees the legacy tree, and only that."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPRODUCTION = Path(__file__).resolve().parents[2] / "reproduction"
OWN = frozenset({"champion", "workloads", "task_files"})


@pytest.fixture(autouse=True)
def legacy_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Fresh modules for every test, and a folder of its own for whatever they write."""
    monkeypatch.syspath_prepend(str(REPRODUCTION))
    monkeypatch.syspath_prepend(str(REPRODUCTION / "legacy"))
    _forget_modules()
    working_folder = tmp_path / "work"
    working_folder.mkdir()
    monkeypatch.chdir(working_folder)
    random.seed(1)
    yield
    _forget_modules()


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
