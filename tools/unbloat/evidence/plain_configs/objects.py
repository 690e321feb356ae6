"""Classes for objects that are watched, each derived from the object's own."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from unbloat.evidence.plain_configs.log import Register
from unbloat.evidence.plain_configs.values import UNKNOWN, Stand, fields_of, is_plain_key


def watched_class(owner: Any, watched: Register) -> type:
    """A class that differs from `owner` in telling the log what is read and written."""
    log = watched.log
    # Its own methods would ask whether the object is of exactly that class.
    is_frozen = "__dataclass_params__" in vars(owner) and owner.__dataclass_params__.frozen

    def key(value: Any, name: str) -> str:
        """Of a field; what has a strange name is the whole."""
        of = watched.key_of(value)
        return f"{of}.{name}" if is_plain_key(name) else str(of)

    def __getattribute__(value: Any, name: str) -> Any:
        if name == "__class__":
            return owner
        if watched.key_of(value) is None or (name.startswith("__") and name != "__dict__"):
            return owner.__getattribute__(value, name)  # of an object that did not come in, or nothing that a config sets
        fields = fields_of(value)
        of_class = _of_class(owner, name) if name not in fields else UNKNOWN
        if callable(of_class) or isinstance(of_class, property | staticmethod | classmethod):
            if isinstance(of_class, property) or not log.is_own(of_class):
                log.read(key(value, name), None)
        elif name == "__dict__":
            log.read(key(value, ""), None)
        elif name in fields or of_class is not UNKNOWN:
            log.read(key(value, name), watched.answer(key(value, name), fields.get(name, of_class)))
        else:
            log.read(key(value, name), ["absent", None])
        return owner.__getattribute__(value, name)

    def __setattr__(value: Any, name: str, new: Any) -> None:
        if is_frozen:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        if watched.key_of(value) is not None:
            log.wrote(key(value, name))
        owner.__setattr__(value, name, new)

    def __delattr__(value: Any, name: str) -> None:
        if is_frozen:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        if watched.key_of(value) is not None:
            log.wrote(key(value, name))
        owner.__delattr__(value, name)

    def copied(value: Any, parts: Callable[[Any], Any]) -> Any:
        """A copy is read in the place of what it is a copy of."""
        twin = new_object(type(value))
        if (of := watched.key_of(value)) is not None:
            watched.enlist(twin, of)
        fields_of(twin).update({name: parts(part) for name, part in fields_of(value).items()})
        return twin

    def __reduce_ex__(value: Any, protocol: Any) -> Any:
        if watched.key_of(value) is not None:
            log.read(key(value, ""), None)
        return rebuilt, (owner, dict(fields_of(value)))

    accesses: dict[str, Callable[..., Any]] = {
        "__getattribute__": __getattribute__,
        "__setattr__": __setattr__,
        "__delattr__": __delattr__,
        "__copy__": lambda value: copied(value, lambda part: part),
        "__deepcopy__": lambda value, memo: copied(value, lambda part: copy.deepcopy(part, memo)),
        "__reduce_ex__": __reduce_ex__,
    }
    if owner is SimpleNamespace:
        accesses["__repr__"] = lambda value: repr(rebuilt(SimpleNamespace, value.__dict__))
    names = {"__module__": owner.__module__, "__qualname__": owner.__qualname__, "__doc__": owner.__doc__}
    return type(owner.__name__, (owner, Stand), {**names, **accesses})


def _of_class(owner: type, name: str) -> Any:
    """What a class has under a name, as it is written there; `UNKNOWN` if it has nothing."""
    return next((vars(base)[name] for base in owner.__mro__ if name in vars(base)), UNKNOWN)


def new_object(owner: type) -> Any:
    return SimpleNamespace.__new__(owner) if issubclass(owner, SimpleNamespace) else object.__new__(owner)


def rebuilt(owner: type, fields: dict[str, Any]) -> Any:
    value = new_object(owner)
    fields_of(value).update(fields)
    return value
