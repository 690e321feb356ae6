"""Lists from which parts go: what is left of the space between the parts, and of the comments in it.

A list of parts has a gap before the first, between any two, and behind the last. A gap holds the comment that follows the
part before it, and the comment lines above the part after it: each stays, or goes, with its part.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import libcst as cst

Gap: TypeAlias = cst.BaseParenthesizableWhitespace


def gaps_left(gaps: Sequence[Gap], stays: Sequence[bool]) -> list[Gap]:
    """The gaps around the parts that stay; `gaps` are those around all, one more than there are parts."""
    numbers = [number for number, stay in enumerate(stays) if stay]
    if not numbers:
        return [cst.SimpleWhitespace("")]
    first, last = numbers[0], numbers[-1]
    inner = [_between(gaps[here + 1], gaps[there]) for here, there in pairwise(numbers)]
    return [_between(gaps[0], gaps[first]), *inner, _closing(gaps[last + 1], gaps[-1])]


def _between(before: Gap, after: Gap) -> Gap:
    """What is left of two gaps when everything between them goes: the layout of the first, the comment lines of the second."""
    if before is after:
        return before
    lines = after.empty_lines if isinstance(after, cst.ParenthesizedWhitespace) else ()
    if isinstance(before, cst.ParenthesizedWhitespace):
        return before.with_changes(empty_lines=lines)
    if isinstance(after, cst.ParenthesizedWhitespace) and any(line.comment for line in lines):
        return after.with_changes(first_line=cst.TrailingWhitespace())
    return before


def _closing(behind: Gap, last: Gap) -> Gap:
    """The way from the new last part to the end: the comment of this part, the line break of the old one."""
    if behind is last:
        return last
    own_line = behind.first_line if isinstance(behind, cst.ParenthesizedWhitespace) else None
    commented = own_line is not None and own_line.comment is not None
    if isinstance(last, cst.ParenthesizedWhitespace):
        return last.with_changes(first_line=own_line if commented else cst.TrailingWhitespace())
    if commented:
        assert isinstance(behind, cst.ParenthesizedWhitespace)
        return behind.with_changes(empty_lines=(), last_line=cst.SimpleWhitespace(""))
    return last
