"""The configs of a run that are watched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from unbloat.evidence.plain_configs.log import Log
from unbloat.evidence.plain_configs.objects import watched_class
from unbloat.evidence.plain_configs.twins import Dictionary, List
from unbloat.evidence.plain_configs.values import fields_of, found, has_plain_keys, is_plain_object


class Watched:
    """The configs that are watched, each with its key. They are held, so that no other object gets their identity."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._known: dict[int, tuple[Any, str]] = {}
        self._twins: dict[int, tuple[Any, Any]] = {}
        self._classes: dict[type, type] = {}

    def key_of(self, value: Any) -> str | None:
        """The key of what is watched; None for anything else."""
        held = self._known.get(id(value))
        return held[1] if held is not None else None

    def enlist(self, value: Any, key: str) -> None:
        self._known[id(value)] = (value, key)

    def watch(self, value: Any, key: str) -> Any:
        """What stands for a config from now on: itself, if its class can be changed. Everything in it is watched, too."""
        if id(value) in self._twins:
            return self._twins[id(value)][1]
        if self.key_of(value) is not None:
            return value
        if type(value) is dict and has_plain_keys(value):
            twin: Any = Dictionary.of(self)
            self._twins[id(value)] = (value, twin)
            self.enlist(twin, key)
            for name, part in value.items():
                dict.__setitem__(twin, name, self.watch(part, f"{key}.{name}"))
            return twin
        if type(value) is list and found(value) is not None:
            twin = List.of(self)
            self._twins[id(value)] = (value, twin)
            self.enlist(twin, key)
            list.extend(twin, [self.watch(part, key) for part in value])
            return twin
        return self._watch_object(value, key) if is_plain_object(value) else value

    def answer(self, key: str, value: Any) -> list[Any] | None:
        """What a read of a key found; what is also found under another key can be written there, so no pin can hold it."""
        return found(value) if self.key_of(value) in (None, key) else None

    def _watch_object(self, value: Any, key: str) -> Any:
        owner, fields = type(value), fields_of(value)
        if owner not in self._classes:
            self._classes[owner] = watched_class(owner, self)
        watched = value
        if owner is SimpleNamespace:
            watched = self._classes[owner]()
            self._twins[id(value)] = (value, watched)
            fields_of(watched).update(fields)
            fields = fields_of(watched)
        else:
            object.__setattr__(watched, "__class__", self._classes[owner])
        self.enlist(watched, key)
        for name, part in list(fields.items()):
            fields[name] = self.watch(part, f"{key}.{name}")
        return watched
