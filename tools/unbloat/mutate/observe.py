"""In the process of a run: what the probes report."""

from __future__ import annotations

import builtins
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from unbloat.mutate.probes import PROBE
from unbloat.verify.aliased import aliased

_NOTHING = object()


class Probe:
    """Numbers of the sites that were evaluated, and of the defaults that were used."""

    def __init__(self) -> None:
        self._reached: set[int] = set()
        self._kept: dict[int, Any] = {}

    def hit(self, number: int) -> None:
        self._reached.add(number)

    def fallback(self, number: int, place: int | str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a function that has a default to return, and see whether it does."""
        given = list(arguments)
        default = options["default"] if isinstance(place, str) else given[place]
        if isinstance(place, str):
            options["default"] = _NOTHING
        else:
            given[place] = _NOTHING
        found = function(*given, **options)
        if found is not _NOTHING:
            return found
        self.hit(number)
        return default

    def keep(self, number: int, default: Any) -> Any:
        """Remember the default of a parameter; a number or text as an object that nobody else holds."""
        if type(default) is str:
            default = default.encode().decode()
        elif type(default) in (int, float):
            default = type(default)(repr(default))
        self._kept[number] = default
        return default

    def given(self, number: int, value: Any) -> None:
        """Whether a parameter has got its default; for flags and the like also if the caller passed the same."""
        if value is self._kept[number]:
            self.hit(number)

    def fields(self, *numbered: Any) -> Callable[[type], type]:
        """A decorator for a dataclass: fields that whoever makes an instance leaves out."""
        numbers = dict(zip(numbered[::2], numbered[1::2], strict=True))

        def decorate(owner: type) -> type:
            original: Callable[..., None] = vars(owner)["__init__"]
            signature = inspect.signature(original)

            @functools.wraps(original)
            def init(*arguments: Any, **options: Any) -> None:
                passed = signature.bind_partial(*arguments, **options).arguments
                self._reached |= {number for name, number in numbers.items() if name not in passed}
                original(*arguments, **options)

            owner.__init__ = init  # type: ignore[misc]
            return owner

        return decorate

    def both(self, number: int, value: Any, other: Callable[[], Any]) -> Any:
        """Hit only if the other way to compute a value gives another one."""
        try:
            same = _same(value, other())
        except (ArithmeticError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError):
            same = False
        if not same:
            self.hit(number)
        return value

    def result(self) -> dict[str, list[int]]:
        return {"reached": sorted(self._reached)}


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if hasattr(one, "dtype") and hasattr(one, "shape"):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return bool(alike and ((one == other) | ((one != one) & (other != other))).all())
    return one is other or bool(one == other)


@contextmanager
def reached(options: Mapping[str, Any]) -> Iterator[Probe]:
    """Options: `aliases`, those of `unbloat.verify.aliased`."""
    probe = Probe()
    with mock.patch.object(builtins, PROBE, probe, create=True), aliased(options["aliases"]):
        yield probe
