"""A subject without a config: what the user's code passes to the package, and what it leaves at its default, are the pins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unbloat.subject import Subject

SAME_ERROR = "identical: both raise the same error"

LEGACY = """
def _grouped(prefix, options):
    return {name.removeprefix(prefix): value for name, value in options.items() if name.startswith(prefix)}


class Feed:
    def __init__(self, mult=4, glu=False):
        self.factor = mult * (2 if glu else 1)


class Net:
    def __init__(self, width, depth=2, mode="plain", layers=None, **options):
        self.total = width * depth + Feed(**_grouped("ff_", options)).factor
        if mode == "wide":
            self.total += 1000
        if layers:
            self.total += layers.size

    @classmethod
    def small(cls, factor=1):
        return cls(factor)


def scaled(net, *, by=2.0, twice=False):
    return net.total * by * (2 if twice else 1)


def _private(x):
    return x
"""
STRIPPED = """
class Feed:
    def __init__(self, mult=4):
        self.factor = mult


class Net:
    def __init__(self, width, depth=2, *, ff_mult=4, ff_glu=False):
        self.total = width * depth + Feed(ff_mult).factor

    @classmethod
    def small(cls, factor=1):
        return cls(factor)


def scaled(net, *, by=2.0):
    return net.total * by


def _private(x):
    return x
"""
WORKLOAD = """
    import helper


    def workload(golden):
        from pkg import module

        net = helper.net(module)
        golden.record("scaled", [module.scaled(one, by=0.5) for one in (net, module.Net.small())])
        golden.record("private", module._private(1))
"""
HELPER = """
def net(module):
    return module.Net(6, 3, ff_mult=2)
"""


def test_arguments(without_config: Callable[[str, str], Subject], challenged: Callable[..., Any]) -> None:
    subject = without_config(LEGACY, WORKLOAD)
    (subject.root / "helper.py").write_text(HELPER)
    told = challenged(subject, {"module": STRIPPED})
    assert told.outcomes() == {
        "pkg.module.Net(width): 6 -> 3": "identical",
        "pkg.module.Net(depth): 3 -> 4": "identical",
        "pkg.module.Net(mode): 'plain' -> 'wide'": "loud",
        "pkg.module.Net(layers): None -> 1": "both refuse",
        "pkg.module.Net(ff_mult): 2 -> 3": "identical",
        "pkg.module.Net(ff_depth): <absent> -> 3": SAME_ERROR,
        "pkg.module.Net(ff_glu): <absent> -> True": "silent",
        "pkg.module.Net(ff_layers): <absent> -> 1": SAME_ERROR,
        "pkg.module.Net(ff_mode): <absent> -> 'wide'": SAME_ERROR,
        # The legacy takes any other keyword and forgets it; that the stripped one refuses is an improvement, but loud.
        "pkg.module.Net(by): <absent> -> 1.0": "loud",
        "pkg.module.Net(factor): <absent> -> 0": "loud",
        "pkg.module.Net(glu): <absent> -> True": "loud",
        "pkg.module.Net(mult): <absent> -> 2": "loud",
        "pkg.module.Net(twice): <absent> -> True": "loud",
        "pkg.module.Net.small(factor): 1 -> 0": "identical",
        "pkg.module.scaled(by): 0.5 -> 1.0": "identical",
        "pkg.module.scaled(twice): False -> True": "loud",
    }
    assert told.silent() == [
        "keyword pkg.module.Net(ff_glu): <absent> -> True in workload 'workload': differs at `scaled[0]`: 11.0 != 10.0"
    ]
    assert "loud by TypeError (7)" in told.out
    assert "left alone, since they hold objects: pkg.module.scaled(net)" in told.out
    assert told.code == 1


def test_a_callee_that_moved(without_config: Callable[[str, str], Subject], challenged: Callable[..., Any]) -> None:
    """The change comes in where the user calls, so it does not matter where the stripped tree defines the callee."""
    workload = "def workload(golden):\n    from pkg.module import double\n\n    golden.record('x', double(2, True))\n"
    subject = without_config("def double(x, really):\n    return x * 2 if really else x\n", workload)
    told = challenged(
        subject, {"module": "from pkg.other import double\n", "other": "def double(x, really):\n    return x * 2\n"}
    )
    assert told.outcomes() == {
        "pkg.module.double(x): 2 -> 3": "identical",
        "pkg.module.double(really): True -> False": "silent",
    }


def test_keywords_for_a_base(without_config: Callable[[str, str], Subject], challenged: Callable[..., Any]) -> None:
    legacy = """
        class Base:
            def __init__(self, width, causal=False, norm="layer", scale=1.0):
                self.kind = f"{width} {causal} {norm} {scale}"


        class Decoder(Base):
            def __init__(self, **options):
                super().__init__(causal=True, **options)
        """
    stripped = """
        class Decoder:
            def __init__(self, *, width, scale=1.0):
                self.kind = f"{width} True layer 1.0"
        """
    workload = """
        def workload(golden):
            from pkg.module import Decoder

            golden.record("kind", Decoder(width=4).kind)
        """
    told = challenged(without_config(legacy, workload), {"module": stripped})
    assert told.outcomes() == {
        "pkg.module.Decoder(width): 4 -> 2": "identical",
        "pkg.module.Decoder(causal): False -> True": SAME_ERROR,
        "pkg.module.Decoder(norm): 'layer' -> 'other'": "loud",
        "pkg.module.Decoder(scale): 1.0 -> 0.0": "silent",
    }
