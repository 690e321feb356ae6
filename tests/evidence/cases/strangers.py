"""Modules of the package that have nothing to do with the phase's files by import, and may still get at what these hold."""

from __future__ import annotations

from tests.evidence.cases.case import Case, call, run

_SIZES = """
    def size(x, wide=False):
        return _scaled(x, wide)

    def _scaled(x, wide):
        if wide:
            return x * 2
        return x
    """

CASES = (
    Case(
        "a helper that a stranger calls with another option",
        """
        from pkg.sizes import size

        def run(cfg, x=1):
            return size(x)
        """,
        modules={"sizes": _SIZES},
        strangers={
            "stranger": """
            from pkg.sizes import size

            def ask(x):
                return size(x, True)
            """
        },
        uses=((call("stranger.ask", 4),),),
    ),
    Case(
        "a private helper that a stranger calls",
        """
        from pkg import sizes

        def run(cfg, x=1):
            return sizes.size(x)
        """,
        modules={"sizes": _SIZES},
        strangers={
            "stranger": """
            from pkg.sizes import _scaled
            import pkg.sizes as named

            def ask(x):
                return _scaled(x, True) + named._scaled(x, 1)
            """
        },
        uses=((call("stranger.ask", 4),),),
    ),
    Case(
        "a constant and a function that only a stranger reads",
        """
        LIMIT = 4

        def unused(x):
            return x + 1

        def run(cfg, x=1):
            return x
        """,
        strangers={
            "stranger": """
            def ask(module, x):
                return module.LIMIT + module.unused(x)
            """,
            "importing": """
            from pkg.module import LIMIT, unused

            def ask(x):
                return LIMIT + unused(x)
            """,
        },
        uses=((call("importing.ask", 4),),),
    ),
    Case(
        "a method that only a stranger calls, and a field that it sets",
        """
        class Box:
            def __init__(self, wide=False):
                self.wide = wide

            def size(self, x):
                if self.wide:
                    return x * 2
                return x

            def widest(self, x):
                return x * 3

        def make():
            return Box()

        def run(cfg, x=1):
            return make().size(x)
        """,
        strangers={
            "stranger": """
            import importlib

            def ask(x):
                box = importlib.import_module("pkg" + ".module").make()
                before = box.widest(x)
                box.wide = True
                return before, box.size(x)
            """
        },
        uses=((call("stranger.ask", 4),),),
    ),
    Case(
        "a module that only a stranger imports, whose absence is caught",
        """
        def run(cfg, x=1):
            out = []
            try:
                if x > 3:
                    from pkg.wide import widest
                    out.append(widest(x))
                out.append(int("x"))
            except BaseException:
                out.append("caught")
            return out
        """,
        modules={"wider": "WIDER = 5000\n"},
        strangers={
            "wide": """
            from pkg.wider import WIDER

            def widest(x):
                return x + WIDER
            """
        },
        other_calls=((run(4),),),
    ),
)
