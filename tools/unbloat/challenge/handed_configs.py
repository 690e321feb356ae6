"""Configs that a user's code makes by itself and hands over: seen where they come in, or with one key changed.

A config is changed in place, once: whatever the user's code does with it afterwards, it is the same config for all.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unbloat.evidence.plain_configs import content, is_config, root_name

MISSING = object()


class HandedConfigs:
    """The configs among the arguments of a run's calls: OmegaConf containers, each by the root that it belongs to, and other
    objects that the package takes in under the name of a config, by that of their root."""

    def __init__(self, change: Mapping[str, Any] | None, parameters: Sequence[str], *, containers: bool) -> None:
        """`containers` is false where these come from a file, and are changed there."""
        self.applied = 0
        self.content: dict[str, Any] | None = None
        """Of all that were handed over, as one; what came first counts where two have the same key."""
        self._change = change
        self._parameters = frozenset(parameters)
        self._containers = containers
        self._known: dict[int, Any] = {}

    def look(self, function: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Note, or change, every config that has not been seen before; `function` is the package's, or None."""
        for argument in [*arguments, *options.values()] if self._containers else ():
            if (root := _root(argument)) is not None and self._is_new(root):
                self._look(root, _plain(root))
        for name, value in _bound(function, arguments, options) if function is not None and self._parameters else ():
            if name in self._parameters and is_config(value) and self._is_new(value):
                self._look({root_name(name, value): value}, {root_name(name, value): _json(content(value))})

    def _is_new(self, config: Any) -> bool:
        if id(config) in self._known:
            return False
        self._known[id(config)] = config
        return True

    def _look(self, config: Any, held: dict[str, Any]) -> None:
        if self._change is None:
            self.content = joined(self.content or {}, held)
        elif self._concerns(held):
            put(config, self._change["path"], self._change["value"])
            self.applied += 1

    def _concerns(self, held: Mapping[str, Any]) -> bool:
        """A key that no config has comes into all of them that it can be of; another one is changed where it is."""
        assert self._change is not None
        path = self._change["path"]
        if find(held, path) is not MISSING:
            return True
        return bool(self._change["new"]) and (not self._change["handed"] or path[0] in held)


def _bound(function: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    try:
        return inspect.signature(function).bind(*arguments, **options).arguments.items()
    except (TypeError, ValueError):
        return ()  # A call that fails, or of something that does not tell what it takes.


def _root(argument: Any) -> Any:
    if "omegaconf" not in sys.modules:
        return None  # Nobody can have made one. This is asked at every call.
    from omegaconf import DictConfig

    root = argument._get_root() if isinstance(argument, DictConfig) else None
    return root if isinstance(root, DictConfig) else None


def _plain(root: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    held = _json(OmegaConf.to_container(root, resolve=False))
    return held if isinstance(held, dict) else {}


def _json(held: Any) -> Any:
    return json.loads(json.dumps(held, default=str))


def joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two configs as one; the first one counts where both have a key."""
    both = {**second, **first}
    for key in first.keys() & second.keys():
        if isinstance(first[key], Mapping) and isinstance(second[key], Mapping):
            both[key] = joined(first[key], second[key])
    return both


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
        if _get(node, key) is None:
            _set(node, key, {})
        node = _get(node, key)
    _set(node, _key(node, path[-1]), MISSING if value is None else ast.literal_eval(value))


def _get(node: Any, key: Any) -> Any:
    return node.get(key) if isinstance(node, Mapping) else getattr(node, key, None)


def _set(node: Any, key: Any, value: Any) -> None:
    if _root(node) is None:
        _write(node, key, value)
        return
    from omegaconf import flag_override

    with flag_override(node, ["struct", "readonly"], False):
        _write(node, key, value)


def _write(node: Any, key: Any, value: Any) -> None:
    if not isinstance(node, Mapping):
        node = object.__getattribute__(node, "__dict__")  # whatever its class says to that: it may be frozen
    if value is not MISSING:
        node[key] = value
    elif key in node:
        del node[key]


def _key(node: Any, part: str) -> Any:
    """Keys may be numbers; on their way here they were text."""
    return next((key for key in node if str(key) == part), part) if isinstance(node, Mapping) else part
