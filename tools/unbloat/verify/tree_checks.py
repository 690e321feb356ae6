"""What can be said of a tree on disk without running it."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from unbloat.edit.changes import parse
from unbloat.errors import SubjectError
from unbloat.subject import Subject
from unbloat.verify.checks import faults
from unbloat.verify.trees import read_tree


def assert_holds_package(subject: Subject, tree: Path) -> None:
    """Before anything is recorded or run.

    Raises:
        SubjectError: the tree does not hold the package.
    """
    if not (tree / subject.package / "__init__.py").is_file():
        raise SubjectError(f"{tree}: holds no package {subject.package!r}; strip first, or name another --tree")


class TreeChecks:
    """The legacy, parsed once, for any number of trees, or states of one."""

    def __init__(self, subject: Subject) -> None:
        self._package = subject.package
        self._sources = {file: (subject.legacy / file).read_bytes() for file in subject.sources()}
        self._legacy = {file: parse(content.decode("utf-8")) for file, content in self._sources.items()}

    def faults(self, tree: Path) -> list[str]:
        """Modules that do not compile or read names that nobody defines; one line for each."""
        files: dict[str, str] = {}
        parsed: dict[str, ast.Module] = {}
        for name, content in read_tree(tree / self._package).items():
            if name.endswith(".py"):
                file = f"{self._package}/{name}"
                try:
                    files[file] = content.decode()
                    parsed[file] = _parsed(file, files[file])
                except SyntaxError as error:
                    return [f"{file}: does not compile: {error.msg} (line {error.lineno})"]
                except ValueError as error:
                    return [f"{file}: does not compile: {error}"]
        changed = {file: text for file, text in files.items() if text.encode() != self._sources.get(file)}
        # Scopes are matched by legacy positions, which a tree read from disk does not have: names and imports remain.
        return [fault for fault in faults(self._legacy, parsed, changed) if "undefined name" in fault or "imports" in fault]


@lru_cache(maxsize=1024)
def _parsed(file: str, text: str) -> ast.Module:
    """Of the same text always the same tree: what is found out about a tree is kept as long as the tree is."""
    return parse(text)
