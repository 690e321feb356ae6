"""Configs that are plain dictionaries: read and written in every way that Python has, in C, too."""

from __future__ import annotations

from tests.evidence.cases.case import FLAG, OFF_ON, Case, call, read, run

CASES = (
    Case(
        "a dict read in the usual ways",
        """
        def run(cfg, x=1):
            if cfg["flag"]:
                x = x * 2
            if cfg.get("wide", False):
                x = x * 3
            if "deep" in cfg and cfg["deep"]:
                x = x * 5
            if cfg["sub"].get("tall"):
                x = x * 7
            if (cfg.get("other") or {}).get("long", False):
                x = x * 11
            return x
        """,
        {"flag": False, "sub": {"tall": False}},
        configs=(
            *OFF_ON,
            {"wide": True},
            {"deep": 1},
            {"sub": {"tall": True}},
            {"sub": {}},
            {"other": {"long": True}},
            {"other": 1},
        ),
        kind="dict",
    ),
    Case(
        "a dict written through another name",
        """
        def run(cfg, x=1):
            alias = cfg
            before = "on" if cfg["flag"] else "off"
            alias["flag"] = x > 3
            part = cfg["sub"]
            part.update(wide=x > 5)
            return before, "on" if cfg["flag"] else "off", "wide" if cfg["sub"]["wide"] else "narrow"
        """,
        {"flag": False, "sub": {"wide": False}},
        calls=(run(1),),
        configs=FLAG,
        other_calls=((run(4),), (run(6),), (run(4), run(1))),
        kind="dict",
    ),
    Case(
        "a dict written by the methods of dict itself",
        """
        def run(cfg, x=1):
            dict.__setitem__(cfg, "flag", x > 3)
            if cfg["flag"]:
                return x * 2
            return x

        def updated(cfg, x=1):
            dict.update(cfg, flag=x > 3)
            if cfg["flag"]:
                return x * 2
            return x

        def given(cfg, x=1):
            dict.setdefault(cfg, "extra", x > 3)
            if cfg["extra"]:
                return x * 2
            return x
        """,
        {"flag": False, "extra": False},
        calls=(run(1), read("updated", 1), read("given", 1)),
        configs=({"flag": True}, {"extra": ...}),
        other_calls=((run(4),), (read("updated", 4),), (read("given", 4),)),
        kind="dict",
    ),
    Case(
        "a dict read by the methods of dict itself",
        """
        def run(cfg, x=1):
            if dict.get(cfg, "flag"):
                x = x * 2
            if dict.__getitem__(cfg, "flag"):
                x = x * 3
            if dict.get(cfg, "wide") is None:
                x = x * 5
            if dict.__contains__(cfg, "deep"):
                x = x * 7
            if dict.__len__(cfg) > 1:
                x = x * 11
            if dict.copy(cfg)["flag"]:
                x = x * 13
            if dict.copy(cfg).get("tall"):
                x = x * 17
            if any(value for key, value in dict.items(cfg)):
                x = x * 19
            return x
        """,
        {"flag": False},
        configs=(*FLAG, {"wide": True}, {"deep": 0}, {"tall": True}),
        kind="dict",
    ),
    Case(
        "a list in a dict changed in place",
        """
        def run(cfg, x=1):
            cfg["sizes"].extend([9] * (x > 3))
            cfg["layers"][0]["flag"] = x > 5
            found = ["nine" if 9 in cfg["sizes"] else "none", "long" if len(cfg["sizes"]) > 2 else "short"]
            if cfg["layers"][0]["flag"]:
                found.append("flag")
            return found
        """,
        {"sizes": [1, 2], "layers": [{"flag": False}]},
        calls=(run(1),),
        configs=(
            {"sizes": [9]},
            {"sizes": (1, 2)},
            {"layers": [{"flag": True}]},
            {"layers": [{"flag": False}, {"flag": True}]},
        ),
        other_calls=((run(4),), (run(6),)),
        kind="dict",
    ),
    Case(
        "a list in a dict changed under another name",
        """
        def run(cfg, x=1):
            sizes = cfg["sizes"]
            _grow(sizes, x)
            if 9 in cfg["sizes"]:
                return "nine"
            first = cfg["layers"][0]
            first.update(flag=x > 5)
            for layer in cfg["layers"]:
                if layer["flag"]:
                    return "flag"
            return "none"

        def _grow(sizes, x):
            sizes += [9] * (x > 3)
        """,
        {"sizes": [1, 2], "layers": [{"flag": False}]},
        calls=(run(1),),
        configs=({"sizes": [9]}, {"layers": [{"flag": True}]}),
        other_calls=((run(4),), (run(6),)),
        kind="dict",
    ),
    Case(
        "one dict under two keys",
        """
        def run(cfg, x=1):
            if cfg["two"]["flag"]:
                return x * 2
            return x
        """,
        {"one": {"flag": False}, "two": {}},
        calls=(("share", "one", "two"), run()),
        configs=({"one": {"flag": True}},),
        uses=(
            (("dict", {"one": {"flag": False}, "two": {"flag": True}}), run()),
            (("dict", {"one": {"flag": True}, "two": {"flag": False}}), run()),
            (("dict", {"two": {"flag": True}}), run()),
        ),
        kind="dict",
    ),
    Case(
        "one dict under two keys, written under one and read under the other",
        """
        def run(cfg, x=1):
            cfg["one"]["flag"] = x > 3
            if cfg["two"]["flag"]:
                return x * 2
            return x
        """,
        {"one": {"flag": False}, "two": {"flag": False}},
        calls=(run(),),
        other_calls=((("share", "one", "two"), run(4)), (("share", "two", "one"), run(4)), (run(4),)),
        kind="dict",
    ),
    Case(
        "keys that are computed",
        """
        NAMES = {"first": "flag", "second": "wide"}

        def run(cfg, x=1, suffix="g"):
            found = []
            if cfg["fla" + suffix]:
                found.append("suffix")
            if cfg[NAMES[cfg["mode"]]]:
                found.append("mode")
            if cfg.get("flag" if x < 3 else "wide"):
                found.append("data")
            for name in ("flag", "tall"):
                if cfg.get(name):
                    found.append(name)
            if cfg[sorted(cfg)[0]]:
                found.append("sorted")
            if cfg.get(f"is_{cfg['mode']}", False):
                found.append("text")
            return found
        """,
        {"flag": False, "mode": "first", "wide": True, "also": False},
        calls=(run(1),),
        configs=({"flag": True}, {"mode": "second"}, {"tall": 1}, {"a": 1}, {"is_first": True}, {"also": True}),
        other_calls=((run(4),), (run(1, "g"),)),
        kind="dict",
    ),
    Case(
        "how a dict is walked",
        """
        def run(cfg, x=1):
            found = []
            for key, value in cfg.items():
                if value:
                    found.append(key)
            if len(cfg) > 2:
                found.append("long")
            for key in cfg:
                if key == "deep":
                    found.append("deep")
            if any(cfg.values()):
                found.append("any")
            if list(cfg)[-1] == "sub":
                found.append("last")
            if next(iter(cfg)) == "flag":
                found.append("first")
            if len(cfg["sub"]):
                found.append("part")
            view = cfg.keys()
            if {"flag", "wide"} <= view:
                found.append("both")
            if max(cfg, key=len) == "longest":
                found.append("longest")
            return found
        """,
        {"flag": False, "sub": {}},
        configs=(*FLAG, {"wide": 0}, {"deep": 1}, {"sub": {"a": 1}}, {"longest": None}),
        uses=(
            (("dict", {"sub": {}, "flag": False}), run()),
            (("dict", {"sub": {"a": 0}, "flag": False}), run()),
        ),
        kind="dict",
    ),
    Case(
        "whether there is anything in a part",
        """
        def run(cfg, x=1):
            found = ["yes" if cfg["sub"] else "no", "or" if (cfg.get("sub") or {"a": 2})["a"] == 2 else "own"]
            if not cfg["other"]:
                found.append("nothing")
            if bool(cfg["other"]) is True:
                found.append("something")
            found += [1 for part in [cfg["sub"], cfg["other"]] if part]
            if cfg["sub"] == {"a": 1}:
                found.append("equal")
            if cfg["other"] != {}:
                found.append("unequal")
            if isinstance(cfg["sub"], dict):
                found.append("dict")
            if all([cfg["sub"], not cfg["other"]]):
                found.append("all")
            return found
        """,
        {"sub": {"a": 1}, "other": {}},
        configs=(
            {"sub": {}},
            {"sub": {"a": 2}},
            {"sub": {"b": 1, "a": 1}},
            {"other": {"a": 1}},
            {"other": None},
            {"sub": [1]},
            {"sub": None},
        ),
        kind="dict",
    ),
    Case(
        "a dict that becomes text",
        """
        import json, pickle, string

        def run(cfg, x=1):
            found = []
            if "true" in json.dumps(cfg):
                found.append("json")
            if str(cfg) == "{'flag': False}":
                found.append("str")
            if f"{cfg}".endswith("False}"):
                found.append("format")
            if "%(flag)s" % cfg == "True":
                found.append("percent")
            if "{flag}".format(**cfg) == "True":
                found.append("braces")
            if "{flag}".format_map(cfg) == "True":
                found.append("map")
            if "{0[flag]}".format(cfg) == "True":
                found.append("item")
            if string.Template("$flag").substitute(cfg) == "True":
                found.append("template")
            if pickle.loads(pickle.dumps(cfg))["flag"]:
                found.append("pickle")
            if json.loads(json.dumps(cfg)).get("wide"):
                found.append("loads")
            return found
        """,
        {"flag": False},
        configs=(*FLAG, {"wide": True}, {"wide": False}),
        kind="dict",
    ),
    Case(
        "a dict merged with defaults",
        """
        DEFAULTS = {"flag": False, "wide": False, "sub": {"tall": False}}

        def run(cfg, x=1):
            found = []
            one = {**DEFAULTS, **cfg}
            if one["flag"]:
                found.append("stars")
            two = dict(DEFAULTS, **cfg)
            if two["wide"]:
                found.append("call")
            three = DEFAULTS | cfg
            if three["sub"]["tall"]:
                found.append("or")
            four = cfg | {"flag": x > 3}
            if four["flag"]:
                found.append("data")
            five = DEFAULTS.copy()
            five.update(cfg)
            if five["wide"]:
                found.append("update")
            six = dict(cfg)
            six.setdefault("deep", x > 5)
            if six["deep"]:
                found.append("setdefault")
            seven = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
            if seven["flag"]:
                found.append("comprehension")
            eight = dict(cfg.items())
            if eight.get("extra"):
                found.append("items")
            return found
        """,
        {"flag": False},
        calls=(run(1),),
        configs=(*FLAG, {"wide": True}, {"sub": {"tall": True}}, {"deep": True}, {"extra": 1}),
        other_calls=((run(4),), (run(6),)),
        kind="dict",
    ),
    Case(
        "a dict that is bound again, or is not given",
        """
        DEFAULTS = {"flag": False, "wide": False}

        def run(cfg=None, x=1):
            cfg = cfg or DEFAULTS
            if cfg["flag"]:
                return x * 2
            return x

        def merged(cfg={}, x=1):
            cfg = {**DEFAULTS, **cfg}
            if cfg["wide"]:
                return x * 3
            return x

        def kept(cfg={}, x=1):
            cfg.setdefault("calls", 0)
            cfg["calls"] += 1
            if cfg["calls"] > 2:
                return "often"
            return x

        def change(value):
            DEFAULTS["flag"] = DEFAULTS["wide"] = value
        """,
        {"flag": False},
        calls=(run(1), read("merged", 1), call("kept")),
        configs=(*FLAG, {"wide": True}),
        other_calls=(
            (call("run"), call("change", True), call("run"), call("merged")),
            (call("change", True), run(1), read("merged", 1)),
            (call("kept"), call("kept"), call("kept")),
            (read("kept"), read("kept"), read("kept")),
        ),
        uses=((("dict", {}), run(1)), (("dict", {}), call("change", True), run(1)), (("dict", {}), read("merged"))),
        kind="dict",
    ),
    Case(
        "a dict that is matched",
        """
        def run(cfg, x=1):
            found = []
            match cfg:
                case {"flag": True}:
                    found.append("flag")
                case {"sub": {"tall": tall}} if tall:
                    found.append("tall")
                case {"mode": "first", **rest} if len(rest) > 2:
                    found.append("rest")
                case dict():
                    found.append("dict")
                case _:
                    found.append("none")
            match cfg["mode"]:
                case "second":
                    found.append("second")
            return found
        """,
        {"flag": False, "mode": "first", "sub": {"tall": False}},
        configs=(*FLAG, {"mode": "second"}, {"sub": {"tall": 1}}, {"sub": {}}, {"extra": 1}),
        kind="dict",
    ),
    Case(
        "a dict unpacked into a call",
        """
        def run(cfg, x=1):
            return size(x, **cfg), _wide(**cfg["sub"])

        def size(x, flag=False, extra=None, **others):
            if flag:
                x = x * 2
            if extra is not None:
                x = x * 3
            if others.get("sub", {}).get("tall"):
                x = x * 5
            return x

        def _wide(wide=False, tall=False):
            return "wide" if wide else "tall" if tall else "none"
        """,
        {"flag": False, "sub": {"wide": False}},
        configs=(*FLAG, {"extra": 0}, {"extra": None}, {"sub": {"tall": True}}, {"sub": {"wide": True}}, {"sub": {}}),
        other_calls=((call("size", 2, True),), (call("size", 2, sub={"tall": True}),)),
        kind="dict",
    ),
)
