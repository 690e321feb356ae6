"""Containers that look empty, errors that are swallowed each time, and functions that return several things."""

from __future__ import annotations

from tests.evidence.cases.case import OFF_ON, Case, call, run

CASES = (
    Case(
        "containers that somebody else fills",
        """
        def fill(box, x):
            if x > 2:
                box.append(x)
            return box

        def run(cfg, x=1):
            one, two, three, four, five = [], [], [], [], set()
            fill(one, x)
            alias = two
            if x > 2:
                alias.append(x)

            def inner():
                three.append(x)

            if x > 3:
                inner()
            for n in range(x - 4):
                four.append(n)
            five |= {x} if x > 5 else set()
            out = []
            for name, box in (("one", one), ("two", two), ("three", three), ("four", four), ("five", five)):
                for value in box:
                    out.append((name, value))
            for value in one:
                out.append(value)
            for value in two:
                out.append(value)
            for value in three:
                out.append(value)
            for value in four:
                out.append(value)
            for value in five:
                out.append(value)
            if x in one or x in two or x in three or x in five or 0 in four:
                out.append("found")
            return out
        """,
        calls=(run(1),),
        other_calls=((run(3),), (run(4),), (run(5),), (run(6),), (run(7),)),
    ),
    Case(
        "a container of the module, of a default, and of an object",
        """
        SEEN = []

        class Box:
            held = []

            def __init__(self):
                self.own = []

        def keep(x, known=[]):
            found = [value for value in known]
            for value in known:
                found.append("again")
            if x > 2:
                known.append(x)
            return found

        def run(cfg, x=1):
            out, box = [], Box()
            for value in SEEN:
                out.append(("seen", value))
            for value in box.held:
                out.append(("held", value))
            if x > 2:
                SEEN.append(x)
                Box.held.append(x)
                box.own.append(x)
            for value in box.own:
                out.append(("own", value))
            return out, keep(x), x in SEEN, x in box.own
        """,
        calls=(run(1), run(2)),
        other_calls=((run(3), run(4)), (run(1), run(5), run(1))),
    ),
    Case(
        "one of several things that a function returns",
        """
        def parts(x, extra=None):
            rest = []
            if x > 2:
                return x, "big", rest
            if x < 0:
                extra = "below"
            return x, extra, rest

        def swapped(x):
            a, b = (1, None) if x < 3 else (None, 1)
            return a, b

        def run(cfg, x=1):
            a, b, c = parts(x)
            d, e, f = parts(1, cfg.get("flag"))
            g, h = swapped(x)
            g, h = h, g
            out = [a]
            if b is not None:
                out.append(b)
            if e is not None:
                out.append(e)
            if g is not None:
                out.append("g")
            if h is None:
                out.append("h")
            c.append(x)
            for value in c:
                out.append(value)
            for value in f:
                out.append(value)
            return out
        """,
        {"flag": None},
        calls=(run(1),),
        configs=OFF_ON,
        other_calls=((run(2),), (run(3),), (run(-1),)),
    ),
    Case(
        "a function that returns other things after it was replaced, or from a subclass",
        """
        class Base:
            def pair(self, x):
                return x, None

        class Other(Base):
            def pair(self, x):
                return x, "other"

        def pair(x):
            return x, None

        def replaced(x):
            return x, "replaced"

        def use(owner, x):
            first, second = owner.pair(x)
            return first if second is None else second

        def run(cfg, x=1):
            global pair
            if x > 2:
                pair = replaced
            first, second = pair(x)
            out = [first]
            if second is not None:
                out.append(second)
            out.append(use(Other() if x > 1 else Base(), x))
            return out
        """,
        calls=(run(1),),
        other_calls=((run(2),), (run(3),), (run(3), run(1))),
    ),
    Case(
        "an error that is swallowed each time, until it is not",
        """
        class Holder:
            pass

        def run(cfg, x=1, holder=None):
            holder = Holder() if holder is None else holder
            if x > 3:
                holder.cache = {}
            out, size = [], 0
            try:
                size = x + 1
                if x in holder.cache:
                    size = 10
                else:
                    size = 20
                out.append(size)
            except AttributeError:
                out.append("no cache")
            try:
                out.append(int("x" * min(x, 2)))
                out.append("never")
            except ValueError:
                out.append("no number")
            finally:
                out.append("done")
            for n in (1, 2):
                try:
                    if x > 2:
                        continue
                    out.append([][x])
                    out.append("also never")
                except IndexError:
                    pass
                else:
                    out.append("else")
            return out, size
        """,
        calls=(run(1), run(2)),
        other_calls=((run(0),), (run(3),), (run(4),), (run(-1),)),
    ),
    Case(
        "a handler that fires each time and hands the error on, inside one that swallows it",
        """
        def inner(x):
            try:
                x = x / (x - x)
                x = x + 1
            except ZeroDivisionError:
                raise ValueError(x)
            return x

        def other(x):
            try:
                try:
                    x = x / 0 if x < 3 else x / 1
                    x = x * 100
                except ZeroDivisionError:
                    x = -1
                return x
            except Exception:
                return "swallowed"

        def run(cfg, x=1):
            try:
                found = inner(x)
                found = found * 2
            except ValueError as error:
                found = str(error)
            return found, other(x)
        """,
        calls=(run(1),),
        other_calls=((run(2),), (run(3),), (call("other", 3),)),
    ),
)
