"""In the process of a run: what the probes report, and a run that ends where it first differs from the golden."""

from __future__ import annotations

import builtins
import functools
import inspect
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from unbloat.golden.leaf import Leaf
from unbloat.golden.ledger import Entry, Ledger
from unbloat.golden.recorder import Recorder
from unbloat.mutate.probes import PROBE
from unbloat.verify.aliased import Nothing, aliased

DIFFERS = "unbloat: differs at "
"""How the last line begins that such a run prints."""

MORE_MEMORY = 4 * 2**30
"""Bytes of addresses that a run may take beyond what the warm process had: a wrong size must not take the machine down."""

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

    def result(self) -> list[int]:
        return sorted(self._reached)


@contextmanager
def reached(options: Mapping[str, Any]) -> Iterator[Probe]:
    """Options: `aliases`, those of `unbloat.verify.aliased`."""
    probe = Probe()
    with mock.patch.object(builtins, PROBE, probe, create=True), aliased(options["aliases"]):
        yield probe


@contextmanager
def watched(options: Mapping[str, Any]) -> Iterator[Nothing]:
    """Options: `aliases`, and `expected`, a file that `write_expected` has written. The run ends at the first difference."""
    expected = json.loads(Path(options["expected"]).read_text(encoding="utf-8"))
    left = [iter(expected[kind]) for kind in ("values", "tape")]
    original = Recorder._add
    _limit_memory()

    def add(recorder: Recorder, name: str, leaf: Leaf) -> None:
        original(recorder, name, leaf)
        entry = recorder._entries[-1]
        want = next(left[entry.kind == "tape"], None)
        if want != _key(entry):
            _leave(entry.name if want is None else want[0])

    with mock.patch.object(Recorder, "_add", add), aliased(options["aliases"]) as nothing:
        yield nothing


def write_expected(path: Path, golden: Ledger) -> None:
    """What a run is compared with while it runs: in the same way as `unbloat.golden.compare`, values and tape apart."""
    keys: dict[str, list[list[str]]] = {"values": [], "tape": []}
    for entry in golden.entries:
        keys["tape" if entry.kind == "tape" else "values"].append(_key(entry))
    path.write_text(json.dumps(keys), encoding="utf-8")


def _key(entry: Entry) -> list[str]:
    return [entry.name, entry.kind, entry.digest]


def _leave(name: str) -> None:
    """At once, since the code under test could swallow any error."""
    print(f"\n{DIFFERS}`{name}`", flush=True)
    sys.stdout.flush()
    os._exit(1)


def _limit_memory() -> None:
    status = Path("/proc/self/statm")
    if status.exists():
        held = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MORE_MEMORY, held + MORE_MEMORY))
