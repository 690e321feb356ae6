"""Where a subsystem lives in a module: statements are found by the names that they mention, never by line numbers.

A mark is a pattern, as in file names:

- `looped_*` is looked for among the names, attributes, arguments and asked-for keys of a statement;
- a pattern with a space or a dot, as `if mode == 'eval'` or `self.x = *`, is compared with the statement as text (of a
  compound statement, with its head; of a handler, with its `except`);
- `function/mark` holds in functions of that name alone;
- `!mark` takes out what it finds, with everything inside.

A marked compound statement belongs with its body, but not with its `else`. A `try`, or an unmarked compound statement,
belongs if all statements of its body do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from legacy_counts import statement_lines

Head = ast.stmt | ast.ExceptHandler
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Found:
    """What one file holds of a subsystem."""

    ranges: tuple[tuple[int, int], ...]
    statements: int

    def __str__(self) -> str:
        return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ranges)


def find(path: Path, marks: Sequence[str]) -> Found:
    """All statements of a module that the marks name."""
    module = _parsed(path)
    wanted = [mark for mark in marks if not mark.startswith("!")]
    unwanted = [mark[1:] for mark in marks if mark.startswith("!")]
    lines: set[int] = set()
    for statement in module.body:
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            _collect(statement, (), wanted, unwanted, lines)
    statements = statement_lines(path)
    return Found(_merged(lines, statements), len(lines & statements))


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _collect(node: Head, scopes: tuple[str, ...], wanted: Sequence[str], unwanted: Sequence[str], lines: set[int]) -> bool:
    """Add the lines of what belongs; say whether the whole statement does."""
    if _matches(node, scopes, unwanted) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return False  # taken out, or a docstring
    inner = (*scopes, node.name) if isinstance(node, _DEFINITIONS) else scopes
    marked = _matches(node, scopes, wanted)
    body, rest = _body(node), _rest(node)
    if marked and not body:
        lines.update(_span(node))
        return True
    if marked:
        lines.update(range(node.lineno, body[0].lineno))
        whole = True
        for part in body:
            if _taken_out(part, inner, unwanted):
                _collect(part, inner, ["*"], unwanted, lines)
                whole = False
            else:
                lines.update(_span(part))
    else:
        whole = bool(body) and not isinstance(node, _DEFINITIONS)
        for part in body:
            whole &= _collect(part, inner, wanted, unwanted, lines)
    for branch in rest:
        if whole and isinstance(node, ast.Try):
            lines.update(_span(branch))
        else:
            whole &= _collect(branch, inner, wanted, unwanted, lines)
    if whole and not isinstance(node, ast.ExceptHandler):
        lines.update(_span(node))
    return whole


def _taken_out(node: ast.AST, scopes: tuple[str, ...], unwanted: Sequence[str]) -> bool:
    return any(isinstance(inner, Head) and _matches(inner, scopes, unwanted) for inner in ast.walk(node))


def _body(node: Head) -> list[ast.stmt]:
    found: list[ast.stmt] = getattr(node, "body", [])
    return [part for part in found if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))] or found


def _rest(node: Head) -> Iterator[Head]:
    for field in ("handlers", "orelse", "finalbody"):
        yield from getattr(node, field, [])


def _matches(node: Head, scopes: tuple[str, ...], marks: Iterable[str]) -> bool:
    names: frozenset[str] | None = None
    for mark in marks:
        scope, separator, pattern = mark.partition("/")
        if not separator:
            pattern = mark
        elif scope not in scopes:
            continue
        if " " in pattern or "." in pattern:
            if fnmatchcase(_text(node), pattern):
                return True
            continue
        if names is None:
            names = _names(node)
        if pattern == "*" or any(fnmatchcase(name, pattern) for name in names):
            return True
    return False


@cache
def _text(node: Head) -> str:
    """The statement, or what stands before the colon."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return f"def {node.name}"
        case ast.ClassDef():
            return f"class {node.name}"
        case ast.ExceptHandler():
            kind = f" {ast.unparse(node.type)}" if node.type else ""
            return f"except{kind}" + (f" as {node.name}" if node.name else "")
        case ast.If() | ast.While():
            return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
        case ast.Try():
            return "try"
    return ast.unparse(node).partition("\n")[0] if getattr(node, "body", None) else ast.unparse(node)


@cache
def _names(node: Head) -> frozenset[str]:
    """Every name in the statement, without those of statements inside it."""
    if isinstance(node, _DEFINITIONS):
        return frozenset({node.name})
    return frozenset(_expression_names(node))


def _expression_names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name():
            yield node.id
        case ast.Attribute():
            yield node.attr
        case ast.alias():
            yield node.asname or node.name
        case ast.keyword() if node.arg:
            yield node.arg
        case ast.Call():
            yield from (part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str))
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _expression_names(child)


def _span(node: Head) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _merged(lines: set[int], statements: frozenset[int]) -> tuple[tuple[int, int], ...]:
    """Ranges; lines between two of them that hold no other statement do not part them."""
    ranges: list[tuple[int, int]] = []
    for line in sorted(lines):
        if ranges and not any(between in statements for between in range(ranges[-1][1] + 1, line)):
            ranges[-1] = (ranges[-1][0], line)
        else:
            ranges.append((line, line))
    return tuple(ranges)
