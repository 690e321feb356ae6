"""Configs that are data classes or objects of plain classes: their methods, properties and relatives."""

from __future__ import annotations

from tests.evidence.cases.case import FLAG, Case, build, call, config, given, method, read, run

CASES = (
    Case(
        "a data class of the package",
        """
        from dataclasses import asdict, astuple, dataclass, field, fields, replace

        @dataclass
        class Sub:
            wide: bool = False

        @dataclass
        class Config:
            flag: bool = False
            size: int = 2
            sub: Sub = field(default_factory=Sub)

        def run(cfg, x=1):
            found = []
            if cfg.flag:
                found.append("flag")
            if cfg.sub.wide:
                found.append("wide")
            if asdict(cfg)["sub"]["wide"]:
                found.append("asdict")
            if any(getattr(cfg, one.name) is None for one in fields(cfg)):
                found.append("none")
            if replace(cfg, size=x).flag:
                found.append("replace")
            if replace(cfg, flag=x > 3).flag:
                found.append("data")
            if cfg == Config():
                found.append("equal")
            if "size=3" in repr(cfg):
                found.append("repr")
            if astuple(cfg)[1] == 3:
                found.append("tuple")
            return found
        """,
        config(flag=False),
        calls=(run(1),),
        configs=(*FLAG, {"size": 3}, {"size": None}, {"sub": config("Sub", wide=True)}, {"sub": config("Sub", wide=0)}),
        other_calls=((run(4),),),
        kind="object",
    ),
    Case(
        "a method of the config's class, also without any function that checks the config",
        """
        from dataclasses import dataclass

        @dataclass
        class Config:
            flag: bool = False

            def size(self, x):
                if self.flag:
                    return x * 2
                return x

            @property
            def wide(self):
                return "wide" if self.flag else "narrow"

        def run(cfg, x=1):
            return cfg.size(x), cfg.wide

        def outside(x):
            return Config(x > 3).size(x), Config(x > 3).wide

        def given(config, x):
            return config.size(x), config.wide
        """,
        config(flag=False),
        calls=(run(1), call("outside", 1)),
        configs=FLAG,
        other_calls=(
            (call("outside", 4),),
            (build("Config", True), method("size", 3)),
            (build("Config", flag=True), method("size", 3), run(1)),
            (read("given", 3),),
        ),
        kind="object",
    ),
    Case(
        "a subclass that has another method or property",
        """
        class Config:
            def __init__(self, flag=False):
                self.flag = flag

            def is_wide(self):
                return self.flag

            @property
            def tall(self):
                return self.flag

        class Other(Config):
            def is_wide(self):
                return True

            @property
            def tall(self):
                return True

        class Counting:
            def __init__(self, flag=False):
                self.reads = 0

            @property
            def flag(self):
                self.reads += 1
                return self.reads > 1

            is_wide = tall = False

        def run(cfg, x=1):
            found = ["flag" if cfg.flag else "no"]
            if cfg.is_wide():
                found.append("wide")
            if cfg.tall:
                found.append("tall")
            return found

        def simple(cfg, x=1):
            if cfg.flag:
                return x * 2
            return x
        """,
        config(flag=False),
        calls=(run(), read("simple")),
        configs=FLAG,
        uses=(given("Other"), given("Other", flag=True), given("Counting", (read("simple"),)), given("Counting")),
        kind="object",
    ),
    Case(
        "another class of the same name",
        """
        from pkg.other import Config as Theirs

        class Config:
            def __init__(self, flag=False):
                self.flag = flag

            def size(self, x):
                if self.flag:
                    return -x
                return x

        def run(cfg, x=1):
            if cfg.flag:
                x = x * 2
            return cfg.size(x)

        def known(cfg):
            if isinstance(cfg, Theirs):
                return "theirs"
            return "ours"
        """,
        config(flag=False),
        calls=(run(), read("known")),
        configs=FLAG,
        uses=(given("pkg.other.Config"), given("pkg.other.Config", (read("known"),)), given("pkg.other.Config", flag=True)),
        modules={
            "other": """
            class Config:
                def __init__(self, flag=False):
                    self.flag = flag

                def size(self, x):
                    return x * 100
            """
        },
        kind="object",
    ),
    Case(
        "an attribute of the class that an object may have of its own",
        """
        class Base:
            deep = False

        class Config(Base):
            flag = False
            wide = False

            def __init__(self, **given):
                for name, value in given.items():
                    setattr(self, name, value)

        def run(cfg, x=1):
            found = []
            if cfg.flag:
                found.append("flag")
            if cfg.wide:
                found.append("wide")
            if cfg.deep:
                found.append("deep")
            if "wide" in vars(cfg):
                found.append("own")
            if Config.flag:
                found.append("class")
            return found
        """,
        config(size=1),
        configs=(*FLAG, {"wide": True}, {"wide": False}, {"deep": 1}),
        kind="object",
    ),
    *(
        Case(
            f"a class that is written, not the object: {write}",
            f"""
            class Base:
                deep = False

            class Config(Base):
                flag = False

                def __init__(self, size=1):
                    self.size = size

            def run(cfg, x=1):
                {write}
                if cfg.flag:
                    x = x * 2
                if cfg.deep:
                    x = x * 3
                return x
            """,
            config(size=1),
            calls=(run(1),),
            other_calls=((run(4),), (run(4), run(1))),
            kind="object",
        )
        for write in (
            "Config.flag = x > 3",
            "Base.deep = x > 3",
            "type(cfg).flag = x > 3",
            "cfg.__class__.flag = x > 3",
            "setattr(Config, 'flag', x > 3)",
            "setattr(type(cfg), 'fl' + 'ag', x > 3)",
            "for owner in type(cfg).__mro__[:-1]: owner.deep = x > 3",
        )
    ),
    Case(
        "properties that depend on other fields, on the environment, and on how often they were read",
        """
        import os

        COUNT = [0]

        class Config:
            def __init__(self, size=1, name="small"):
                self.size = size
                self.name = name

            @property
            def large(self):
                return self.size > 3

            @property
            def deep(self):
                return os.environ.get("PKG_DEEP") == "1"

            @property
            def often(self):
                COUNT[0] += 1
                return COUNT[0] > 2

            @property
            def named(self):
                return self.name == "large"

            @named.setter
            def named(self, value):
                self.name = "large" if value else "small"

        def run(cfg, x=1):
            found = []
            if cfg.large:
                found.append("large")
            if cfg.deep:
                found.append("deep")
            if cfg.often:
                found.append("often")
            if cfg.named:
                found.append("named")
            cfg.named = x > 3
            if cfg.named:
                found.append("named later")
            cfg.size = x
            if cfg.large:
                found.append("large later")
            return found
        """,
        config(size=1),
        calls=(run(1),),
        configs=({"size": 4}, {"name": "large"}),
        other_calls=((run(4),), (run(1), run(1), run(1)), (("env", "PKG_DEEP", "1"), run(1))),
        kind="object",
    ),
    Case(
        "descriptors of the config's class",
        """
        import os
        from functools import cached_property

        STATE = {"deep": False}

        class FromState:
            def __get__(self, owner, kind=None):
                return STATE["deep"]

        class Checked:
            def __set_name__(self, owner, name):
                self.name = "_" + name

            def __get__(self, owner, kind=None):
                return getattr(owner, self.name, False)

            def __set__(self, owner, value):
                setattr(owner, self.name, value)

        class Config:
            deep = FromState()
            checked = Checked()

            def __init__(self, size=1, checked=False):
                self.size = size
                self.checked = checked

            @cached_property
            def large(self):
                return self.size > 3

        def run(cfg, x=1):
            found = []
            if cfg.deep:
                found.append("deep")
            if cfg.checked:
                found.append("checked")
            if cfg.large:
                found.append("large")
            cfg.size = x
            if cfg.large:
                found.append("large later")
            cfg.checked = x > 3
            if cfg.checked:
                found.append("checked later")
            return found

        def change(value):
            STATE["deep"] = value
        """,
        config(size=1),
        calls=(run(1),),
        configs=({"size": 4}, {"checked": True}),
        other_calls=((run(4),), (call("change", True), run(1)), (run(1), ("set", "size", 9), run(1))),
        kind="object",
    ),
    Case(
        "a config that changes its own fields when it is made",
        """
        from dataclasses import InitVar, dataclass, field

        @dataclass
        class Config:
            flag: bool = False
            size: int = 2
            level: InitVar[int] = 0
            wide: bool = field(init=False, default=False)

            def __post_init__(self, level):
                if self.size > 3:
                    self.flag = True
                self.wide = level > 3

        def run(cfg, x=1):
            if cfg.flag:
                x = x * 2
            if cfg.wide:
                x = x * 3
            if Config(cfg.flag, x).flag:
                x = x * 5
            if Config(level=x).wide:
                x = x * 7
            return x
        """,
        config(flag=False),
        calls=(run(1),),
        configs=({"flag": True}, {"size": 4}, {"level": 4}),
        other_calls=((run(4),), (build("Config", False, 9), run(1))),
        kind="object",
    ),
)
