"""Configs that are plain dictionaries: what they are, where they are kept, and who else gets them."""

from __future__ import annotations

from tests.evidence.cases.case import FLAG, Case, call, make, method, read, run

CASES = (
    Case(
        "what a dict is",
        """
        from collections.abc import Mapping, MutableMapping

        def run(cfg, x=1):
            found = []
            if isinstance(cfg, dict):
                found.append("dict")
            if isinstance(cfg, Mapping) and isinstance(cfg["sub"], MutableMapping):
                found.append("mapping")
            if hasattr(cfg, "keys"):
                found.append("keys")
            if callable(getattr(cfg, "setdefault", None)):
                found.append("setdefault")
            if isinstance(cfg["sub"], dict):
                found.append("part")
            if isinstance(cfg["sizes"], list):
                found.append("list")
            if isinstance(cfg["pair"], tuple):
                found.append("tuple")
            if cfg["pair"] == (1, 2):
                found.append("pair")
            return found
        """,
        {"sub": {}, "sizes": [1], "pair": (1, 2)},
        configs=({"sub": None}, {"sub": [1]}, {"sizes": (1,)}, {"pair": [1, 2]}, {"sizes": None}),
        kind="dict",
    ),
    Case(
        "the exact type of a dict",
        """
        def run(cfg, x=1):
            if type(cfg) is dict:
                return x * 2 if x > 3 else x
            return x

        def known(cfg, x=1):
            handle = {dict: _plain}.get(type(cfg), _other)
            return handle(cfg, x)

        def _plain(cfg, x):
            return x if not cfg["flag"] else -x

        def _other(cfg, x):
            return x if not cfg["flag"] else x * 100

        def tagged(cfg, x=1):
            tag = cfg.__class__ is dict
            if tag and x > 3:
                return "dict"
            return "other"
        """,
        {"flag": False},
        calls=(run(1), read("known", 1), read("tagged", 1)),
        configs=FLAG,
        other_calls=((run(4),), (read("known", 4),), (read("tagged", 4),)),
        kind="dict",
    ),
    Case(
        "a default that is known by its identity",
        """
        DEFAULTS = {"flag": False}

        def run(cfg=DEFAULTS, x=1):
            if cfg is DEFAULTS:
                return x if x < 3 else x * 2
            if cfg["flag"]:
                return "flag"
            return x
        """,
        {"flag": False},
        calls=(call("run", x=1), run(1)),
        configs=FLAG,
        other_calls=((call("run", x=4), run(4)),),
        kind="dict",
    ),
    Case(
        "a chain of maps, and other wrappers",
        """
        import operator, types
        from collections import ChainMap, OrderedDict, defaultdict

        DEFAULTS = {"flag": False, "wide": False}

        def run(cfg, x=1):
            found = []
            if ChainMap(cfg, DEFAULTS)["wide"]:
                found.append("chain")
            if ChainMap({"flag": x > 3}, cfg)["flag"]:
                found.append("data")
            if types.MappingProxyType(cfg)["flag"]:
                found.append("proxy")
            if OrderedDict(cfg).get("deep"):
                found.append("ordered")
            if defaultdict(lambda: x > 5, cfg)["tall"]:
                found.append("default")
            if operator.itemgetter("flag")(cfg):
                found.append("getter")
            if next(filter(cfg.get, ["flag", "deep"]), None):
                found.append("filter")
            if list(map(cfg.get, ["flag"]))[0]:
                found.append("map")
            get = cfg.get
            if get("flag"):
                found.append("bound")
            return found
        """,
        {"flag": False},
        calls=(run(1),),
        configs=(*FLAG, {"wide": True}, {"deep": 1}, {"tall": 1}),
        other_calls=((run(4),), (run(6),)),
        kind="dict",
    ),
    Case(
        "a dict that another function got under another name",
        """
        KEPT = {}

        def setup(options):
            global KEPT
            KEPT = options

        def run(cfg, x=1):
            KEPT["flag"] = x > 3
            if cfg["flag"]:
                return x * 2
            return x
        """,
        {"flag": False},
        calls=(read("setup"), run(1)),
        configs=FLAG,
        other_calls=((read("setup"), run(4)), (run(4),), (read("setup"), run(4), run(1))),
        kind="dict",
    ),
    Case(
        "a dict that is kept in the module",
        """
        CURRENT = None

        def setup(cfg):
            global CURRENT
            CURRENT = cfg

        def run(cfg, x=1):
            setup(cfg)
            return inner(x)

        def inner(x=1):
            if CURRENT["flag"]:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=FLAG,
        other_calls=(
            (run(1), ("set", "flag", True), call("inner", 1)),
            (read("setup"), ("set", "flag", True), call("inner", 1)),
            (read("setup"), call("inner", 1)),
        ),
        kind="dict",
    ),
    Case(
        "a dict that is kept in an object",
        """
        class Thing:
            def __init__(self, cfg, x=1):
                self.cfg = cfg
                self.part = cfg["sub"]
                self.wide = cfg["sub"]["wide"]

            def size(self, x):
                if self.cfg["flag"]:
                    return x * 2
                if self.part["wide"]:
                    return x * 3
                if self.wide:
                    return x * 5
                return x

            def change(self, x):
                self.cfg["flag"] = x > 3
                return self.size(x)

            def swap(self, cfg):
                self.cfg = cfg
        """,
        {"flag": False, "sub": {"wide": False}},
        calls=(make(), method("size", 1), method("change", 1)),
        configs=(*FLAG, {"sub": {"wide": True}}),
        other_calls=(
            (make(), method("change", 4), method("size", 1)),
            (make(), method("swap", {"flag": True}), method("size", 1)),
        ),
        kind="dict",
    ),
    Case(
        "copies of a dict",
        """
        import copy

        def run(cfg, x=1):
            one, two, three = copy.deepcopy(cfg), copy.copy(cfg), cfg.copy()
            one["sub"]["wide"] = x > 3
            two["flag"] = x > 5
            three["sub"]["tall"] = x > 7
            four = dict(cfg)
            four["sub"]["deep"] = x > 9
            five = {**cfg}
            five["flag"] = x > 11
            return [
                "wide" if one["sub"]["wide"] else "-", "wide" if cfg["sub"]["wide"] else "-",
                "flag" if two["flag"] else "-", "flag" if cfg["flag"] else "-", "flag" if five["flag"] else "-",
                "tall" if three["sub"]["tall"] else "-", "tall" if cfg["sub"]["tall"] else "-",
                "deep" if four["sub"]["deep"] else "-", "deep" if cfg["sub"]["deep"] else "-"]
        """,
        {"flag": False, "sub": {"wide": False, "tall": False, "deep": False}},
        calls=(run(1),),
        configs=FLAG,
        other_calls=tuple((run(x),) for x in (4, 6, 8, 10, 12)),
        kind="dict",
    ),
    Case(
        "a dict handed in twice, and changed between",
        """
        def run(cfg, x=1):
            if cfg["flag"] and x > 3:
                return x * 2
            if cfg.get("wide"):
                return x * 3
            return x
        """,
        {"flag": False},
        calls=(run(1), ("set", "flag", True), run(1)),
        configs=FLAG,
        other_calls=((run(4), ("set", "flag", True), run(4)), (run(1), ("set", "wide", True), run(1))),
        kind="dict",
    ),
    Case(
        "numbers that are equal to flags",
        """
        def run(cfg, x=1):
            if cfg["flag"] is True:
                return "true"
            if cfg["sizes"][0] is True:
                return "first"
            if str(cfg["flag"]) == "1.0":
                return "float"
            return x
        """,
        {"flag": 1, "sizes": [1]},
        calls=(run(1), ("dict", {"flag": 1, "sizes": [1]}), run(2)),
        configs=({"flag": True}, {"flag": 1.0}, {"sizes": [True]}, {"sizes": [1.0]}),
        uses=((("dict", {"flag": 1, "sizes": [1]}), run(), ("dict", {"flag": True, "sizes": [1]}), run()),),
        kind="dict",
    ),
    Case(
        "two configs that differ only in the type of a number",
        """
        def run(cfg, x=1):
            if cfg["flag"]:
                x = x * 2
            if isinstance(cfg["sizes"][0], bool):
                x = x * 3
            if cfg["sizes"] == [1.0]:
                x = x * 5
            return x
        """,
        {"flag": 1, "sizes": [1]},
        calls=(run(1), ("dict", {"flag": True, "sizes": [1.0]}), run(1)),
        configs=({"flag": False}, {"sizes": [True]}, {"sizes": [2]}),
        kind="dict",
    ),
    Case(
        "absent, None, and the text that stands for absent",
        """
        def run(cfg, x=1):
            found = []
            if cfg.get("extra") is None:
                found.append("none")
            if "extra" in cfg:
                found.append("there")
            if cfg.get("extra", 1) == 1:
                found.append("default")
            try:
                cfg["extra"]
                found.append("read")
            except KeyError:
                found.append("missing")
            if cfg["word"] == "<absent>":
                found.append("word")
            return found
        """,
        {"word": "<absent>"},
        configs=({"extra": None}, {"extra": "<absent>"}, {"extra": 1}, {"word": ...}, {"word": "other"}),
        kind="dict",
    ),
    Case(
        "keys that are removed",
        """
        def run(cfg, x=1):
            found = []
            if cfg.pop("flag", False):
                found.append("flag")
            if x > 3:
                del cfg["sub"]["wide"]
            if cfg["sub"].get("wide", True):
                found.append("wide")
            if "flag" in cfg:
                found.append("again")
            if x > 5:
                cfg.clear()
            if not cfg:
                found.append("empty")
            return found
        """,
        {"flag": False, "sub": {"wide": False}},
        calls=(run(1),),
        configs=FLAG,
        other_calls=((run(4),), (run(6),), (run(1), run(1))),
        kind="dict",
    ),
    Case(
        "a private function that gets dictionaries of the package's own, too",
        """
        def run(cfg, x=1):
            return _size(cfg, x), _size({"flag": x > 3}, x), _size(dict(cfg, flag=x > 5), x), _size({**cfg}, x)

        def _size(cfg, x):
            if cfg["flag"]:
                return x * 2
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=FLAG,
        other_calls=((run(4),), (run(6),)),
        kind="dict",
    ),
    Case(
        "a public function that gets a part",
        """
        def run(cfg, x=1):
            return size(cfg["sub"], x)

        def size(cfg, x=1):
            if cfg["flag"]:
                return x * 2
            return x
        """,
        {"sub": {"flag": False}},
        configs=({"sub": {"flag": True}}, {"sub": {}}, {"sub": None}),
        other_calls=((("part", "sub"), read("size", 3)), (("part", "sub"), ("set", "flag", True), read("size", 3))),
        uses=((("dict", {"flag": True}), read("size")), (("dict", {"flag": False, "sub": {"flag": True}}), read("size"))),
        kind="dict",
    ),
    Case(
        "a generator over a config",
        """
        def run(cfg, x=1):
            steps = walk(cfg, x)
            cfg["flag"] = x > 3
            return list(steps)

        def walk(cfg, x):
            for step in range(x):
                if cfg["flag"]:
                    yield -step
                yield step

        def started(cfg, x=1):
            return walk(cfg, x)

        class Thing:
            def __init__(self, cfg):
                self.steps = walk(cfg, 4)

            def next(self):
                return next(self.steps)
        """,
        {"flag": False},
        calls=(run(2), make(), method("next")),
        configs=FLAG,
        other_calls=(
            (run(4),),
            (make(), ("set", "flag", True), method("next"), method("next")),
            (make(), method("next"), ("set", "flag", True), method("next"), method("next")),
        ),
        kind="dict",
    ),
)
