"""Everything that can be changed in a module, one small change at a time."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from unbloat.edit import Span
from unbloat.mutate import calls, expressions, statements
from unbloat.mutate.kinds import refined
from unbloat.mutate.source import Code, Source

EXPRESSIONS: tuple[Callable[[Source, ast.expr], Iterator[expressions.Change]], ...] = (
    expressions.constant,
    expressions.arithmetic,
    expressions.negated,
    expressions.residual,
    expressions.norm,
    expressions.shift,
    expressions.dtype,
    expressions.order,
    calls.neighbour,
    calls.dropout,
    calls.option,
    calls.masked,
    calls.logged,
)
STATEMENTS: tuple[Callable[[Source, ast.stmt], Iterator[statements.StatementChange]], ...] = (
    statements.dropped,
    statements.reversed_sign,
    statements.swapped,
)
_SHOWN = 90


@dataclass(frozen=True)
class Edit:
    """Another text at a place of a file of the stripped tree."""

    file: str
    span: Span
    text: str


@dataclass(frozen=True)
class Mutant:
    """One change; `function`, `line` and `change` say to a person what it is, wherever else the file changes."""

    kind: str
    edits: tuple[Edit, ...]
    function: str
    line: str
    """The first line of the statement, as it is written."""
    change: str
    """What stands there and what stands there instead, `a → b`."""
    site: Span | None = None
    """What has to be evaluated for the change to matter; None if that is not known."""

    @property
    def file(self) -> str:
        return self.edits[0].file

    @property
    def at(self) -> str:
        return f"{self.file}:{self.edits[0].span.line}"

    @property
    def name(self) -> str:
        """Unlike those of all other mutants of one tree."""
        span = self.edits[0].span
        return f"{self.kind} {self.at}:{span.column} {self.change}"

    @property
    def rank(self) -> bytes:
        """In which order a limited number is chosen: by chance, but as long as the code is the same, the same."""
        return hashlib.sha256(f"{self.kind}|{self.file}|{self.function}|{self.line}|{self.change}".encode()).digest()


def mutants(source: Source) -> list[Mutant]:
    """All of one module, in the order of its text; each text once."""
    found: dict[tuple[Span, str], Mutant] = {}
    for node in source.nodes:
        if isinstance(node, ast.expr):
            for expression_change in EXPRESSIONS:
                for kind, new in expression_change(source, node):
                    _add(found, _mutant(source, kind, [node], f"({ast.unparse(new)})", ast.unparse(new)))
        else:
            for statement_change in STATEMENTS:
                for kind, old, instead in statement_change(source, node):
                    texts = [ast.unparse(one) for one in instead]
                    indent = "\n" + " " * node.col_offset
                    _add(found, _mutant(source, kind, old, indent.join(texts), "; ".join(texts)))
    return list(found.values())


def _add(found: dict[tuple[Span, str], Mutant], mutant: Mutant) -> None:
    (edit,) = mutant.edits
    found.setdefault((edit.span, edit.text), mutant)


def _mutant(source: Source, kind: str, old: Sequence[Code], text: str, shown: str) -> Mutant:
    first, last = Span.of(old[0]), Span.of(old[-1])
    span = Span(first.line, first.column, last.end_line, last.end_column)
    before = "; ".join(ast.unparse(one) for one in old)
    default = source.default_of(old[0])
    return Mutant(
        refined(kind, source, old[0]),
        (Edit(source.file, span, text),),
        source.qualified(old[0]),
        source.line(old[0]),
        f"{_short(before)} → {_short(shown)}",
        first if default is None else Span.of(default),
    )


def _short(text: str) -> str:
    """What is long, cut in the middle: changes are mostly at one of the ends."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN // 2]} … {line[-_SHOWN // 2 :]}"
