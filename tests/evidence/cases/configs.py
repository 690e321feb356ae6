"""Configs that are written, copied, merged, kept, or of another kind."""

from __future__ import annotations

from tests.evidence.cases.case import OFF_ON, Case, call, read, run

CASES = (
    Case(
        "the config under another name",
        """
        def run(options, x=1):
            if options.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
    ),
    Case(
        "the config read by another public function",
        """
        def run(cfg, x=1):
            return helper(cfg, x)

        def helper(config, x=1):
            if config.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((read("helper"),), (read("helper", 3),)),
    ),
    Case(
        "a config that is read again later in one use",
        """
        def run(cfg, x=1):
            if cfg.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((run(1), ("set", "flag", True), run(1)), (run(1), ("config", {"flag": True}), run(1))),
    ),
    Case(
        "copies and merges of a config",
        """
        import copy
        from omegaconf import OmegaConf

        def run(cfg, x=1, extra=None):
            one = copy.deepcopy(cfg)
            one.flag = x > 3
            two = OmegaConf.merge(cfg, extra or {})
            three = cfg.copy()
            three["flag"] = x > 5
            four = OmegaConf.to_container(cfg)
            four["flag"] = x > 7
            return ["on" if part.get("flag") else "off" for part in (one, two, three, four)], [
                "on" if one.flag else "off", "on" if two.flag else "off",
                "on" if three.flag else "off", "on" if four["flag"] else "off"]
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),), (run(6),), (run(8),), (run(1, {"flag": True}),)),
    ),
    Case(
        "an interpolation",
        """
        def run(cfg, x=1):
            if cfg.model.flag:
                return x * 2
            return x
        """,
        {"flag": False, "model": {"flag": "${flag}"}},
        configs=(*OFF_ON, {"model": {"flag": True}}, {"model": {"flag": False}}),
    ),
    Case(
        "an option that nobody hands in becomes the config's",
        """
        def run(cfg, x=1, wide=None, mode="plain"):
            if wide is None:
                wide = cfg.flag
            if wide:
                x = x * 2
            if mode != "plain":
                x = -x
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((run(1, True),), (run(1, None, "other"),), (run(1, mode=None),)),
    ),
    Case(
        "keys of a config",
        """
        def run(cfg, x=1):
            names = [name for name, value in cfg.model.items() if value]
            extra = "extra" in cfg
            wide = "wide" in cfg.model and cfg.model.wide
            if cfg.sizes:
                x = x + len(cfg.sizes)
            for key in cfg.model:
                if key == "deep":
                    x = x * 10
            return x, names, "on" if extra else "off", 1 if wide else 0, 5 if len(cfg.model) > 1 else 6
        """,
        {"model": {"wide": False, "tall": 1}, "sizes": [1, 2]},
        configs=(
            {"model": {"wide": True, "tall": 1}},
            {"model": {"wide": False}},
            {"model": {"wide": False, "tall": 1, "deep": 1}},
            {"model": {"wide": False, "deep": 1}},
            {"model": {}},
            {"sizes": []},
            {"sizes": [1]},
            {"sizes": [2, 3]},
            {"sizes": None},
            {"extra": 1},
            {"extra": None},
        ),
    ),
    Case(
        "iteration over a list of the config",
        """
        def run(cfg, x=1):
            found = False
            for size in cfg.sizes:
                if size > 5:
                    found = True
            total = sum(size for size in cfg.sizes if size > 1)
            if found:
                return "found", total
            if 3 in cfg.sizes:
                return "three", total
            return "none", total
        """,
        {"sizes": [1, 2]},
        configs=({"sizes": [6]}, {"sizes": []}, {"sizes": [3]}, {"sizes": [1]}, {"sizes": [1, 2, 2]}),
    ),
    Case(
        "one class made with two configs",
        """
        from omegaconf import OmegaConf

        class Part:
            def __init__(self, cfg):
                self.wide = cfg.flag

            def size(self, x):
                if self.wide:
                    return x * 2
                return x

        def run(cfg, x=1):
            other = OmegaConf.create({"flag": x > 3})
            return Part(cfg).size(x), Part(other).size(x)
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "a config parameter that gets something else",
        """
        def run(cfg, x=1):
            return _size(cfg, x), _size({"flag": x > 3}, x)

        def _size(cfg, x):
            if cfg["flag"]:
                return x * 2
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "two parts of one config",
        """
        def run(cfg, x=1):
            return [_size(part, x) for part in (cfg.one, cfg.two)]

        def _size(cfg, x):
            if cfg.flag:
                return x * 2
            return x
        """,
        {"one": {"flag": False}, "two": {"flag": False}},
        configs=({"one": {"flag": True}}, {"two": {"flag": True}}, {"two": {"flag": 0}}),
    ),
    Case(
        "the config is bound again inside",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            if x > 3:
                cfg = OmegaConf.create({"flag": True})
            if cfg.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "pops, updates and setattr on the config",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            if x > 3:
                OmegaConf.update(cfg, "model.wide", True)
            if x > 5:
                setattr(cfg.model, "tall", True)
            if x > 7:
                cfg.pop("extra", None)
            part = cfg.model
            if x > 9:
                part.update({"deep": True})
            if cfg.model.wide:
                x = x * 2
            if cfg.model.tall:
                x = x * 3
            if cfg.get("extra"):
                x = x * 5
            if cfg.model.deep:
                x = x * 7
            return x
        """,
        {"model": {"wide": False, "tall": False, "deep": False}, "extra": True},
        calls=(run(1),),
        configs=({"model": {"wide": True, "tall": False, "deep": False}}, {"extra": False}, {"extra": ...}),
        other_calls=((run(4),), (run(6),), (run(8),), (run(10),)),
    ),
    Case(
        "a part of the config that a helper writes",
        """
        def run(cfg, x=1):
            _adapt(cfg.model, x)
            if cfg.model.wide:
                return x * 2
            return x

        def _adapt(part, x):
            if x > 3:
                part.wide = True
            if x > 5:
                part["wide"] = None
        """,
        {"model": {"wide": False}},
        calls=(run(1),),
        configs=({"model": {"wide": True}}, {"model": {"wide": None}}),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "a part of the config that is kept in a list or a field and written there",
        """
        class Box:
            def __init__(self, part):
                self.part = part

        def run(cfg, x=1):
            box = Box(cfg.model)
            kept = [cfg.model]
            if x > 3:
                box.part.wide = True
            for part in kept:
                if x > 5:
                    part.tall = True
            if cfg.model.wide:
                x = x * 2
            if cfg.model.tall:
                x = x * 3
            return x
        """,
        {"model": {"wide": False, "tall": False}},
        calls=(run(1),),
        configs=({"model": {"wide": True, "tall": False}},),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "a flag read from a config that comes as a dict",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            plain = OmegaConf.to_container(cfg, resolve=True)
            if plain["flag"]:
                x = x * 2
            if plain.get("extra", False):
                x = x * 3
            for name in plain:
                if name == "third":
                    x = x * 5
            return x
        """,
        {"flag": False},
        configs=(*OFF_ON, {"extra": True}, {"third": 1}),
    ),
    Case(
        "a default of a dotted read",
        """
        from omegaconf import OmegaConf

        def _get(cfg, path, default=None):
            node = cfg
            for part in path.split("."):
                if node is None or part not in node:
                    return default
                node = node[part]
            return node

        def run(cfg, x=1):
            if _get(cfg, "model.wide", False):
                x = x * 2
            if OmegaConf.select(cfg, "model.tall", default=False):
                x = x * 3
            if getattr(getattr(cfg, "model", None), "deep", False):
                x = x * 5
            if (cfg.get("other") or {}).get("long", False):
                x = x * 7
            return x
        """,
        {"model": {"wide": False}},
        configs=(
            {"model": {"wide": True}},
            {"model": {"wide": False, "tall": True}},
            {"model": {"wide": False, "deep": True}},
            {"model": None},
            {"model": ...},
            {"other": {"long": True}},
            {"other": {"long": False}},
            {"other": None},
        ),
    ),
    Case(
        "a config parameter with a default",
        """
        def run(cfg=None, x=1):
            if cfg is None:
                return "none"
            if cfg.flag:
                return x * 2
            return x
        """,
        {"flag": False},
        configs=OFF_ON,
        uses=((call("run"),), (("config", {"flag": True}), run())),
    ),
    Case(
        "a config for a private function that comes from a branch that no workload took",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            return _size(OmegaConf.create({"flag": x > 3})) if x > 2 else _size(cfg)

        def _size(cfg):
            if cfg.flag:
                return "on"
            return "off"
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "a public function that got two parts of the config",
        """
        def run(cfg, x=1):
            return size(cfg.one), size(cfg.two), outside(cfg.one, x)

        def size(cfg):
            if cfg.flag:
                return "on"
            return "off"

        def outside(part, x):
            part.flag = x > 3
            return size(part)
        """,
        {"one": {"flag": False}, "two": {"flag": False}},
        configs=({"one": {"flag": True}}, {"two": {"flag": True}}),
        other_calls=((run(4),),),
    ),
    *(
        Case(
            f"a list of a config that is changed in place: {write}",
            f"""
            def run(cfg, x=1):
                {write}
                if 9 in cfg["sizes"]:
                    return "nine"
                if len(cfg["sizes"]) > 2:
                    return "long"
                return "none"
            """,
            {"sizes": [1, 2]},
            calls=(run(1),),
            other_calls=((run(4),),),
        )
        for write in (
            "cfg.sizes.extend([9] * (x > 3))",
            "sizes = cfg.sizes; sizes += [9] * (x > 3)",
            "cfg.sizes[1] = 9 if x > 3 else 2",
            "for size in [9] * (x > 3): cfg.sizes.append(size)",
        )
    ),
)
