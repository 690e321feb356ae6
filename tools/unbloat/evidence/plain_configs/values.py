"""What a config is that is no OmegaConf container, and what of it a pin can hold."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

_SCALARS = (bool, int, float, str, type(None))
_HEAP_TYPE = 1 << 9
_OWN_ACCESS = frozenset(
    "__getattr__ __getattribute__ __setattr__ __delattr__ __slots__ __copy__ __deepcopy__ __reduce__ __reduce_ex__ "
    "__getstate__ __setstate__ __call__".split()
)
_FROZEN = frozenset("__setattr__ __delattr__".split())  # what `@dataclass(frozen=True)` makes, to forbid them
UNKNOWN = object()


class Stand:
    """What the classes have in common of what stands for a config while it is watched."""

    __slots__ = ()


def is_stand(value: Any) -> bool:
    return issubclass(type(value), Stand)


def is_config(value: Any) -> bool:
    """Whether a value is an object that can be watched, with at least one setting in it."""
    if type(value) is dict:
        return bool(value) and has_plain_keys(value) and any(found(part) is not None for part in value.values())
    return is_plain_object(value) and any(found(part) is not None for _, part in settings_of(value))


def needs_twin(value: Any) -> bool:
    """Whether something else has to stand for a config, so that who holds the config itself does not see what is written."""
    return type(value) in (dict, SimpleNamespace)


def root_name(parameter: str, value: Any) -> str:
    """What the keys of a config begin with: the class of an object tells best what it is, else the parameter does."""
    is_nameless = isinstance(value, dict | argparse.Namespace | SimpleNamespace)
    return parameter if is_nameless else type(value).__name__


def content(value: Any) -> Any:
    """What is in a config, as plain containers; of what no pin can hold, its type."""
    if isinstance(value, dict) and (type(value) is dict or is_stand(value)):
        return {key: content(part) for key, part in dict.items(value)}
    if is_plain_object(value) or (is_stand(value) and not isinstance(value, list)):
        return {key: content(part) for key, part in settings_of(value)}
    known = found(value)
    return f"<{type(value).__name__}>" if known is None else known[1]


def found(value: Any) -> list[Any] | None:
    """A setting or a part of a config, as facts have it; None for anything that no pin can hold."""
    if isinstance(value, dict):
        return ["mapping", "dict"] if is_stand(value) or (type(value) is dict and has_plain_keys(value)) else None
    if is_plain_object(value) or (is_stand(value) and not isinstance(value, list)):
        return ["mapping", type(value).__name__]
    plain = _plain(value)
    return None if plain is UNKNOWN else ["value", plain]


def own_type(value: Any) -> Any:
    """The class of what is watched as it was before; anything else as it is."""
    return value.__mro__[1] if isinstance(value, type) and issubclass(value, Stand) else value


def _plain(value: Any) -> Any:
    """A scalar or a list of scalars and of such lists."""
    if type(value) in _SCALARS:
        return value
    if type(value) is list or (isinstance(value, list) and is_stand(value)):
        parts = [_plain(part) for part in value]
        return UNKNOWN if any(part is UNKNOWN for part in parts) else parts
    return UNKNOWN


def is_plain_key(key: Any) -> bool:
    """Keys of parts are joined by dots."""
    return type(key) is str and key != "" and "." not in key and not key.startswith("<")


def has_plain_keys(value: dict[Any, Any]) -> bool:
    return all(is_plain_key(key) for key in value)


def is_plain_object(value: Any) -> bool:
    """Whether a value is an object whose fields are its own, and nothing but its class answers for them."""
    owner = type(value)
    if owner in (argparse.Namespace, SimpleNamespace):
        return True
    # A metaclass may do as it likes, and a class that is written in C cannot be exchanged for another one.
    if type(owner) is not type or not owner.__flags__ & _HEAP_TYPE or not hasattr(value, "__dict__"):
        return False
    own = {name for base in owner.__mro__[:-1] for name in vars(base)} & _OWN_ACCESS
    if own - (_FROZEN if hasattr(owner, "__dataclass_fields__") else frozenset()):
        return False
    return owner.__base__ is not None and all(base.__flags__ & _HEAP_TYPE for base in owner.__mro__[:-1])


def fields_of(value: Any) -> dict[str, Any]:
    fields: dict[str, Any] = object.__getattribute__(value, "__dict__")
    return fields


def settings_of(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of an object, and what its class has for those that it does not have."""
    settings = dict(fields_of(value))
    for base in type(value).__mro__[:-1]:
        for name, part in vars(base).items():
            if not name.startswith("_") and not callable(part) and not hasattr(type(part), "__get__"):
                settings.setdefault(name, part)
    return ((name, part) for name, part in settings.items() if is_plain_key(name))
