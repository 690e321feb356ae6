"""Names that mean something else later: modules, the environment, scopes."""

from __future__ import annotations

from tests.evidence.cases.case import OFF_ON, Case, call, make, method, run

CASES = (
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
        "two callers hand over a variable of one name",
        """
        def run(cfg, x=1):
            if x > 3:
                return _second(x)
            return _first(x)

        def _first(x):
            flag = False
            return _size(x, flag)

        def _second(x):
            flag = True
            return _size(x, flag)

        def _size(x, wide):
            if wide:
                return x * 2
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "a registry with a default, filled by a decorator that is a method",
        """
        class Registry:
            def __init__(self):
                self.known = {}

            def register(self, name=None):
                def keep(one):
                    self.known[name or one.__name__.lower()] = one
                    return one

                return keep

        SIZES = Registry()

        @SIZES.register()
        def Plain(x):
            return x

        @SIZES.register()
        def Wide(x):
            return x * 2

        def run(cfg, name, x=3):
            return SIZES.known.get(name, Plain)(x)
        """,
        calls=(run("plain"),),
        other_calls=((run("wi" + "de"),),),
    ),
    Case(
        "an import for the sake of what it registers, in a registry with a default",
        """
        from pkg import wide
        from pkg.registry import SIZES

        def run(cfg, name, x=3):
            return SIZES.known.get(name, abs)(x)
        """,
        calls=(run("plain"),),
        other_calls=((run("wi" + "de"),),),
        modules={
            "registry": """
            class Registry:
                def __init__(self):
                    self.known = {}

                def register(self, one):
                    self.known[one.__name__.lower()] = one
                    return one

            SIZES = Registry()
            """,
            "wide": """
            from pkg.registry import SIZES

            @SIZES.register
            def Wide(x):
                return x * 2
            """,
        },
    ),
    Case(
        "one name for either of two modules, of which the first is not there",
        """
        try:
            from pkg import fast as scaling
        except ImportError:
            from pkg import slow as scaling

        def run(cfg, x=1):
            return scaling.scale(x, cfg.flag)
        """,
        config={"flag": False},
        configs=OFF_ON,
        modules={
            "fast": """
            raise ImportError("no compiler")

            def scale(x, twice=False):
                return x
            """,
            "slow": """
            def scale(x, twice=False):
                if twice:
                    return x * 3
                return x
            """,
        },
    ),
    Case(
        "a name from the second of two star imports, asked for by a stranger",
        """
        from pkg.first import *
        from pkg.second import *

        def run(cfg, x=1):
            return first(x)
        """,
        modules={
            "first": """
            __all__ = ["first"]

            def first(x):
                return x
            """,
            "second": """
            __all__ = ["second", "third"]

            def second(x):
                return x * 2

            def third(x):
                return x * 3
            """,
        },
        strangers={
            "stranger": """
            from pkg.module import second

            def ask(x):
                return second(x)
            """
        },
        uses=((call("stranger.ask", 4),),),
    ),
    Case(
        "a module that cannot be imported, which is caught where it is",
        """
        try:
            from pkg.other import fast
            RATE = 2
        except ImportError:
            RATE = 1

        def run(cfg):
            return RATE
        """,
        modules={
            "other": """
            import a_module_that_nobody_has
            import os

            def fast(x):
                return a_module_that_nobody_has.fast(x)
            """
        },
    ),
    Case(
        "a variable that only some calls have, asked for in `locals()`",
        """
        def run(cfg, x=1):
            if x > 3:
                scale = 2
            return x * 3 if "scale" in locals() else size(x) + depth(x) + sum(inner(x) for _ in range(2))

        def size(x):
            if x > 2:
                locals()["scale"] = x
            return x * 2 if "scale" in locals() else x

        def depth(x):
            names = locals()
            exec("scale = 1" if x > 1 else "pass")
            return x * 5 if "scale" in names or "scale" in locals() else x

        def inner(x):
            scale = x

            def has():
                if x > 2:
                    return scale * 7
                return 1 if "scale" in locals() else 0

            return has()
        """,
        calls=(run(1),),
        other_calls=((run(2),), (run(3),), (run(9),)),
    ),
    Case(
        "modules that are loaded by a name that the user gives",
        """
        import importlib

        def run(cfg, name="one", spare=None):
            try:
                return loaded(name)
            except ValueError:
                return loaded(spare)

        def loaded(name):
            if name is None:
                raise ValueError(name)
            module = importlib.import_module("pkg." + name)
            return module.VALUE

        def tried(name):
            try:
                return loaded(name)
            except ImportError:
                return 0
        """,
        calls=(run(), run(None, "one")),
        other_calls=((run("two"),), (run(None, "two"),)),
        uses=((call("tried", "two"),),),
        modules={"one": "VALUE = 1", "two": "VALUE = 2"},
    ),
)
