"""What flows where: loops, aliases, instances, callers that differ, code that runs at another time."""

from __future__ import annotations

from tests.evidence.cases.case import Case, call, read, run

CASES = (
    Case(
        "data decides which pass of a loop gets to a decision",
        """
        def run(cfg, x=1):
            out = []
            for n in (1, 2, 3):
                if x > n:
                    if n == 2:
                        out.append("two")
                    else:
                        out.append("other")
            mode = "first"
            for n in (1, 2, 3):
                if x > n:
                    if mode == "second":
                        out.append(mode)
                mode = "second"
            return out
        """,
        calls=(run(2), run(0)),
        other_calls=((run(3),), (run(9),)),
    ),
    Case(
        "data ends a loop before a flag is set",
        """
        def run(cfg, x=1):
            flag = 0
            for n in (1, 2, 3):
                if n == 2:
                    flag = 1
                if x + n > 5:
                    break
            return "on" if flag else "off"
        """,
        calls=(run(3),),
        other_calls=((run(5),), (run(0),)),
    ),
    Case(
        "a field that only some data makes",
        """
        class Box:
            def __init__(self, x):
                if x > 0:
                    self.ready = True
                self.count = getattr(self, "count", 0) + 1

            def note(self):
                self.noted = True
                self.times = getattr(self, "times", 0) + 1

            def size(self):
                a = 1 if hasattr(self, "ready") else 2
                b = 3 if getattr(self, "noted", False) else 4
                return a, b, 5 if getattr(self, "times", 0) > 1 else 6

        class Base:
            def kind(self):
                return "base" if getattr(self, "deep", False) else "none"

        class Deep(Base):
            def __init__(self):
                self.deep = True

        class Flat(Base):
            def __init__(self):
                self.flat = True

        def run(cfg, x=1, times=1):
            box = Box(x)
            for _ in range(times):
                box.note()
            deep, flat = Deep(), Flat()
            kinds = [deep.kind()]
            if x > 5:
                kinds.append(flat.flat)
            return box.size(), kinds, [one.kind() for one in (deep, flat)[:times]]
        """,
        calls=(run(1), run(9)),
        other_calls=((run(0),), (run(1, 0),), (run(1, 2),), (run(-1, 2),)),
    ),
    Case(
        "calls that no workload evaluated",
        """
        def _scale(v, wide):
            if wide:
                return v * 2
            return v + int(bool(wide))

        def run(cfg, x=1, items=()):
            found = [_scale(v, True) for v in items]
            later = (lambda v: _scale(v, True), _scale)
            return found, _scale(x, False), [one(v) for v in items for one in later[:1]]
        """,
        calls=(run(1),),
        other_calls=((run(1, (3,)),), (run(1, items=(3, 4)),)),
    ),
    Case(
        "defaults and arguments that are containers",
        """
        LEVELS = {"first": [], "second": {"on": False}}
        PAIR = ([], 1)

        def _note(x, seen=[]):
            seen.append(x)
            return 1 if len(seen) > 1 else 2

        def _fill(out, x):
            for n in range(x):
                out.append(n)
            return "many" if len(out) > 2 else "few"

        def _deep(x):
            LEVELS["first"].append(x)
            PAIR[0].append(x)
            level = LEVELS["second"]
            level["on"] = x > 3
            return bool(LEVELS["second"]["on"]), 3 if len(LEVELS["first"]) > 1 else 4, 5 if len(PAIR[0]) > 1 else 6

        def run(cfg, x=1):
            first = second = []
            if x > 3:
                first.append(x)
            third, fourth = [], 1
            for n in range(x):
                third.append(n)
            return _note(x), _fill([], x), _deep(x), 1 if second else 2, 3 if len(third) > 2 else 4
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(1), run(2)), (run(4), run(1))),
    ),
    Case(
        "functions and classes that carry state",
        """
        from functools import cached_property

        class Box:
            wide = False
            deep = False

            def __init__(self, x):
                self.x = x

            @cached_property
            def large(self):
                return self.x > 3

            def size(self):
                return 1 if self.large else 2, 3 if Box.wide else 4, 5 if getattr(Box, "deep", 0) else 6

        BOX = Box(0)

        class Gate:
            def open(self, x, wide=False):
                return x * 2 if wide else x

        GATE = Gate()

        def count(x):
            return 7 if count.total else 8

        count.total = 0

        def run(cfg, x=1):
            Box.wide = x > 3
            Box.deep = x > 4
            count.total = x > 5
            return Box(x).size(), count(x), GATE.open(x > 6)
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(5),), (run(6),), (run(7),)),
    ),
    Case(
        "arguments that somebody else fills in",
        """
        import functools

        def _size(wide, x=0):
            if wide:
                return x * 2, wide
            return x, wide

        def _key(v):
            if v is None:
                return 0
            return v

        def run(cfg, x=1, items=(3, 1)):
            size = functools.partial(_size, x > 3)
            values = list(items)
            return size(False), sorted(values, key=_key), [*map(_key, values)]
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(1, (None, 2)),)),
    ),
    Case(
        "the type of what one caller of two brings",
        """
        def _show(x, deep):
            if deep:
                return "text" if isinstance(x, str) else "other"
            return "flat"

        def run(cfg, x=1, items=(1,)):
            return _show("a" * len(items), x > 3), _show(list(items), len(items) > 1), _show(items + (x,), x > 4)
        """,
        calls=(run(4), run(1)),
        other_calls=((run(1, (1, 2)),), (run(5),), (run(4, (1, 2)),)),
    ),
    Case(
        "a closure that is called at two times",
        """
        def run(cfg, x=1, y=1):
            out = []
            mode = "first"

            def look():
                if mode == "second":
                    out.append("late")
                else:
                    out.append("early")

            def maybe(v):
                if v > 3:
                    look()

            maybe(x)
            mode = "second"
            maybe(y)
            return out
        """,
        calls=(run(5, 1),),
        other_calls=((run(1, 5),), (run(5, 5),)),
    ),
    Case(
        "a config key that data names",
        """
        from omegaconf import OmegaConf

        def run(cfg, name="first"):
            cfg[name] = True
            OmegaConf.update(cfg, name + "_too", True)
            return 1 if cfg.flag else 2, 3 if cfg.get("flag_too") else 4
        """,
        {"flag": False},
        calls=(run(),),
        other_calls=((run("flag"),), (run("other"),)),
    ),
    Case(
        "a part of the config that data chooses",
        """
        def _size(cfg, x):
            if cfg.wide:
                return x * 2
            return x

        def run(cfg, x=1):
            part = [cfg.first, cfg.second][x > 3]
            out = []
            for one in (cfg.first, cfg.second):
                if x > len(out):
                    out.append("wide" if one.wide else "flat")
            return _size(cfg.first if x < 5 else cfg.second, x), 1 if part.wide else 2, out
        """,
        {"first": {"wide": False}, "second": {"wide": True}},
        calls=(run(1),),
        other_calls=((run(4),), (run(5),), (run(9),)),
    ),
    Case(
        "an error that is swallowed before a flag is set",
        """
        from contextlib import contextmanager, suppress

        @contextmanager
        def calm():
            try:
                yield
            except ValueError:
                pass

        class Calm:
            def __enter__(self):
                return self

            def __exit__(self, kind, error, where):
                return kind is not None and issubclass(kind, ValueError)

        def run(cfg, text="1"):
            first = second = third = 0
            with suppress(ValueError):
                int(text)
                first = 1
            with calm():
                int(text)
                second = 1
            with Calm():
                int(text)
                third = 1
            return 1 if first else 2, 3 if second else 4, 5 if third else 6
        """,
        calls=(run("1"),),
        other_calls=((run("a"),), (run("2"),)),
    ),
    Case(
        "public functions that only the package called so far",
        """
        def deeper(part, x, wide=False, *, mask=None, scale=1):
            if part.flag:
                x = x * 2
            if wide:
                x = x * 3
            if mask is None:
                x = x + 1
            if scale == 2:
                x = x * 5
            return x, wide, scale

        def sized(x, wide, tall=False, **rest):
            if wide:
                return x * 2, rest
            return (x * 3, tall, wide) if tall else (x, tall, wide)

        def run(cfg, x=1):
            return deeper(cfg, x, False, mask=[x], scale=1), sized(x, False, tall=False)
        """,
        {"flag": False},
        calls=(run(1),),
        configs=({"flag": True}, {}),
        other_calls=(
            (read("deeper", 3),),
            (read("deeper", 3, mask=()),),
            (read("deeper", 3, True, mask=()),),
            (read("deeper", 3, mask=(), scale=2),),
            (call("sized", 3, True),),
            (call("sized", 3, False, True),),
            (call("sized", 3, False),),
        ),
    ),
    Case(
        "a number of one type plus one of another",
        """
        def run(cfg, x=1):
            total = x + 1
            size = max(x, 2)
            return "whole" if isinstance(total, int) else "part", 1 if isinstance(size, int) else 2
        """,
        calls=(run(1),),
        other_calls=((run(1.5),), (run(2.5),)),
    ),
)
