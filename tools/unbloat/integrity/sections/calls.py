"""Calls of one kind in surviving scopes, legacy beside stripped: an inventory that needs no run."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from unbloat.integrity.definitions import Pair, Scope, own_nodes
from unbloat.integrity.report import Check, Table
from unbloat.integrity.reproduction import Reproduction

HEADER = ("where", "legacy", "stripped", "same")


@dataclass(frozen=True)
class Found:
    """A call in the legacy, in the stripped tree, or in both; `fate` says what took it away."""

    place: str
    legacy: str
    stripped: str
    fate: str

    @property
    def differs(self) -> bool:
        return self.legacy != self.stripped and not self.fate


def calls(found: Reproduction, wanted: Callable[[str], bool]) -> list[Found]:
    """The calls of a function whose name is wanted; of an attribute such as `x.float`, that is `.float`."""
    return [one for pair in found.definitions.pairs() for one in _beside(found, pair, wanted)]


def call_check(name: str, rows: list[Found]) -> Check:
    apart = [
        f"{one.place}: {one.legacy or 'nothing'} in the legacy, {one.stripped or 'nothing'} stripped"
        for one in rows
        if one.differs
    ]
    return Check(name, sum(not one.fate for one in rows), tuple(apart))


def call_table(text: str, rows: list[Found]) -> Table:
    shown = [(one.place, one.legacy, one.stripped or "–", one.fate or ("no" if one.differs else "yes")) for one in rows]
    return Table(text, HEADER, tuple(shown))


def _beside(found: Reproduction, pair: Pair, wanted: Callable[[str], bool]) -> Iterator[Found]:
    left = Counter(ast.unparse(call) for call in _calls(pair.stripped, wanted))
    for call in _calls(pair.legacy, wanted):
        text, place = ast.unparse(call), f"{pair.file}:{call.lineno} {pair.shown}"
        if left[text]:
            left[text] -= 1
            yield Found(place, text, text, "")
        else:
            cause = found.gone_at(pair.file, call)
            yield Found(place, text, "", f"{cause.pass_name}: {cause.reason}" if cause is not None else "")
    for text in left.elements():
        yield Found(f"{pair.now} {pair.shown}", "", text, "")


def _calls(scope: Scope, wanted: Callable[[str], bool]) -> Iterator[ast.Call]:
    for node in own_nodes(scope):
        if isinstance(node, ast.Call) and wanted(_name(node.func)):
            yield node


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return f".{name}"
    return ""
