"""The generators in docs/ are scripts that import each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(autouse=True, scope="module")
def generators_importable() -> Iterator[None]:
    """For one file of tests."""
    own = {file.stem for file in DOCS.glob("*.py")}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield
        for name in own & sys.modules.keys():
            del sys.modules[name]
