"""Names that code holds as text. No refactoring follows these, so what is named so must keep its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping


def lines_of(text: str) -> list[str]:
    """The lines with their ends, as positions in a tree count them: a form feed ends none."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def named_modules(files: Mapping[str, str], module: str) -> Iterator[str]:
    """`FILE:LINE` of every string that is a module's name, or that of something in it; documentation is none."""
    return _strings(files, re.compile(rf"{re.escape(module)}([.:][\w.]+)?"))


def named(files: Mapping[str, str], name: str) -> Iterator[str]:
    """`FILE:LINE` of every string that is a name, alone or after that of its module; documentation and `__all__` are none."""
    return _strings(files, re.compile(rf"([\w.]+[.:])?{re.escape(name)}"))


def _strings(files: Mapping[str, str], wanted: re.Pattern[str]) -> Iterator[str]:
    for file, text in sorted(files.items()):
        tree = ast.parse(text)
        skipped = {id(node) for owner in ast.walk(tree) for node in _no_lookup(owner)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                if wanted.fullmatch(node.value):
                    yield f"{file}:{node.lineno}"


def exported(tree: ast.Module) -> Iterator[ast.Constant]:
    """The strings of `__all__`."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.Constant))


def _no_lookup(node: ast.AST) -> Iterator[ast.Constant]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    elif isinstance(node, ast.Module):
        yield from exported(node)
