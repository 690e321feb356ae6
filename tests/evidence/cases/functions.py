"""Functions: options, callers, callbacks, generators."""

from __future__ import annotations

from tests.evidence.cases.case import OFF_ON, Case, call, read, run

CASES = (
    Case(
        "an unseen function that begins with `pass`, and hands an option on",
        """
        __all__ = ["forwarded"] + ["run"]

        def scaled(x, wide=False):
            if wide:
                x = x + 10
            return x * 2

        def forwarded(x, wide=False):
            pass
            return scaled(x, wide=wide)

        def run(cfg, x=1):
            return scaled(x)
        """,
        uses=((call("forwarded", 3),), (call("forwarded", 3, True),)),
    ),
    Case(
        "an unseen function that stays because an error in it could be swallowed, and hands an option on",
        """
        def scaled(x, wide=False):
            if wide:
                x = x + 10
            return x * 2

        def forwarded(x, wide=False):
            y = scaled(x, wide=wide)
            return y

        def run(cfg, x=1):
            try:
                if x > 3:
                    return forwarded(x)
                raise ValueError(x)
            except Exception:
                return scaled(x)
        """,
        uses=((call("forwarded", 3),), (call("forwarded", 3, True),)),
    ),
    Case(
        "an option of a public function that only the subject calls",
        """
        def run(cfg, x=1):
            return helper(x, False)

        def helper(x, wide=False):
            if wide:
                return x * 2
            return x
        """,
        other_calls=((call("helper", 3, True),), (call("helper", 3, wide=True),), (call("helper", 3),)),
    ),
    Case(
        "a generator's guard waits for the first value",
        """
        def run(cfg, x=1):
            def values(cfg):
                if cfg.flag:
                    yield x * 2
                yield x

            made = values(cfg)
            return list(made) if x > 0 else "unused"

        def walk(cfg, x=1):
            if cfg.flag:
                yield x * 2
            yield x

        def count(cfg, x=1):
            made = walk(cfg, x)
            if x > 5:
                cfg.flag = True
            return list(made)
        """,
        {"flag": False},
        calls=(run(1), read("count", 1)),
        configs=OFF_ON,
        other_calls=((run(0),), (read("count", 9),)),
    ),
    Case(
        "recursion changes a flag",
        """
        def run(cfg, x=1):
            return _walk(x, cfg.flag)

        def _walk(x, wide):
            if wide:
                return x * 2
            if x > 3:
                return _walk(x - 3, not wide)
            return x
        """,
        {"flag": False},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(5),),),
    ),
    Case(
        "partial, lru_cache and other decorators",
        """
        import functools

        def _size(x, wide=False):
            if wide:
                return x * 2
            return x

        @functools.lru_cache(None)
        def _cached(x, wide=False):
            if wide:
                return x * 2
            return x

        def widened(function):
            def inner(x, wide=False):
                return function(x, x > 3)
            return inner

        @widened
        def _wrapped(x, wide=False):
            if wide:
                return x * 2
            return x

        def run(cfg, x=1):
            chosen = functools.partial(_size, wide=x > 3)
            return chosen(x), _size(x), _cached(x, x > 3), _wrapped(x), [one(x, x > 3) for one in (_size,)]
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "star arguments",
        """
        def _size(x, wide=False, deep=False):
            if wide:
                return x * 2
            if deep:
                return x * 3
            return x

        def run(cfg, x=1, *rest, **options):
            return _size(x, *rest, **options)
        """,
        calls=(run(1),),
        other_calls=((run(4, True),), (run(4, deep=True),)),
    ),
    Case(
        "log calls with arguments that do something",
        """
        import logging

        logger = logging.getLogger(__name__)

        def run(cfg, items=(1, 2)):
            walker = iter(items)
            logger.info("%s", next(walker))
            logger.info("%s", [value for value in walker if value > 5])
            left = list(items)
            logger.warning("%s", left.pop())
            return list(walker), left
        """,
        calls=(run([1, 2, 3]),),
        other_calls=((run([9, 8, 7]),),),
    ),
    Case(
        "functions as values",
        """
        def run(cfg, x=1):
            chosen = {"plain": _plain, "wide": _wide}[cfg.mode]
            return chosen(x, x > 3), apply(_plain, x)

        def apply(function, x):
            return function(x, x > 5)

        def _plain(x, flag=False):
            if flag:
                return x * 2
            return x

        def _wide(x, flag=False):
            if flag:
                return x * 4
            return x * 3
        """,
        {"mode": "plain"},
        calls=(run(1),),
        configs=({"mode": "wide"}, {"mode": "other"}),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "two calls on one line",
        """
        def run(cfg, x=1):
            return _size(x, True) if x > 3 else _size(x, False)

        def _size(x, wide):
            if wide:
                return x * 2
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "an option was seen both ways, but not where it decides",
        """
        def run(cfg, x=1):
            return _size(x, True) if x == 1 else _size(x, False) if x == 2 else size(x, x > 3)

        def _size(x, wide):
            if x == 1:
                return 0
            if wide:
                return x * 2
            return x

        def size(x, wide=False):
            if x == 1:
                return 0
            if wide:
                return x * 2
            return x
        """,
        calls=(run(1), run(2), call("size", 1, True), call("size", 2, False)),
        other_calls=((run(4),), (call("size", 2, True),), (call("size", 4, True),)),
    ),
    Case(
        "a constant that a nested function binds when data says so",
        """
        def run(cfg, x=1):
            deep = False

            def change():
                nonlocal deep
                deep = True

            if x > 3:
                change()
            if deep:
                return x * 2
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "functions that a builtin calls",
        """
        SEEN = []

        def run(cfg, items=(1, 2), x=1):
            if x > 3:
                unused = list(map(SEEN.append, items))
                other = sorted(items, key=SEEN.append)
                third = max(items, key=lambda item: SEEN.append(item) or item)
            return len(SEEN)
        """,
        calls=(run([1, 2]),),
        other_calls=((run([1, 2], 4),),),
    ),
    Case(
        "two functions that call each other, only one of which keeps book",
        """
        BOOK = {"sum": 0}

        def visit(node):
            BOOK["sum"] = BOOK["sum"] + node + 1
            if node:
                descend(node)

        def descend(node):
            return visit(node - 1)

        def run(cfg, x=2):
            BOOK["sum"] = 0
            done = visit(0)
            found = descend(x)
            return [BOOK["sum"]] if x > 5 else 0
        """,
        other_calls=((run(7),),),
    ),
)
