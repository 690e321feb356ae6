"""Imported names that go, without leaving the punctuation of a parenthesised list behind."""

from __future__ import annotations

from collections.abc import Collection

import libcst as cst


def without_names(
    original: cst.Import | cst.ImportFrom, updated: cst.Import | cst.ImportFrom, dropped: Collection[cst.CSTNode]
) -> cst.Import | cst.ImportFrom:
    if isinstance(original.names, cst.ImportStar):
        return updated
    names = [name for name in original.names if name not in dropped]
    if len(names) == len(original.names) or not names:
        return updated
    last, former_last = names[-1], original.names[-1]
    if last is former_last:
        return updated.with_changes(names=names)
    if isinstance(updated, cst.Import) or updated.rpar is None:
        return updated.with_changes(names=[*names[:-1], last.with_changes(comma=cst.MaybeSentinel.DEFAULT)])
    assert isinstance(last.comma, cst.Comma)
    if isinstance(former_last.comma, cst.Comma):
        space = _closing(last.comma.whitespace_after, former_last.comma.whitespace_after)
        last = last.with_changes(comma=last.comma.with_changes(whitespace_after=space))
        return updated.with_changes(names=[*names[:-1], last])
    space = _closing(last.comma.whitespace_after, updated.rpar.whitespace_before)
    last = last.with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return updated.with_changes(names=[*names[:-1], last], rpar=updated.rpar.with_changes(whitespace_before=space))


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
