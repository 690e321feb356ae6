"""The vocabulary of change: every edit is a value that names a node of the *legacy* source by its position.

Positions are those of `ast` (lines from 1, columns in UTF-8 bytes from 0) and never move: edits of later rounds are found on
the specialised tree, whose nodes keep their legacy positions, so a set of edits can be applied in any order, stored,
vetoed and bisected. An edit inside code that another edit removed has no effect; nor has one on a statement that is
dropped, or on an expression that is replaced. Two edits that want different things of one node are an error.
"""

from __future__ import annotations

import ast
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, get_args

from unbloat.errors import EditError


@dataclass(frozen=True, order=True)
class Span:
    """Where a node lies in the legacy source."""

    line: int
    column: int
    end_line: int
    end_column: int

    @classmethod
    def of(cls, node: ast.stmt | ast.expr | ast.excepthandler | ast.alias | ast.arg | ast.keyword) -> Span:
        return cls(node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0)

    def holds(self, other: Span) -> bool:
        """Whether `other` lies within this span."""
        return (self.line, self.column) <= (other.line, other.column) and (other.end_line, other.end_column) <= (
            self.end_line,
            self.end_column,
        )


@dataclass(frozen=True)
class DropStatement:
    """Remove a statement (any `ast.stmt`); an emptied block gets `pass`, an emptied `else` goes."""

    span: Span


@dataclass(frozen=True)
class KeepBranch:
    """An `if` (or `elif`, or a `while` that never runs) whose test is always `outcome`: only that branch stays."""

    span: Span
    outcome: bool


@dataclass(frozen=True)
class KeepArm:
    """A conditional expression whose test is always `outcome`: only that arm stays."""

    span: Span
    outcome: bool


@dataclass(frozen=True)
class KeepOperands:
    """An `and`/`or`: only the operands `first` to `last - 1` stay; a single one replaces the whole expression.

    The numbers are those of the legacy operands, whatever earlier edits left of them; two such edits keep what both keep.
    """

    span: Span
    first: int
    last: int


@dataclass(frozen=True)
class ReplaceExpression:
    """An expression becomes another one, given as source."""

    span: Span
    source: str


@dataclass(frozen=True)
class FlattenTry:
    """A `try` none of whose handlers is needed: its body, `else` and `finally` bodies stay, in this order."""

    span: Span


@dataclass(frozen=True)
class DropHandler:
    """One `except` handler of a `try` goes; the last one to go flattens the `try` unless it has a `finally`."""

    span: Span


@dataclass(frozen=True)
class DropFilter:
    """A comprehension filter that is always true goes; the span is that of its expression."""

    span: Span


@dataclass(frozen=True)
class DropAlias:
    """One name of an `import` goes; the statement goes with its last name."""

    span: Span


@dataclass(frozen=True)
class KeepValue:
    """An assignment (plain, annotated or augmented) whose target is not needed: only the value stays, as a statement."""

    span: Span


@dataclass(frozen=True)
class Tripwire:
    """A branch (`body` or `orelse`) of the `if`, loop or function at `span` becomes `raise error(message)`.

    A missing `orelse` is created; the docstring of a function goes with its body, or stays with `keeps_docstring`.
    """

    span: Span
    branch: str
    message: str
    error: str = "NotImplementedError"
    keeps_docstring: bool = False


@dataclass(frozen=True)
class CutTry:
    """The body of the `try` at `span` ends with its statement at `last`; whoever gets behind that meets an error.

    What stands behind goes. The `else`, made where there is none, becomes `raise error(message)`: its own
    handlers do not catch what is raised there. With `test_only`, nothing stays of `last`, an `if`, but its test.
    """

    span: Span
    last: Span
    test_only: bool
    message: str
    error: str = "NotImplementedError"


@dataclass(frozen=True)
class InsertInFunction:
    """One statement, given as source, goes to the start of the function at `span`, after its docstring.

    Several go there in the order of their sources.
    """

    span: Span
    source: str


@dataclass(frozen=True)
class InsertImport:
    """One import statement, given as source, goes after the module's docstring and `__future__` imports.

    Several go there in the order of their sources.
    """

    source: str


@dataclass(frozen=True)
class Check:
    """An `if` of which only one branch is left: its test becomes the argument of a call of `function`, then comes the branch.

    The call gets the test and `lines`; it raises if the test has not the `outcome`.
    """

    span: Span
    outcome: bool
    function: str
    lines: str


@dataclass(frozen=True)
class DropParameter:
    """A parameter of a `def` goes, with its default; the span is that of its name and annotation.

    With `rest_by_keyword`, those behind it can be passed by keyword alone, so that none takes its place.
    """

    span: Span
    rest_by_keyword: bool = False


@dataclass(frozen=True)
class DropArgument:
    """An argument of a call goes; the span is that of the value, of what is left of it, or of the whole keyword argument."""

    span: Span


@dataclass(frozen=True)
class DropElement:
    """An element of a list display goes."""

    span: Span


@dataclass(frozen=True)
class DropModule:
    """The whole file goes; whoever imports it gets a `ModuleNotFoundError`."""


Edit: TypeAlias = (
    DropStatement
    | KeepBranch
    | KeepArm
    | KeepOperands
    | ReplaceExpression
    | FlattenTry
    | DropHandler
    | DropFilter
    | DropAlias
    | KeepValue
    | Check
    | DropParameter
    | DropArgument
    | DropElement
    | DropModule
    | Tripwire
    | CutTry
    | InsertInFunction
    | InsertImport
)

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Edit)}


def to_json(edit: Edit) -> dict[str, Any]:
    """A plain dict that `from_json` reads back."""
    return {"edit": type(edit).__name__, **asdict(edit)}


def from_json(data: dict[str, Any]) -> Edit:
    """The edit that `to_json` wrote."""
    fields = dict(data)
    kind = _KINDS.get(fields.pop("edit", ""))
    if kind is None:
        raise EditError(f"unknown edit {data.get('edit')!r}; known: {', '.join(sorted(_KINDS))}")
    for name in ("span", "last"):
        if isinstance(fields.get(name), dict):
            fields[name] = Span(**fields[name])
    edit: Edit = kind(**fields)
    return edit
