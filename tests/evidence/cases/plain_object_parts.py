"""Configs that are objects: frozen, with operators of their own, and with parts that are swapped or shared."""

from __future__ import annotations

from tests.evidence.cases.case import FLAG, Case, config, given, make, method, read, run
from tests.handing import CLASS

CASES = (
    Case(
        "a frozen data class",
        """
        from dataclasses import FrozenInstanceError, dataclass, replace
        from functools import lru_cache

        @dataclass(frozen=True)
        class Config:
            flag: bool = False
            size: int = 1

        @lru_cache(maxsize=None)
        def _cached(cfg):
            if cfg.flag:
                return "on"
            return "off"

        def run(cfg, x=1):
            try:
                cfg.flag = x > 3
            except FrozenInstanceError:
                pass
            if cfg.flag:
                x = x * 2
            if hash(cfg) == hash(Config(True)):
                x = x * 3
            return x, _cached(cfg), _cached(replace(cfg, flag=x > 5)), {cfg: 1}.get(Config(), 2)
        """,
        config(flag=False),
        calls=(run(1),),
        configs=(*FLAG, {"size": 2}),
        other_calls=((run(4),), (run(6),)),
        kind="object",
    ),
    Case(
        "a class with operators of its own",
        """
        class Config:
            def __init__(self, flag=False, names=("flag",)):
                self.flag = flag
                self.names = names

            def __getitem__(self, name):
                return getattr(self, name)

            def get(self, name, default=None):
                return self.__dict__.get(name, default)

            def __contains__(self, name):
                return name in self.names

            def __len__(self):
                return len(self.names)

            def __iter__(self):
                return iter(self.names)

            def keys(self):
                return self.names

        def run(cfg, x=1):
            found = []
            if cfg["flag"]:
                found.append("item")
            if cfg.get("flag"):
                found.append("get")
            if "wide" in cfg:
                found.append("wide")
            if not cfg:
                found.append("empty")
            if len(cfg) > 1:
                found.append("long")
            if [name for name in cfg if cfg[name]]:
                found.append("walked")
            if {**cfg}["flag"]:
                found.append("stars")
            if cfg[cfg.names[0]]:
                found.append("first")
            return found
        """,
        config(flag=False),
        configs=({"flag": True}, {"flag": 1}, {"names": ()}, {"names": ("flag", "names")}, {"names": ("names", "flag")}),
        kind="object",
    ),
    Case(
        "an object read by what object itself has",
        """
        import operator

        class Config:
            def __init__(self, flag=False, sub=None):
                self.flag = flag
                self.sub = sub

            def is_on(self):
                return self.flag

        def run(cfg, x=1):
            found = []
            if object.__getattribute__(cfg, "flag"):
                found.append("object")
            if cfg.__getattribute__("flag"):
                found.append("bound")
            if operator.attrgetter("flag")(cfg):
                found.append("getter")
            if Config.is_on(cfg):
                found.append("unbound")
            if operator.methodcaller("is_on")(cfg):
                found.append("caller")
            if "flag" in dir(cfg) and "wide" in dir(cfg):
                found.append("dir")
            if object.__getattribute__(cfg, "__dict__").get("deep"):
                found.append("dict")
            if super(Config, cfg).__getattribute__("flag"):
                found.append("super")
            return found
        """,
        config(flag=False),
        configs=FLAG,
        uses=(
            (("object", config(flag=False)), ("set", "wide", 1), run()),
            (("object", config(flag=False)), ("set", "deep", 1), run()),
        ),
        kind="object",
    ),
    Case(
        "the exact type of an object",
        """
        class Config:
            def __init__(self, flag=False):
                self.flag = flag

        class Other(Config):
            pass

        HANDLERS = {Config: lambda x: x, Other: lambda x: -x}

        def run(cfg, x=1):
            if type(cfg) is Config and x > 3:
                return "exactly"
            if isinstance(cfg, Other):
                return "other"
            if type(cfg).__name__ == "Other":
                return "name"
            return x

        def direct(cfg, x=1):
            if type(cfg) is Config:
                return x * 2 if x > 3 else x
            return x

        def by_class(cfg, x=1):
            if cfg.__class__ is Config:
                return x * 2 if x > 3 else x
            return x

        def handled(cfg, x=1):
            return HANDLERS.get(type(cfg), lambda x: x)(x)

        def derived(cfg, x=1):
            if len(Config.__subclasses__()) > 1:
                return x * 2 if x > 3 else x
            return x
        """,
        config(flag=False),
        calls=(run(1), read("direct", 1), read("by_class", 1), read("handled", 1), read("derived", 1)),
        configs=FLAG,
        other_calls=((run(4),), (read("direct", 4),), (read("by_class", 4),), (read("handled", 4),), (read("derived", 4),)),
        uses=tuple(given("Other", (read(name, 4),)) for name in ("run", "direct", "by_class", "handled", "derived")),
        kind="object",
    ),
    Case(
        "an object that was used before it was handed on as the config",
        """
        class Config:
            def __init__(self, flag=False):
                self.flag = flag

        def run(options, x=1):
            options.flag = x > 3
            return _size(options, x), "early" if options.flag else "none"

        def _size(cfg, x):
            if cfg.flag:
                return x * 2
            return x

        def twice(options, x=1):
            first = 1 if options.flag else 0
            second = size(options, x)
            options.flag = x > 3
            return first, second, 1 if options.flag else 0

        def size(cfg, x):
            if cfg.flag:
                return x * 2
            return x
        """,
        config(flag=False),
        calls=(run(1), read("twice", 1)),
        configs=FLAG,
        other_calls=((run(4),), (read("twice", 4),), (read("size", 1),)),
        kind="object",
    ),
    Case(
        "parts of an object that are replaced",
        """
        class Sub:
            def __init__(self, wide=False):
                self.wide = wide

        class Config:
            def __init__(self, sub=None, other=None):
                self.sub = sub
                self.other = other

        def run(cfg, x=1):
            before = "wide" if cfg.sub.wide else "narrow"
            cfg.sub = Sub(x > 3)
            cfg.other.sub = cfg.sub
            after = "wide" if cfg.sub.wide else "narrow"
            return before, after, "wide" if cfg.other.sub.wide else "narrow"

        def swapped(cfg, x=1):
            cfg.sub, cfg.other = cfg.other, cfg.sub
            if cfg.sub.wide:
                return x * 2
            return x

        def shared(cfg, x=1):
            cfg.other = cfg.sub
            cfg.other.wide = x > 3
            if cfg.sub.wide:
                return x * 2
            return x
        """,
        config(sub=config("Sub"), other=config("Sub")),
        calls=(run(1), read("swapped", 1), read("shared", 1)),
        configs=({"sub": config("Sub", wide=True)}, {"other": config("Sub", wide=True)}),
        other_calls=((run(4),), (read("swapped", 4),), (read("shared", 4),)),
        kind="object",
    ),
    Case(
        "one object under two keys",
        """
        class Sub:
            def __init__(self, wide=False):
                self.wide = wide

        class Config:
            def __init__(self, one=None, two=None):
                self.one = one
                self.two = two

        def run(cfg, x=1):
            if cfg.two.wide:
                return x * 2
            return x
        """,
        config(one=config("Sub"), two=config("Sub")),
        calls=(("share", "one", "two"), run()),
        configs=({"one": config("Sub", wide=True)},),
        uses=(
            (("object", config(one=config("Sub"), two=config("Sub", wide=True))), run()),
            (("object", config(one=None, two=config("Sub", wide=True))), run()),
        ),
        kind="object",
    ),
    Case(
        "a config in a namespace, a dict in an object, an object in a list",
        """
        class Sub:
            def __init__(self, wide=False):
                self.wide = wide

        def run(cfg, x=1):
            found = []
            if cfg["sub"].wide:
                found.append("wide")
            if cfg["parts"][0].wide:
                found.append("part")
            if len(cfg["parts"]) > 1:
                found.append("long")
            if cfg["space"].inner["deep"]:
                found.append("deep")
            for part in cfg["parts"]:
                part.wide = x > 3
            if cfg["parts"][0].wide:
                found.append("later")
            cfg["space"].inner["deep"] = x > 5
            if cfg["space"].inner["deep"]:
                found.append("deep later")
            return found
        """,
        {
            "sub": config("Sub"),
            "parts": [config("Sub")],
            "space": {CLASS: "types.SimpleNamespace", "inner": {"deep": False}},
        },
        calls=(run(1),),
        configs=(
            {"sub": config("Sub", wide=True)},
            {"parts": [config("Sub", wide=True)]},
            {"parts": [config("Sub"), config("Sub")]},
            {"space": {CLASS: "types.SimpleNamespace", "inner": {"deep": True}}},
        ),
        other_calls=((run(4),), (run(6),)),
        kind="object",
    ),
    Case(
        "an object that is kept",
        """
        class Config:
            def __init__(self, flag=False, wide=False):
                self.flag = flag
                self.wide = wide

        class Thing:
            def __init__(self, cfg, x=1):
                self.cfg = cfg
                self.wide = cfg.wide

            def size(self, x):
                if self.cfg.flag:
                    return x * 2
                if self.wide:
                    return x * 3
                return x

            def change(self, x):
                self.cfg.flag = x > 3
                return self.size(x)

            def swap(self, flag):
                self.cfg = Config(flag)
        """,
        config(flag=False),
        calls=(make(), method("size", 1), method("change", 1)),
        configs=(*FLAG, {"wide": True}),
        other_calls=(
            (make(), method("change", 4), method("size", 1)),
            (make(), method("swap", True), method("size", 1)),
        ),
        kind="object",
    ),
    Case(
        "a match on an object",
        """
        from dataclasses import dataclass

        @dataclass
        class Config:
            flag: bool = False
            mode: str = "first"

        def run(cfg, x=1):
            match cfg:
                case Config(flag=True):
                    return "flag"
                case Config(mode="second"):
                    return "second"
                case Config(False, mode) if mode:
                    return mode
            return "none"
        """,
        config(flag=False),
        configs=(*FLAG, {"mode": "second"}, {"mode": ""}),
        kind="object",
    ),
    Case(
        "a function in a field",
        """
        class Config:
            def __init__(self, flag=False):
                self.flag = flag

            def size(self, x):
                return x * 2 if self.flag else x

        def run(cfg, x=1):
            if x > 3:
                cfg.size = lambda y: -y
            if cfg.size(1) == 2:
                return "double"
            if cfg.size(1) < 0:
                return "negative"
            return x

        def hooked(cfg, x=1):
            if cfg.size.__self__.flag:
                return x * 2
            size = cfg.size
            if size(3) == 6:
                return x * 3
            return x
        """,
        config(flag=False),
        calls=(run(1), read("hooked", 1)),
        configs=FLAG,
        other_calls=((run(4),), (read("hooked", 4),)),
        kind="object",
    ),
)
