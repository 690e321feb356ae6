"""The source files behind a module of this tool: what it is made of decides what it makes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import unbloat

_ROOT = Path(unbloat.__file__).parents[1]


@cache
def behind(*modules: str) -> frozenset[Path]:
    """The files of these modules and of all that they import of this tool, directly or not.

    A package counts where names are imported from it, not where one of its modules is: it only hands on what they define.
    """
    found: set[Path] = set()
    pending = list(modules)
    while pending:
        file = _file(pending.pop())
        if file is not None and file not in found:
            found.add(file)
            pending += _imported(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(found)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _file(module: str) -> Path | None:
    """None for what is no module of this tool."""
    if module.partition(".")[0] != "unbloat":
        return None
    path = _ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
