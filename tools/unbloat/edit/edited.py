"""A package under changing sets of edits: what was worked out for a file is kept until its edits change again."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from unbloat.edit.changes import LegacyIndex, resolve
from unbloat.edit.edits import DropModule, Edit
from unbloat.edit.render import render
from unbloat.edit.specialise import apply_changes
from unbloat.errors import EditError

Value = TypeVar("Value")

# The state that was accepted, with and without the checks in it, and two more for a search that goes back and forth.
_STATES = 4


class Edited:
    """The trees and texts of a package with edits applied; a file that an edit drops is in neither."""

    def __init__(self, trees: Mapping[str, ast.Module], sources: Mapping[str, str]) -> None:
        self._legacy = trees
        self._sources = sources
        self._indices: dict[str, LegacyIndex] = {}
        self._trees: _Recent[ast.Module] = _Recent(self._specialised)
        self._texts: _Recent[str] = _Recent(lambda file, edits: render(self._sources[file], edits))

    def trees(self, edits: Mapping[str, Sequence[Edit]]) -> dict[str, ast.Module]:
        """All files that stay; those without edits are the legacy's own."""
        return {
            file: self._trees.get(file, edits[file]) if edits.get(file) else tree
            for file, tree in self._legacy.items()
            if DropModule() not in edits.get(file, ())
        }

    def texts(self, edits: Mapping[str, Sequence[Edit]]) -> dict[str, str]:
        """The files with edits that stay."""
        return {file: self._texts.get(file, found) for file, found in edits.items() if found and DropModule() not in found}

    def _specialised(self, file: str, edits: Sequence[Edit]) -> ast.Module:
        tree = self._legacy[file]
        index = self._indices.get(file) or self._indices.setdefault(file, LegacyIndex(tree))
        return apply_changes(tree, resolve(index, edits))


class _Recent(Generic[Value]):
    """The last few answers for each file."""

    def __init__(self, make: Callable[[str, Sequence[Edit]], Value]) -> None:
        self._make = make
        self._known: dict[str, dict[frozenset[Edit], Value]] = {}

    def _made(self, file: str, edits: Sequence[Edit]) -> Value:
        try:
            return self._make(file, edits)
        except EditError as error:
            raise EditError(f"{file}: {error}") from error

    def get(self, file: str, edits: Sequence[Edit]) -> Value:
        known = self._known.setdefault(file, {})
        key = frozenset(edits)
        known[key] = known.pop(key) if key in known else self._made(file, edits)
        if len(known) > _STATES:
            del known[next(iter(known))]
        return known[key]
