"""Tables name the node of an edit by the text that it starts with."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from unbloat.edit import (
    Check,
    CutTry,
    DropAlias,
    DropArgument,
    DropElement,
    DropFilter,
    DropHandler,
    DropParameter,
    DropStatement,
    Edit,
    FlattenTry,
    InsertImport,
    InsertInFunction,
    KeepArm,
    KeepBranch,
    KeepOperands,
    KeepValue,
    ReplaceExpression,
    Span,
    Tripwire,
)

NODES: dict[type[Any], type[ast.AST] | tuple[type[ast.AST], ...]] = {
    DropStatement: ast.stmt,
    KeepBranch: (ast.If, ast.While),
    KeepArm: ast.IfExp,
    Check: ast.If,
    KeepOperands: ast.BoolOp,
    ReplaceExpression: ast.expr,
    FlattenTry: (ast.Try, ast.TryStar),
    DropHandler: ast.excepthandler,
    DropFilter: ast.expr,
    DropAlias: ast.alias,
    KeepValue: (ast.Assign, ast.AnnAssign, ast.AugAssign),
    DropParameter: ast.arg,
    DropArgument: (ast.expr, ast.keyword),
    DropElement: ast.Constant,
    Tripwire: (ast.If, ast.For, ast.AsyncFor, ast.While, ast.FunctionDef, ast.AsyncFunctionDef),
    CutTry: ast.Try,
    InsertInFunction: (ast.FunctionDef, ast.AsyncFunctionDef),
}


def _named(source: str, kind: type[Any], text: str, *arguments: Any) -> Edit:
    if kind is InsertImport:
        return InsertImport(text)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, NODES[kind]):
            found = ast.get_source_segment(source, node) or ""
            if found == text or (not isinstance(node, ast.expr) and found.startswith(text)):
                if kind is CutTry:
                    last, *others = arguments
                    body = node.body if isinstance(node, ast.Try) else []
                    inner = next(part for part in body if (ast.get_source_segment(source, part) or "").startswith(last))
                    return CutTry(Span.of(node), Span.of(inner), *others)
                edit: Edit = kind(Span.of(node), *arguments)
                return edit
    raise AssertionError(f"no {kind.__name__} can name {text!r}")


@pytest.fixture
def edits_of() -> Callable[[str, Sequence[tuple[Any, ...]]], list[Edit]]:
    """Edits of a source, each given as its kind, the text of its node and its other fields."""

    def edits(source: str, named: Sequence[tuple[Any, ...]]) -> list[Edit]:
        return [_named(source, *description) for description in named]

    return edits


@pytest.fixture
def block() -> Callable[[str], str]:
    """A source without the indentation and the first line break that it has in a table."""
    return lambda text: textwrap.dedent(text).removeprefix("\n")
