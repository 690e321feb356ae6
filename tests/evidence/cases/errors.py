"""Errors that somebody catches: what is loud must be heard."""

from __future__ import annotations

from tests.evidence.cases.case import OFF_ON, Case, call, read, run

CASES = (
    Case(
        "a store that nobody reads, whose value fails in every run",
        """
        def run(cfg, x=0):
            out, found = [], None
            try:
                size = cfg["missing"]["size"]
                if x > 2:
                    out.append("big")
            except Exception:
                found = "failed"
            return out
        """,
        {"flag": False},
        calls=(run(1),),
        other_calls=((run(9),),),
    ),
    Case(
        "a tripwire inside a handler that fires",
        """
        def run(cfg, x=0):
            try:
                if x == 0:
                    raise ValueError(x)
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            except Exception:
                return -1
        """,
        calls=(run(0), run(1)),
        other_calls=((run(9),),),
    ),
    Case(
        "a tripwire in a function that is called inside a handler that fires",
        """
        def run(cfg, x=0):
            try:
                return inner(x)
            except Exception:
                return -1

        def inner(x):
            if x == 0:
                raise ValueError(x)
            if x > 3:
                x = x * 2
                x = x + 1
            return x
        """,
        calls=(run(0), run(1)),
        other_calls=((run(9),),),
    ),
    Case(
        "a handler that never fired inside one that did",
        """
        def run(cfg, text="3"):
            try:
                if text == "":
                    raise KeyError(text)
                try:
                    return int(text)
                except ValueError:
                    return 10
            except Exception:
                return -1
        """,
        calls=(run(""), run("1")),
        other_calls=((run("x"),),),
    ),
    Case(
        "a handler that never fired in a function that is called inside one that did",
        """
        from contextlib import suppress

        def run(cfg, text="3"):
            found = None
            with suppress(Exception):
                found = number(text)
            return found

        def number(text):
            try:
                return int(text)
            except ValueError:
                return 10
        """,
        calls=(run("1"),),
        other_calls=((run("x"),),),
    ),
    Case(
        "a guard inside a handler that fires",
        """
        def run(wanted, x=0):
            try:
                if x == 0:
                    raise ValueError(x)
                return inner(wanted, x)
            except Exception:
                return -1

        def inner(cfg, x):
            if cfg.flag:
                x = x * 2
            return x
        """,
        {"flag": False},
        calls=(run(0), run(1)),
        configs=OFF_ON,
    ),
    Case(
        "a local that an early return or an exception leaves unset",
        """
        def run(cfg, items=(1,)):
            flag = True
            try:
                first = items[0]
                flag = False
            finally:
                done = [flag]
            if done[0]:
                return "early"
            return "late", first
        """,
        calls=(run([1]),),
        other_calls=((run([]),),),
    ),
    Case(
        "exceptions that a finally swallows",
        """
        def run(cfg, x=1):
            for _ in range(1):
                try:
                    if x > 3:
                        x = x * 2
                        x = x + 1
                    continue
                finally:
                    break
            return x

        def other(x=1):
            try:
                try:
                    x = 10 // x
                except ZeroDivisionError:
                    x = 5
            finally:
                return x
        """,
        calls=(run(1), call("other", 1)),
        other_calls=((run(4),), (call("other", 0),)),
    ),
    Case(
        "a context manager that swallows",
        """
        class Calm:
            def __enter__(self):
                return self

            def __exit__(self, kind, error, where):
                return True

        def run(cfg, x=1):
            with Calm():
                if x > 3:
                    x = x * 2
                    x = x + 1
                try:
                    x = 10 // x
                except ZeroDivisionError:
                    x = 77
            return x
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(0),)),
    ),
    Case(
        "a dead store whose value a class computes",
        """
        SEEN = []

        class Box:
            def __init__(self):
                SEEN.append("made")

            @property
            def size(self):
                SEEN.append("size")
                return 1

            def __len__(self):
                SEEN.append("len")
                return 1

            def __iter__(self):
                SEEN.append("iter")
                return iter([1])

            def __getitem__(self, key):
                SEEN.append("item")
                return 1

            def __add__(self, other):
                SEEN.append("add")
                return 1

            def __str__(self):
                SEEN.append("str")
                return "box"

        def run(cfg, x=1):
            box = Box()
            if x > 3:
                unused = box.size
                other = len(box)
                third = box[0]
                fourth = box + 1
                fifth = str(box)
                sixth = f"{box}"
                seventh, *rest = box
            if x > 0:
                unused = box.size
                other = len(box)
                third = box[0]
                fourth = box + 1
                fifth = str(box)
                sixth = f"{box}"
            return SEEN
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "a dead store whose error a handler that stays catches",
        """
        def run(cfg, x=1, items=(1,)):
            try:
                if x == 0:
                    raise ValueError(x)
                unused = items[2]
                x = x + 1
            except Exception:
                x = -1
            return x
        """,
        calls=(run(0), run(1, [1, 2, 3])),
        other_calls=((run(1, []),),),
    ),
    Case(
        "a dead store whose error a handler that goes would have caught",
        """
        def run(cfg, x=1):
            flag = False
            try:
                flag = 10 // (x - 3)
                x = x + 1
            except Exception:
                flag = True
            return x
        """,
        calls=(run(1),),
        other_calls=((run(3),),),
    ),
    Case(
        "a dead read of the config whose error a handler that goes would have caught",
        """
        def run(cfg, x=1):
            flag = False
            try:
                flag = cfg["sub"]["use"]
                x = x + 1
            except Exception:
                flag = True
            return x
        """,
        {"sub": {"use": 3}},
        configs=({"sub": {}}, {"sub": {"use": 4}}, {"sub": None}, {"sub": ...}),
    ),
    Case(
        "a handler for an error that a sibling behind it would take",
        """
        def run(cfg, text="1"):
            try:
                if text == "":
                    raise RuntimeError(text)
                return {"1": 1}[text]
            except KeyError:
                return "unknown"
            except Exception:
                return "broken"
        """,
        calls=(run(""), run("1")),
        other_calls=((run("2"),),),
    ),
    Case(
        "a generator that fails inside somebody else's try",
        """
        def _numbers(texts):
            for text in texts:
                try:
                    yield int(text)
                except ValueError:
                    yield 0

        def run(cfg, texts=("1",)):
            found = []
            numbers = _numbers(texts)
            try:
                for number in numbers:
                    found.append(10 // number)
            except Exception:
                found.append("stop")
            return found
        """,
        calls=(run(["1", "0", "1"]),),
        other_calls=((run(["1", "x", "1"]),),),
    ),
    Case(
        "a callback that fails inside somebody else's try",
        """
        class Runner:
            def __init__(self, hook):
                self.hook = hook

            def go(self, x):
                try:
                    if x == 0:
                        raise ValueError(x)
                    return self.hook(x)
                except Exception:
                    return -1

        def _work(x):
            if x > 3:
                x = x * 2
                x = x + 1
            return x

        def run(cfg, x=1):
            return Runner(_work).go(x)
        """,
        calls=(run(0), run(1)),
        other_calls=((run(9),),),
    ),
    Case(
        "an error that an import swallows",
        """
        try:
            from pkg import state
        except Exception:
            state = None

        def run(cfg, x=1):
            return x if state is None else state.SIZE
        """,
        modules={
            "state": """
            import os

            if os.environ.get("PKG_DEEP"):
                SIZE = 7
                NAME = "deep"
            else:
                SIZE = 3
            try:
                NUMBER = int(os.environ.get("PKG_NUMBER", "1"))
            except ValueError:
                NUMBER = 0
            """
        },
        uses=(
            (("config", {}), ("env", "PKG_DEEP", "1"), run()),
            (("config", {}), ("env", "PKG_NUMBER", "x"), run()),
        ),
    ),
    Case(
        "a thread that fails alone",
        """
        import threading

        threading.excepthook = lambda arguments: None
        FOUND = []

        def _work(x):
            if x > 3:
                x = x * 2
                x = x + 1
            try:
                FOUND.append(10 // x)
            except ZeroDivisionError:
                FOUND.append(0)

        def run(cfg, x=1):
            worker = threading.Thread(target=_work, args=(x,))
            worker.start()
            worker.join()
            return FOUND
        """,
        calls=(run(1),),
        other_calls=((run(4),), (run(0),)),
    ),
    Case(
        "an option that is checked where an error is caught further out",
        """
        def run(cfg, x=1):
            out = []
            try:
                out.append(scaled(x, mode=cfg.get("mode")))
                out.append(10 // (x - 1))
            except Exception:
                out.append("caught")
            return out

        def scaled(x, **options):
            return _scaled(x, **options)

        def _scaled(x, mode=None):
            if mode == "second":
                return x * 20
            return x
        """,
        config={"mode": "first"},
        configs=({"mode": "second"}, {"mode": ...}, {"mode": 1}),
    ),
    Case(
        "a method of another class, where an error is suppressed",
        """
        from contextlib import suppress

        class Plain:
            def size(self, x):
                return x

        class Wide(Plain):
            def size(self, x):
                return x * 10

        def run(cfg, x=1):
            out = []
            with suppress(Exception):
                thing = (Wide if x > 3 else Plain)()
                out.append(thing.size(x))
                out.append(cfg.missing.deep)
            return out
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "an operator of another class, where an error is suppressed",
        """
        from contextlib import suppress

        class Plain:
            def __init__(self, x):
                self.x = x

            def __add__(self, other):
                return self.x + other

        class Wide(Plain):
            def __add__(self, other):
                return self.x * 10 + other

        def run(cfg, x=1):
            out = []
            thing = Wide(x) if x > 3 else Plain(x)
            with suppress(Exception):
                out.append(thing + 1)
                out.append(cfg.missing.deep)
            return out
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "an object that is called where no run got, and an error is caught",
        """
        import os

        DEEP = os.environ.get("PKG_DEEP") == "1"

        class Layer:
            def __call__(self, x):
                return x * 10

        def run(cfg, x=1):
            out = []
            try:
                if DEEP:
                    layer = Layer()
                    out.append(layer(x))
                out.append(10 // (x - 1))
            except Exception:
                out.append("caught")
            return out
        """,
        uses=((("config", {}), ("env", "PKG_DEEP", "1"), run()),),
    ),
    Case(
        "a module that only a module imports whose absence is caught",
        """
        import os

        DEEP = os.environ.get("PKG_DEEP") == "1"

        def run(cfg, x=1):
            out = []
            try:
                if DEEP:
                    from pkg.wide import widest
                    out.append(widest(x))
                out.append(10 // (x - 1))
            except Exception:
                out.append("caught")
            return out
        """,
        modules={
            "wide": """
            from pkg.wider import WIDER

            def widest(x):
                return x + WIDER
            """,
            "wider": "WIDER = 5000\n",
        },
        uses=((("config", {}), ("env", "PKG_DEEP", "1"), run()),),
    ),
    Case(
        "a module that is imported in a function whose errors are suppressed further out",
        """
        import os
        from contextlib import suppress

        DEEP = os.environ.get("PKG_DEEP") == "1"

        def _more(x):
            if DEEP:
                from pkg.wide import widest
                x = widest(x)
            return x

        def run(cfg, x=1):
            out = []
            with suppress(Exception):
                out.append(_more(x))
                out.append(cfg.missing.deep)
            return out
        """,
        modules={"wide": "def widest(x):\n    return x + 5000"},
        uses=((("config", {}), ("env", "PKG_DEEP", "1"), run()),),
    ),
    Case(
        "a constructor that a data class calls where no run got, and an error is caught",
        """
        from dataclasses import dataclass

        @dataclass
        class Settings:
            size: int = 2

            def __post_init__(self):
                self.size = self.size * 2

        class Wide(Settings):
            pass

        def run(cfg, x=1):
            out = []
            try:
                if x > 3:
                    out.append(Wide(x).size)
                out.append(10 // (x - 1))
            except Exception:
                out.append("caught")
            return out
        """,
        calls=(run(1), run(2)),
        other_calls=((run(4),),),
    ),
    Case(
        "a lambda that only unseen code beneath a handler calls",
        """
        reader = lambda cfg, name: getattr(cfg, name, 1)

        def run(cfg, x=1):
            out = []
            try:
                if x > 3:
                    out.append(reader(cfg, "size"))
                out.append([][1])
            except Exception:
                out.append("caught")
            return out
        """,
        calls=(run(1),),
        other_calls=((run(4),),),
    ),
    Case(
        "a test whose type settles it, and which raises for another config where that is caught",
        """
        TABLE = {"first": 1}

        def run(cfg, x=1):
            out = []
            try:
                if isinstance(TABLE.get(cfg.mode) == 1, (list, tuple)):
                    out.append("never")
                out.append(x)
                int("x")
            except Exception:
                out.append("caught")
            return out
        """,
        {"mode": "first"},
        configs=({"mode": {}}, {"mode": "second"}),
        kind="arguments",
    ),
    Case(
        "an operand whose type settles it, and which raises for another config where that is caught",
        """
        TABLE = {"first": 1}

        def run(cfg, x=1):
            out = []
            try:
                if isinstance(TABLE.get(cfg.mode) == 1, (list, tuple)) or x > 5:
                    out.append("never")
                out.append(x)
                int("x")
            except Exception:
                out.append("caught")
            return out
        """,
        {"mode": "first"},
        configs=({"mode": {}}, {"mode": "second"}),
        kind="arguments",
    ),
    Case(
        "code that no run reached chooses by the parameters of a function, and its error would be caught",
        """
        import inspect

        def run(cfg, x=1):
            try:
                found = cfg["missing"]["use"]
            except (AttributeError, KeyError, TypeError):
                found = 0
            except Exception:
                known = inspect.signature(scaled).parameters
                found = scaled(x, **{key: value for key, value in {"wide": True}.items() if key in known})
            return found, scaled(x)

        def scaled(x, wide=False):
            if wide:
                x = x + 10
            return x * 2
        """,
        {"mode": "first"},
        configs=({"missing": [3]},),
    ),
    Case(
        "a function handed to `map`, which had nothing to call it for",
        """
        from contextlib import suppress

        def scaled(x, wide=False):
            if wide:
                x = x + 10
            return x * 2

        def run(cfg, items=()):
            out = []
            with suppress(Exception):
                out.append(list(map(scaled, items)))
            out.append(len(items))
            return out
        """,
        other_calls=((run((1, 2)),),),
    ),
    Case(
        "a method handed over beneath a handler that fired, under another name",
        """
        from pkg.other import each as every

        class Scale:
            def __init__(self, by):
                self.by = by

            def of(self, x):
                y = x * self.by
                return y

        def run(cfg, items=()):
            out = []
            try:
                out.append(every(Scale(2).of, items))
                int("x")
            except:
                out.append("caught")
            return out
        """,
        modules={
            "other": """
            def each(function, items):
                return [function(item) for item in items]
            """
        },
        other_calls=((run((1, 2)),),),
    ),
    Case(
        "what no data reached, where every exception is suppressed, or some",
        """
        from contextlib import suppress

        def run(cfg, x=1):
            out = []
            with suppress(Exception):
                if x > 3:
                    out.append(x * 2)
                out.append(int("x"))
            with suppress(ValueError, KeyError):
                if x > 5:
                    out.append(x * 3)
                out.append(int("x"))
            with suppress(BaseException):
                if x > 7:
                    out.append(x * 4)
                out.append(int("x"))
            return out
        """,
        other_calls=((run(4),), (run(6),), (run(8),)),
    ),
    Case(
        "what no data reached, beneath handlers of all sorts that fired",
        """
        class Own(Exception):
            pass

        def tried(x, fail):
            out = []
            try:
                if x > 3:
                    out.append(x * 2)
                fail()
            except (ValueError, Own):
                out.append("value")
            except Exception as error:
                out.append(str(error))
            return out

        def fails():
            raise KeyError("key")

        def owns():
            raise Own("own")

        def quits():
            raise SystemExit("quit")

        def run(cfg, x=1):
            out = [tried(x, fails), tried(x, owns)]
            try:
                out.append([x] if x < 5 else sorted([x, 1]))
                quits()
            except SystemExit:
                out.append("end")
            return out
        """,
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "what no data reached, beneath handlers of the package's own classes",
        """
        import pkg.module

        class Plain(ValueError):
            pass

        class Left(LookupError):
            pass

        class Unwritten(NotImplementedError):
            pass

        class Mixed(Left, RuntimeError):
            pass

        class Moved(ValueError):
            pass

        def plain(x):
            try:
                if x == 0:
                    raise Plain(x)
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            except Plain:
                return -1

        def unwritten(x):
            try:
                if x == 0:
                    raise Unwritten(x)
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            except Unwritten:
                return -2

        def mixed(x):
            try:
                if x == 0:
                    raise Left(x)
                if x > 3:
                    x = x * 2
                    raise Mixed(x)
                return x
            except Left:
                return -3

        def moved(x):
            try:
                if x == 0:
                    raise pkg.module.Moved(x)
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            except Moved:
                return -4

        def nested(x):
            try:
                try:
                    if x == 0:
                        raise Left(x)
                    if x > 3:
                        raise Mixed(x)
                    return x
                except RuntimeError:
                    return -5
            except Left:
                return -6

        def run(cfg, x=1):
            pkg.module.Moved = Exception
            return [one(x) for one in (plain, unwritten, mixed, moved, nested)]
        """,
        calls=(run(0), run(1)),
        other_calls=((run(4),), (run(6),)),
    ),
    Case(
        "what no data reached, beneath stacks that others enter",
        """
        import contextlib
        from contextlib import ExitStack

        class Swallow:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                return error[0] is not None

        class Heard(Swallow):
            def __exit__(self, *error):
                return False

        def plain(x):
            with ExitStack() as stack:
                stack.enter_context(contextlib.nullcontext())
                stack.callback(print, end="")
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x

        def heard(x):
            with contextlib.ExitStack() as stack:
                stack.enter_context(Heard())
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x

        def swallows(x):
            with ExitStack() as stack:
                stack.enter_context(Swallow())
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            return -1

        def chosen(x):
            with ExitStack() as stack:
                if x > 4:
                    stack.enter_context(Swallow())
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            return -2

        def handed(x, manager=Heard):
            with ExitStack() as stack:
                stack.enter_context(manager())
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            return -3

        def pushed(x):
            with ExitStack() as stack:
                stack.push(lambda *error: x == 5)
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            return -4

        def lent(x):
            with ExitStack() as stack:
                lend(stack, x)
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            return -5

        def lend(stack, x):
            if x > 5:
                stack.enter_context(Swallow())

        def named(x):
            with ExitStack() as stack:
                stack.enter_context(contextlib.suppress(KeyError if x < 5 else Exception))
                if x > 3:
                    x = x * 2
                    x = x + 1
                return x
            return -6

        KINDS = dict(plain=plain, heard=heard, swallows=swallows, chosen=chosen, pushed=pushed, lent=lent, named=named)

        def run(cfg, kind="plain", x=1):
            return KINDS[kind](x)

        def handing(cfg, x=1, wide=False):
            return handed(x, Swallow if wide else Heard)
        """,
        calls=(
            *(run(kind, 1) for kind in ("plain", "heard", "swallows", "chosen", "pushed", "lent", "named")),
            read("handing", 1),
        ),
        other_calls=(
            *(
                (run(kind, x),)
                for kind in ("plain", "heard", "swallows", "chosen", "pushed", "lent", "named")
                for x in (4, 5, 6)
            ),
            *((read("handing", x, wide),) for x in (1, 4) for wide in (False, True)),
        ),
    ),
    Case(
        "a class handed to `map`, which had nothing to make an object of",
        """
        class Scale:
            def __init__(self, by):
                self.by = by * 2

        def run(cfg, items=()):
            out = []
            try:
                out.append([one.by for one in map(Scale, items)])
                out.append(isinstance(items, Scale))
                int("x")
            except:
                out.append("caught")
            return out
        """,
        other_calls=((run((1, 2)),),),
    ),
)
