"""Edits resolved against the legacy tree: which node changes, and how.

Both sides of the stage (the tree and the text) read the same `Changes`, keyed by their own nodes, so that what an edit
means is decided once, here: whether it fits, whether two of them contradict each other, and which one wins.
"""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from unbloat.edit.edits import (
    Check,
    CutTry,
    DropAlias,
    DropArgument,
    DropElement,
    DropFilter,
    DropHandler,
    DropModule,
    DropParameter,
    DropStatement,
    Edit,
    FlattenTry,
    InsertImport,
    InsertInFunction,
    KeepArm,
    KeepBranch,
    KeepOperands,
    KeepValue,
    ReplaceExpression,
    Span,
    Tripwire,
)
from unbloat.errors import EditError

Node = TypeVar("Node", bound=Hashable)
OtherNode = TypeVar("OtherNode", bound=Hashable)
Found = TypeVar("Found", bound=ast.AST)
Key = TypeVar("Key")
Value = TypeVar("Value")

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_WIRED = (ast.If, ast.For, ast.AsyncFor, ast.While, *_FUNCTIONS)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Insertion:
    """New statements for a block, behind the first `after` of those that stay."""

    sources: tuple[str, ...]
    after: int


@dataclass(frozen=True)
class Wire:
    """What a tripwire raises, and whether that stands behind the docstring that was there."""

    error: str
    message: str
    keeps_docstring: bool = False


@dataclass(frozen=True)
class Changes(Generic[Node]):
    """What happens to each node; a node that is dropped or replaced needs no other entry to be looked at."""

    dropped: frozenset[Node]
    unfiltered: frozenset[Node]
    flattened: frozenset[Node]
    by_keyword: frozenset[Node]
    reduced_to_value: frozenset[Node]
    outcomes: Mapping[Node, bool]
    operands: Mapping[Node, tuple[int, int]]
    replacements: Mapping[Node, str]
    tripwires: Mapping[tuple[Node, str], Wire]
    checks: Mapping[Node, Check]
    insertions: Mapping[Node, Insertion]

    def has_new_signature(self, parameters: Collection[Node]) -> bool:
        """Whether a function with these parameters gets another list of them."""
        return not (self.dropped | self.by_keyword).isdisjoint(parameters)

    def nodes(self) -> Iterator[Node]:
        """Every node that has an entry, some more than once."""
        for nodes in (self.dropped, self.unfiltered, self.flattened, self.by_keyword, self.reduced_to_value):
            yield from nodes
        yield from self.outcomes
        yield from self.checks
        yield from self.operands
        yield from self.replacements
        yield from self.insertions
        for node, _ in self.tripwires:
            yield node

    def rekeyed(self, other: Callable[[Node], OtherNode]) -> Changes[OtherNode]:
        """The same changes for the nodes of another representation."""
        return Changes(
            dropped=frozenset(map(other, self.dropped)),
            unfiltered=frozenset(map(other, self.unfiltered)),
            flattened=frozenset(map(other, self.flattened)),
            by_keyword=frozenset(map(other, self.by_keyword)),
            reduced_to_value=frozenset(map(other, self.reduced_to_value)),
            outcomes={other(node): outcome for node, outcome in self.outcomes.items()},
            operands={other(node): bounds for node, bounds in self.operands.items()},
            replacements={other(node): source for node, source in self.replacements.items()},
            checks={other(node): check for node, check in self.checks.items()},
            tripwires={(other(node), branch): wire for (node, branch), wire in self.tripwires.items()},
            insertions={other(node): insertion for node, insertion in self.insertions.items()},
        )


class LegacyIndex:
    """The nodes of an untouched tree by their spans."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.filters: set[ast.expr] = set()
        self.arguments: set[ast.expr | ast.keyword] = set()
        self.elements: set[ast.expr] = set()
        self.movable: set[ast.arg] = set()
        self.parameters: set[ast.arg] = set()
        self.wholes: dict[ast.AST, ast.expr] = {}
        """The expressions that an operand or an arm may be all that is left of."""
        self._nodes: dict[tuple[int, int, int, int], list[ast.AST]] = defaultdict(list)
        pending: list[ast.AST] = [tree]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.JoinedStr):
                # Before Python 3.12 every part of an f-string has the span of the whole; only the expressions count.
                pending.extend(_expressions_inside(node))
            else:
                pending.extend(ast.iter_child_nodes(node))
            if isinstance(node, ast.BoolOp | ast.IfExp):
                self.wholes.update(dict.fromkeys(ast.iter_child_nodes(node), node))
            if isinstance(node, ast.comprehension):
                self.filters.update(node.ifs)
            if isinstance(node, ast.Call):
                # A starred argument stands for any number of them.
                self.arguments.update(part for part in node.args if not isinstance(part, ast.Starred))
                self.arguments.update(part for part in node.keywords if part.arg is not None)
            if isinstance(node, ast.List):
                self.elements.update(node.elts)
            if isinstance(node, _FUNCTIONS):
                self.parameters.update([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs])
                self.movable.update(node.args.args if node.args.vararg is None else ())
            if isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.alias | ast.arg | ast.keyword):
                end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
                self._nodes[node.lineno, node.col_offset, end_line, end_column].append(node)

    def find(self, span: Span, kinds: type[Found] | tuple[type[Found], ...], expected: str) -> Found:
        """The only node of these kinds at `span`."""
        nodes = self._nodes.get((span.line, span.column, span.end_line, span.end_column), [])
        fitting = [node for node in nodes if isinstance(node, kinds)]
        if len(fitting) != 1:
            fault = "no" if not fitting else "more than one"
            found = ", ".join(type(node).__name__ for node in nodes)
            raise EditError(f"{place_of(span)}: {fault} {expected} here" + (f" (found: {found})" if found else ""))
        return fitting[0]


def place_of(span: Span) -> str:
    return f"line {span.line}, column {span.column}"


def parse(source: str) -> ast.Module:
    """The tree of `source`; what Python warns of in it (old escapes, say) is the subject's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def parse_expression(source: str) -> ast.expr:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source, mode="eval").body


def resolve(index: LegacyIndex, edits: Iterable[Edit]) -> Changes[ast.AST]:
    """What `edits` mean together, whatever their order; raises `EditError` for what does not fit the legacy tree."""
    resolver = _Resolver(index)
    for edit in edits:
        resolver.add(edit)
    return resolver.changes()


class _Resolver:
    def __init__(self, index: LegacyIndex) -> None:
        self._index = index
        self._dropped: set[ast.AST] = set()
        self._unfiltered: set[ast.AST] = set()
        self._flattened: set[ast.AST] = set()
        self._by_keyword: set[ast.AST] = set()
        self._reduced_to_value: set[ast.AST] = set()
        self._outcomes: dict[ast.AST, bool] = {}
        self._operands: dict[ast.AST, tuple[int, int]] = {}
        self._replacements: dict[ast.AST, str] = {}
        self._tripwires: dict[tuple[ast.AST, str], Wire] = {}
        self._checks: dict[ast.AST, Check] = {}
        self._insertions: dict[ast.AST, set[str]] = defaultdict(set)

    def add(self, edit: Edit) -> None:
        find = self._index.find
        match edit:
            case DropStatement(span):
                self._dropped.add(find(span, ast.stmt, "statement"))
            case DropHandler(span):
                self._dropped.add(find(span, ast.excepthandler, "except handler"))
            case DropAlias(span):
                self._dropped.add(find(span, ast.alias, "imported name"))
            case DropFilter(span):
                self._unfiltered.add(self._filter(span))
            case FlattenTry(span):
                self._flattened.add(find(span, (ast.Try, ast.TryStar), "try"))
            case KeepBranch(span, outcome):
                self._keep_branch(span, outcome)
            case KeepArm(span, outcome):
                self._record(self._outcomes, find(span, ast.IfExp, "conditional expression"), outcome, span)
            case KeepOperands(span, first, last):
                self._keep_operands(span, first, last)
            case ReplaceExpression(span, source):
                self._replace(span, source)
            case KeepValue(span):
                self._keep_value(span)
            case Tripwire(span, branch, message, error, keeps_docstring):
                self._trip(span, branch, Wire(error, message, keeps_docstring))
            case CutTry(span, last, test_only, message, error):
                self._cut(span, last, test_only, Wire(error, message))
            case Check(span):
                self._record(self._checks, find(span, ast.If, "if"), edit, span)
            case DropParameter(span, rest_by_keyword):
                self._dropped.add(self._parameter(span))
                if rest_by_keyword:
                    self._by_keyword.add(self._movable(span))
            case DropArgument(span):
                self._dropped.add(self._argument(span))
            case DropElement(span):
                self._dropped.add(self._element(span))
            case DropModule():
                raise EditError("module: a file that goes has nothing to change in it")
            case InsertInFunction(span, source):
                self._one_statement(source, place_of(span))
                self._insertions[find(span, _FUNCTIONS, "function")].add(source)
            case InsertImport(source):
                if not isinstance(self._one_statement(source, "module"), _IMPORTS):
                    raise EditError(f"module: {source!r} is no import")
                self._insertions[self._index.tree].add(source)

    def changes(self) -> Changes[ast.AST]:
        for node in {parent for parent in ast.walk(self._index.tree) if isinstance(parent, _IMPORTS)}:
            if self._dropped.issuperset(node.names):
                self._dropped.add(node)
        return Changes(
            dropped=frozenset(self._dropped),
            unfiltered=frozenset(self._unfiltered),
            flattened=frozenset(self._flattened),
            by_keyword=frozenset(self._by_keyword),
            reduced_to_value=frozenset(self._reduced_to_value),
            outcomes=self._outcomes,
            operands=self._operands,
            replacements=self._replacements,
            tripwires=self._tripwires,
            checks=self._checks,
            insertions={
                node: Insertion(tuple(sorted(sources)), self._kept_prologue(node)) for node, sources in self._insertions.items()
            },
        )

    def _trip(self, span: Span, branch: str, wire: Wire) -> None:
        node = self._index.find(span, _WIRED, "if, loop or function")
        if branch not in (("body",) if isinstance(node, _FUNCTIONS) else ("body", "orelse")):
            raise EditError(f"{place_of(span)}: this {type(node).__name__} can have no {branch!r}")
        self._record(self._tripwires, (node, branch), wire, span)

    def _cut(self, span: Span, last: Span, test_only: bool, wire: Wire) -> None:
        node = self._index.find(span, ast.Try, "try")
        statement = self._index.find(last, ast.If if test_only else ast.stmt, "if" if test_only else "statement")
        if statement not in node.body:
            raise EditError(f"{place_of(last)}: no statement of the body of the try at {place_of(span)}")
        self._dropped.update(node.body[node.body.index(statement) + 1 :])
        if test_only:
            self._reduced_to_value.add(statement)
        self._record(self._tripwires, (node, "orelse"), wire, span)

    def _parameter(self, span: Span) -> ast.arg:
        found = self._index.find(span, ast.arg, "parameter")
        if found not in self._index.parameters:
            raise EditError(f"{place_of(span)}: no parameter of a `def` here, or one that takes any number of arguments")
        return found

    def _argument(self, span: Span) -> ast.expr | ast.keyword:
        found = whole = self._index.find(span, (ast.expr, ast.keyword), "argument")
        while whole not in self._index.arguments:
            if whole not in self._index.wholes:
                raise EditError(f"{place_of(span)}: no argument of a call here (found: {type(found).__name__})")
            whole = self._index.wholes[whole]
        return whole

    def _movable(self, span: Span) -> ast.arg:
        found = self._index.find(span, ast.arg, "parameter")
        if found not in self._index.movable:
            raise EditError(f"{place_of(span)}: parameter `{found.arg}` cannot become one that is passed by keyword alone")
        return found

    def _element(self, span: Span) -> ast.expr:
        found = self._index.find(span, ast.Constant, "constant")
        if found not in self._index.elements:
            raise EditError(f"{place_of(span)}: no element of a list here (found: {type(found).__name__})")
        return found

    def _filter(self, span: Span) -> ast.expr:
        found = self._index.find(span, ast.expr, "comprehension filter")
        if found not in self._index.filters:
            raise EditError(f"{place_of(span)}: no comprehension filter here (found: {type(found).__name__})")
        return found

    def _keep_branch(self, span: Span, outcome: bool) -> None:
        node = self._index.find(span, (ast.If, ast.While), "if or while")
        if outcome and isinstance(node, ast.While):
            raise EditError(f"{place_of(span)}: a while whose test is always true has no branch to keep")
        self._record(self._outcomes, node, outcome, span)

    def _keep_operands(self, span: Span, first: int, last: int) -> None:
        node = self._index.find(span, ast.BoolOp, "and/or")
        earlier = self._operands.get(node, (0, len(node.values)))
        if not 0 <= first < last <= len(node.values):
            raise EditError(f"{place_of(span)}: operands {first} to {last} of {len(node.values)}")
        bounds = max(first, earlier[0]), min(last, earlier[1])
        if bounds[0] >= bounds[1]:
            raise EditError(f"{place_of(span)}: two edits leave no operand in common")
        self._operands[node] = bounds

    def _replace(self, span: Span, source: str) -> None:
        node = self._index.find(span, ast.expr, "expression")
        if isinstance(node, ast.Slice | ast.Starred) or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            raise EditError(f"{place_of(span)}: this {type(node).__name__} is no value that can be replaced")
        try:
            parse_expression(source)
        except SyntaxError as error:
            raise EditError(f"{place_of(span)}: {source!r} is no expression: {error.msg}") from error
        self._record(self._replacements, node, source, span)

    def _keep_value(self, span: Span) -> None:
        node = self._index.find(span, _ASSIGNMENTS, "assignment")
        if isinstance(node, ast.AnnAssign) and node.value is None:
            self._dropped.add(node)
        else:
            self._reduced_to_value.add(node)

    def _kept_prologue(self, block: ast.AST) -> int:
        """How many statements stay that must come first: the docstring and, in a module, `__future__` imports."""
        assert isinstance(block, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef)
        kept = 0
        for position, statement in enumerate(block.body):
            docstring = position == 0 and ast.get_docstring(block, clean=False) is not None
            future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
            if not docstring and not (future and isinstance(block, ast.Module)):
                break
            kept += statement not in self._dropped
        return kept

    @staticmethod
    def _one_statement(source: str, place: str) -> ast.stmt:
        try:
            statements = parse(source).body
        except SyntaxError as error:
            raise EditError(f"{place}: {source!r} is no statement: {error.msg}") from error
        if len(statements) != 1:
            raise EditError(f"{place}: {source!r} is {len(statements)} statements, not one")
        return statements[0]

    @staticmethod
    def _record(table: dict[Key, Value], key: Key, value: Value, span: Span) -> None:
        if table.setdefault(key, value) != value:
            raise EditError(f"{place_of(span)}: two edits contradict each other: {table[key]!r} and {value!r}")


def _expressions_inside(string: ast.JoinedStr) -> Iterator[ast.expr]:
    for part in string.values:
        if isinstance(part, ast.FormattedValue):
            yield part.value
            if isinstance(part.format_spec, ast.JoinedStr):
                yield from _expressions_inside(part.format_spec)
