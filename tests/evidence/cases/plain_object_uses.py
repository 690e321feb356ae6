"""Configs that are objects: copied, replaced, of several classes, or of kinds that nothing can watch."""

from __future__ import annotations

from tests.evidence.cases.case import FLAG, Case, config, given, read, run

CASES = (
    Case(
        "a config that the package replaces",
        """
        from dataclasses import dataclass, replace

        @dataclass
        class Config:
            flag: bool = False
            size: int = 2

        def run(cfg, x=1):
            return _size(replace(cfg, flag=x > 3), x), _size(cfg, x), _size(Config(x > 5), x), size(Config(x > 7), x)

        def _size(cfg, x):
            if cfg.flag:
                return x * 2
            return x

        def size(cfg, x):
            if cfg.flag:
                return x * 2
            return x

        def rebound(cfg, x):
            cfg = replace(cfg, flag=x > 3)
            if cfg.flag:
                return x * 2
            return x
        """,
        config(flag=False),
        calls=(run(1), read("rebound", 1)),
        configs=FLAG,
        other_calls=((run(4),), (run(6),), (run(8),), (read("rebound", 4),), (read("size", 2),)),
        kind="object",
    ),
    Case(
        "copies of an object",
        """
        import copy, pickle
        from types import SimpleNamespace

        class Sub:
            def __init__(self, wide=False):
                self.wide = wide

        class Config:
            def __init__(self, flag=False, sub=None):
                self.flag = flag
                self.sub = sub

        def run(cfg, x=1):
            one, two = copy.deepcopy(cfg), copy.copy(cfg)
            one.sub.wide = x > 3
            two.flag = x > 5
            two.sub.wide = x > 7
            three = SimpleNamespace(**vars(cfg))
            three.flag = x > 9
            four = Config(**vars(cfg))
            four.flag = x > 11
            five = Config.__new__(Config)
            five.__dict__.update(cfg.__dict__)
            five.flag = x > 13
            six = pickle.loads(pickle.dumps(cfg))
            six.flag = x > 15
            return [1 if one.flag else 0 for one in (one, two, three, four, five, six, cfg)], [
                "wide" if one.sub.wide else "-", "wide" if cfg.sub.wide else "-", "flag" if cfg.flag else "-"]
        """,
        config(flag=False, sub=config("Sub")),
        calls=(run(1),),
        configs=(*FLAG, {"sub": config("Sub", wide=True)}),
        other_calls=tuple((run(x),) for x in (4, 6, 8, 10, 12, 14, 16)),
        kind="object",
    ),
    Case(
        "two configs of one class in one workload",
        """
        class Config:
            def __init__(self, flag=False, size=1):
                self.flag = flag
                self.size = size

        def run(cfg, x=1):
            if cfg.flag:
                return x * 2
            if cfg.size > 3:
                return x * 3
            return x
        """,
        config(flag=False),
        calls=(run(1), ("object", config(flag=True)), run(1)),
        configs=({"flag": None}, {"size": 4}),
        kind="object",
    ),
    Case(
        "configs of two classes in one workload",
        """
        class One:
            def __init__(self, flag=False):
                self.flag = flag

        class Two(One):
            wide = True

        def run(cfg, x=1):
            if cfg.flag:
                return x * 2
            if getattr(cfg, "wide", False) and x > 3:
                return x * 3
            return x
        """,
        config("One", flag=False),
        calls=(run(1), ("object", config("Two", flag=False)), run(1)),
        configs=FLAG,
        other_calls=((run(4),),),
        uses=(given("Two", flag=True), given("Two", (run(4),), flag=False)),
        kind="object",
    ),
    Case(
        "a config of two kinds in one workload",
        """
        def run(cfg, x=1):
            if isinstance(cfg, dict):
                flag = cfg["flag"]
            else:
                flag = cfg.flag
            if flag:
                return x * 2
            return x

        def read(cfg, name):
            return cfg[name] if hasattr(cfg, "keys") else getattr(cfg, name)

        def other(cfg, x=1):
            if read(cfg, "flag"):
                return x * 2
            return x
        """,
        {"flag": False},
        calls=(run(1), read("other"), ("namespace", {"flag": False}), run(1), read("other")),
        configs=FLAG,
        kind="dict",
    ),
    Case(
        "configs that nothing can watch",
        """
        from dataclasses import dataclass
        from enum import Enum
        from typing import NamedTuple

        class Mode(Enum):
            FIRST = 1
            SECOND = 2

        @dataclass(slots=True)
        class Slots:
            flag: bool = False
            mode: object = Mode.FIRST

        class Named(NamedTuple):
            flag: bool = False
            mode: object = Mode.FIRST

        class Easy(dict):
            def __getattr__(self, name):
                try:
                    return self[name]
                except KeyError as error:
                    raise AttributeError(name) from error

            def __setattr__(self, name, value):
                self[name] = value

        class Dynamic:
            def __init__(self, **given):
                self._given = given

            def __getattr__(self, name):
                return self._given.get(name)

        def run(cfg, x=1):
            found = []
            if cfg.flag:
                found.append("flag")
            if cfg.mode is Mode.SECOND:
                found.append("second")
            if getattr(cfg, "wide", None):
                found.append("wide")
            return found
        """,
        config("Slots", mode=config("Mode", value=1)),
        calls=(
            run(),
            ("object", config("Named", mode=config("Mode", value=1))),
            run(),
            ("object", config("Easy", flag=False, mode=None)),
            run(),
            ("object", config("Dynamic", flag=False)),
            run(),
        ),
        configs=({"flag": True}, {"mode": config("Mode", value=2)}),
        uses=(
            given("Named", flag=True),
            given("Easy", flag=True, mode=1),
            given("Easy", flag=False, mode=1, wide=2),
            given("Dynamic", flag=True),
            given("Dynamic", wide=1),
        ),
        kind="object",
    ),
    Case(
        "fields that are members of an enumeration",
        """
        from dataclasses import dataclass
        from enum import Enum, IntEnum

        class Mode(Enum):
            FIRST = 1
            SECOND = 2

        class Level(IntEnum):
            LOW = 0
            HIGH = 1

        @dataclass
        class Config:
            mode: object = Mode.FIRST
            level: object = Level.LOW
            modes: tuple = (Mode.FIRST,)

        def run(cfg, x=1):
            found = []
            if cfg.mode is Mode.SECOND:
                found.append("second")
            if cfg.mode.value == 2:
                found.append("value")
            if cfg.level:
                found.append("high")
            if Mode.SECOND in cfg.modes:
                found.append("in")
            if isinstance(cfg.mode, str):
                found.append("text")
            if cfg.mode:
                found.append("any")
            return found
        """,
        config(),
        configs=(
            {"mode": config("Mode", value=2)},
            {"mode": "first"},
            {"mode": None},
            {"level": config("Level", value=1)},
            {"level": 0},
            {"modes": (config("Mode", value=2),)},
        ),
        kind="object",
    ),
)
