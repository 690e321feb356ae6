"""Configs that a user's code makes by itself and hands over: seen where they come in, or with one key changed.

A config is changed in place, once: whatever the user's code does with it afterwards, it is the same config for all.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MISSING = object()


class HandedConfigs:
    """The OmegaConf containers among the arguments of a run's calls, each by the root that it belongs to."""

    def __init__(self, change: Mapping[str, Any] | None) -> None:
        self.applied = 0
        self.content: dict[str, Any] | None = None
        """Of all that were handed over, as one; what came first counts where two have the same key."""
        self._change = change
        self._roots: dict[int, Any] = {}

    def look(self, arguments: Iterable[Any]) -> None:
        """Note, or change, every config that has not been seen before."""
        for argument in arguments:
            if (root := _root(argument)) is not None and id(root) not in self._roots:
                self._roots[id(root)] = root
                if self._change is None:
                    self.content = _joined(self.content or {}, _plain(root))
                elif self._concerns(root):
                    put(root, self._change["path"], self._change["value"])
                    self.applied += 1

    def _concerns(self, root: Any) -> bool:
        """A key that no config has comes into all of them; another one is changed where it is."""
        assert self._change is not None
        return self._change["new"] or find(_plain(root), self._change["path"]) is not MISSING


def _root(argument: Any) -> Any:
    if "omegaconf" not in sys.modules:
        return None  # Nobody can have made one. This is asked at every call.
    from omegaconf import DictConfig

    root = argument._get_root() if isinstance(argument, DictConfig) else None
    return root if isinstance(root, DictConfig) else None


def _plain(root: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    content = json.loads(json.dumps(OmegaConf.to_container(root, resolve=False), default=str))
    return content if isinstance(content, dict) else {}


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    joined = {**second, **first}
    for key in first.keys() & second.keys():
        if isinstance(first[key], Mapping) and isinstance(second[key], Mapping):
            joined[key] = _joined(first[key], second[key])
    return joined


def find(config: Mapping[str, Any], path: Sequence[str]) -> Any:
    """What a config has under a path of keys; `MISSING` if there is nothing."""
    node: Any = config
    for part in path:
        if not isinstance(node, Mapping) or part not in node:
            return MISSING
        node = node[part]
    return node


def put(config: Any, path: Sequence[str], value: str | None) -> None:
    """Set a key to the value that `value` is the source of, or, for None, delete it."""
    node = config
    for part in path[:-1]:
        key = _key(node, part)
        if node.get(key) is None:
            _set(node, key, {})
        node = node[key]
    _set(node, _key(node, path[-1]), MISSING if value is None else ast.literal_eval(value))


def _set(node: Any, key: Any, value: Any) -> None:
    if _root(node) is None:
        _write(node, key, value)
        return
    from omegaconf import flag_override

    with flag_override(node, ["struct", "readonly"], False):
        _write(node, key, value)


def _write(node: Any, key: Any, value: Any) -> None:
    if value is MISSING:
        del node[key]
    else:
        node[key] = value


def _key(node: Mapping[Any, Any], part: str) -> Any:
    """Keys may be numbers; on their way here they were text."""
    return next((key for key in node if str(key) == part), part)
