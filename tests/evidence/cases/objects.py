"""Objects: fields, classes and what Python calls behind the scenes."""

from __future__ import annotations

from tests.evidence.cases.case import OFF_ON, Case, call, make, method, run

CASES = (
    Case(
        "operands of which the pins settle some",
        """
        class Box:
            def __init__(self, cfg):
                self.lid = None
                self.size = cfg.get("size")
                self.kept = None

            def put(self, x):
                if x > 5:
                    self.kept = x

        def run(cfg, x=1):
            box, out = Box(cfg), []
            box.put(x)
            if cfg.get("flag") is False and box.lid is not None and x > 3:
                out.append("lid")
            if cfg.get("flag") is False and x > 0 and box.size is None and x > 3:
                out.append("size")
            if cfg.get("flag") is True or box.kept is not None or x > 8:
                out.append("kept")
            if cfg.get("flag") is True or box.size or len(out) > 1:
                out.append("any")
            return out
        """,
        {"flag": False, "size": 3},
        calls=(run(1),),
        configs=(*OFF_ON, {"size": None}, {"size": ...}, {"size": 0}),
        other_calls=((run(4),), (run(6),), (run(9),)),
    ),
    Case(
        "fields that are set again, or taken away, after the object was made",
        """
        class Thing:
            def __init__(self, cfg):
                self.first = None
                self.second = None
                self.third = None

            def grow(self, x):
                self.first = None
                if x > 2:
                    self.second = x
                if x > 4:
                    del self.third
                if x > 6:
                    delattr(self, "first")

        def run(cfg, x=1):
            thing = Thing(cfg)
            thing.grow(x)
            out = []
            for name in ("first", "second", "third"):
                out.append(hasattr(thing, name))
            if getattr(thing, "first", "gone") is not None:
                out.append("first")
            if getattr(thing, "second", None) is not None:
                out.append("second")
            if hasattr(thing, "third"):
                out.append("third")
            return out
        """,
        calls=(run(1),),
        other_calls=((run(3),), (run(5),), (run(7),)),
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
        "a class and its base are both made with options",
        """
        class _Base:
            def __init__(self, x, wide=False):
                self.x = x
                self.wide = wide

        class _Derived(_Base):
            def __init__(self, x, wide=False, deep=False):
                super().__init__(x, wide)
                self.deep = deep

            def size(self):
                if self.wide:
                    return self.x * 2
                if self.deep:
                    return self.x * 3
                return self.x

        def run(cfg, x=1):
            return _Derived(x, x > 3).size(), _Derived(x, False, x > 5).size()
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "fields that a decorator or a base fills",
        """
        from dataclasses import dataclass
        from typing import NamedTuple

        @dataclass
        class Options:
            wide: bool = False

            def size(self, x):
                if self.wide:
                    return x * 2
                return x

        class Pair(NamedTuple):
            wide: bool = False

            def size(self, x):
                if self.wide:
                    return x * 2
                return x

        def run(cfg, x=1):
            return Options(wide=x > 3).size(x), Pair(x > 5).size(x), Options().size(x)
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "a field that an early return leaves alone",
        """
        class Box:
            def __init__(self, x):
                self.wide = False
                if x > 3:
                    return
                self.wide = True

            def size(self, x):
                if self.wide:
                    return x * 2
                return x

        def run(cfg, x=1):
            return Box(x).size(x)
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "methods and functions that are looked up with a default",
        """
        class Thing:
            def __init__(self, cfg):
                self.size = 1

            def step(self, x, kind="plain"):
                hook = getattr(self, "_on_" + kind, None)
                if hook is not None:
                    x = hook(x)
                if hasattr(self, f"{kind}_after"):
                    x = x + 100
                return globals().get("make_" + kind, str)(x)

            def _on_wide(self, x):
                return x * 2

            def wide_after(self):
                return 1

        def make_deep(x):
            return [x]
        """,
        calls=(make(), method("step", 1)),
        other_calls=((make(), method("step", 4, "wide")), (make(), method("step", 4, "deep"))),
    ),
    Case(
        "a class body that binds a flag twice, and one that intercepts stores",
        """
        import os

        class Box:
            wide = False
            if os.environ.get("PKG" + "_WIDE"):
                wide = True
            for deep in (False, "PKG_DEEP" in os.environ):
                pass

            def size(self, x):
                if self.wide:
                    return x * 2
                if self.deep:
                    return x * 3
                return x

        class Odd:
            def __init__(self, x):
                self.x = x
                self.tall = False

            def __setattr__(self, name, value):
                object.__setattr__(self, name, value or (name == "tall" and self.x > 3))

            def size(self, x):
                if self.tall:
                    return x * 2
                return x

        def run(cfg, x=1):
            return Box().size(x), Odd(x).size(x)
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
        uses=tuple((("config", {}), ("env", f"PKG_{name}", "1"), run(1)) for name in ("WIDE", "DEEP")),
    ),
    Case(
        "a class attribute that a relative has otherwise, where data choose the class",
        """
        class Plain:
            wide = False

            def size(self, x):
                if self.wide:
                    x = x + 200
                return x

        class Wide(Plain):
            wide = True

        def run(cfg, x=1):
            return (Wide if x > 3 else Plain)().size(x)
        """,
        calls=(run(1),),
        other_calls=((run(5),),),
    ),
)
