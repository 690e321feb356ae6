"""What was written has to be readable before anything can be said about it."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

from unbloat.errors import SubjectError
from unbloat.subject.model import Subject


def check_sources(subject: Subject) -> None:
    """Read every module of the legacy package.

    Raises:
        SubjectError: a module is not UTF-8, or not Python.
    """
    for file in subject.sources():
        parse_file(subject.legacy / file)


def parse_file(path: Path) -> ast.Module:
    """The tree of a file that edits can be applied to.

    Raises:
        SubjectError: it is not UTF-8, or not Python.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SubjectError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Old escapes, say, are the subject's business.
            return ast.parse(text)
    except (SyntaxError, ValueError) as error:  # The latter for null bytes, in some versions of Python.
        line = error.lineno if isinstance(error, SyntaxError) else None
        place = f"{path}:{line}" if line else str(path)
        raise SubjectError(f"{place}: not valid Python: {error.msg if isinstance(error, SyntaxError) else error}") from None


def workload_names(tree: ast.Module) -> list[str]:
    """The functions of a file that are workloads: their only parameter is `golden`."""
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and [argument.arg for argument in node.args.args] == ["golden"]
    ]
