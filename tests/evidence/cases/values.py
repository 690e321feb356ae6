"""Flags on their way: loops, containers, operators, iterators."""

from __future__ import annotations

from tests.evidence.cases.case import OFF_ON, Case, run

CASES = (
    Case(
        "an item whose presence depends on a mode",
        """
        TABLE = {"a": 1}

        def run(cfg):
            found = False
            try:
                size = TABLE[cfg.mode]
                found = True
            except KeyError:
                size = 7
            if found:
                return size, "found"
            return size, "lost"
        """,
        {"mode": "a"},
        configs=({"mode": "b"}, {"mode": None}),
    ),
    Case(
        "an item of a list that may be too short",
        """
        def run(cfg):
            found = False
            try:
                size = cfg.sizes[1]
                found = True
            except Exception:
                size = 7
            if found:
                return size, "found"
            return size, "lost"
        """,
        {"sizes": [1, 2]},
        configs=({"sizes": [1]}, {"sizes": []}, {"sizes": [3, 4]}),
    ),
    Case(
        "a flag that is augmented from data",
        """
        def run(cfg, x=0):
            flag = cfg.flag
            flag |= x > 3
            if flag:
                return "on", x
            return "off", x
        """,
        {"flag": False},
        configs=OFF_ON,
        other_calls=((run(9),),),
    ),
    Case(
        "a copy written by a helper",
        """
        from omegaconf import OmegaConf

        def run(cfg, x=1):
            mine = adapt(cfg, x)
            if mine.flag:
                return x * 2
            return x

        def adapt(cfg, x):
            fresh = OmegaConf.create(OmegaConf.to_container(cfg))
            if x > 3:
                fresh.flag = True
            return fresh
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "a flag that is None, and what is not None",
        """
        def run(cfg, x=1):
            extra = cfg.get("extra")
            layer = [x] if extra is not None else None
            if layer is None:
                return x
            if extra:
                return x * 2
            return x * 3
        """,
        {"extra": 0},
        configs=({"extra": 1}, {"extra": None}, {"extra": ...}, {"extra": [1]}, {"extra": {}}, {"extra": ""}),
    ),
    Case(
        "values of and, or and ternaries",
        """
        def run(cfg, x=1):
            size = cfg.get("size") or x
            name = cfg.flag and "on"
            wide = cfg.size if cfg.flag else cfg.get("other", x)
            return size, name, wide, (cfg.size or 0) + 1, not cfg.flag
        """,
        {"flag": False, "size": 4},
        configs=(*OFF_ON, {"size": 0}, {"size": None}, {"size": 5}, {"size": ...}, {"other": 3}, {"flag": 0}, {"flag": ""}),
        other_calls=((run(3),),),
    ),
    Case(
        "what is not a bool",
        """
        def run(cfg, x=1):
            value = cfg.flag or cfg.other
            if cfg.flag is False:
                return "false", value
            if cfg.flag == 0:
                return "zero", value
            if not cfg.flag:
                return "empty", value
            return "true", value
        """,
        {"flag": False, "other": 3},
        configs=(*OFF_ON, {"flag": 0}, {"flag": ""}, {"flag": 0.0}, {"flag": []}, {"flag": {}}),
    ),
    Case(
        "break and continue decide how often a flag is set",
        """
        def run(cfg, items=(1,)):
            wide = False
            for item in items:
                if item > 3:
                    continue
                if item > 2:
                    break
                wide = cfg.flag
            while True:
                if len(items) > 2:
                    break
                wide = True
                break
            if wide:
                return "wide"
            return "narrow"
        """,
        {"flag": False},
        calls=(run([1, 1, 1]),),
        configs=OFF_ON,
        other_calls=((run([1]),), (run([]),), (run([3, 1, 1]),)),
    ),
    Case(
        "an early return that data decides leaves a flag alone",
        """
        class Box:
            def __init__(self, x):
                self.wide = False
                if x > 3:
                    return
                self.wide = True

        def run(cfg, x=1):
            box = Box(x)
            if box.wide:
                return x * 2
            return x

        def setting(x):
            global MODE
            if x > 3:
                return
            MODE = "narrow"

        MODE = "wide"
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "match, walrus and chained comparisons",
        """
        def run(cfg, x=1):
            match cfg.mode:
                case "a":
                    flag = False
                case "b" if x > 3:
                    flag = True
                case _:
                    flag = x > 5
            if (wide := x > 7) or flag:
                return "wide", wide
            if 0 < cfg.size < 9:
                return "sized", flag
            return "plain", flag
        """,
        {"mode": "a", "size": 3},
        configs=({"mode": "b"}, {"mode": "c"}, {"size": 11}, {"size": 0}, {"size": 4}),
        other_calls=((run(4),), (run(6),), (run(8),)),
    ),
    Case(
        "mutable containers as flags",
        """
        FLAGS = {"wide": False}
        MODES = ["plain"]

        def run(cfg, x=1):
            options = {"deep": cfg.flag}
            _adapt(options, x)
            if x > 5:
                MODES.append("wide")
                FLAGS.update(wide=True)
            alias = MODES
            if x > 7:
                alias[0] = "other"
            if options["deep"]:
                x = x * 2
            if FLAGS["wide"]:
                x = x * 3
            if "wide" in MODES:
                x = x * 5
            if MODES[0] == "plain":
                return x
            return -x

        def _adapt(options, x):
            if x > 3:
                options["deep"] = True
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),), (run(6),), (run(8),)),
    ),
    Case(
        "the type of what data brings",
        """
        def run(cfg, value=1):
            if isinstance(value, str):
                return "text"
            if hasattr(value, "append"):
                return "list"
            if callable(value):
                return "function"
            if value is None:
                return "none"
            return "number"
        """,
        calls=(run(1),),
        other_calls=((run("a"),), (run([]),), (run(None),)),
    ),
    Case(
        "an iterator is walked where an empty loop was",
        """
        def run(cfg, items=(1, 2)):
            walker = iter(items)
            seen = {}
            for value in walker:
                seen[value] = True
                if cfg.flag:
                    return "early"
            return list(walker)
        """,
        {"flag": False},
        calls=(run([1, 2]),),
        configs=OFF_ON,
        other_calls=((run([3]),),),
    ),
    Case(
        "random draws and counters",
        """
        import itertools
        import random

        COUNTER = itertools.count()

        def run(cfg, x=1):
            random.seed(x)
            unused = random.random()
            number = next(COUNTER)
            chosen = random.random() < 0.9 if x == 1 else x > 3
            if chosen:
                return random.random(), "yes"
            return random.random(), "no"
        """,
        calls=(run(1),),
        other_calls=((run(2),), (run(4), run(4))),
    ),
    Case(
        "numbers and texts that equal each other",
        """
        def run(cfg, x=1):
            if cfg.size == 1:
                x = x + 1
            if cfg.size is True:
                x = x + 10
            if cfg.name == cfg.other:
                x = x + 100
            if str(cfg.size) == "1":
                x = x + 1000
            return x
        """,
        {"size": 1, "name": "a", "other": "b"},
        configs=({"size": True}, {"size": 1.0}, {"size": "1"}, {"other": "a"}, {"name": "b"}, {"size": 2}),
    ),
    Case(
        "a decision about what another decision left",
        """
        def run(cfg, x=1):
            if cfg.flag:
                layer = "on"
            else:
                layer = None
            if x > 3:
                layer = layer or "data"
            extra = layer if layer else "empty"
            if layer is None:
                return "plain", extra
            return layer, extra
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(4),),),
    ),
    Case(
        "an alias that is only ever added to",
        """
        def run(cfg, items=(1,), x=1):
            if x > 3:
                alias = items
                alias += [9]
            other = items
            other += []
            return items
        """,
        calls=(run([1]),),
        other_calls=((run([1], 4),),),
    ),
    Case(
        "an empty loop over what may be an iterator",
        """
        def run(cfg, items=(1, 2), x=1):
            walked = iter(items) if x > 3 else items
            for item in walked:
                pass
            total = 0
            for item in walked:
                total += item
            unused = list(walked)
            return total, list(walked)
        """,
        calls=(run([1, 2]),),
        other_calls=((run([1, 2], 4),),),
    ),
    Case(
        "a registry that decorators and subclasses fill",
        """
        KNOWN = {}

        def register(function):
            KNOWN[function.__name__[1:]] = function
            return function

        @register
        def _wide(x):
            return x * 2

        class Base:
            kinds = []

            def __init_subclass__(cls, **options):
                Base.kinds.append(cls.__name__)

        class Plain(Base):
            pass

        class Deep(Base):
            pass

        def run(cfg, name="plain"):
            found = KNOWN.get(name, str)(3)
            if name == "kinds":
                return Base.kinds
            if name == "classes":
                return [one.__name__ for one in Base.__subclasses__()]
            return found
        """,
        calls=(run("plain"),),
        other_calls=((run("wide"),), (run("kinds"),), (run("classes"),)),
    ),
)
