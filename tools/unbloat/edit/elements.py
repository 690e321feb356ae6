"""Elements of a list display that go, without leaving their punctuation behind."""

from __future__ import annotations

from collections.abc import Collection

import libcst as cst

from unbloat.edit.gaps import Gap, gaps_left


def remaining_elements(old: cst.List, new: cst.List, dropped: Collection[cst.CSTNode]) -> cst.List:
    """The list with the elements that stay, closed as it was; `new` has the edits inside of them."""
    stays = [part.value not in dropped for part in old.elements]
    commas = [part.comma for part in old.elements[:-1]]
    between = [comma.whitespace_after for comma in commas if isinstance(comma, cst.Comma)]
    gaps = gaps_left([old.lbracket.whitespace_after, *between, old.rbracket.whitespace_before], stays)
    kept = [part for part, stay in zip(new.elements, stays, strict=True) if stay]
    # LibCST keeps what follows the last element with the bracket, even behind a comma.
    ends = [_with_gap(part, gap) for part, gap in zip(kept, gaps[1:-1], strict=False)] + [old.elements[-1].comma]
    return new.with_changes(
        elements=[part.with_changes(comma=comma) for part, comma in zip(kept, ends, strict=bool(kept))],
        lbracket=new.lbracket.with_changes(whitespace_after=gaps[0]),
        rbracket=new.rbracket.with_changes(whitespace_before=gaps[-1]),
    )


def _with_gap(part: cst.BaseElement, gap: Gap) -> cst.Comma:
    assert isinstance(part.comma, cst.Comma)
    return part.comma.with_changes(whitespace_after=gap)
