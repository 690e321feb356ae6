"""Random edits of a source whose every word tells its line: each line that is left has come from where its words say."""

from __future__ import annotations

import ast
import io
import keyword
import random
import re
import tokenize

import pytest
from unbloat.edit import render, specialise
from unbloat.report.lexed import Lexed
from unbloat.report.origin import origins

from tests.edit.test_properties import drawn

SHAPES = """
import a, b  # alike
from c import (
    d,

    e,  # e
)

# about f
@g
@h(1)
def f(x, y=1, *, z: int = 2):
    # first

    if x and y:  # head
        y = z
    elif z:
        # then
        x.y = 1; y = 2
        z += 1
    else:
        # otherwise
        return [
            x,
            1,
            2,
        ]
        # behind
    for x in y:
        z(x, y=1)
    else:
        # not found
        y = 3

    # about try
    try:
        x = y if z else x
    except x as y:
        # caught
        z = 1
    except y:
        z = 2
    else:
        z = 3
    finally:
        # at last
        z = 4
    while x:
        y = (
            x
            or
            y
        )
    with x as y, z:

        y = {x: y for x in y if z if x}
    # end


class A(b):
    i: int = 3
    # nested

    async def j(self):
        if self.k: return self.l
        def m(): return 1

        return m(self.n,
                 # why
                 2, o=self.p)


def q(r):
    match r:
        # cases
        case 1: return s
        case [t, *_]:
            # more
            return t
    return "u"
"""


def marked(text: str) -> str:
    """Every name and comment with the number of its line."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_name = (
            token.type == tokenize.NAME and not keyword.iskeyword(token.string) and token.string not in ("match", "case", "_")
        )
        if is_name or token.type == tokenize.COMMENT:
            found.append(token)
    lines = text.split("\n")
    for token in reversed(found):
        line, end = token.end
        lines[line - 1] = f"{lines[line - 1][:end]}_{line}_{lines[line - 1][end:]}"
    return "\n".join(lines)


SOURCE = marked(SHAPES.lstrip("\n"))


def marks(line: str) -> set[int]:
    return {int(number) for number in re.findall(r"_(\d+)_", line)}


@pytest.mark.parametrize("seed", range(80))
def test_a_line_has_come_from_where_its_words_say(seed: int) -> None:
    choices = random.Random(seed)
    edits = drawn(ast.parse(SOURCE), choices, choices.choice([0.02, 0.08, 0.3]))
    after, text = specialise(ast.parse(SOURCE), edits), render(SOURCE, edits)
    legacy, written = Lexed(SOURCE), Lexed(text)
    found = origins(legacy, after, written)
    assert len(found.lines) == len(written.lines) and len(found.left) == len(legacy.lines)
    seen: dict[int, set[int]] = {}
    for number, (line, origin) in enumerate(zip(written.lines, found.lines, strict=True), 1):
        told = f"{number}: {line!r} {origin}\n{text}"
        assert marks(line) <= set(origin.legacy), told
        if origin.is_verbatim:
            words = "".join("".join(legacy.lines[place - 1].split()) for place in origin.legacy)
            assert "".join(line.split()) in words, told
        for place in marks(line):
            seen.setdefault(place, set()).add(number)
    for place, share in enumerate(found.left, 1):
        if marks(legacy.lines[place - 1]):
            assert share > 0 if place in seen else share < 1, (place, legacy.lines[place - 1], text)
