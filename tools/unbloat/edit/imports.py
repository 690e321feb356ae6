"""Imported names that go, without leaving the punctuation of a parenthesised list behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import libcst as cst

from unbloat.edit.gaps import gaps_left


def remaining(names: Sequence[cst.ImportAlias], dropped: Collection[cst.CSTNode]) -> list[cst.ImportAlias]:
    """The names that stay, the last of them without a comma unless it was the last before."""
    kept = [name for name in names if name not in dropped]
    if kept and kept[-1] is not names[-1]:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return kept


def remaining_in_parentheses(statement: cst.ImportFrom, dropped: Collection[cst.CSTNode]) -> cst.ImportFrom:
    """The statement with the names that stay, closed as it was: comments go with their names."""
    names, opening, closing = statement.names, statement.lpar, statement.rpar
    assert not isinstance(names, cst.ImportStar) and opening is not None and closing is not None
    commas = [name.comma for name in names]
    last = commas[-1]
    gaps = [comma.whitespace_after for comma in commas if isinstance(comma, cst.Comma)]
    if not isinstance(last, cst.Comma):
        gaps.append(closing.whitespace_before)
    stays = [name not in dropped for name in names]
    first, *behind = gaps_left([opening.whitespace_after, *gaps], stays)
    staying = [name for name, stay in zip(names, stays, strict=True) if stay]
    kept = [
        name.with_deep_changes(name.comma, whitespace_after=gap) if isinstance(name.comma, cst.Comma) else name
        for name, gap in zip(staying, behind, strict=True)
    ]
    if kept and not isinstance(last, cst.Comma):
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        closing = closing.with_changes(whitespace_before=behind[-1])
    return statement.with_changes(names=kept, lpar=opening.with_changes(whitespace_after=first), rpar=closing)
