"""How large a tree is, in units that formatting cannot change."""

from __future__ import annotations

import ast
from dataclasses import asdict, dataclass
from pathlib import Path

from unbloat.errors import SubjectError
from unbloat.verify.checks import undefined_names

_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Measure:
    """Counts of one or more files.

    A statement is any `ast.stmt` but docstrings and `pass`. A decision is an `if`, `while`, ternary, `and`/`or` operand
    beyond the first, comprehension filter, `except` handler or `match` case. `normal` is the length of `ast.unparse`
    without docstrings, in bytes. Imports are imported names.
    """

    files: int = 0
    bytes: int = 0
    lines: int = 0
    statements: int = 0
    decisions: int = 0
    functions: int = 0
    normal: int = 0
    imports: int = 0
    undefined: int = 0

    def __add__(self, other: Measure) -> Measure:
        mine, theirs = asdict(self), asdict(other)
        return Measure(**{name: mine[name] + theirs[name] for name in mine})


def measure_source(source: str, name: str = "<source>") -> Measure:
    """Measure the text of one module.

    Raises:
        SubjectError: the text is not Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise SubjectError(f"{name}: cannot be measured: {error}") from None
    undefined = len(undefined_names(tree))
    statements = len(counted_statements(tree))
    _drop_docstrings(tree)
    nodes = list(ast.walk(tree))
    return Measure(
        files=1,
        bytes=len(source.encode()),
        lines=source.count("\n"),
        statements=statements,
        decisions=sum(map(_decisions, nodes)),
        functions=sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        normal=len(ast.unparse(tree).encode()),
        imports=sum(isinstance(node, ast.alias) for node in nodes),
        undefined=undefined,
    )


def counted_statements(tree: ast.Module) -> list[ast.stmt]:
    """The statements of a module that count as such: all but docstrings and `pass`."""
    nodes = list(ast.walk(tree))
    docstrings = {node.body[0] for node in nodes if isinstance(node, _DEFINITIONS) and _has_docstring(node)}
    return [node for node in nodes if isinstance(node, ast.stmt) and not isinstance(node, ast.Pass) and node not in docstrings]


def measure_path(path: Path) -> dict[str, Measure]:
    """Measure a file, or every module under a folder, by path relative to it.

    Raises:
        SubjectError: there is no such path, or it holds no Python.
    """
    if path.is_file():
        return {path.name: measure_source(_read(path), str(path))}
    if not path.is_dir():
        raise SubjectError(f"{path}: no such file or folder")
    files = [file for file in sorted(path.rglob("*.py")) if "__pycache__" not in file.parts]
    if not files:
        raise SubjectError(f"{path}: holds no Python files")
    return {file.relative_to(path).as_posix(): measure_source(_read(file), str(file)) for file in files}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SubjectError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.While() | ast.IfExp() | ast.ExceptHandler() | ast.match_case():
            return 1
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return len(node.ifs)
    return 0


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS) and _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
