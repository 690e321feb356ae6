"""Twins of dictionaries and lists, whose class cannot be exchanged."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from unbloat.evidence.plain_configs.log import Log, Register
from unbloat.evidence.plain_configs.values import Stand, is_plain_key


class Dictionary(dict, Stand):  # type: ignore[type-arg]
    """A twin of a dictionary. Whatever Python does to it in C goes by `__iter__`, as that is not the dictionary's own."""

    __slots__ = ("_watched",)
    _watched: Register

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        return dict(*arguments, **options)  # somebody makes another one like it: `type(cfg)(…)`

    @classmethod
    def of(cls, watched: Register) -> Dictionary:
        twin: Dictionary = dict.__new__(cls)
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
        if not is_plain_key(key):
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
        self._log.wrote(f"{self._key}.{key}" if is_plain_key(key) else self._key)

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

    def __copy__(self) -> Dictionary:
        return self._copied(lambda part: part)

    def __deepcopy__(self, memo: dict[int, Any]) -> Dictionary:
        return self._copied(lambda part: copy.deepcopy(part, memo))

    def _copied(self, copied: Callable[[Any], Any]) -> Dictionary:
        """A copy is read in the place of what it is a copy of."""
        twin = Dictionary.of(self._watched)
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


class List(list, Stand):  # type: ignore[type-arg]
    """A twin of a list. Who reads it has read its key, and so all of it; what is told is that it is changed."""

    __slots__ = ("_watched",)
    _watched: Register

    def __new__(cls, *arguments: Any) -> Any:
        return list(*arguments)

    @classmethod
    def of(cls, watched: Register) -> List:
        twin: List = list.__new__(cls)
        twin._watched = watched
        return twin

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return list

    def __copy__(self) -> List:
        return self._copied(lambda part: part)

    def copy(self) -> List:
        return self.__copy__()

    def __deepcopy__(self, memo: dict[int, Any]) -> List:
        return self._copied(lambda part: copy.deepcopy(part, memo))

    def _copied(self, copied: Callable[[Any], Any]) -> List:
        twin = List.of(self._watched)
        self._watched.enlist(twin, str(self._watched.key_of(self)))
        list.extend(twin, [copied(part) for part in self])
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (list(self),)


def _telling(name: str) -> Callable[..., Any]:
    original = getattr(list, name)

    def method(self: List, *arguments: Any, **options: Any) -> Any:
        self._watched.log.wrote(str(self._watched.key_of(self)))
        return original(self, *arguments, **options)

    method.__name__ = name
    return method


for _name in "append clear extend insert pop remove reverse sort __setitem__ __delitem__ __iadd__ __imul__".split():
    setattr(List, _name, _telling(_name))
