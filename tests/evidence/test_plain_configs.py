"""A config that is watched answers as it did before, and tells what it was asked."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from unbloat.evidence.plain_configs import Watched, is_config, own_type, root_name


@dataclasses.dataclass(frozen=True)
class Settings:
    size: int
    names: list[str]
    part: Any
    deep: bool = False

    @property
    def double(self) -> int:
        return 2 * self.size

    def named(self, name: str) -> bool:
        return name in self.names


class Plain:
    deep = False

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    def __repr__(self) -> str:
        return f"Plain({vars(self)})"


class Log:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def read(self, key: str, answer: list[Any] | None) -> None:
        self.told.append((key, answer))

    def read_keys(self, key: str, keys: list[str]) -> None:
        self.told.append((key, "keys", keys))

    def read_any(self, key: str, answer: bool) -> None:
        self.told.append((key, "any", answer))

    def wrote(self, key: str) -> None:
        self.told.append((key, "wrote"))

    def is_own(self, function: object) -> bool:
        return False

    @contextmanager
    def unnoticed(self) -> Iterator[None]:
        before = self.told.copy()
        yield
        self.told = before


FIELDS: dict[str, Any] = {"size": 3, "names": ["a", "b"], "part": {"on": True, "rate": 0.5}}
MAKERS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "Namespace": argparse.Namespace,
    "SimpleNamespace": SimpleNamespace,
    "Settings": Settings,
    "Plain": Plain,
}
# What may be done with any of them, with dictionaries alone, and with objects alone.
ANY = [
    "repr(copy.deepcopy(cfg))",
    "cfg == copy.deepcopy(cfg)",
    "bool(cfg)",
    "own_type(type(cfg))",
    "cfg.__class__",
    "pickle.loads(pickle.dumps(cfg)) == cfg",
    "copy.copy(cfg) == cfg",
    "isinstance(cfg, dict)",
    "str(cfg)",
    "f'{cfg}'",
]
DICTIONARY = [
    "cfg['size']",
    "cfg['none']",
    "cfg.get('none', 7)",
    "cfg.get(3)",
    "'size' in cfg",
    "3 in cfg",
    "len(cfg)",
    "list(cfg)",
    "[*cfg]",
    "{**cfg}",
    "dict(cfg)",
    "dict(**cfg)",
    "cfg | {'size': 4}",
    "{'more': 1} | cfg",
    "sorted(cfg)",
    "[*reversed(cfg)]",
    "list(cfg.items())",
    "list(cfg.values())",
    "[*map(str, cfg.keys())]",
    "json.dumps(cfg)",
    "json.dumps(cfg, indent=1)",
    "cfg['part']['on']",
    "cfg['part'] is cfg['part']",
    "cfg['names'] + ['c']",
    "cfg['names'] == ['a', 'b']",
    "tuple(cfg['names'])",
    "cfg.copy() == cfg",
    "cfg == {'size': 3}",
    "{'size': 3} == cfg",
    "cfg != {}",
    "cfg.pop('size'), len(cfg)",
    "cfg.popitem()",
    "cfg.setdefault('more', []), cfg",
    "cfg.update(size=9, more=1), cfg",
    "cfg.update([('more', 2)]), cfg",
    "cfg.clear(), cfg",
    "cfg.__setitem__('more', 1), cfg",
    "cfg.__delitem__('size'), cfg",
    "cfg.__ior__({'more': 1}), cfg",
    "type(cfg)(cfg)",
    "cfg['names'].append('c'), cfg['names']",
    "cfg['names'].sort(reverse=True), cfg['names']",
    "copy.deepcopy(cfg['names'])",
    "dataclasses.asdict(Settings(1, cfg['names'], cfg))",
    "dict.fromkeys(cfg)",
    "'{size}'.format_map(cfg)",
    "'{size}'.format(**cfg)",
]
OBJECT = [
    "cfg.size",
    "getattr(cfg, 'none', 7)",
    "hasattr(cfg, 'size')",
    "hasattr(cfg, 'none')",
    "vars(cfg)['size']",
    "cfg.__dict__",
    "cfg.part['on']",
    "sorted(vars(cfg))",
    "setattr(cfg, 'more', 1), vars(cfg)",
    "delattr(cfg, 'size'), vars(cfg)",
    "cfg.names.append('c'), cfg.names",
    "getattr(cfg, 'deep', None)",
]
SETTINGS = [
    "cfg.double",
    "cfg.named('a')",
    "dataclasses.asdict(cfg)",
    "dataclasses.replace(cfg, size=5)",
    "dataclasses.astuple(cfg)",
    "cfg == Settings(3, ['a', 'b'], {'on': True, 'rate': 0.5})",
    "[f.name for f in dataclasses.fields(cfg)]",
]
CASES = [
    *[(kind, one) for kind in MAKERS for one in ANY],
    *[("dict", one) for one in DICTIONARY],
    *[(kind, one) for kind in list(MAKERS)[1:] for one in OBJECT],
    *[("Settings", one) for one in SETTINGS],
    *[(kind, "'size' in cfg") for kind in ("Namespace",)],
]


@pytest.mark.parametrize(("kind", "asked"), CASES, ids=[f"{kind}: {asked}" for kind, asked in CASES])
def test_it_answers_as_before(kind: str, asked: str) -> None:
    plain, config = _made(kind), _made(kind)
    watched = Watched(Log()).watch(config, "cfg")
    assert _outcome(asked, watched) == _outcome(asked, plain)


# What is asked of what, and what the log is told.
TOLD: list[tuple[str, str, list[tuple[Any, ...]]]] = [
    ("dict", "cfg['size']", [("cfg.size", ["value", 3])]),
    ("dict", "cfg.get('none')", [("cfg.none", ["absent", None])]),
    ("dict", "'part' in cfg", [("cfg.part", ["mapping", "dict"])]),
    ("dict", "cfg['part']['rate']", [("cfg.part", ["mapping", "dict"]), ("cfg.part.rate", ["value", 0.5])]),
    ("dict", "cfg['names']", [("cfg.names", ["value", ["a", "b"]])]),
    ("dict", "bool(cfg['part'])", [("cfg.part", ["mapping", "dict"]), ("cfg.part", "any", True)]),
    ("dict", "next(iter(cfg))", [("cfg", "keys", ["size", "names", "part"])]),
    ("dict", "repr(cfg)", [("cfg", None)]),
    ("dict", "cfg[3]", [("cfg", None)]),
    ("dict", "cfg.update(more=1)", [("cfg.more", "wrote")]),
    ("dict", "cfg['names'].append(1)", [("cfg.names", ["value", ["a", "b"]]), ("cfg.names", "wrote")]),
    ("Namespace", "cfg.size", [("cfg.size", ["value", 3])]),
    ("Namespace", "getattr(cfg, 'none', 0)", [("cfg.none", ["absent", None])]),
    ("Namespace", "vars(cfg)", [("cfg", None)]),
    ("SimpleNamespace", "setattr(cfg, 'more', 1)", [("cfg.more", "wrote")]),
    ("Plain", "cfg.deep", [("cfg.deep", ["value", False])]),
    ("Settings", "cfg.part", [("cfg.part", ["mapping", "dict"])]),
    ("Settings", "cfg.names", [("cfg.names", ["value", ["a", "b"]])]),
]


@pytest.mark.parametrize(("kind", "asked", "told"), TOLD, ids=[f"{kind}: {asked}" for kind, asked, _ in TOLD])
def test_it_tells_what_it_is_asked(kind: str, asked: str, told: list[tuple[Any, ...]]) -> None:
    log = Log()
    watched = Watched(log).watch(_made(kind), "cfg")
    with suppress(KeyError):
        eval(asked, {"cfg": watched})
    assert log.told == told


def test_what_is_found_under_two_keys_can_be_written_under_the_other() -> None:
    log, part = Log(), {"on": True}
    watched = Watched(log).watch({"one": part, "two": part}, "cfg")
    assert watched["one"] is watched["two"]
    assert ("cfg.two", None) in log.told


# A value, and whether it is taken for a config.
VALUES = [
    ({"a": 1}, True),
    ({}, False),
    ({1: 2}, False),
    ({"a.b": 1}, False),
    ({"a": object}, False),
    (SimpleNamespace(a=1), True),
    (argparse.Namespace(), False),
    (Plain(a=1), True),
    (Settings(1, [], {}), True),
    (Settings, False),
    (3, False),
    ([1], False),
    (len, False),
    (ValueError("a"), False),
    ({"a": {"b": None}}, True),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=range(len(VALUES)))
def test_what_is_a_config(value: Any, expected: bool) -> None:
    assert is_config(value) is expected


def test_keys_begin_with_the_class_of_an_object_or_with_the_parameter() -> None:
    assert {kind: root_name("cfg", _made(kind)) for kind in MAKERS} == {
        "dict": "cfg",
        "Namespace": "cfg",
        "SimpleNamespace": "cfg",
        "Settings": "Settings",
        "Plain": "Plain",
    }


def _made(kind: str) -> Any:
    return MAKERS[kind](**copy.deepcopy(FIELDS))


def _outcome(asked: str, cfg: Any) -> tuple[str, str]:
    """As text: a twin is not what it is a twin of."""
    names = {
        "copy": copy,
        "dataclasses": dataclasses,
        "json": json,
        "pickle": pickle,
        "Settings": Settings,
        "own_type": own_type,
    }
    try:
        return "value", repr(eval(asked, {**names, "cfg": cfg}))
    except (AttributeError, KeyError, TypeError) as error:
        return "raised", f"{type(error).__name__}: {error}"
