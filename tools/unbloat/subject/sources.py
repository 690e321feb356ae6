"""The legacy has to be readable before anything can be said about it."""

from __future__ import annotations

import ast
import warnings

from unbloat.errors import SubjectError
from unbloat.subject.model import Subject


def check_sources(subject: Subject) -> None:
    """Read every module of the legacy package.

    Raises:
        SubjectError: a module is not UTF-8, or not Python.
    """
    for file in subject.sources():
        path = subject.legacy / file
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise SubjectError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); edits need UTF-8") from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Old escapes, say, are the subject's business.
                ast.parse(text)
        except SyntaxError as error:
            raise SubjectError(f"{path}:{error.lineno}: not valid Python: {error.msg}") from None
        except ValueError as error:
            raise SubjectError(f"{path}: not valid Python: {error}") from None
