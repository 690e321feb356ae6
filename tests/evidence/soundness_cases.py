"""The table of `test_soundness`: what a package does that could mislead an analysis, and the uses that would show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.differential import Step


def run(*arguments: object, **options: object) -> Step:
    """A call of `run(cfg, …)`."""
    return ("run", "run", arguments, options)


def call(name: str, *arguments: object, **options: object) -> Step:
    """A call of another function, without the config."""
    return ("call", name, arguments, options)


def read(name: str, *arguments: object, **options: object) -> Step:
    """A call of another function with the config first."""
    return ("run", name, arguments, options)


def make(*arguments: object, **options: object) -> Step:
    """An object of class `Thing`, made with the config."""
    return ("make", "Thing", arguments, options)


def method(name: str, *arguments: object, **options: object) -> Step:
    """A call of a method of that object."""
    return ("method", name, arguments, options)


@dataclass(frozen=True)
class Case:
    """Stripped under `config` and `calls`; then every change in `configs` (`...` removes a key) is tried with `calls` and
    each of `other_calls`, the pinned config too, and `uses` as they stand."""

    title: str
    module: str
    config: dict[str, Any] = field(default_factory=dict)
    calls: tuple[Step, ...] = (run(),)
    configs: tuple[dict[str, Any], ...] = ()
    other_calls: tuple[tuple[Step, ...], ...] = ()
    uses: tuple[tuple[Step, ...], ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)

    def all_calls(self) -> tuple[tuple[Step, ...], ...]:
        return self.calls, *self.other_calls


OFF_ON = ({"flag": True}, {"flag": None}, {"flag": 1}, {"flag": ...}, {"flag": "no"})

CASES = (
    Case(
        "an item whose presence depends on a mode",
        """
        TABLE = {"a": 1}

        def run(cfg):
            found = False
            try:
                size = TABLE[cfg.mode]
                found = True
            except KeyError:
                size = 7
            if found:
                return size, "found"
            return size, "lost"
        """,
        {"mode": "a"},
        configs=({"mode": "b"}, {"mode": None}),
    ),
    Case(
        "an item of a list that may be too short",
        """
        def run(cfg):
            found = False
            try:
                size = cfg.sizes[1]
                found = True
            except Exception:
                size = 7
            if found:
                return size, "found"
            return size, "lost"
        """,
        {"sizes": [1, 2]},
        configs=({"sizes": [1]}, {"sizes": []}, {"sizes": [3, 4]}),
    ),
    Case(
        "a flag that is augmented from data",
        """
        def run(cfg, x=0):
            flag = cfg.flag
            flag |= x > 3
            if flag:
                return "on", x
            return "off", x
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((run(9),),),
    ),
    Case(
        "a tripwire inside a handler that fires",
        """
        def run(cfg, x=0):
            try:
                if x == 0:
                    raise ValueError(x)
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            except Exception:
                return -1
        """,
        calls=(run(0), run(1)),
        other_calls=((run(9),),),
    ),
    Case(
        "a tripwire in a function that is called inside a handler that fires",
        """
        def run(cfg, x=0):
            try:
                return inner(x)
            except Exception:
                return -1

        def inner(x):
            if x == 0:
                raise ValueError(x)
            if x > 3:
                x = x * 2
                x = x + 1
            return x
        """,
        calls=(run(0), run(1)),
        other_calls=((run(9),),),
    ),
    Case(
        "a handler that never fired inside one that did",
        """
        def run(cfg, text="3"):
            try:
                if text == "":
                    raise KeyError(text)
                try:
                    return int(text)
                except ValueError:
                    return 10
            except Exception:
                return -1
        """,
        calls=(run(""), run("1")),
        other_calls=((run("x"),),),
    ),
    Case(
        "a handler that never fired in a function that is called inside one that did",
        """
        from contextlib import suppress

        def run(cfg, text="3"):
            found = None
            with suppress(Exception):
                found = number(text)
            return found

        def number(text):
            try:
                return int(text)
            except ValueError:
                return 10
        """,
        calls=(run("1"),),
        other_calls=((run("x"),),),
    ),
    Case(
        "a guard inside a handler that fires",
        """
        def run(wanted, x=0):
            try:
                if x == 0:
                    raise ValueError(x)
                return inner(wanted, x)
            except Exception:
                return -1

        def inner(cfg, x):
            if cfg.flag:
                x = x * 2
            return x
        """,
        {"flag": False},
        calls=(run(0), run(1)),
        configs=OFF_ON,
    ),
    Case(
        "the config under another name",
        """
        def run(options, x=1):
            if options.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
    ),
    Case(
        "the config read by another public function",
        """
        def run(cfg, x=1):
            return helper(cfg, x)

        def helper(config, x=1):
            if config.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((read("helper"),), (read("helper", 3),)),
    ),
    Case(
        "an option of a public function that only the subject calls",
        """
        def run(cfg, x=1):
            return helper(x, False)

        def helper(x, wide=False):
            if wide:
                return x * 2
            return x
        """,
        other_calls=((call("helper", 3, True),), (call("helper", 3, wide=True),), (call("helper", 3),)),
    ),
    Case(
        "a private function called by name from elsewhere",
        """
        def run(cfg, x=1, wide=False):
            return globals()["_helper"](x, wide) if x > 5 else _helper(x, False)

        def _helper(x, wide=False):
            if wide:
                return x * 2
            return x
        """,
        other_calls=((run(9, True),),),
    ),
    Case(
        "a module's flag that another module sets",
        """
        from pkg import state

        def run(cfg, x=1):
            if x > 3:
                state.WIDE = True
            return state.size(x)
        """,
        calls=(run(1),),
        other_calls=((run(9), run(1)), (run(9),)),
        modules={
            "state": """
            WIDE = False

            def size(x):
                if WIDE:
                    return x * 2
                return x
            """
        },
    ),
    Case(
        "a module's flag that setattr, globals and __dict__ set",
        """
        import sys

        WIDE = False
        TALL = False
        DEEP = False

        def run(cfg, x=1):
            if x == 5: setattr(sys.modules[__name__], "WIDE", True)
            if x == 6: globals()["TALL"] = True
            if x == 7: sys.modules[__name__].__dict__["DEEP"] = True
            return size(x)

        def size(x):
            if WIDE:
                return x * 2
            if TALL:
                return x * 3
            if DEEP:
                return x * 4
            return x
        """,
        calls=(run(1),),
        other_calls=((run(5), run(1)), (run(6),), (run(7),)),
    ),
    Case(
        "fields through vars, __dict__, update and star arguments",
        """
        class Box:
            def __init__(self, **fields):
                self.wide = False
                self.tall = False
                vars(self).update(fields)

            def size(self, x):
                if self.wide:
                    return x * 2
                if self.tall:
                    return x * 3
                return x

        def run(cfg, x=1, fields=None):
            return Box(**(fields or {})).size(x)
        """,
        other_calls=((run(1, {"wide": True}),), (run(1, {"tall": True}),)),
    ),
    Case(
        "a field that somebody else sets on the object",
        """
        class Box:
            wide = False

            def size(self, x):
                if self.wide:
                    return x * 2
                return x

        def run(cfg, x=1):
            box = Box()
            for name in ("deep", "wide")[:x]:
                setattr(box, name, True)
            return box.size(x)
        """,
        calls=(run(1),),
        other_calls=((run(2),),),
    ),
    Case(
        "a class's flag that a subclass, an instance and the class itself shadow",
        """
        class Base:
            wide = False

            def size(self, x):
                if self.wide:
                    return x * 2
                return x

        class Derived(Base):
            wide = True

        def run(cfg, x=1):
            one = Base()
            if x > 3:
                one.wide = True
            if x > 5:
                Base.wide = True
            return one.size(x), (Derived() if x > 7 else Base()).size(x)
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),), (run(8),)),
    ),
    Case(
        "a property and __getattr__ that depend on data",
        """
        class Box:
            def __init__(self, x):
                self.x = x

            @property
            def wide(self):
                return self.x > 3

            def __getattr__(self, name):
                return self.x > 4

        def run(cfg, x=1):
            box = Box(x)
            if box.wide:
                x = x * 2
            if box.tall:
                x = x * 3
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(9),)),
    ),
    Case(
        "a config written by the caller between two calls",
        """
        class Thing:
            def __init__(self, cfg):
                self.cfg = cfg
                self.wide = cfg.flag

            def size(self, x):
                if self.cfg.flag:
                    return x * 2
                return x + (1 if self.wide else 0)
        """,
        {"flag": False},
        calls=(make(), method("size", 1)),
        configs=OFF_ON,
        other_calls=((make(), ("set", "flag", True), method("size", 1)),),
    ),
    Case(
        "a config that is read again later in one use",
        """
        def run(cfg, x=1):
            if cfg.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((run(1), ("set", "flag", True), run(1)), (run(1), ("config", {"flag": True}), run(1))),
    ),
    Case(
        "copies and merges of a config",
        """
        import copy
        from omegaconf import OmegaConf

        def run(cfg, x=1, extra=None):
            one = copy.deepcopy(cfg)
            one.flag = x > 3
            two = OmegaConf.merge(cfg, extra or {})
            three = cfg.copy()
            three["flag"] = x > 5
            four = OmegaConf.to_container(cfg)
            four["flag"] = x > 7
            return ["on" if part.get("flag") else "off" for part in (one, two, three, four)], [
                "on" if one.flag else "off", "on" if two.flag else "off",
                "on" if three.flag else "off", "on" if four["flag"] else "off"]
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),), (run(6),), (run(8),), (run(1, {"flag": True}),)),
    ),
    Case(
        "a copy written by a helper",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            mine = adapt(cfg, x)
            if mine.flag:
                return x * 2
            return x

        def adapt(cfg, x):
            fresh = OmegaConf.create(OmegaConf.to_container(cfg))
            if x > 3:
                fresh.flag = True
            return fresh
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "an interpolation",
        """
        def run(cfg, x=1):
            if cfg.model.flag:
                return x * 2
            return x
        """,
        {"flag": False, "model": {"flag": "${flag}"}},
        configs=(*OFF_ON, {"model": {"flag": True}}, {"model": {"flag": False}}),
    ),
    Case(
        "an option that nobody hands in becomes the config's",
        """
        def run(cfg, x=1, wide=None, mode="plain"):
            if wide is None:
                wide = cfg.flag
            if wide:
                x = x * 2
            if mode != "plain":
                x = -x
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((run(1, True),), (run(1, None, "other"),), (run(1, mode=None),)),
    ),
    Case(
        "a generator's guard waits for the first value",
        """
        def run(cfg, x=1):
            def values(cfg):
                if cfg.flag:
                    yield x * 2
                yield x

            made = values(cfg)
            return list(made) if x > 0 else "unused"

        def walk(cfg, x=1):
            if cfg.flag:
                yield x * 2
            yield x

        def count(cfg, x=1):
            made = walk(cfg, x)
            if x > 5:
                cfg.flag = True
            return list(made)
        """,
        {"flag": False},
        calls=(run(1), read("count", 1)),
        configs=OFF_ON,
        other_calls=((run(0),), (read("count", 9),)),
    ),
    Case(
        "a nested function reads a name that is bound again later",
        """
        def run(cfg, x=1):
            flag = cfg.flag

            def size(x):
                if flag:
                    return x * 2
                return x

            first = size(x)
            flag = x > 3
            return first, size(x)
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "nonlocal and global",
        """
        WIDE = False

        def run(cfg, x=1):
            deep = False

            def change():
                nonlocal deep
                global WIDE
                deep = x > 3
                WIDE = x > 5

            change()
            if deep:
                x = x * 2
            if WIDE:
                x = x * 3
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "defaults are evaluated when the function is made",
        """
        FLAG = False

        def size(x, wide=FLAG):
            if wide:
                return x * 2
            return x

        FLAG = True

        def other(x, wide=FLAG, seen=[]):
            seen.append(x)
            if len(seen) > 1:
                return x * 3
            if wide:
                return x * 2
            return x

        def run(cfg, x=1):
            return size(x), other(x)
        """,
        calls=(run(1),),
        other_calls=((run(4), run(3)), (call("size", 1, True),), (call("other", 1, False),)),
    ),
    Case(
        "recursion changes a flag",
        """
        def run(cfg, x=1):
            return _walk(x, cfg.flag)

        def _walk(x, wide):
            if wide:
                return x * 2
            if x > 3:
                return _walk(x - 3, not wide)
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(5),),),
    ),
    Case(
        "a flag that is None, and what is not None",
        """
        def run(cfg, x=1):
            extra = cfg.get("extra")
            layer = [x] if extra is not None else None
            if layer is None:
                return x
            if extra:
                return x * 2
            return x * 3
        """,
        {"extra": 0},
        configs=({"extra": 1}, {"extra": None}, {"extra": ...}, {"extra": [1]}, {"extra": {}}, {"extra": ""}),
    ),
    Case(
        "an object that a function may or may not return",
        """
        class Box:
            pass

        def pick(x):
            if x > 3:
                return None
            return Box()

        def run(cfg, x=1):
            found = pick(x)
            other = Box()
            if x > 5:
                other = None
            if found is None:
                x = x * 2
            if other is None:
                x = x * 3
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "values of and, or and ternaries",
        """
        def run(cfg, x=1):
            size = cfg.get("size") or x
            name = cfg.flag and "on"
            wide = cfg.size if cfg.flag else cfg.get("other", x)
            return size, name, wide, (cfg.size or 0) + 1, not cfg.flag
        """,
        {"flag": False, "size": 4},
        configs=(*OFF_ON, {"size": 0}, {"size": None}, {"size": 5}, {"size": ...}, {"other": 3}, {"flag": 0}, {"flag": ""}),
        other_calls=((run(3),),),
    ),
    Case(
        "what is not a bool",
        """
        def run(cfg, x=1):
            value = cfg.flag or cfg.other
            if cfg.flag is False:
                return "false", value
            if cfg.flag == 0:
                return "zero", value
            if not cfg.flag:
                return "empty", value
            return "true", value
        """,
        {"flag": False, "other": 3},
        configs=(*OFF_ON, {"flag": 0}, {"flag": ""}, {"flag": 0.0}, {"flag": []}, {"flag": {}}),
    ),
    Case(
        "a name is shadowed by a class body and by a comprehension",
        """
        flag = False

        class Box:
            flag = True
            sizes = [flag for _ in range(2)]

            def size(self, x):
                if flag:
                    return x * 2
                return x

        def run(cfg, x=1):
            found = [flag for flag in (x > 3, x > 5) if flag]
            if flag:
                x = 0
            return found, Box().size(x), Box.sizes
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "partial, lru_cache and other decorators",
        """
        import functools

        def _size(x, wide=False):
            if wide:
                return x * 2
            return x

        @functools.lru_cache(None)
        def _cached(x, wide=False):
            if wide:
                return x * 2
            return x

        def widened(function):
            def inner(x, wide=False):
                return function(x, x > 3)
            return inner

        @widened
        def _wrapped(x, wide=False):
            if wide:
                return x * 2
            return x

        def run(cfg, x=1):
            chosen = functools.partial(_size, wide=x > 3)
            return chosen(x), _size(x), _cached(x, x > 3), _wrapped(x), [one(x, x > 3) for one in (_size,)]
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "star arguments",
        """
        def _size(x, wide=False, deep=False):
            if wide:
                return x * 2
            if deep:
                return x * 3
            return x

        def run(cfg, x=1, *rest, **options):
            return _size(x, *rest, **options)
        """,
        calls=(run(1),),
        other_calls=((run(4, True),), (run(4, deep=True),)),
    ),
    Case(
        "a variable is deleted and a loop leaves its target behind",
        """
        def run(cfg, items=(1,)):
            last = False
            for last in items:
                pass
            flag = False
            for item in items:
                if item > 3:
                    break
            else:
                flag = True
            keep = cfg.flag
            del keep
            if last:
                return "last", flag
            if flag:
                return "all", last
            return "some", last
        """,
        {"flag": False},
        calls=(run([1]),),
        configs=OFF_ON,
        other_calls=((run([0]),), (run([1, 5]),), (run([]),), (run([5, 0]),)),
    ),
    Case(
        "break and continue decide how often a flag is set",
        """
        def run(cfg, items=(1,)):
            wide = False
            for item in items:
                if item > 3:
                    continue
                if item > 2:
                    break
                wide = cfg.flag
            while True:
                if len(items) > 2:
                    break
                wide = True
                break
            if wide:
                return "wide"
            return "narrow"
        """,
        {"flag": False},
        calls=(run([1, 1, 1]),),
        configs=OFF_ON,
        other_calls=((run([1]),), (run([]),), (run([3, 1, 1]),)),
    ),
    Case(
        "an early return that data decides leaves a flag alone",
        """
        class Box:
            def __init__(self, x):
                self.wide = False
                if x > 3:
                    return
                self.wide = True

        def run(cfg, x=1):
            box = Box(x)
            if box.wide:
                return x * 2
            return x

        def setting(x):
            global MODE
            if x > 3:
                return
            MODE = "narrow"

        MODE = "wide"
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "a local that an early return or an exception leaves unset",
        """
        def run(cfg, items=(1,)):
            flag = True
            try:
                first = items[0]
                flag = False
            finally:
                done = [flag]
            if done[0]:
                return "early"
            return "late", first
        """,
        calls=(run([1]),),
        other_calls=((run([]),),),
    ),
    Case(
        "match, walrus and chained comparisons",
        """
        def run(cfg, x=1):
            match cfg.mode:
                case "a":
                    flag = False
                case "b" if x > 3:
                    flag = True
                case _:
                    flag = x > 5
            if (wide := x > 7) or flag:
                return "wide", wide
            if 0 < cfg.size < 9:
                return "sized", flag
            return "plain", flag
        """,
        {"mode": "a", "size": 3},
        configs=({"mode": "b"}, {"mode": "c"}, {"size": 11}, {"size": 0}, {"size": 4}),
        other_calls=((run(4),), (run(6),), (run(8),)),
    ),
    Case(
        "keys of a config",
        """
        def run(cfg, x=1):
            names = [name for name, value in cfg.model.items() if value]
            extra = "extra" in cfg
            wide = "wide" in cfg.model and cfg.model.wide
            if cfg.sizes:
                x = x + len(cfg.sizes)
            for key in cfg.model:
                if key == "deep":
                    x = x * 10
            return x, names, "on" if extra else "off", 1 if wide else 0, 5 if len(cfg.model) > 1 else 6
        """,
        {"model": {"wide": False, "tall": 1}, "sizes": [1, 2]},
        configs=(
            {"model": {"wide": True, "tall": 1}},
            {"model": {"wide": False}},
            {"model": {"wide": False, "tall": 1, "deep": 1}},
            {"model": {"wide": False, "deep": 1}},
            {"model": {}},
            {"sizes": []},
            {"sizes": [1]},
            {"sizes": [2, 3]},
            {"sizes": None},
            {"extra": 1},
            {"extra": None},
        ),
    ),
    Case(
        "iteration over a list of the config",
        """
        def run(cfg, x=1):
            found = False
            for size in cfg.sizes:
                if size > 5:
                    found = True
            total = sum(size for size in cfg.sizes if size > 1)
            if found:
                return "found", total
            if 3 in cfg.sizes:
                return "three", total
            return "none", total
        """,
        {"sizes": [1, 2]},
        configs=({"sizes": [6]}, {"sizes": []}, {"sizes": [3]}, {"sizes": [1]}, {"sizes": [1, 2, 2]}),
    ),
    Case(
        "the environment",
        """
        import os
        from os import environ, getenv

        def run(cfg, x=1):
            if os.environ.get("PKG_WIDE") == "1":
                x = x * 2
            if "PKG_TALL" in os.environ:
                x = x * 3
            if environ.get("PKG_DEEP", "0") != "0":
                x = x * 5
            if getenv("PKG_LONG"):
                x = x * 7
            try:
                name = os.environ["PKG_NAME"]
            except KeyError:
                name = "none"
            if os.getenv("PKG_" + "SHORT"):
                x = x * 11
            return x, name
        """,
        uses=tuple(
            (("config", {}), ("env", f"PKG_{name}", value), run())
            for name in ("WIDE", "TALL", "DEEP", "LONG", "NAME", "SHORT")
            for value in ("1", "0")
        ),
    ),
    Case(
        "the environment read at import",
        """
        import os

        WIDE = os.environ.get("PKG_WIDE") == "1"

        def run(cfg, x=1):
            if WIDE:
                return x * 2
            return x

        def plain(x=1):
            if WIDE:
                return x * 2
            return x
        """,
        calls=(run(), call("plain")),
        uses=(
            (("config", {}), ("env", "PKG_WIDE", "1"), run()),
            (("config", {}), ("env", "PKG_WIDE", "1"), call("plain")),
        ),
    ),
    Case(
        "mutable containers as flags",
        """
        FLAGS = {"wide": False}
        MODES = ["plain"]

        def run(cfg, x=1):
            options = {"deep": cfg.flag}
            _adapt(options, x)
            if x > 5:
                MODES.append("wide")
                FLAGS.update(wide=True)
            alias = MODES
            if x > 7:
                alias[0] = "other"
            if options["deep"]:
                x = x * 2
            if FLAGS["wide"]:
                x = x * 3
            if "wide" in MODES:
                x = x * 5
            if MODES[0] == "plain":
                return x
            return -x

        def _adapt(options, x):
            if x > 3:
                options["deep"] = True
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),), (run(6),), (run(8),)),
    ),
    Case(
        "carriers of flags",
        """
        from collections import namedtuple
        from dataclasses import dataclass, replace
        from types import SimpleNamespace

        Pair = namedtuple("Pair", "wide deep")

        @dataclass
        class Options:
            wide: bool = False
            deep: bool = False

        def run(cfg, x=1):
            one = Options(wide=cfg.flag)
            two = Pair(cfg.flag, x > 3)
            three = SimpleNamespace(wide=cfg.flag)
            four = replace(one, deep=x > 5)
            if x > 7:
                three.wide = True
                one.wide = True
            return [1 if flag else 0 for flag in (one.wide, two.wide, two.deep, three.wide, four.deep)], (
                "wide" if one.wide else "narrow", "deep" if two.deep else "flat", "wide" if three.wide else "narrow",
                "deep" if four.deep else "flat")
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),), (run(6),), (run(8),)),
    ),
    Case(
        "a field set outside of construction",
        """
        class Thing:
            def __init__(self, cfg):
                self.cfg = cfg
                self.wide = cfg.flag
                self.steps = 0
                self.mode = "plain"

            def widen(self):
                self.wide = True

            def size(self, x):
                self.steps += 1
                if self.wide:
                    return x * 2
                if self.steps > 1:
                    return x * 3
                if self.mode == "other":
                    return x * 5
                return x

        def toggle(thing):
            thing.mode = "other"
            return None
        """,
        {"flag": False},
        calls=(make(), method("size", 1)),
        configs=OFF_ON,
        other_calls=((make(), method("widen"), method("size", 1)), (make(), method("size", 1), method("size", 1))),
    ),
    Case(
        "one class made with two configs",
        """
        from omegaconf import OmegaConf

        class Part:
            def __init__(self, cfg):
                self.wide = cfg.flag

            def size(self, x):
                if self.wide:
                    return x * 2
                return x

        def run(cfg, x=1):
            other = OmegaConf.create({"flag": x > 3})
            return Part(cfg).size(x), Part(other).size(x)
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "a config parameter that gets something else",
        """
        def run(cfg, x=1):
            return _size(cfg, x), _size({"flag": x > 3}, x)

        def _size(cfg, x):
            if cfg["flag"]:
                return x * 2
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "two parts of one config",
        """
        def run(cfg, x=1):
            return [_size(part, x) for part in (cfg.one, cfg.two)]

        def _size(cfg, x):
            if cfg.flag:
                return x * 2
            return x
        """,
        {"one": {"flag": False}, "two": {"flag": False}},
        configs=({"one": {"flag": True}}, {"two": {"flag": True}}, {"two": {"flag": 0}}),
    ),
    Case(
        "the config is bound again inside",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            if x > 3:
                cfg = OmegaConf.create({"flag": True})
            if cfg.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "static, class and async methods",
        """
        import asyncio

        class Thing:
            def __init__(self, cfg):
                self.cfg = cfg

            @staticmethod
            def still(x, wide=False):
                if wide:
                    return x * 2
                return x

            @classmethod
            def made(cls, x, wide=False):
                if wide:
                    return x * 2
                return x

            async def waits(self, x, wide=False):
                if wide:
                    return x * 2
                if self.cfg.flag:
                    return x * 3
                return x

            def size(self, x):
                return self.still(x, False), self.made(x), asyncio.run(self.waits(x))

            @property
            def wide(self):
                if self.cfg.flag:
                    return True
                return False
        """,
        {"flag": False},
        calls=(make(), method("size", 1)),
        configs=OFF_ON,
        other_calls=(
            (make(), method("still", 1, True)),
            (make(), method("made", 1, True)),
            (make(), method("made", 1, wide=True)),
        ),
    ),
    Case(
        "log calls with arguments that do something",
        """
        import logging

        logger = logging.getLogger(__name__)

        def run(cfg, items=(1, 2)):
            walker = iter(items)
            logger.info("%s", next(walker))
            logger.info("%s", [value for value in walker if value > 5])
            left = list(items)
            logger.warning("%s", left.pop())
            return list(walker), left
        """,
        calls=(run([1, 2, 3]),),
        other_calls=((run([9, 8, 7]),),),
    ),
    Case(
        "pops, updates and setattr on the config",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            if x > 3:
                OmegaConf.update(cfg, "model.wide", True)
            if x > 5:
                setattr(cfg.model, "tall", True)
            if x > 7:
                cfg.pop("extra", None)
            part = cfg.model
            if x > 9:
                part.update({"deep": True})
            if cfg.model.wide:
                x = x * 2
            if cfg.model.tall:
                x = x * 3
            if cfg.get("extra"):
                x = x * 5
            if cfg.model.deep:
                x = x * 7
            return x
        """,
        {"model": {"wide": False, "tall": False, "deep": False}, "extra": True},
        calls=(run(1),),
        configs=({"model": {"wide": True, "tall": False, "deep": False}}, {"extra": False}, {"extra": ...}),
        other_calls=((run(4),), (run(6),), (run(8),), (run(10),)),
    ),
    Case(
        "a part of the config that a helper writes",
        """
        def run(cfg, x=1):
            _adapt(cfg.model, x)
            if cfg.model.wide:
                return x * 2
            return x

        def _adapt(part, x):
            if x > 3:
                part.wide = True
            if x > 5:
                part["wide"] = None
        """,
        {"model": {"wide": False}},
        calls=(run(1),),
        configs=({"model": {"wide": True}}, {"model": {"wide": None}}),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "a part of the config that is kept in a list or a field and written there",
        """
        class Box:
            def __init__(self, part):
                self.part = part

        def run(cfg, x=1):
            box = Box(cfg.model)
            kept = [cfg.model]
            if x > 3:
                box.part.wide = True
            for part in kept:
                if x > 5:
                    part.tall = True
            if cfg.model.wide:
                x = x * 2
            if cfg.model.tall:
                x = x * 3
            return x
        """,
        {"model": {"wide": False, "tall": False}},
        calls=(run(1),),
        configs=({"model": {"wide": True, "tall": False}},),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "functions as values",
        """
        def run(cfg, x=1):
            chosen = {"plain": _plain, "wide": _wide}[cfg.mode]
            return chosen(x, x > 3), apply(_plain, x)

        def apply(function, x):
            return function(x, x > 5)

        def _plain(x, flag=False):
            if flag:
                return x * 2
            return x

        def _wide(x, flag=False):
            if flag:
                return x * 4
            return x * 3
        """,
        {"mode": "plain"},
        calls=(run(1),),
        configs=({"mode": "wide"}, {"mode": "other"}),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "a function is replaced while the program runs",
        """
        from pkg import module

        def _wide(x):
            return False

        def run(cfg, x=1):
            if x > 3:
                module._wide = lambda x: True
            if _wide(x):
                return x * 2
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "a method is replaced while the program runs",
        """
        class Box:
            def wide(self):
                return False

            def size(self, x):
                if self.wide():
                    return x * 2
                return x

        def run(cfg, x=1):
            box = Box()
            if x > 3:
                box.wide = lambda: True
            if x > 5:
                Box.wide = lambda self: True
            return box.size(x), Box().size(x)
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "a subclass outside of the package",
        """
        class Base:
            wide = False

            def deep(self):
                return False

            def size(self, x):
                if self.wide:
                    return x * 2
                if self.deep():
                    return x * 3
                return x

        def run(cfg, x=1):
            return Base().size(x)

        def derived(x=1):
            made = type("Derived", (Base,), {"wide": x > 3, "deep": lambda self: x > 1})
            return made().size(x)
        """,
        calls=(run(1), call("derived", 1)),
        other_calls=((call("derived", 2),), (call("derived", 4),)),
    ),
    Case(
        "exceptions that a finally swallows",
        """
        def run(cfg, x=1):
            for _ in range(1):
                try:
                    if x > 3:
                        x = x * 2
                        x = x + 1
                    continue
                finally:
                    break
            return x

        def other(x=1):
            try:
                try:
                    x = 10 // x
                except ZeroDivisionError:
                    x = 5
            finally:
                return x
        """,
        calls=(run(1), call("other", 1)),
        other_calls=((run(4),), (call("other", 0),)),
    ),
    Case(
        "a context manager that swallows",
        """
        class Calm:
            def __enter__(self):
                return self

            def __exit__(self, kind, error, where):
                return True

        def run(cfg, x=1):
            with Calm():
                if x > 3:
                    x = x * 2
                    x = x + 1
                try:
                    x = 10 // x
                except ZeroDivisionError:
                    x = 77
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(0),)),
    ),
    Case(
        "truth, length, equality and attributes that a class computes",
        """
        class Box:
            def __init__(self, x):
                self.x = x

            def __bool__(self):
                return self.x > 3

            def __len__(self):
                return self.x

            def __eq__(self, other):
                return self.x > 5

            def __contains__(self, item):
                return self.x > 7

        def run(cfg, x=1):
            box = Box(x)
            if box:
                x = x * 2
            if len(box) > 4:
                x = x * 3
            if box == 1:
                x = x * 5
            if "a" in box:
                x = x * 7
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),), (run(8),)),
    ),
    Case(
        "the type of what data brings",
        """
        def run(cfg, value=1):
            if isinstance(value, str):
                return "text"
            if hasattr(value, "append"):
                return "list"
            if callable(value):
                return "function"
            if value is None:
                return "none"
            return "number"
        """,
        calls=(run(1),),
        other_calls=((run("a"),), (run([]),), (run(None),)),
    ),
    Case(
        "a dead store whose value a class computes",
        """
        SEEN = []

        class Box:
            def __init__(self):
                SEEN.append("made")

            @property
            def size(self):
                SEEN.append("size")
                return 1

            def __len__(self):
                SEEN.append("len")
                return 1

            def __iter__(self):
                SEEN.append("iter")
                return iter([1])

            def __getitem__(self, key):
                SEEN.append("item")
                return 1

            def __add__(self, other):
                SEEN.append("add")
                return 1

            def __str__(self):
                SEEN.append("str")
                return "box"

        def run(cfg, x=1):
            box = Box()
            if x > 3:
                unused = box.size
                other = len(box)
                third = box[0]
                fourth = box + 1
                fifth = str(box)
                sixth = f"{box}"
                seventh, *rest = box
            if x > 0:
                unused = box.size
                other = len(box)
                third = box[0]
                fourth = box + 1
                fifth = str(box)
                sixth = f"{box}"
            return SEEN
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "a flag read from a config that comes as a dict",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            plain = OmegaConf.to_container(cfg, resolve=True)
            if plain["flag"]:
                x = x * 2
            if plain.get("extra", False):
                x = x * 3
            for name in plain:
                if name == "third":
                    x = x * 5
            return x
        """,
        {"flag": False},
        configs=(*OFF_ON, {"extra": True}, {"third": 1}),
    ),
    Case(
        "a default of a dotted read",
        """
        from omegaconf import OmegaConf

        def _get(cfg, path, default=None):
            node = cfg
            for part in path.split("."):
                if node is None or part not in node:
                    return default
                node = node[part]
            return node

        def run(cfg, x=1):
            if _get(cfg, "model.wide", False):
                x = x * 2
            if OmegaConf.select(cfg, "model.tall", default=False):
                x = x * 3
            if getattr(getattr(cfg, "model", None), "deep", False):
                x = x * 5
            if (cfg.get("other") or {}).get("long", False):
                x = x * 7
            return x
        """,
        {"model": {"wide": False}},
        configs=(
            {"model": {"wide": True}},
            {"model": {"wide": False, "tall": True}},
            {"model": {"wide": False, "deep": True}},
            {"model": None},
            {"model": ...},
            {"other": {"long": True}},
            {"other": {"long": False}},
            {"other": None},
        ),
    ),
    Case(
        "a config parameter with a default",
        """
        def run(cfg=None, x=1):
            if cfg is None:
                return "none"
            if cfg.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
        uses=((call("run"),), (("config", {"flag": True}), run())),
    ),
    Case(
        "an iterator is walked where an empty loop was",
        """
        def run(cfg, items=(1, 2)):
            walker = iter(items)
            seen = {}
            for value in walker:
                seen[value] = True
                if cfg.flag:
                    return "early"
            return list(walker)
        """,
        {"flag": False},
        calls=(run([1, 2]),),
        configs=OFF_ON,
        other_calls=((run([3]),),),
    ),
    Case(
        "random draws and counters",
        """
        import itertools
        import random

        COUNTER = itertools.count()

        def run(cfg, x=1):
            random.seed(x)
            unused = random.random()
            number = next(COUNTER)
            chosen = random.random() < 0.9 if x == 1 else x > 3
            if chosen:
                return random.random(), "yes"
            return random.random(), "no"
        """,
        calls=(run(1),),
        other_calls=((run(2),), (run(4), run(4))),
    ),
    Case(
        "a dead store whose error a handler that stays catches",
        """
        def run(cfg, x=1, items=(1,)):
            try:
                if x == 0:
                    raise ValueError(x)
                unused = items[2]
                x = x + 1
            except Exception:
                x = -1
            return x
        """,
        calls=(run(0), run(1, [1, 2, 3])),
        other_calls=((run(1, []),),),
    ),
    Case(
        "a dead store whose error a handler that goes would have caught",
        """
        def run(cfg, x=1):
            flag = False
            try:
                flag = 10 // (x - 3)
                x = x + 1
            except Exception:
                flag = True
            return x
        """,
        calls=(run(1),),
        other_calls=((run(3),),),
    ),
    Case(
        "a dead read of the config whose error a handler that goes would have caught",
        """
        def run(cfg, x=1):
            flag = False
            try:
                flag = cfg["sub"]["use"]
                x = x + 1
            except Exception:
                flag = True
            return x
        """,
        {"sub": {"use": 3}},
        configs=({"sub": {}}, {"sub": {"use": 4}}, {"sub": None}, {"sub": ...}),
    ),
    Case(
        "a config for a private function that comes from a branch that no workload took",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            return _size(OmegaConf.create({"flag": x > 3})) if x > 2 else _size(cfg)

        def _size(cfg):
            if cfg.flag:
                return "on"
            return "off"
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "a public function that got two parts of the config",
        """
        def run(cfg, x=1):
            return size(cfg.one), size(cfg.two), outside(cfg.one, x)

        def size(cfg):
            if cfg.flag:
                return "on"
            return "off"

        def outside(part, x):
            part.flag = x > 3
            return size(part)
        """,
        {"one": {"flag": False}, "two": {"flag": False}},
        configs=({"one": {"flag": True}}, {"two": {"flag": True}}),
        other_calls=((run(4),),),
    ),
    Case(
        "names imported from elsewhere that may change",
        """
        import sys
        from os import environ as variables
        from sys import argv, modules

        def run(cfg, x=1):
            if x > 3:
                argv.append("more")
                sys.argv.append("more")
            if len(argv) > len(argv[:1]) + 90 or "more" in argv:
                x = x * 2
            if variables.get("PKG_WIDE"):
                x = x * 3
            if "json.tool" in modules:
                x = x * 5
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
        uses=((("config", {}), ("env", "PKG_WIDE", "1"), run(1)),),
    ),
    Case(
        "the environment written by the program",
        """
        import os

        def run(cfg, x=1):
            if x > 3:
                os.environ["PKG_WIDE"] = "1"
            if x > 5:
                os.environ.update(PKG_DEEP="1")
            return size(x)

        def size(x):
            if os.environ.get("PKG_WIDE"):
                return x * 2
            if os.getenv("PKG_DEEP"):
                return x * 3
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "methods found by a computed name",
        """
        class Thing:
            def __init__(self, cfg):
                self.flag = cfg.flag

            def step(self, x, name="plain"):
                return getattr(self, "_" + name)(x, x > 3), self._plain(x), self._wide(x)

            def _plain(self, x, wide=False):
                if wide:
                    return x * 2
                return x

            def _wide(self, x, wide=False):
                if wide:
                    return x * 3
                return x
        """,
        {"flag": False},
        calls=(make(), method("step", 1)),
        configs=OFF_ON,
        other_calls=((make(), method("step", 4)), (make(), method("step", 4, "wide"))),
    ),
    Case(
        "a list of the config that grows",
        """
        def run(cfg, x=1):
            if x > 3:
                cfg.sizes.append(9)
            part = cfg.names
            if x > 5:
                part.insert(0, "wide")
            if len(cfg.sizes) > 2:
                x = x * 2
            if "wide" in cfg.names:
                x = x * 3
            return x
        """,
        {"sizes": [1, 2], "names": ["plain"]},
        calls=(run(1),),
        configs=({"sizes": [1]}, {"sizes": [1, True]}, {"sizes": [1, 2, 3]}, {"names": ["wide"]}),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "a key whose name is computed",
        """
        def run(cfg, x=1):
            name = "wide" if x > 3 else "plain"
            if cfg[name]:
                return x * 2
            if cfg.get("fl" + "ag"):
                return x * 3
            return x
        """,
        {"wide": True, "plain": False, "flag": False},
        calls=(run(1),),
        configs=({"plain": True}, {"flag": True}, {"wide": False}),
        other_calls=((run(4),),),
    ),
    Case(
        "a config from a file or a default inside",
        """
        from omegaconf import OmegaConf

        DEFAULTS = OmegaConf.create({"wide": False, "flag": False})

        def run(cfg, x=1):
            full = OmegaConf.merge(DEFAULTS, cfg)
            if x > 3:
                DEFAULTS.wide = True
            if full.wide:
                x = x * 2
            if full.flag:
                x = x * 3
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=(*OFF_ON, {"wide": True}),
        other_calls=((run(4), run(1)),),
    ),
    Case(
        "a flag handed over by keyword, by dict and by a method of a field",
        """
        class Part:
            def __init__(self, wide=False):
                self.wide = wide

            def size(self, x, deep=False):
                if deep:
                    return x * 3
                return x * 2 if self.wide else x

        class Thing:
            def __init__(self, cfg):
                self.part = Part(**{"wide": cfg.flag})
                self.other = Part(wide=cfg.flag)

            def step(self, x):
                return self.part.size(x), self.other.size(x, deep=x > 3), Part().size(x)
        """,
        {"flag": False},
        calls=(make(), method("step", 1)),
        configs=OFF_ON,
        other_calls=((make(), method("step", 4)),),
        uses=((("config", {}), ("call", "Part", (True,), {})),),
    ),
    Case(
        "a handler for an error that a sibling behind it would take",
        """
        def run(cfg, text="1"):
            try:
                if text == "":
                    raise RuntimeError(text)
                return {"1": 1}[text]
            except KeyError:
                return "unknown"
            except Exception:
                return "broken"
        """,
        calls=(run(""), run("1")),
        other_calls=((run("2"),),),
    ),
    Case(
        "a generator that fails inside somebody else's try",
        """
        def _numbers(texts):
            for text in texts:
                try:
                    yield int(text)
                except ValueError:
                    yield 0

        def run(cfg, texts=("1",)):
            found = []
            numbers = _numbers(texts)
            try:
                for number in numbers:
                    found.append(10 // number)
            except Exception:
                found.append("stop")
            return found
        """,
        calls=(run(["1", "0", "1"]),),
        other_calls=((run(["1", "x", "1"]),),),
    ),
    Case(
        "a callback that fails inside somebody else's try",
        """
        class Runner:
            def __init__(self, hook):
                self.hook = hook

            def go(self, x):
                try:
                    if x == 0:
                        raise ValueError(x)
                    return self.hook(x)
                except Exception:
                    return -1

        def _work(x):
            if x > 3:
                x = x * 2
                x = x + 1
            return x

        def run(cfg, x=1):
            return Runner(_work).go(x)
        """,
        calls=(run(0), run(1)),
        other_calls=((run(9),),),
    ),
    Case(
        "an error that an import swallows",
        """
        try:
            from pkg import state
        except Exception:
            state = None

        def run(cfg, x=1):
            return x if state is None else state.SIZE
        """,
        modules={
            "state": """
            import os

            if os.environ.get("PKG_DEEP"):
                SIZE = 7
                NAME = "deep"
            else:
                SIZE = 3
            try:
                NUMBER = int(os.environ.get("PKG_NUMBER", "1"))
            except ValueError:
                NUMBER = 0
            """
        },
        uses=(
            (("config", {}), ("env", "PKG_DEEP", "1"), run()),
            (("config", {}), ("env", "PKG_NUMBER", "x"), run()),
        ),
    ),
    Case(
        "a loop over a config that is empty, and one that is not there",
        """
        def run(cfg, x=1):
            found = "none"
            for name in cfg.get("names") or []:
                found = name
            while cfg.flag:
                return "while"
            else:
                found = found + "!"
            return found, [1 for name in cfg.get("names") or [] if name], any(cfg.get("names") or [])
        """,
        {"flag": False, "names": []},
        configs=(*OFF_ON, {"names": ["a"]}, {"names": [""]}, {"names": None}, {"names": ...}),
    ),
    Case(
        "numbers and texts that equal each other",
        """
        def run(cfg, x=1):
            if cfg.size == 1:
                x = x + 1
            if cfg.size is True:
                x = x + 10
            if cfg.name == cfg.other:
                x = x + 100
            if str(cfg.size) == "1":
                x = x + 1000
            return x
        """,
        {"size": 1, "name": "a", "other": "b"},
        configs=({"size": True}, {"size": 1.0}, {"size": "1"}, {"other": "a"}, {"name": "b"}, {"size": 2}),
    ),
    Case(
        "a decision about what another decision left",
        """
        def run(cfg, x=1):
            if cfg.flag:
                layer = "on"
            else:
                layer = None
            if x > 3:
                layer = layer or "data"
            extra = layer if layer else "empty"
            if layer is None:
                return "plain", extra
            return layer, extra
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
)
