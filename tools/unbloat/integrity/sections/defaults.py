"""Every default that survives, legacy beside stripped: of parameters, of fields of classes, and of constants of modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from unbloat.edit import DropParameter, Span
from unbloat.integrity.definitions import Pair, Scope, own_nodes
from unbloat.integrity.report import Check, Table
from unbloat.integrity.reproduction import Reproduction

Value = ast.expr


@dataclass(frozen=True)
class Named:
    """A name with a value: what is called a default here. `node` is what goes if it goes."""

    name: str
    value: Value
    node: ast.stmt | ast.arg


@dataclass(frozen=True)
class Default:
    """One of them in both trees; empty where a tree has none. `fate` says what took or changed it, if that is known."""

    place: str
    name: str
    legacy: str
    stripped: str
    fate: str

    @property
    def differs(self) -> bool:
        return self.legacy != self.stripped and not self.fate


def defaults(found: Reproduction) -> tuple[list[Default], list[Default], list[Default]]:
    """Those of functions, of classes, and of modules."""
    kinds: tuple[list[Default], list[Default], list[Default]] = ([], [], [])
    for pair in found.definitions.pairs():
        match pair.legacy:
            case ast.Module():
                kinds[2].extend(_beside(found, pair))
            case ast.ClassDef():
                kinds[1].extend(_beside(found, pair))
            case _:
                kinds[0].extend(_beside(found, pair))
    return kinds


def default_checks(kinds: tuple[list[Default], list[Default], list[Default]]) -> list[Check]:
    """A box for each kind: what is gone or changed, and no removal accounts for it, is a difference."""
    names = ("defaults of parameters", "defaults of class fields", "constants of modules")
    return [
        Check(f"{name}: legacy and stripped are equal", len(kept), tuple(_told(one) for one in kept if one.differs))
        for name, rows in zip(names, kinds, strict=True)
        for kept in [[one for one in rows if not one.fate]]
    ]


def default_tables(kinds: tuple[list[Default], list[Default], list[Default]]) -> list[Table]:
    header = ("where", "name", "legacy", "stripped", "same")
    names = ("Defaults of parameters of surviving functions", "Fields of surviving classes", "Constants of surviving modules")
    tables = []
    for name, rows in zip(names, kinds, strict=True):
        kept = [one for one in rows if not one.fate]
        tables.append(Table(name, header, tuple(_row(one) for one in kept)))
    gone = [one for rows in kinds for one in rows if one.fate]
    text = "Dropped or folded, with what they were pinned to"
    tables.append(Table(text, ("where", "name", "legacy", "what happened"), tuple(_fate(one) for one in gone)))
    return tables


def _row(one: Default) -> tuple[str, ...]:
    return (one.place, one.name, one.legacy, one.stripped or "–", "no" if one.differs else "yes")


def _fate(one: Default) -> tuple[str, ...]:
    return (one.place, one.name, one.legacy, one.fate + (f"; now `{one.stripped}`" if one.stripped else ""))


def _told(one: Default) -> str:
    return (
        f"{one.place} `{one.name}`: {one.legacy or 'nothing'} in the legacy, {one.stripped or 'nothing'} in the stripped tree"
    )


def _beside(found: Reproduction, pair: Pair) -> Iterator[Default]:
    """A module may set a name more than once, as where it tries an import: equal values are matched before others."""
    left: dict[str, list[str]] = {}
    for one in _named(pair.stripped):
        left.setdefault(one.name, []).append(ast.unparse(one.value))
    before = [(one, ast.unparse(one.value)) for one in _named(pair.legacy)]
    equal = {id(one) for one, old in before if _take(left.get(one.name, []), old)}
    for one, old in before:
        others = left.get(one.name, [])
        new = old if id(one) in equal else others.pop(0) if others else ""
        fate = "" if old == new else _what_happened(found, pair, one, gone=not new)
        yield Default(f"{pair.file}:{one.node.lineno} {pair.shown}", one.name, old, new, fate)
    for name, texts in left.items():
        for text in texts:
            yield Default(f"{pair.now} {pair.shown}", name, "", text, "")


def _take(texts: list[str], wanted: str) -> bool:
    if wanted not in texts:
        return False
    texts.remove(wanted)
    return True


def _what_happened(found: Reproduction, pair: Pair, one: Named, *, gone: bool) -> str:
    if not gone:
        cause = found.edited_within(pair.file, one.value)
        return f"{cause.pass_name}: {cause.reason}" if cause is not None else ""
    cause = found.gone_at(pair.file, one.node)
    if cause is None or (isinstance(one.node, ast.arg) and not isinstance(cause.edit, DropParameter)):
        drops = (other for other in found.removals if other.file == pair.file and isinstance(other.edit, DropParameter))
        cause = next((other for other in drops if _is_of(other.edit, one.node)), None)
    if cause is None:
        return ""
    return f"{cause.pass_name}: {cause.reason}{_given(found, pair, one)}"


def _given(found: Reproduction, pair: Pair, one: Named) -> str:
    """What every call in every workload gave a parameter: whoever passes anything else now gets an error."""
    if not isinstance(pair.legacy, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    seen = found.recorded.facts.arguments.get((pair.file, Span.of(pair.legacy)), {}).get(one.name, ())
    return f"; in all calls {', '.join(repr(value) for _, value in seen)}" if seen else "; no call was seen"


def _is_of(edit: object, node: ast.stmt | ast.arg) -> bool:
    return isinstance(edit, DropParameter) and isinstance(node, ast.arg) and edit.span == Span.of(node)


def _named(scope: Scope) -> Iterator[Named]:
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _parameters(scope.args)
        return
    for node in own_nodes(scope):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                if _is_constant(value) and not name.startswith("__"):
                    yield Named(name, value, node)


def _parameters(arguments: ast.arguments) -> Iterator[Named]:
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for argument, value in [*pairs, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]:
        if value is not None:
            yield Named(argument.arg, value, argument)


def _is_constant(value: ast.expr) -> bool:
    """A literal, or a call such as `field(default=3)` of literals alone."""
    parts = [value, *(keyword.value for keyword in value.keywords), *value.args] if isinstance(value, ast.Call) else [value]
    literal = [part for part in parts if not isinstance(part, ast.Call)]
    return bool(literal) and all(_is_literal(part) for part in literal)


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):
        return False
    return True
