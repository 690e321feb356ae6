"""Config objects that are not OmegaConf's: dictionaries, namespaces, data classes, objects of plain classes.

Python does not tell who looks into a dictionary. So while a run is observed, a config that comes in from outside is watched:
objects get a class that derives from their own, dictionaries and `SimpleNamespace`, whose class cannot be changed, a twin in
their place. Every access is told to a `Log`, by the key that it reads. What is watched answers as it did before.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, Protocol

_SCALARS = (bool, int, float, str, type(None))
_HEAP_TYPE = 1 << 9
_OWN_ACCESS = frozenset(
    "__getattr__ __getattribute__ __setattr__ __delattr__ __slots__ __copy__ __deepcopy__ __reduce__ __reduce_ex__ "
    "__getstate__ __setstate__ __call__".split()
)
_FROZEN = frozenset("__setattr__ __delattr__".split())  # what `@dataclass(frozen=True)` makes, to forbid them
_UNKNOWN = object()


class Log(Protocol):
    """What is told of the accesses."""

    def read(self, key: str, answer: list[Any] | None) -> None:
        """A key was read, or, if there is no answer, more than any pin can hold."""

    def read_keys(self, key: str, keys: list[str]) -> None:
        """It was read which keys there are."""

    def read_any(self, key: str, answer: bool) -> None:
        """It was read whether there is any key."""

    def wrote(self, key: str) -> None: ...

    def is_own(self, function: object) -> bool:
        """Whether a function is of the subject, and so is read there."""

    def unnoticed(self) -> AbstractContextManager[None]:
        """A time in which no access counts."""


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
        if type(value) is dict and _has_plain_keys(value):
            twin: Any = _Dictionary.of(self)
            self._twins[id(value)] = (value, twin)
            self.enlist(twin, key)
            for name, part in value.items():
                dict.__setitem__(twin, name, self.watch(part, f"{key}.{name}"))
            return twin
        if type(value) is list and found(value) is not None:
            twin = _List.of(self)
            self._twins[id(value)] = (value, twin)
            self.enlist(twin, key)
            list.extend(twin, [self.watch(part, key) for part in value])
            return twin
        return self._watch_object(value, key) if _is_plain_object(value) else value

    def answer(self, key: str, value: Any) -> list[Any] | None:
        """What a read of a key found; what is also found under another key can be written there, so no pin can hold it."""
        return found(value) if self.key_of(value) in (None, key) else None

    def _watch_object(self, value: Any, key: str) -> Any:
        owner, fields = type(value), _fields(value)
        if owner not in self._classes:
            self._classes[owner] = _watched_class(owner, self)
        watched = value
        if owner is SimpleNamespace:
            watched = self._classes[owner]()
            self._twins[id(value)] = (value, watched)
            _fields(watched).update(fields)
            fields = _fields(watched)
        else:
            object.__setattr__(watched, "__class__", self._classes[owner])
        self.enlist(watched, key)
        for name, part in list(fields.items()):
            fields[name] = self.watch(part, f"{key}.{name}")
        return watched


def is_config(value: Any) -> bool:
    """Whether a value is an object that can be watched, with at least one setting in it."""
    if type(value) is dict:
        return bool(value) and _has_plain_keys(value) and any(found(part) is not None for part in value.values())
    return _is_plain_object(value) and any(found(part) is not None for _, part in _settings(value))


def needs_twin(value: Any) -> bool:
    """Whether something else has to stand for a config, so that who holds the config itself does not see what is written."""
    return type(value) in (dict, SimpleNamespace)


def root_name(parameter: str, value: Any) -> str:
    """What the keys of a config begin with: the class of an object tells best what it is, else the parameter does."""
    is_nameless = isinstance(value, dict | argparse.Namespace | SimpleNamespace)
    return parameter if is_nameless else type(value).__name__


def content(value: Any) -> Any:
    """What is in a config, as plain containers; of what no pin can hold, its type."""
    if type(value) is dict or type(value) is _Dictionary:
        return {key: content(part) for key, part in dict.items(value)}
    if _is_plain_object(value) or _is_watched_object(value):
        return {key: content(part) for key, part in _settings(value)}
    known = found(value)
    return f"<{type(value).__name__}>" if known is None else known[1]


def found(value: Any) -> list[Any] | None:
    """A setting or a part of a config, as facts have it; None for anything that no pin can hold."""
    if type(value) is _Dictionary or (type(value) is dict and _has_plain_keys(value)):
        return ["mapping", "dict"]
    if _is_plain_object(value) or _is_watched_object(value):
        return ["mapping", type(value).__name__]
    plain = _plain(value)
    return None if plain is _UNKNOWN else ["value", plain]


def own_type(value: Any) -> Any:
    """The class of what is watched as it was before; anything else as it is."""
    return value.__mro__[1] if isinstance(value, type) and issubclass(value, _Watched) else value


def _plain(value: Any) -> Any:
    """A scalar or a list of scalars and of such lists."""
    if type(value) in _SCALARS:
        return value
    if type(value) is _List or type(value) is list:
        parts = [_plain(part) for part in value]
        return _UNKNOWN if any(part is _UNKNOWN for part in parts) else parts
    return _UNKNOWN


def _is_plain_key(key: Any) -> bool:
    """Keys of parts are joined by dots."""
    return type(key) is str and key != "" and "." not in key and not key.startswith("<")


def _has_plain_keys(value: dict[Any, Any]) -> bool:
    return all(_is_plain_key(key) for key in value)


class _Watched:
    """What the classes of twins and of watched objects have in common."""

    __slots__ = ()


# -- dictionaries -------------------------------------------------------------------------------------------------


class _Dictionary(dict, _Watched):  # type: ignore[type-arg]
    """A twin of a dictionary. Whatever Python does to it in C goes by `__iter__`, as that is not the dictionary's own."""

    __slots__ = ("_watched",)
    _watched: Watched

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        return dict(*arguments, **options)  # somebody makes another one like it: `type(cfg)(…)`

    @classmethod
    def of(cls, watched: Watched) -> _Dictionary:
        twin: _Dictionary = dict.__new__(cls)
        twin._watched = watched
        return twin

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return dict

    @property
    def _log(self) -> Log:
        return self._watched.log

    @property
    def _key(self) -> str:
        key = self._watched.key_of(self)
        assert key is not None, "a twin is enlisted as soon as it is made"
        return key

    def _tell(self, key: Any) -> None:
        if not _is_plain_key(key):
            self._log.read(self._key, None)
        elif dict.__contains__(self, key):
            of_part = f"{self._key}.{key}"
            self._log.read(of_part, self._watched.answer(of_part, dict.__getitem__(self, key)))
        else:
            self._log.read(f"{self._key}.{key}", ["absent", None])

    def _tell_keys(self) -> None:
        self._log.read_keys(self._key, [str(key) for key in dict.__iter__(self)])

    def _tell_all(self) -> None:
        self._tell_keys()
        for key in dict.__iter__(self):
            self._tell(key)

    def _write(self, key: Any) -> None:
        self._log.wrote(f"{self._key}.{key}" if _is_plain_key(key) else self._key)

    def __getitem__(self, key: Any) -> Any:
        self._tell(key)
        return dict.__getitem__(self, key)

    def get(self, key: Any, default: Any = None) -> Any:
        self._tell(key)
        return dict.get(self, key, default)

    def __contains__(self, key: Any) -> bool:
        self._tell(key)
        return dict.__contains__(self, key)

    def __len__(self) -> int:
        self._tell_keys()
        return dict.__len__(self)

    def __bool__(self) -> bool:
        self._log.read_any(self._key, dict.__len__(self) > 0)
        return dict.__len__(self) > 0

    def __iter__(self) -> Iterator[Any]:
        self._tell_keys()
        return dict.__iter__(self)

    def __reversed__(self) -> Iterator[Any]:
        self._tell_keys()
        return dict.__reversed__(self)

    def keys(self) -> Any:
        self._tell_keys()
        return dict.keys(self)

    def values(self) -> Any:
        self._tell_all()
        return dict.values(self)

    def items(self) -> Any:
        self._tell_all()
        return dict.items(self)

    def __eq__(self, other: object) -> bool:
        self._log.read(self._key, None)
        return dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        self._log.read(self._key, None)
        return dict.__ne__(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        self._log.read(self._key, None)
        with self._log.unnoticed():
            return dict.__repr__(self)

    def __or__(self, other: Any) -> Any:
        self._tell_all()
        return dict.__or__(dict(dict.items(self)), other)

    def __ror__(self, other: Any) -> Any:
        self._tell_all()
        return dict.__or__(other, dict(dict.items(self))) if isinstance(other, dict) else NotImplemented

    def copy(self) -> Any:
        return self.__copy__()

    def __copy__(self) -> _Dictionary:
        return self._copied(lambda part: part)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Dictionary:
        return self._copied(lambda part: copy.deepcopy(part, memo))

    def _copied(self, copied: Callable[[Any], Any]) -> _Dictionary:
        """A copy is read in the place of what it is a copy of."""
        twin = _Dictionary.of(self._watched)
        self._watched.enlist(twin, self._key)
        for name, part in dict.items(self):
            dict.__setitem__(twin, name, copied(part))
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._log.read(self._key, None)
        return dict, (list(dict.items(self)),)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._write(key)
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._tell(key)
        self._write(key)
        dict.__delitem__(self, key)

    def pop(self, key: Any, *default: Any) -> Any:
        self._tell(key)
        self._write(key)
        return dict.pop(self, key, *default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        self._tell(key)
        self._write(key)
        return dict.setdefault(self, key, default)

    def popitem(self) -> Any:
        self._tell_all()
        self._log.wrote(self._key)
        return dict.popitem(self)

    def clear(self) -> None:
        self._log.wrote(self._key)
        dict.clear(self)

    def update(self, *others: Any, **named: Any) -> None:
        added: dict[Any, Any] = dict(*others, **named)
        for key in added:
            self._write(key)
        dict.update(self, added)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self


# -- lists --------------------------------------------------------------------------------------------------------


class _List(list, _Watched):  # type: ignore[type-arg]
    """A twin of a list. Who reads it has read its key, and so all of it; what is told is that it is changed."""

    __slots__ = ("_watched",)
    _watched: Watched

    def __new__(cls, *arguments: Any) -> Any:
        return list(*arguments)

    @classmethod
    def of(cls, watched: Watched) -> _List:
        twin: _List = list.__new__(cls)
        twin._watched = watched
        return twin

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return list

    def __copy__(self) -> _List:
        return self._copied(lambda part: part)

    def copy(self) -> _List:
        return self.__copy__()

    def __deepcopy__(self, memo: dict[int, Any]) -> _List:
        return self._copied(lambda part: copy.deepcopy(part, memo))

    def _copied(self, copied: Callable[[Any], Any]) -> _List:
        twin = _List.of(self._watched)
        self._watched.enlist(twin, str(self._watched.key_of(self)))
        list.extend(twin, [copied(part) for part in self])
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (list(self),)


def _telling(name: str) -> Callable[..., Any]:
    original = getattr(list, name)

    def method(self: _List, *arguments: Any, **options: Any) -> Any:
        self._watched.log.wrote(str(self._watched.key_of(self)))
        return original(self, *arguments, **options)

    method.__name__ = name
    return method


for _name in "append clear extend insert pop remove reverse sort __setitem__ __delitem__ __iadd__ __imul__".split():
    setattr(_List, _name, _telling(_name))


# -- objects ------------------------------------------------------------------------------------------------------


def _is_plain_object(value: Any) -> bool:
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


def _is_watched_object(value: Any) -> bool:
    return issubclass(type(value), _Watched) and type(value) not in (_Dictionary, _List)


def _fields(value: Any) -> dict[str, Any]:
    fields: dict[str, Any] = object.__getattribute__(value, "__dict__")
    return fields


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of an object, and what its class has for those that it does not have."""
    settings = dict(_fields(value))
    for base in type(value).__mro__[:-1]:
        for name, part in vars(base).items():
            if not name.startswith("_") and not callable(part) and not hasattr(type(part), "__get__"):
                settings.setdefault(name, part)
    return ((name, part) for name, part in settings.items() if _is_plain_key(name))


def _watched_class(owner: Any, watched: Watched) -> type:
    """A class that differs from `owner` in telling the log what is read and written."""
    log = watched.log
    # Its own methods would ask whether the object is of exactly that class.
    is_frozen = "__dataclass_params__" in vars(owner) and owner.__dataclass_params__.frozen

    def key(value: Any, name: str) -> str:
        """Of a field; what has a strange name is the whole."""
        of = watched.key_of(value)
        return f"{of}.{name}" if _is_plain_key(name) else str(of)

    def __getattribute__(value: Any, name: str) -> Any:
        if name == "__class__":
            return owner
        if watched.key_of(value) is None or (name.startswith("__") and name != "__dict__"):
            return owner.__getattribute__(value, name)  # of an object that did not come in, or nothing that a config sets
        fields = _fields(value)
        of_class = _of_class(owner, name) if name not in fields else _UNKNOWN
        if callable(of_class) or isinstance(of_class, property | staticmethod | classmethod):
            if isinstance(of_class, property) or not log.is_own(of_class):
                log.read(key(value, name), None)
        elif name == "__dict__":
            log.read(key(value, ""), None)
        elif name in fields or of_class is not _UNKNOWN:
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
        twin = _new(type(value))
        if (of := watched.key_of(value)) is not None:
            watched.enlist(twin, of)
        _fields(twin).update({name: parts(part) for name, part in _fields(value).items()})
        return twin

    def __reduce_ex__(value: Any, protocol: Any) -> Any:
        if watched.key_of(value) is not None:
            log.read(key(value, ""), None)
        return _rebuilt, (owner, dict(_fields(value)))

    accesses: dict[str, Callable[..., Any]] = {
        "__getattribute__": __getattribute__,
        "__setattr__": __setattr__,
        "__delattr__": __delattr__,
        "__copy__": lambda value: copied(value, lambda part: part),
        "__deepcopy__": lambda value, memo: copied(value, lambda part: copy.deepcopy(part, memo)),
        "__reduce_ex__": __reduce_ex__,
    }
    if owner is SimpleNamespace:
        accesses["__repr__"] = lambda value: repr(_rebuilt(SimpleNamespace, value.__dict__))
    names = {"__module__": owner.__module__, "__qualname__": owner.__qualname__, "__doc__": owner.__doc__}
    return type(owner.__name__, (owner, _Watched), {**names, **accesses})


def _of_class(owner: type, name: str) -> Any:
    """What a class has under a name, as it is written there; `_UNKNOWN` if it has nothing."""
    return next((vars(base)[name] for base in owner.__mro__ if name in vars(base)), _UNKNOWN)


def _new(owner: type) -> Any:
    return SimpleNamespace.__new__(owner) if issubclass(owner, SimpleNamespace) else object.__new__(owner)


def _rebuilt(owner: type, fields: dict[str, Any]) -> Any:
    value = _new(owner)
    _fields(value).update(fields)
    return value
