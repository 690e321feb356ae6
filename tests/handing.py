"""Configs of every kind, made of plain content, changed in place, and shown.

Workloads run this file by its path: a name that stood in a workload itself would count as one that is asked for.
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any

CLASS = "<class>"
"""The key under which content of the kind "object" names a class: of `pkg.module`, or with its module before it."""


def made(kind: str, content: Any) -> Any:
    """What `content` is as a config of a kind; lists and tuples are gone through, too."""
    match kind:
        case "config":
            from omegaconf import OmegaConf

            return OmegaConf.create(_each(content, dict))
        case "namespace":
            return _each(content, lambda parts: SimpleNamespace(**parts))
        case "arguments":
            return _each(content, lambda parts: argparse.Namespace(**parts))
        case "dict":
            return _each(content, dict)
    return _each(content, dict, lambda name, parts: _class(name)(**parts))


def _each(content: Any, whole: Callable[[dict[Any, Any]], Any], instance: Callable[[str, Any], Any] | None = None) -> Any:
    if isinstance(content, dict):
        parts = {key: _each(part, whole, instance) for key, part in content.items() if key != CLASS}
        return instance(content[CLASS], parts) if instance is not None and CLASS in content else whole(parts)
    return type(content)(_each(part, whole, instance) for part in content) if type(content) in (list, tuple) else content


def _class(name: str) -> Any:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module or "pkg.module"), last)


def part(config: Any, path: str) -> Any:
    """What a config holds under a dotted path."""
    for name in path.split(".") if path else ():
        config = config[name] if isinstance(config, dict) else getattr(config, name)
    return config


def put(config: Any, path: str, value: Any) -> None:
    """Set a key in place; a part that OmegaConf does not know yet is made."""
    if type(config).__module__.startswith("omegaconf."):
        from omegaconf import OmegaConf

        OmegaConf.update(config, path, value)
        return
    outer, _, last = path.rpartition(".")
    owner = part(config, outer)
    if isinstance(owner, dict):
        owner[last] = value
    else:
        setattr(owner, last, value)


def view(value: Any) -> Any:
    """Everything that is in a config, as plain containers, with the classes of objects."""
    if type(value).__module__.startswith("omegaconf."):
        from omegaconf import OmegaConf

        return OmegaConf.to_container(value)
    if isinstance(value, dict):
        return {key: view(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [view(item) for item in value]
    slots = [name for base in type(value).__mro__ for name in vars(base).get("__slots__", ()) if hasattr(value, name)]
    if isinstance(value, type | Enum) or callable(value) or (not slots and not hasattr(value, "__dict__")):
        return value
    return {CLASS: type(value).__name__} | {
        name: view(getattr(value, name)) for name in [*getattr(value, "__dict__", ()), *slots]
    }


def text(value: Any) -> str:
    """As `repr` has it, without the addresses of objects, which no two runs have in common."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
