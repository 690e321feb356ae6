"""How a case is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.differential import Step
from tests.handing import CLASS


def run(*arguments: object, **options: object) -> Step:
    """A call of `run(cfg, …)`."""
    return ("run", "run", arguments, options)


def call(name: str, *arguments: object, **options: object) -> Step:
    """A call of another function, without the config."""
    return ("call", name, arguments, options)


def read(name: str, *arguments: object, **options: object) -> Step:
    """A call of another function with the config first."""
    return ("run", name, arguments, options)


def make(*arguments: object, **options: object) -> Step:
    """An object of class `Thing`, made with the config."""
    return ("make", "Thing", arguments, options)


def build(name: str, *arguments: object, **options: object) -> Step:
    """An object made without the config."""
    return ("build", name, arguments, options)


def method(name: str, *arguments: object, **options: object) -> Step:
    """A call of a method of that object."""
    return ("method", name, arguments, options)


def config(name: str = "Config", **fields: object) -> dict[str, Any]:
    """What an object of a class of the package is made with."""
    return {CLASS: name, **fields}


def given(name: str, calls: tuple[Step, ...] = (run(),), **fields: object) -> tuple[Step, ...]:
    """A use with an object of another class."""
    return ("object", config(name, **fields)), *calls


@dataclass(frozen=True)
class Case:
    """Stripped under `config` and `calls`; then every change in `configs` (`...` removes a key) is tried with `calls` and
    each of `other_calls`, the pinned config too, and `uses` as they stand. The pinned config
    of another kind than OmegaConf's is tried as every other kind, too."""

    title: str
    module: str
    config: dict[str, Any] = field(default_factory=dict)
    calls: tuple[Step, ...] = (run(),)
    configs: tuple[dict[str, Any], ...] = ()
    other_calls: tuple[tuple[Step, ...], ...] = ()
    uses: tuple[tuple[Step, ...], ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    strangers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "config"

    def all_calls(self) -> tuple[tuple[Step, ...], ...]:
        return self.calls, *self.other_calls


OFF_ON = ({"flag": True}, {"flag": None}, {"flag": 1}, {"flag": ...}, {"flag": "no"})
FLAG = ({"flag": True}, {"flag": None}, {"flag": 1}, {"flag": 0}, {"flag": ...})
