"""Which surviving statements are the legacy's to the letter, and which pass rewrote the others.

A statement is compared by its tokens, without comments and layout; of one that holds others only its head counts as its own.
"""

from __future__ import annotations

import ast
import io
import tokenize
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from unbloat.edit import Span
from unbloat.measure import counted_statements
from unbloat.plan.removal import Removal
from unbloat.restructure.provenance import Line

RESTRUCTURED = "restructure"
WIRE = "unbloat_"
"""What modules import the functions under that raise in the place of unseen code."""
_LAYOUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}
)
Position = tuple[int, int]


@dataclass(frozen=True)
class Head:
    """What is a statement's own; `text` is it on one line, without comments."""

    tokens: tuple[str, ...]
    text: str = field(compare=False)


class Source:
    """A module's text with its statements."""

    def __init__(self, text: str) -> None:
        self.tree = ast.parse(text)
        self._lines = text.splitlines(keepends=True)
        self._places: list[Position] = []
        self._ends: list[Position] = []
        self._tokens: list[str] = []
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in _LAYOUT:
                self._places.append(token.start)
                self._ends.append(token.end)
                self._tokens.append(token.string)

    def head(self, node: ast.stmt) -> Head:
        """A statement up to the first one that it holds; an `elif` is an `if`."""
        first, last = (bisect_left(self._places, self._characters(place)) for place in head_span(node))
        if last > first and self._tokens[last - 1] == "@":  # of the first definition inside
            last -= 1
        tokens = self._tokens[first:last]
        shown = "".join(
            (" " if before and self._ends[number - 1] != self._places[number] else "") + self._tokens[number]
            for before, number in enumerate(range(first, last))
        )
        return Head(tuple(["if", *tokens[1:]] if tokens and tokens[0] == "elif" else tokens), shown)

    def _characters(self, place: Position) -> Position:
        """The syntax tree counts bytes, tokens count characters."""
        line, column = place
        if line > len(self._lines):
            return place
        return line, len(self._lines[line - 1].encode()[:column].decode(errors="ignore"))


def head_span(node: ast.stmt) -> tuple[Position, Position]:
    """From where to where a statement is its own."""
    inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    cases = [case.pattern for case in ast.iter_child_nodes(node) if isinstance(case, ast.match_case)]
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return _start(node), min([end, *map(_start, inner), *((case.lineno, case.col_offset) for case in cases)])


def own_parts(node: ast.stmt) -> Iterator[ast.AST]:
    """A statement and its expressions, without the statements inside."""
    pending: list[ast.AST] = [node]
    while pending:
        part = pending.pop()
        yield part
        pending.extend(child for child in ast.iter_child_nodes(part) if not isinstance(child, ast.stmt | ast.match_case))


def _start(node: ast.stmt) -> Position:
    decorators = getattr(node, "decorator_list", [])
    return min((part.lineno, part.col_offset) for part in (node, *decorators))


@dataclass(frozen=True)
class Rewritten:
    """A statement that is not the legacy's to the letter; `line` is the legacy's."""

    file: str
    line: int
    legacy: str
    stripped: str
    passes: tuple[str, ...]


@dataclass(frozen=True)
class Survival:
    """The statements that are left: those that have come from the legacy, what of them was rewritten, and what is new."""

    surviving: int
    rewritten: tuple[Rewritten, ...]
    wires: int
    checks: int
    """Decisions of which one way is an error, written as one call."""
    expression_wires: int
    guard: int

    @property
    def verbatim(self) -> int:
        return self.surviving - len(self.rewritten)


def survival(
    legacy: Mapping[str, str],
    after: Mapping[str, ast.Module],
    rendered: Mapping[str, str],
    final: Mapping[str, str],
    places: Mapping[Line, Line],
    removals: Sequence[Removal],
) -> Survival:
    """Compare what is left, statement by statement.

    `after` are the specialised trees, by legacy positions, `rendered` their texts, `final` the texts after restructuring;
    `places` says for a line of `final` from which line of `rendered` it has come.
    """
    kinds: Counter[str] = Counter()
    rewritten: list[Rewritten] = []
    heads = _final_heads(final, places)
    for file, tree in sorted(after.items()):
        before, text = Source(legacy[file]), Source(rendered[file])
        origins = {Span.of(node): node for node in ast.walk(before.tree) if isinstance(node, ast.stmt)}
        own = [removal for removal in removals if removal.file == file]
        on_line: Counter[int] = Counter()
        pairs = zip(counted_statements(tree), counted_statements(text.tree), strict=True)
        for node, written in sorted(pairs, key=lambda pair: _start(pair[1])):
            line = _start(written)[0]
            on_line[line] += 1
            if is_wire(node) or getattr(node, "inserted", False):
                kinds["guard" if not is_wire(node) else "wire" if isinstance(node, ast.Raise) else "check"] += 1
                continue
            kinds["surviving"] += 1
            kinds["wire in an expression"] += sum(is_wire(part) for part in own_parts(node) if part is not node)
            origin = origins[Span.of(node)]
            old, stripped = before.head(origin), text.head(written)
            last = heads.get((file, line), {}).get(on_line[line])
            passes = _passes(own, origin) if old != stripped else ()
            if last != stripped:
                passes = (*passes, RESTRUCTURED)
            if passes or old != stripped:
                rewritten.append(Rewritten(file, origin.lineno, old.text, (last or stripped).text, passes))
    return Survival(
        surviving=kinds["surviving"],
        rewritten=tuple(rewritten),
        wires=kinds["wire"],
        checks=kinds["check"],
        expression_wires=kinds["wire in an expression"],
        guard=kinds["guard"],
    )


def is_wire(node: ast.AST | list[ast.stmt]) -> bool:
    """Whether a block, statement or expression is an error in the place of code that no workload executed."""
    match node:
        case [only] | ast.Expr(value=only):
            return is_wire(only)
        case ast.Raise():
            return "('stripped: " in ast.unparse(node)
        case ast.Call(func=ast.Name(id=name)):
            return name.startswith(WIRE)
    return False


def count_checks(text: str) -> int:
    """Decisions of a stripped module of which one way is an error, written as one call."""
    return sum(isinstance(node, ast.Expr) and is_wire(node) for node in ast.walk(ast.parse(text)))


def _final_heads(final: Mapping[str, str], places: Mapping[Line, Line]) -> dict[Line, dict[int, Head]]:
    """By line before restructuring: the heads of the statements that begin there, as they are afterwards."""
    found: dict[Line, dict[int, Head]] = {}
    for file, text in final.items():
        source = Source(text)
        for node in sorted(counted_statements(source.tree), key=_start):
            if (place := places.get((file, _start(node)[0]))) is not None:
                on_line = found.setdefault(place, {})
                on_line[len(on_line) + 1] = source.head(node)
    return found


def _passes(removals: Sequence[Removal], node: ast.stmt) -> tuple[str, ...]:
    """The passes that changed something within a statement's head."""
    return tuple(dict.fromkeys(one.pass_name for one in _within(removals, node)))


def _within(removals: Sequence[Removal], node: ast.stmt) -> Iterator[Removal]:
    start, end = head_span(node)
    for one in removals:
        spans = [one.place, *(span for span in vars(one.edit).values() if isinstance(span, Span))]
        if any(start <= (span.line, span.column) and (span.end_line, span.end_column) <= end for span in spans):
            yield one
        elif any((span.line, span.column) == start and span.end_line == node.end_lineno for span in spans):
            yield one  # an edit of the statement as a whole
