"""What of a line is a keyword, a string and so on, in the units of a browser."""

from __future__ import annotations

import pytest
from unbloat.html.highlight import runs

KEYWORD, STRING, COMMENT, NUMBER, NAME, BUILTIN = range(6)

CASES = {
    "nothing": ("x = y\n", [[], []]),
    "keyword and number": ("if x: 1\n", [[0, 2, KEYWORD, 6, 1, NUMBER], []]),
    "definition": ("def f(): pass\n", [[0, 3, KEYWORD, 4, 1, NAME, 9, 4, KEYWORD], []]),
    "string over lines": ('"""a\n\n  b"""', [[0, 4, STRING], [], [0, 6, STRING]]),
    "comment": ("x # y\n", [[2, 3, COMMENT], []]),
    "builtin": ("len(x)\n", [[0, 3, BUILTIN], []]),
    "two units for one letter": ("'😀' # y", [[0, 4, STRING, 5, 3, COMMENT]]),
}


@pytest.mark.parametrize("case", CASES)
def test_runs(case: str) -> None:
    text, expected = CASES[case]
    assert runs(text) == expected
