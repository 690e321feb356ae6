"""A probed copy asks for the same truths in the same order as the original, and comes to the same values."""

from __future__ import annotations

import ast
import itertools
from typing import Any

import pytest
from unbloat.evidence.config_reads import ConfigReads
from unbloat.evidence.instrument import PROBE, instrument
from unbloat.evidence.observer import Probe
from unbloat.evidence.places import Places


class Truth:
    """Something whose truth is not free, as that of a tensor, which is an operation on the tape."""

    def __init__(self, name: str, value: bool, asked: list[str]) -> None:
        self.name, self.value, self.asked = name, value, asked

    def __bool__(self) -> bool:
        self.asked.append(self.name)
        return self.value


PROGRAMS = (
    "r = a and b",
    "r = a or b",
    "r = a and b and c",
    "r = a or b or c",
    "r = not (a and b), a and (b or c)",
    "r = [a and b, (lambda: b or c)()]",
    "r = 1 if a and b else 2",
    "r = 1 if (a or not b) and c else 2",
    "if a and b or c: r = 1\nelse: r = 2",
    "if (a and b) if c else (b or a): r = 1\nelse: r = 2",
    "r = [x for x in (a, b, c) if x and a]",
    "r = 0\nwhile r < 2 and (a or b): r += 1",
    "r = 0\ntry:\n    assert a and b\n    r = 1\nexcept AssertionError: pass",
    "class Box:\n    r = a and b\nr = Box.r",
)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("values", list(itertools.product((False, True), repeat=3)))
def test_truths_are_asked_for_once(program: str, values: tuple[bool, ...]) -> None:
    assert _run(program, values, probed=True) == _run(program, values, probed=False)


def _run(program: str, values: tuple[bool, ...], *, probed: bool) -> tuple[str, list[str]]:
    asked: list[str] = []
    names: dict[str, Any] = {name: Truth(name, value, asked) for name, value in zip("abc", values, strict=True)}
    tree = ast.parse(program)
    if probed:
        tree, sites = instrument(tree)
        places = Places("")
        names[PROBE] = Probe("module.py", sites, "", places, ConfigReads("", places), frozenset())
    exec(compile(tree, "module.py", "exec"), names)
    return _shown(names["r"]), asked


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return value.name if isinstance(value, Truth) else repr(value)
