"""The pinned config, and no kernel that could give another result next time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf

CONFIG = Path(__file__).resolve().parents[3] / "reproduction" / "configs" / "champion.yaml"


@functools.cache
def pinned() -> dict[str, Any]:
    with CONFIG.open(encoding="utf-8") as file:
        values: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    return values


@pytest.fixture
def node() -> Callable[[str], DictConfig]:
    """One node of the pinned config, as a copy: a config of 930 leaves is slow to build."""

    def select(path: str) -> DictConfig:
        values: Any = pinned()
        for part in path.split("."):
            values = values[part]
        return OmegaConf.create(values)

    return select


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    torch.manual_seed(307)
    torch.use_deterministic_algorithms(True)
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)
    torch.use_deterministic_algorithms(False)
