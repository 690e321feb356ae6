"""Small subjects written to a temporary folder, and one warm server for all tests."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from unbloat.subject import Subject, load_subject
from unbloat.verify.server import Server

STRIP = """
[subject]
package = "pkg"
legacy = "legacy"
stripped = "stripped"

[config]
parameters = ["cfg"]

[golden]
workloads = "workloads.py"
preload = ["omegaconf"]
limit = 60

[contract]
loggers = []
logging_setup = []
algorithm = []

[phases.all]
files = [{files}]
gate = ["workload"]
"""

WORKLOAD = """
from omegaconf import OmegaConf

CONFIG = {config!r}
CALLS = {calls!r}


def workload(golden):
    from pkg.module import run

    for number, arguments in enumerate(CALLS):
        golden.record(f"call {{number}}", run(OmegaConf.create(CONFIG), *arguments))
"""


@pytest.fixture(autouse=True)
def environment_variables() -> Iterator[None]:
    """Those that a test sets end with it: the champion's scripts forbid pickles to torch that way."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A warm process that knows OmegaConf and nothing of any subject."""
    with Server(["omegaconf"]) as warm:
        yield warm


@pytest.fixture
def make_subject(tmp_path: Path) -> Callable[..., Subject]:
    """Writes a package of one or more modules with a workload that calls `run(cfg, …)`."""

    def make(
        module: str,
        *,
        config: Mapping[str, Any] | None = None,
        calls: tuple[tuple[Any, ...], ...] = ((),),
        others: Mapping[str, str] | None = None,
        workload: str | None = None,
        strip: Callable[[str], str] = lambda text: text,
    ) -> Subject:
        package = tmp_path / "legacy" / "pkg"
        package.mkdir(parents=True)
        sources = {"__init__.py": "", "module.py": module, **(others or {})}
        for name, text in sources.items():
            (package / name).parent.mkdir(exist_ok=True)
            (package / name).write_text(textwrap.dedent(text).lstrip("\n"))
        written = workload or WORKLOAD.format(config=dict(config or {}), calls=calls)
        (tmp_path / "workloads.py").write_text(textwrap.dedent(written))
        files = ", ".join(f'"pkg/{name}"' for name in sources if name != "__init__.py")
        (tmp_path / "strip.toml").write_text(strip(STRIP.format(files=files)))
        return load_subject(tmp_path / "strip.toml")

    return make
