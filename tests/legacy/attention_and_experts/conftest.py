"""Nodes of the champion's config, and the conditions that every test here runs under."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

REPRODUCTION = Path(__file__).resolve().parents[3] / "reproduction"
SMALL = {"model": {"d_model": 8, "n_head": 2, "d_ff": 16, "max_h": 6, "max_w": 6, "d_pi": 5, "k_nn": 3}}


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The legacy tree, imported once per file: these modules keep nothing between tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPRODUCTION / "legacy"))
        patch.chdir(tmp_path_factory.mktemp("work"))
        _forget_modules()
        yield
        _forget_modules()


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "champion"]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def legacy_tree(modules: None) -> None:
    """In place of the fixture of all legacy tests, which imports everything anew for every test."""


@pytest.fixture(autouse=True)
def conditions() -> Iterator[None]:
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def champion() -> DictConfig:
    loaded = OmegaConf.merge(OmegaConf.load(REPRODUCTION / "configs" / "champion.yaml"), SMALL)
    assert isinstance(loaded, DictConfig)
    return loaded


@pytest.fixture(scope="session")
def container(champion: DictConfig) -> Callable[[str], Any]:
    """Nodes as plain values, which are quicker to copy."""

    @cache
    def plain(path: str) -> Any:
        return OmegaConf.to_container(OmegaConf.select(champion, path))

    return plain


@pytest.fixture
def node(container: Callable[[str], Any]) -> Callable[..., Any]:
    """`node("model.bam", {"cross.use_1d_prior": True})`: a copy of a node with dotted overrides."""

    def select(path: str, overrides: Mapping[str, Any] | None = None) -> Any:
        copied = OmegaConf.create(container(path))
        for key, value in (overrides or {}).items():
            OmegaConf.update(copied, key, value, force_add=True)
        return copied

    return select
