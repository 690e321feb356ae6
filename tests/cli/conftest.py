"""A subject with something for every pass, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from unbloat.cli import main
from unbloat.subject import Subject

MODULE = '''
import logging

logger = logging.getLogger(__name__)

LIMIT = 4


def unused(x):
    return x


def run(cfg, values=(1, 2)):
    """Doc."""
    total = 0
    if cfg.flag:
        total += 5

        # about six
        total += 6
    try:
        total += cfg.size
    except Exception:
        total = 1
    logger.info("x")
    # about many values
    if len(values) > 9:
        values = values[:9]
        values = sorted(values)
    if cfg.mode == "fast":
        total += 1
    else:
        total += 2
    return total + sum(values)
'''
CONFIG = {"flag": False, "size": 3, "mode": "fast"}


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line of a refusal."""
        assert self.code == 2, self
        assert self.err.startswith("unbloat: error: ") and self.err.count("\n") == 1 and self.err.endswith("\n"), self.err
        return self.err.removeprefix("unbloat: error: ").rstrip("\n")


@pytest.fixture
def tiny(make_subject: Callable[..., Subject]) -> Subject:
    return make_subject(MODULE, config=CONFIG, calls=((), ([1],)))


@pytest.fixture
def unbloat(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs `unbloat COMMAND --subject …` for the subject in a folder."""

    def run(command: str, root: Path, *arguments: str) -> Said:
        capsys.readouterr()
        code = main([command, "--subject", str(root / "strip.toml"), *arguments])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def contents() -> Callable[[Path], object]:
    """Content and time of every file under a folder, or of the file."""

    def read(place: Path) -> dict[str, tuple[bytes, int]]:
        found = [place] if place.is_file() else [path for path in sorted(place.rglob("*")) if path.is_file()]
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}

    return read
