"""Distributions that look installed: a package and its metadata in a folder on the search path."""

from __future__ import annotations

import base64
import hashlib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Install = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that modules and distributions are found in, by this process and by those that it starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def install(site: Path) -> Install:
    """Write a distribution's files and a RECORD of them, as pip does."""

    def write(name: str, version: str, files: Mapping[str, bytes]) -> Path:
        metadata = f"{name.replace('-', '_')}-{version}.dist-info"
        everything = {
            **files,
            f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        }
        for path, content in everything.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_bytes(content)
        record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in everything.items())
        (site / metadata / "RECORD").write_text(f"{record}{metadata}/RECORD,,\n")
        importlib.invalidate_caches()
        return site

    return write


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
