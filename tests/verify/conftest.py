"""Tiny subjects, and warm processes shared by all tests of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from unbloat.subject import Workload
from unbloat.verify.server import Server


@pytest.fixture
def subject(tmp_path: Path) -> Callable[..., tuple[Path, Workload]]:
    """Writes package `pkg` with the given modules, and a workload file whose function `go` gets `golden`."""

    def write(workload: str, *, limit: float = 60.0, **modules: str) -> tuple[Path, Workload]:
        tree, file = tmp_path / "tree", tmp_path / "user" / "flows.py"
        (tree / "pkg").mkdir(parents=True, exist_ok=True)
        file.parent.mkdir(exist_ok=True)
        for name, source in {"__init__": "", **modules}.items():
            (tree / "pkg" / f"{name}.py").write_text(dedent(source))
        file.write_text(dedent(workload))
        return tree, Workload("flow", file, "go", limit)

    return write


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Nothing preloaded: it starts at once, and packages that need no library must work without."""
    with Server([]) as running:
        yield running


@pytest.fixture(scope="session")
def torch_server() -> Iterator[Server]:
    with Server(["torch"]) as running:
        yield running
