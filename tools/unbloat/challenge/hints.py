"""What the legacy's source says about values that a name may have: compared with what, used as what, by default what."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from unbloat.challenge.perturb import others

_SEQUENCES = frozenset({"len", "list", "set", "tuple", "sorted"})
_NUMBERS = frozenset({"int", "float", "range"})


class Hints:
    """Looked up by the last part of a config key, or by the name of a parameter.

    They only make it likelier that the legacy runs with a value: a wrong one costs a less telling change.
    """

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self._texts: dict[str, set[str]] = {}
        self._defaults: dict[str, list[Any]] = {}
        self._numbers: set[str] = set()
        self._sequences: set[str] = set()
        for tree in trees:
            aliases = _aliases(tree)
            for node in ast.walk(tree):
                match node:
                    case ast.Compare():
                        self._note_comparison(node, aliases)
                    case ast.Match(subject=subject, cases=cases):
                        self._note_texts(_meant(subject, aliases), [text for case in cases for text in _texts(case.pattern)])
                    case ast.Call():
                        self._note_lookup(node)
                        self._note_use(node, aliases)

    def texts(self, name: str) -> list[str]:
        """Strings that something of that name is compared with."""
        return sorted(self._texts.get(name, ()))

    def instead_of_nothing(self, name: str) -> Any:
        """A value for a key that is absent: not what a lookup falls back to."""
        texts = self.texts(name)
        for default in self._defaults.get(name, ()):
            if default is not None:
                return others(default, texts)[0]
        if name in self._sequences:
            return ["other"]
        return 1 if name in self._numbers else texts[0] if texts else True

    def _note_comparison(self, node: ast.Compare, aliases: dict[str, set[str]]) -> None:
        operands = [node.left, *node.comparators]
        for one in operands:
            texts = list(_texts(one))
            number = isinstance(one, ast.Constant) and type(one.value) in (int, float)
            for other in operands:
                if other is not one:
                    self._note_texts(_meant(other, aliases), texts)
                    if number and not isinstance(other, ast.Call):
                        self._numbers.update(_meant(other, aliases))

    def _note_texts(self, names: Iterable[str], texts: list[str]) -> None:
        if texts:
            for name in names:
                self._texts.setdefault(name, set()).update(texts)

    def _note_use(self, node: ast.Call, aliases: dict[str, set[str]]) -> None:
        """`int(name)`, `len(name)`."""
        if isinstance(node.func, ast.Name) and len(node.args) == 1 and node.func.id in _SEQUENCES | _NUMBERS:
            found = self._numbers if node.func.id in _NUMBERS else self._sequences
            found.update(_meant(node.args[0], aliases))

    def _note_lookup(self, node: ast.Call) -> None:
        """`config.get("name", default)`, `getattr(config, "name", default)`, `read(config, "part.name", default=…)`."""
        named = [keyword.value for keyword in node.keywords if keyword.arg == "default"]
        for argument, following in zip(node.args, [*node.args[1:], *named], strict=False):
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and isinstance(following, ast.Constant):
                self._defaults.setdefault(_last(argument.value), []).append(following.value)


def _aliases(tree: ast.Module) -> dict[str, set[str]]:
    """Variables and attributes that hold what was looked up under another name, wherever in the module."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value):
                found.setdefault(name, set()).update(_looked_up(value))
    return found


def _looked_up(expression: ast.expr) -> Iterator[str]:
    """The key of a lookup, through a conversion or a fallback too."""
    match expression:
        case ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            yield name
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(key)), *_]):
            yield key
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key)), *_]):
            yield _last(key)
        case ast.Call(args=[inner]):
            yield from _looked_up(inner)
        case ast.Call(args=[_, ast.Constant(value=str(key)), *_]):
            yield _last(key)
        case ast.BoolOp(values=[first, *_]) | ast.IfExp(body=first):
            yield from _looked_up(first)


def _meant(expression: ast.AST, aliases: dict[str, set[str]]) -> set[str]:
    """Every name that an expression mentions, and those that they stand for."""
    names = set(_names(expression))
    return names.union(*(aliases.get(name, ()) for name in names))


def _names(expression: ast.AST) -> Iterator[str]:
    for node in ast.walk(expression):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.Constant(value=str(text)) if node is not expression:
                yield _last(text)


def _texts(node: ast.AST) -> Iterator[str]:
    """The strings of `"a"`, `("a", "b")`, `case "a" | "b"`."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.MatchOr(patterns=parts):
            for part in parts:
                yield from _texts(part)
        case ast.MatchValue(value=value):
            yield from _texts(value)


def _last(key: str) -> str:
    return key.rpartition(".")[2]
