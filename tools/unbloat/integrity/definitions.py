"""Definitions of the legacy beside the same ones in the stripped tree, found by their names, not by what a plan says."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.ClassDef | Function
Key = tuple[str, str]
"""A legacy file, and the qualified name of a definition in it; the second of one name has `#2` at its end."""


@dataclass(frozen=True)
class Pair:
    """A scope that survives. `name` is empty for a module."""

    file: str
    now: str
    name: str
    legacy: Scope
    stripped: Scope

    @property
    def shown(self) -> str:
        return self.name or "(module)"


class Definitions:
    """Modules, classes and functions of both trees; `now` leads from a legacy file to where it is, `names` to its new names."""

    def __init__(
        self,
        legacy: Mapping[str, ast.Module],
        stripped: Mapping[str, ast.Module],
        now: Mapping[str, str],
        names: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.legacy = legacy
        self.stripped = stripped
        self._scopes = {file: dict(_scopes(tree)) for file, tree in stripped.items()}
        self._now = now
        self._names = names

    def pairs(self) -> Iterator[Pair]:
        """What both trees have, in the order of the legacy."""
        for file, tree in self.legacy.items():
            there = self._scopes.get(self._now.get(file, ""), {})
            for name, scope in _scopes(tree):
                outer, dot, inner = name.partition(".")
                found = there.get(f"{self._names.get(file, {}).get(outer, outer)}{dot}{inner}")
                if found is not None and type(found) is type(scope):
                    yield Pair(file, self._now[file], name, scope, found)

    def count(self) -> int:
        """How many functions and classes the legacy has."""
        return sum(1 for tree in self.legacy.values() for name, _ in _scopes(tree) if name)


def own_nodes(scope: Scope) -> Iterator[ast.AST]:
    """The nodes of a scope in the order of the source, without those of definitions inside."""
    pending: list[ast.AST] = list(reversed(list(ast.iter_child_nodes(scope))))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


def _scopes(tree: ast.Module) -> Iterator[tuple[str, Scope]]:
    yield "", tree
    names: Counter[str] = Counter()
    pending: list[tuple[str, Scope]] = [("", tree)]
    while pending:
        prefix, outer = pending.pop(0)
        for node in own_nodes(outer):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}{node.name}"
                names[name] += 1
                shown = f"{name}#{names[name]}" if names[name] > 1 else name
                yield shown, node
                pending.append((f"{shown}.", node))
