"""Configs that are written, copied, merged, kept, or of another kind."""

from __future__ import annotations

from tests.evidence.cases.case import OFF_ON, Case, make, method, run

CASES = (
    Case(
        "a list of the config that grows",
        """
        def run(cfg, x=1):
            if x > 3:
                cfg.sizes.append(9)
            part = cfg.names
            if x > 5:
                part.insert(0, "wide")
            if len(cfg.sizes) > 2:
                x = x * 2
            if "wide" in cfg.names:
                x = x * 3
            return x
        """,
        {"sizes": [1, 2], "names": ["plain"]},
        calls=(run(1),),
        configs=({"sizes": [1]}, {"sizes": [1, True]}, {"sizes": [1, 2, 3]}, {"names": ["wide"]}),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "a key whose name is computed",
        """
        def run(cfg, x=1):
            name = "wide" if x > 3 else "plain"
            if cfg[name]:
                return x * 2
            if cfg.get("fl" + "ag"):
                return x * 3
            return x
        """,
        {"wide": True, "plain": False, "flag": False},
        calls=(run(1),),
        configs=({"plain": True}, {"flag": True}, {"wide": False}),
        other_calls=((run(4),),),
    ),
    Case(
        "a config from a file or a default inside",
        """
        from omegaconf import OmegaConf

        DEFAULTS = OmegaConf.create({"wide": False, "flag": False})

        def run(cfg, x=1):
            full = OmegaConf.merge(DEFAULTS, cfg)
            if x > 3:
                DEFAULTS.wide = True
            if full.wide:
                x = x * 2
            if full.flag:
                x = x * 3
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=(*OFF_ON, {"wide": True}),
        other_calls=((run(4), run(1)),),
    ),
    Case(
        "a flag handed over by keyword, by dict and by a method of a field",
        """
        class Part:
            def __init__(self, wide=False):
                self.wide = wide

            def size(self, x, deep=False):
                if deep:
                    return x * 3
                return x * 2 if self.wide else x

        class Thing:
            def __init__(self, cfg):
                self.part = Part(**{"wide": cfg.flag})
                self.other = Part(wide=cfg.flag)

            def step(self, x):
                return self.part.size(x), self.other.size(x, deep=x > 3), Part().size(x)
        """,
        {"flag": False},
        calls=(make(), method("step", 1)),
        configs=OFF_ON,
        other_calls=((make(), method("step", 4)),),
    ),
    Case(
        "a loop over a config that is empty, and one that is not there",
        """
        def run(cfg, x=1):
            found = "none"
            for name in cfg.get("names") or []:
                found = name
            while cfg.flag:
                return "while"
            else:
                found = found + "!"
            return found, [1 for name in cfg.get("names") or [] if name], any(cfg.get("names") or [])
        """,
        {"flag": False, "names": []},
        configs=(*OFF_ON, {"names": ["a"]}, {"names": [""]}, {"names": None}, {"names": ...}),
    ),
    Case(
        "a config of another kind",
        """
        from omegaconf import DictConfig, OmegaConf

        def run(cfg, x=1):
            if hasattr(cfg, "get"):
                x = x + 1
            if isinstance(cfg, DictConfig):
                x = x + 10
            if OmegaConf.is_config(cfg):
                x = x + 100
            if isinstance(cfg, dict):
                x = x + 1000
            return x
        """,
        {"flag": False},
        uses=((("namespace", {"flag": False}), run(1)), (("dict", {"flag": False}), run(1))),
    ),
    Case(
        "a closure that outlives the call reads the config",
        """
        class Thing:
            def __init__(self, cfg):
                def size(x):
                    if cfg.flag:
                        return x * 2
                    return x

                self.size = size
                self.other = lambda x: x * 3 if cfg.flag else x
        """,
        {"flag": False},
        calls=(make(), method("size", 1), method("other", 1)),
        configs=OFF_ON,
    ),
    Case(
        "a generator that an object keeps reads the config",
        """
        def _walk(cfg, x):
            while True:
                if cfg.flag:
                    yield x * 2
                yield x

        class Thing:
            def __init__(self, cfg):
                self.values = _walk(cfg, 3)

            def step(self):
                return next(self.values)
        """,
        {"flag": False},
        calls=(make(), method("step"), method("step")),
        configs=OFF_ON,
    ),
    Case(
        "a part of the config that an object keeps and a helper reads",
        """
        class Thing:
            def __init__(self, cfg):
                self.cfg = cfg
                self.part = cfg.model
                self.wide = None

            def _is_wide(self):
                return self.part.wide

            def size(self, x):
                if self._is_wide():
                    return x * 2
                if _read(self.cfg, "flag"):
                    return x * 3
                part = self.cfg.model
                if part.get("deep", False):
                    return x * 5
                return x

        def _read(cfg, name):
            return cfg.get(name)
        """,
        {"flag": False, "model": {"wide": False}},
        calls=(make(), method("size", 1)),
        configs=(*OFF_ON, {"model": {"wide": True}}, {"model": {"wide": False, "deep": True}}),
    ),
)
