"""Configs that are namespaces, and what writes to them without a word."""

from __future__ import annotations

from tests.evidence.cases.case import FLAG, Case, read, run
from tests.handing import CLASS

CASES = (
    Case(
        "a namespace read in the usual ways",
        """
        def run(cfg, x=1):
            found = []
            if cfg.flag:
                found.append("flag")
            if getattr(cfg, "wide", False):
                found.append("wide")
            if hasattr(cfg, "deep") and cfg.deep:
                found.append("deep")
            if cfg.sub.tall:
                found.append("tall")
            if getattr(getattr(cfg, "other", None), "long", False):
                found.append("long")
            if vars(cfg)["flag"]:
                found.append("vars")
            if vars(cfg).get("extra"):
                found.append("extra")
            if cfg.__dict__["flag"] is None:
                found.append("none")
            if "also" in cfg.__dict__:
                found.append("also")
            if len(vars(cfg.sub)) > 1:
                found.append("long")
            return found
        """,
        {"flag": False, "sub": {"tall": False}},
        configs=(
            *FLAG,
            {"wide": 1},
            {"deep": 1},
            {"sub": {"tall": 1}},
            {"sub": {}},
            {"other": {"long": 1}},
            {"extra": 1},
            {"also": 0},
        ),
        kind="namespace",
    ),
    Case(
        "a namespace of argparse",
        """
        def run(cfg, x=1):
            found = []
            if cfg.flag:
                found.append("flag")
            if "wide" in cfg:
                found.append("wide")
            if "flag" not in cfg:
                found.append("no flag")
            for name, value in cfg._get_kwargs():
                if value == "deep":
                    found.append(name)
            for name, value in vars(cfg).items():
                if value == "deep":
                    found.append(name)
            if "deep" in str(cfg):
                found.append("text")
            if cfg == type(cfg)(flag=False, sub=cfg.sub):
                found.append("equal")
            if cfg.sub.tall:
                found.append("tall")
            return found
        """,
        {"flag": False, "sub": {"tall": False}},
        configs=(*FLAG, {"wide": 0}, {"word": "deep"}, {"sub": {"tall": 1}}),
        kind="arguments",
    ),
    Case(
        "one access that means one thing for a namespace and another for a dict",
        """
        def run(cfg, x=1):
            found = []
            if getattr(cfg, "flag", True):
                found.append("getattr")
            if hasattr(cfg, "flag"):
                found.append("hasattr")
            try:
                if cfg.sub.wide:
                    found.append("wide")
            except AttributeError:
                found.append("no attribute")
            if getattr(getattr(cfg, "sub", None), "wide", True):
                found.append("deep")
            return found
        """,
        {"flag": False, "sub": {"wide": False}},
        configs=({"flag": True}, {"sub": {"wide": True}}),
        uses=((("object", {CLASS: "types.SimpleNamespace", "flag": False, "sub": {"wide": False}}), run()),),
        kind="namespace",
    ),
    Case(
        "one access that means one thing for a dict and another for a namespace",
        """
        def run(cfg, x=1):
            found = []
            for kind in (TypeError, AttributeError):
                try:
                    if cfg["flag"]:
                        found.append("flag")
                except kind:
                    found.append("type")
                    break
                except (TypeError, AttributeError):
                    pass
            try:
                if cfg["sub"]["wide"]:
                    found.append("wide")
            except TypeError:
                found.append("part")
            return found
        """,
        {"flag": False, "sub": {"wide": False}},
        configs=({"flag": True}, {"sub": {"wide": True}}),
        uses=((("object", {"flag": False, "sub": {CLASS: "types.SimpleNamespace", "wide": False}}), run()),),
        kind="dict",
    ),
    Case(
        "writes that do not go by the object",
        """
        def run(cfg, x=1):
            cfg.__dict__["flag"] = x > 3
            if cfg.flag:
                return x * 2
            return x

        def by_vars(cfg, x=1):
            vars(cfg)["flag"] = x > 3
            if cfg.flag:
                return x * 2
            return x

        def by_update(cfg, x=1):
            cfg.__dict__.update(flag=x > 3)
            if cfg.flag:
                return x * 2
            return x

        def by_alias(cfg, x=1):
            inner = vars(cfg)
            before = 1 if cfg.flag else 0
            inner["flag"] = x > 3
            return before, 1 if cfg.flag else 0

        def by_object(cfg, x=1):
            object.__setattr__(cfg, "flag", x > 3)
            if cfg.flag:
                return x * 2
            return x

        def by_name(cfg, x=1):
            setattr(cfg, "fl" + "ag", x > 3)
            if cfg.flag:
                return x * 2
            return x

        def by_swap(cfg, x=1):
            cfg.__dict__ = {"flag": x > 3}
            if cfg.flag:
                return x * 2
            return x

        def by_part(cfg, x=1):
            for inner in vars(cfg).values():
                if hasattr(inner, "wide"):
                    inner.wide = x > 3
            if hasattr(cfg, "sub") and cfg.sub.wide:
                return x * 2
            return x
        """,
        {"flag": False, "sub": {"wide": False}},
        calls=(run(1),),
        configs=FLAG,
        other_calls=tuple(
            (read(name, 4),)
            for name in ("run", "by_vars", "by_update", "by_alias", "by_object", "by_name", "by_swap", "by_part")
        ),
        kind="namespace",
    ),
    *(
        Case(
            f"a write that changes nothing in the run: {write}",
            f"""
            def run(cfg, x=1):
                {write}
                if cfg.flag:
                    x = x * 2
                if cfg.sub.wide:
                    x = x * 3
                return x
            """,
            {"flag": False, "sub": {"wide": False}},
            calls=(run(1),),
            configs=FLAG,
            other_calls=((run(4),), (run(4), run(1))),
            kind=kind,
        )
        for write, kind in (
            ("cfg.flag = x > 3", "namespace"),
            ("cfg.__dict__['flag'] = x > 3", "namespace"),
            ("cfg.sub.__dict__.update(wide=x > 3)", "namespace"),
            ("vars(cfg)['flag'] = x > 3", "arguments"),
            ("vars(cfg.sub).update({'wide': x > 3})", "arguments"),
            ("vars(cfg)['sub'].wide = x > 3", "namespace"),
            ("object.__setattr__(cfg, 'flag', x > 3)", "arguments"),
            ("object.__setattr__(cfg.sub, 'wide', x > 3)", "namespace"),
            ("type(cfg).__setattr__(cfg, 'flag', x > 3)", "arguments"),
            ("cfg.__setattr__('flag', x > 3)", "namespace"),
            ("cfg.__init__(**{**vars(cfg), 'flag': x > 3})", "namespace"),
            ("getattr(cfg, 'sub').wide = x > 3", "namespace"),
            ("[setattr(part, 'wide', x > 3) for name, part in vars(cfg).items() if name == 'sub']", "namespace"),
        )
    ),
)
