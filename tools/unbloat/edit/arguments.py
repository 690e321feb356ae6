"""Parameters and arguments that go, without leaving the punctuation of their list behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import libcst as cst

from unbloat.edit.gaps import Gap, gaps_left

_Part = TypeVar("_Part", bound=cst.CSTNode)

# Where each kind of part keeps the gap behind it if no comma follows; a `*` always has one.
_SPACES: dict[type[cst.CSTNode], str] = {
    cst.Arg: "whitespace_after_arg",
    cst.Param: "whitespace_after_param",
    cst.ParamSlash: "whitespace_after",
}


def remaining_arguments(original: cst.Call, updated: cst.Call, dropped: Collection[cst.CSTNode]) -> cst.Call:
    """The call with the arguments that stay; `updated` has the edits inside of them."""
    stays = [part not in dropped and part.value not in dropped for part in original.args]
    gap, kept = _remaining(original.whitespace_before_args, updated.args, stays)
    return updated.with_changes(args=kept, whitespace_before_args=gap)


def remaining_parameters(
    original: cst.FunctionDef, updated: cst.FunctionDef, dropped: Collection[cst.CSTNode], by_keyword: cst.Param | None = None
) -> cst.FunctionDef:
    """The function with the parameters that stay; a `*` or `/` that separates nothing any more goes, too.

    From `by_keyword` on they stand behind a `*`.
    """
    old, new = original.params, updated.params
    separates = {
        id(old.posonly_ind): not _all_go(old.posonly_params, dropped),
        id(old.star_arg): isinstance(old.star_arg, cst.Param) or not _all_go(old.kwonly_params, dropped),
    }
    parts = _row(old)
    stays = [part not in dropped and separates.get(id(part), True) for part in parts]
    gap, kept = _remaining(original.whitespace_before_params, _row(new), stays)
    rest = iter(kept)
    left = {id(part): next(rest) for part, stay in zip(parts, stays, strict=True) if stay}
    groups = ("posonly_params", "params", "kwonly_params")
    changes: dict[str, Any] = {group: [left[id(part)] for part in getattr(old, group) if id(part) in left] for group in groups}
    for single in ("posonly_ind", "star_arg", "star_kwarg"):
        if isinstance(getattr(old, single), cst.CSTNode):
            changes[single] = left.get(id(getattr(old, single)), cst.MaybeSentinel.DEFAULT)
    if by_keyword is not None:
        first = sum(part not in dropped for part in old.params[: list(old.params).index(by_keyword)])
        changes |= _behind_star(changes["params"], changes["kwonly_params"], changes.get("star_arg"), first)
    return updated.with_changes(params=new.with_changes(**changes), whitespace_before_params=gap)


def _behind_star(params: Sequence[cst.Param], kwonly: Sequence[cst.Param], star: object, first: int) -> dict[str, object]:
    """The groups with the parameters from `first` on behind a `*` of their own; a star that is there moves."""
    params = list(params)
    if isinstance(star, cst.ParamStar) and params and _comma_of(params[-1]) is not None:
        params[-1] = _with_gap(params[-1], star.comma.whitespace_after)
    if first == len(params):
        return {"params": params}
    gap = _gap_behind(params[first - 1]) if first else cst.SimpleWhitespace(" ")
    if isinstance(gap, cst.ParenthesizedWhitespace):
        # The comment behind the last part stays there; the lines above the next one go on to it.
        params[first - 1] = _with_gap(params[first - 1], gap.with_changes(empty_lines=()))
        gap = gap.with_changes(first_line=cst.TrailingWhitespace())
    new = cst.ParamStar(comma=cst.Comma(whitespace_after=gap))
    return {"params": params[:first], "star_arg": new, "kwonly_params": [*params[first:], *kwonly]}


def _all_go(parts: Sequence[cst.CSTNode], dropped: Collection[cst.CSTNode]) -> bool:
    return all(part in dropped for part in parts)


def _row(parameters: cst.Parameters) -> list[cst.CSTNode]:
    """Everything that stands between the parentheses, in order."""
    row = [
        *parameters.posonly_params,
        parameters.posonly_ind,
        *parameters.params,
        parameters.star_arg,
        *parameters.kwonly_params,
        parameters.star_kwarg,
    ]
    return [part for part in row if isinstance(part, cst.CSTNode)]


def _remaining(first: Gap, parts: Sequence[_Part], stays: Sequence[bool]) -> tuple[Gap, list[_Part]]:
    """The gap before the first part, and the parts that stay, with the gaps behind them."""
    before, *behind = gaps_left([first, *map(_gap_behind, parts)], stays)
    kept = [part for part, stay in zip(parts, stays, strict=True) if stay]
    if kept and _comma_of(parts[-1]) is None:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return before, [_with_gap(part, gap) for part, gap in zip(kept, behind, strict=True)]


def _comma_of(part: cst.CSTNode) -> cst.Comma | None:
    comma = getattr(part, "comma", None)
    return comma if isinstance(comma, cst.Comma) else None


def _gap_behind(part: cst.CSTNode) -> Gap:
    comma = _comma_of(part)
    gap: Gap = comma.whitespace_after if comma is not None else getattr(part, _SPACES[type(part)])
    return gap


def _with_gap(part: _Part, gap: Gap) -> _Part:
    comma = _comma_of(part)
    if comma is None:
        return part.with_changes(**{_SPACES[type(part)]: gap})
    return part.with_changes(comma=comma.with_changes(whitespace_after=gap))
