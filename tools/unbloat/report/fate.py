"""What is left of one legacy line: read off the trees before and after, which share their positions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from unbloat.edit import Span

_Positioned = ast.stmt | ast.expr | ast.excepthandler | ast.alias | ast.arg | ast.keyword
_Key = tuple[type[ast.AST], Span]
_CLAUSE = re.compile(r"\s*(else|finally)\s*:")


class Fate(StrEnum):
    KEPT = "kept"
    CHANGED = "changed"
    REMOVED = "removed"


def fate_of(lines: list[str], before: ast.Module, after: ast.Module, line: int) -> tuple[Fate, int]:
    """The fate of a line, and the line that decided it: a comment goes with the code that it stands above."""
    left = {_key(node): node for node in _nodes(after) if not getattr(node, "inserted", False)}
    if _is_code(lines[line - 1]) or _is_inside(before, line):
        return _fate_of_code(lines, before, left, line)
    neighbour = _neighbour(lines, line)
    if neighbour is None:
        return Fate.KEPT, line
    fate, decisive = _fate_of_code(lines, before, left, neighbour)
    # Where only a header goes, such as `try:`, its comment moves to the first statement that stays.
    begun = [node for node in _nodes(before) if isinstance(node, ast.stmt) and node.lineno == neighbour and neighbour > line]
    outlived = any(_key(inner) in left for node in begun for inner in ast.walk(node) if isinstance(inner, ast.stmt))
    return (Fate.KEPT if outlived or fate is not Fate.REMOVED else Fate.REMOVED), decisive


def _fate_of_code(lines: list[str], before: ast.Module, left: Mapping[_Key, ast.AST], line: int) -> tuple[Fate, int]:
    own = [node for node in _nodes(before) if _stands_on(node, line)]
    if own:
        kept = [node for node in own if _key(node) in left]
        return (Fate.KEPT if len(kept) == len(own) else Fate.CHANGED if kept else Fate.REMOVED), line
    around = sorted((node for node in _statements(before) if _covers(node, line)), key=lambda node: node.lineno)
    if found := _CLAUSE.match(lines[line - 1]):
        block = "orelse" if found.group(1) == "else" else "finalbody"
        owner = [node for node in around if getattr(node, block, None)][-1]
        return (Fate.KEPT if getattr(left.get(_key(owner)), block, None) else Fate.REMOVED), owner.lineno
    innermost = around[-1]  # its long string or bracket
    return (Fate.KEPT if _key(innermost) in left else Fate.REMOVED), innermost.lineno


def _is_inside(tree: ast.Module, line: int) -> bool:
    """Whether a line lies within a statement that is not a block: in a long string, say."""
    return any(_covers(node, line) and not _is_compound(node) for node in _statements(tree))


def _neighbour(lines: list[str], line: int) -> int | None:
    """The code that a blank or comment line belongs to: what follows, unless the comment is indented more deeply."""
    following = next((number for number in range(line + 1, len(lines) + 1) if _is_code(lines[number - 1])), None)
    comment = lines[line - 1]
    if following is not None and (not comment.strip() or _indent(comment) <= _indent(lines[following - 1])):
        return following
    return next((number for number in range(line - 1, 0, -1) if _is_code(lines[number - 1])), None)


def _is_code(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _nodes(tree: ast.Module) -> Iterator[_Positioned]:
    for node in ast.walk(tree):
        if isinstance(node, _Positioned):
            yield node


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def _key(node: _Positioned) -> _Key:
    return type(node), Span(node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


def _stands_on(node: _Positioned, line: int) -> bool:
    """Whether a node begins on a line, or ends there without being a block of other statements."""
    return node.lineno == line or (node.end_lineno == line and not _is_compound(node))


def _is_compound(node: _Positioned) -> bool:
    return isinstance(getattr(node, "body", None), list)


def _covers(node: _Positioned, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)
