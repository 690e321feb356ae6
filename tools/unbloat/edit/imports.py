"""Imported names that go, without leaving the punctuation of a parenthesised list behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import libcst as cst


def remaining(names: Sequence[cst.ImportAlias], dropped: Collection[cst.CSTNode]) -> list[cst.ImportAlias]:
    """The names that stay, the last of them without a comma unless it was the last before."""
    kept = [name for name in names if name not in dropped]
    if kept and kept[-1] is not names[-1]:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return kept


def remaining_in_parentheses(
    names: Sequence[cst.ImportAlias], parenthesis: cst.RightParen, dropped: Collection[cst.CSTNode]
) -> tuple[list[cst.ImportAlias], cst.RightParen]:
    """The names that stay and what closes them: comments go with their names, the last line break stays."""
    kept = [name for name in names if name not in dropped]
    if not kept or kept[-1] is names[-1]:
        return kept, parenthesis
    comma, former = kept[-1].comma, names[-1].comma
    assert isinstance(comma, cst.Comma)
    if isinstance(former, cst.Comma):
        space = _closing(comma.whitespace_after, former.whitespace_after)
        kept[-1] = kept[-1].with_changes(comma=comma.with_changes(whitespace_after=space))
        return kept, parenthesis
    space = _closing(comma.whitespace_after, parenthesis.whitespace_before)
    return remaining(names, dropped), parenthesis.with_changes(whitespace_before=space)


def _closing(
    behind_name: cst.BaseParenthesizableWhitespace, before_parenthesis: cst.BaseParenthesizableWhitespace
) -> cst.BaseParenthesizableWhitespace:
    """The way from the new last name to the parenthesis: the comment of this name, the line break of the old one."""
    own_line = behind_name.first_line if isinstance(behind_name, cst.ParenthesizedWhitespace) else None
    commented = own_line is not None and own_line.comment is not None
    if isinstance(before_parenthesis, cst.ParenthesizedWhitespace):
        return before_parenthesis.with_changes(first_line=own_line if commented else cst.TrailingWhitespace())
    if commented:
        assert isinstance(behind_name, cst.ParenthesizedWhitespace)
        return behind_name.with_changes(empty_lines=(), last_line=cst.SimpleWhitespace(""))
    return before_parenthesis
