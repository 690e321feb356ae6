"""What edits do to the text, held against what they mean."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from itertools import zip_longest

import libcst as cst

from unbloat.edit.changes import parse, place_of, resolve
from unbloat.edit.edits import Edit, Span
from unbloat.edit.legacy_text import BYTE_ORDER_MARK, read_legacy
from unbloat.edit.specialise import apply_changes
from unbloat.edit.transform import Applier
from unbloat.errors import EditError


def render(source: str, edits: Iterable[Edit]) -> str:
    """`source` with the edits applied and everything else verbatim.

    The result is parsed again: raises `EditError` unless it is the tree that `specialise` makes of the same edits.
    """
    edits = tuple(edits)
    if not edits:
        return source
    legacy = read_legacy(source)
    changes = resolve(legacy.index, edits)
    try:
        module = legacy.module.visit(Applier(legacy, changes.rekeyed(legacy.counterpart)))
    except (cst.CSTValidationError, cst.ParserSyntaxError) as error:
        raise EditError(f"these edits leave what LibCST cannot write: {error}") from error
    rendered = module.code
    _check(rendered, apply_changes(legacy.index.tree, changes))
    return BYTE_ORDER_MARK + rendered if source.startswith(BYTE_ORDER_MARK) else rendered


def _check(rendered: str, meant: ast.Module) -> None:
    try:
        written = parse(rendered)
    except SyntaxError as error:
        raise EditError(f"line {error.lineno} of the rendered source: {error.msg}: {error.text!r}") from error
    difference = _first_difference(meant, written, "line 1, column 0")
    if difference is not None:
        raise EditError(difference)


def _first_difference(meant: object, written: object, place: str) -> str | None:
    """Where the trees part, by the legacy position; positions themselves are not compared."""
    if isinstance(meant, ast.AST) and type(meant) is type(written):
        if isinstance(meant, ast.stmt | ast.expr | ast.excepthandler | ast.alias):
            place = place_of(Span.of(meant))
        for name in meant._fields:
            difference = _first_difference(getattr(meant, name, None), getattr(written, name, None), place)
            if difference is not None:
                return difference
        return None
    if isinstance(meant, list) and isinstance(written, list):
        for left, right in zip_longest(meant, written):
            difference = _first_difference(left, right, place)
            if difference is not None:
                return difference
        return None
    if type(meant) is type(written) and repr(meant) == repr(written):
        return None
    return f"{place}: the edits mean {_shown(meant)}, rendered is {_shown(written)}"


def _shown(value: object) -> str:
    return ast.unparse(value) if isinstance(value, ast.AST) else repr(value)
