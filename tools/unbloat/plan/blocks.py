"""Statement blocks of a tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def blocks_of(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The statement lists that a node holds directly."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def is_docstring(node: ast.AST, statement: ast.stmt) -> bool:
    """Whether a statement is the docstring of the definition or module that holds it."""
    return (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body[0] is statement
        and isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
