"""What edits mean: the legacy tree with all of them applied.

Every node that stays keeps its legacy position, which is how later rounds name it. Nodes that an edit brings in have
the position of what they stand for and the attribute `inserted`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import TypeVar

from unbloat.edit.changes import Changes, LegacyIndex, parse, parse_expression, resolve
from unbloat.edit.edits import Check, Edit, Span

Tree = TypeVar("Tree", bound=ast.AST)


def specialise(tree: ast.Module, edits: Iterable[Edit]) -> ast.Module:
    """A new tree with the edits applied; `tree` is the legacy one, and stays as it is."""
    return apply_changes(tree, resolve(LegacyIndex(tree), edits))


def apply_changes(tree: ast.Module, changes: Changes[ast.AST]) -> ast.Module:
    """The same for edits that are resolved already."""
    return _Specialiser(changes).copy(tree)


class _Specialiser:
    def __init__(self, changes: Changes[ast.AST]) -> None:
        self._changes = changes

    def copy(self, node: Tree) -> Tree:
        """`node` with the edits inside it, but not those on it."""
        new = type(node).__new__(type(node))
        for name, value in vars(node).items():
            setattr(new, name, self._field(node, name, value))
        return new

    def _field(self, node: ast.AST, name: str, value: object) -> object:
        if isinstance(value, ast.expr):
            return self._expression(value)
        if isinstance(value, ast.expr_context | ast.operator | ast.unaryop | ast.boolop | ast.cmpop):
            return value
        if isinstance(value, ast.AST):
            return self.copy(value)
        if not isinstance(value, list):
            return value
        if (isinstance(node, ast.Module) and name == "body") or (value and isinstance(value[0], ast.stmt)):
            return self._suite(node, name, value)
        if name == "ifs":
            value = [test for test in value if test not in self._changes.unfiltered]
        return [self._field(node, "", item) for item in value if item not in self._changes.dropped]

    def _suite(self, owner: ast.AST, name: str, statements: list[ast.stmt]) -> list[ast.stmt]:
        suite = self._block(statements)
        if name != "body":
            return suite
        insertion = self._changes.insertions.get(owner)
        if insertion is not None:
            position = _position_of(statements)
            new = [_inserted(parse(source).body[0], position) for source in insertion.sources]
            suite[insertion.after : insertion.after] = new
        return suite if isinstance(owner, ast.Module) else _filled(suite, statements)

    def _block(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        return [new for statement in statements for new in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        """What takes the place of one statement: none, one or several."""
        if node in self._changes.dropped:
            return []
        if node in self._changes.reduced_to_value:
            assert isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.If)
            value = node.test if isinstance(node, ast.If) else node.value
            assert value is not None
            return [ast.copy_location(ast.Expr(self._expression(value)), node)]
        match node:
            case ast.If():
                return self._if(node)
            case ast.While() if node in self._changes.outcomes:
                return self._branch(node, "orelse")
            case ast.Try() | ast.TryStar():
                return self._try(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if self._changes.has_new_signature(parameters_of(node)):
                return [self._wired(node, self._with_fewer_parameters(node))]
            case _:
                return [self._wired(node, self.copy(node))]

    def _wired(self, node: ast.stmt, new: ast.stmt) -> ast.stmt:
        """With the tripwires that the statement's own blocks become."""
        for branch in ("body", "orelse"):
            if (node, branch) in self._changes.tripwires:
                setattr(new, branch, self._branch(node, branch))
        return new

    def _with_fewer_parameters(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
        new = self.copy(node)
        old, arguments = node.args, new.args
        dropped = self._changes.dropped
        positional = [*old.posonlyargs, *old.args]
        optional = positional[len(positional) - len(old.defaults) :]
        defaults = dict(zip(optional, arguments.defaults, strict=True))
        arguments.defaults = [default for argument, default in defaults.items() if argument not in dropped]
        kept = [argument not in dropped for argument in old.kwonlyargs]
        arguments.kw_defaults = [default for default, stays in zip(arguments.kw_defaults, kept, strict=True) if stays]
        first = next((number for number, argument in enumerate(old.args) if argument in self._changes.by_keyword), None)
        if first is not None:
            _pass_by_keyword(arguments, sum(argument not in dropped for argument in old.args[:first]))
        return new

    def _if(self, node: ast.If) -> list[ast.stmt]:
        outcome = self._changes.outcomes.get(node)
        if outcome is not None:
            return self._branch(node, "body" if outcome else "orelse")
        check = self._changes.checks.get(node)
        if check is not None:
            return [self._checked(node, check), *self._branch(node, "body" if check.outcome else "orelse")]
        return [self._wired(node, self.copy(node))]

    def _checked(self, node: ast.If, check: Check) -> ast.stmt:
        statement = _inserted(parse(f"{check.function}(None, {check.lines!r})").body[0], Span.of(node))
        assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        statement.value.args[0] = self._expression(node.test)
        return statement

    def _branch(self, node: ast.stmt, branch: str) -> list[ast.stmt]:
        statements: list[ast.stmt] = getattr(node, branch)
        wire = self._changes.tripwires.get((node, branch))
        if wire is None:
            return self._block(statements)
        tripwire = parse(f"raise {wire.error}({wire.message!r})").body[0]
        kept = self._block(statements[:1]) if wire.keeps_docstring else []
        return [*kept, _inserted(tripwire, _position_of(statements[len(kept) :] or [node]))]

    def _try(self, node: ast.Try | ast.TryStar) -> list[ast.stmt]:
        flattened = node in self._changes.flattened
        if not flattened and not self._changes.dropped.issuperset(node.handlers):
            return [self._wired(node, self.copy(node))]
        body = [*self._block(node.body), *self._branch(node, "orelse")]
        finalbody = self._block(node.finalbody)
        if flattened or not finalbody:
            return body + finalbody
        plain = ast.Try(body=_filled(body, node.body), handlers=[], orelse=[], finalbody=finalbody)
        return [ast.copy_location(plain, node)]

    def _expression(self, node: ast.expr) -> ast.expr:
        replacement = self._changes.replacements.get(node)
        if replacement is not None:
            return _inserted(parse_expression(replacement), Span.of(node))
        match node:
            case ast.IfExp() if node in self._changes.outcomes:
                return self._expression(node.body if self._changes.outcomes[node] else node.orelse)
            case ast.BoolOp() if node in self._changes.operands:
                first, last = self._changes.operands[node]
                kept = [self._expression(operand) for operand in node.values[first:last]]
                return kept[0] if len(kept) == 1 else _with_operands(node, kept, first)
            case _:
                return self.copy(node)


def first_operand(node: ast.BoolOp) -> int:
    """The number that the first operand of an `and`/`or` had in the legacy."""
    return getattr(node, "first_operand", 0)


def _with_operands(node: ast.BoolOp, kept: list[ast.expr], first: int) -> ast.BoolOp:
    new = ast.copy_location(ast.BoolOp(node.op, kept), node)
    vars(new)["first_operand"] = first
    return new


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """All parameters that have a name of their own."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _pass_by_keyword(arguments: ast.arguments, first: int) -> None:
    """Move the parameters from number `first` on behind a `*`."""
    moved = arguments.args[first:]
    defaults: list[ast.expr | None] = [None] * len(moved) + [*arguments.defaults]
    kept = len(arguments.defaults) - len(moved)
    arguments.kw_defaults = [*defaults[len(defaults) - len(moved) :], *arguments.kw_defaults]
    arguments.defaults = arguments.defaults[: max(kept, 0)]
    arguments.args, arguments.kwonlyargs = arguments.args[:first], [*moved, *arguments.kwonlyargs]


def _filled(suite: list[ast.stmt], legacy: Sequence[ast.stmt]) -> list[ast.stmt]:
    return suite or [_inserted(ast.Pass(), _position_of(legacy))]


def _position_of(statements: Sequence[ast.stmt]) -> Span:
    if not statements:
        return Span(1, 0, 1, 0)
    first, last = Span.of(statements[0]), Span.of(statements[-1])
    return Span(first.line, first.column, last.end_line, last.end_column)


def _inserted(tree: Tree, position: Span) -> Tree:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.alias | ast.arg | ast.keyword | ast.pattern):
            node.lineno, node.col_offset = position.line, position.column
            node.end_lineno, node.end_col_offset = position.end_line, position.end_column
            vars(node)["inserted"] = True
    return tree
