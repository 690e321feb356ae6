"""The legacy text with edits applied, as a LibCST tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import libcst as cst

from unbloat.edit.arguments import remaining_arguments, remaining_parameters
from unbloat.edit.blocks import (
    BlockStatement,
    Clause,
    Lines,
    insert,
    is_empty,
    join,
    join_clauses,
    lines_of,
    with_leading,
)
from unbloat.edit.changes import Changes, Wire
from unbloat.edit.edits import Check
from unbloat.edit.elements import remaining_elements
from unbloat.edit.imports import remaining, remaining_in_parentheses
from unbloat.edit.legacy_text import LegacyText
from unbloat.edit.placement import parenthesised, place

_Assignment = TypeVar("_Assignment", cst.Assign, cst.AnnAssign, cst.AugAssign)
_Wired = TypeVar("_Wired", cst.If, cst.For, cst.While, cst.FunctionDef, cst.Try, cst.TryStar)
_SmallBlock = TypeVar("_SmallBlock", cst.SimpleStatementLine, cst.SimpleStatementSuite)


class Applier(cst.CSTTransformer):
    """Applies changes bottom up, and visits nothing but the way to them.

    A statement that dissolves into its own blocks stays in place until the block around it is left, which then takes
    its lines over: the comments behind the last of them can only be put somewhere there.
    """

    def __init__(self, legacy: LegacyText, changes: Changes[cst.CSTNode]) -> None:
        super().__init__()
        self._legacy = legacy
        self._changes = changes
        self._way = legacy.around(changes.nodes())
        self._dissolved: dict[cst.CSTNode, Lines] = {}

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node in self._way and node not in self._changes.dropped and node not in self._changes.replacements

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> cst.CSTNodeT | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNodeT]:
        if original_node not in self._way:
            return updated_node
        # LibCST accepts no `try` without handlers, not even in passing: `leave_Try` drops them.
        is_statement = isinstance(original_node, cst.BaseSmallStatement | cst.BaseCompoundStatement)
        if is_statement and original_node in self._changes.dropped:
            return cst.RemoveFromParent()
        source = self._changes.replacements.get(original_node)
        if source is not None:
            assert isinstance(original_node, cst.BaseExpression)
            return cast(cst.CSTNodeT, place(self._legacy, original_node, self._parsed_expression(source)))
        # The typed methods know neither that an `else` can go nor that an `elif` can become one.
        if isinstance(updated_node, cst.Else) and is_empty(updated_node.body):
            return cst.RemoveFromParent()
        if isinstance(original_node, cst.If) and isinstance(updated_node, cst.If):
            return cast(cst.CSTNodeT, self._leave_if(original_node, updated_node))
        return super().on_leave(original_node, updated_node)

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        lines = self._expanded(updated_node.body, updated_node.footer)
        body = self._with_insertions(original_node, lines.statements)
        return updated_node.with_changes(body=body, footer=lines.footer)

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock) -> cst.IndentedBlock:
        lines = self._expanded(updated_node.body, updated_node.footer)
        return updated_node.with_changes(body=lines.statements, footer=lines.footer)

    def leave_SimpleStatementSuite(
        self, original_node: cst.SimpleStatementSuite, updated_node: cst.SimpleStatementSuite
    ) -> cst.SimpleStatementSuite:
        return _with_last_semicolon(original_node, updated_node)

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
        return _with_last_semicolon(original_node, updated_node) if updated_node.body else cst.RemoveFromParent()

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        gone = self._changes.dropped
        if not any(part in gone or part.value in gone for part in original_node.args):
            return updated_node
        return remaining_arguments(original_node, updated_node, gone)

    def leave_List(self, original_node: cst.List, updated_node: cst.List) -> cst.List:
        if not any(part.value in self._changes.dropped for part in original_node.elements):
            return updated_node
        return remaining_elements(original_node, updated_node, self._changes.dropped)

    def leave_For(self, original_node: cst.For, updated_node: cst.For) -> cst.For:
        return self._with_tripwires(original_node, updated_node)

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        if self._changes.has_new_signature(original_node.params.children):
            first = next((one for one in original_node.params.params if one in self._changes.by_keyword), None)
            updated_node = remaining_parameters(original_node, updated_node, self._changes.dropped, first)
        if (original_node, "body") in self._changes.tripwires:
            return self._with_tripwires(original_node, updated_node)
        if original_node not in self._changes.insertions:
            return updated_node
        statements = self._with_insertions(original_node, lines_of(updated_node.body).statements)
        return updated_node.with_changes(body=_indented(updated_node.body).with_changes(body=statements))

    def _leave_if(self, original_node: cst.If, updated_node: cst.If) -> cst.If | cst.Else | cst.RemovalSentinel:
        if original_node in self._changes.reduced_to_value:
            self._dissolved[updated_node] = _test_of(updated_node)
            return updated_node
        updated_node = self._with_tripwires(original_node, updated_node)
        outcome = self._changes.outcomes.get(original_node)
        check = self._changes.checks.get(original_node)
        if outcome is None and check is not None:
            self._dissolved[updated_node] = self._checked(updated_node, check)
            return updated_node
        if outcome is None:
            return updated_node
        leading = updated_node.leading_lines
        branch = cst.Else(body=_without_header_comment(updated_node.body)) if outcome else updated_node.orelse
        if branch is not None:
            branch = branch.with_changes(leading_lines=(*leading, *branch.leading_lines))
        if isinstance(self._legacy.parents[original_node], cst.If):
            gone = branch is None or (isinstance(branch, cst.Else) and is_empty(branch.body))
            return cst.RemoveFromParent() if branch is None or gone else branch
        if isinstance(branch, cst.If):
            self._dissolved[updated_node] = Lines((branch,))
        else:
            self._dissolved[updated_node] = join_clauses(_clauses(branch))
        return updated_node

    def _checked(self, updated_node: cst.If, check: Check) -> Lines:
        """The test as the argument of a call, and the branch that is left behind it."""
        test = self._legacy.module.code_for_node(updated_node.test)
        call = self._parsed_statement(f"{check.function}({test}, {_literal(check.lines)})")
        branch = updated_node.orelse
        if check.outcome:
            kept = join_clauses([Clause((), _without_header_comment(updated_node.body))])
        elif isinstance(branch, cst.If):
            kept = Lines((branch,))
        else:
            kept = join_clauses(_clauses(branch))
        return join((updated_node.leading_lines, Lines((call,))), ((), kept))

    def leave_While(self, original_node: cst.While, updated_node: cst.While) -> cst.While:
        updated_node = self._with_tripwires(original_node, updated_node)
        if original_node in self._changes.outcomes:
            lines = join_clauses(_clauses(updated_node.orelse))
            self._dissolved[updated_node] = join((updated_node.leading_lines, lines))
        return updated_node

    def leave_Try(self, original_node: cst.Try, updated_node: cst.Try) -> cst.Try | cst.TryStar:
        return self._without_handlers(original_node, self._with_tripwires(original_node, updated_node))

    def leave_TryStar(self, original_node: cst.TryStar, updated_node: cst.TryStar) -> cst.Try | cst.TryStar:
        return self._without_handlers(original_node, updated_node)

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign | cst.Expr:
        return self._as_value(original_node, updated_node)

    def leave_AnnAssign(self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign) -> cst.AnnAssign | cst.Expr:
        return self._as_value(original_node, updated_node)

    def leave_AugAssign(self, original_node: cst.AugAssign, updated_node: cst.AugAssign) -> cst.AugAssign | cst.Expr:
        return self._as_value(original_node, updated_node)

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        return updated_node.with_changes(names=remaining(original_node.names, self._changes.dropped))

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
        names, dropped = original_node.names, self._changes.dropped
        assert not isinstance(names, cst.ImportStar)
        if original_node.rpar is None:
            return updated_node.with_changes(names=remaining(names, dropped))
        return remaining_in_parentheses(original_node, dropped)

    def leave_IfExp(self, original_node: cst.IfExp, updated_node: cst.IfExp) -> cst.BaseExpression:
        outcome = self._changes.outcomes.get(original_node)
        if outcome is None:
            return updated_node
        return place(self._legacy, original_node, updated_node.body if outcome else updated_node.orelse)

    def leave_BooleanOperation(
        self, original_node: cst.BooleanOperation, updated_node: cst.BooleanOperation
    ) -> cst.BaseExpression:
        if original_node not in self._changes.operands:
            return updated_node
        operands, operators = _unchained(original_node, updated_node)
        first, last = self._changes.operands[original_node]
        if last - first == len(operands):
            return updated_node
        kept = operands[first]
        for operator, operand in zip(operators[first : last - 1], operands[first + 1 : last], strict=True):
            kept = cst.BooleanOperation(left=kept, operator=operator, right=operand)
        return place(self._legacy, original_node, kept)

    def leave_CompFor(self, original_node: cst.CompFor, updated_node: cst.CompFor) -> cst.CompFor:
        kept = [
            new
            for old, new in zip(original_node.ifs, updated_node.ifs, strict=True)
            if old.test not in self._changes.unfiltered
        ]
        if len(kept) == len(original_node.ifs):
            return updated_node
        inner = updated_node.inner_for_in
        return updated_node.with_changes(
            ifs=[test.with_changes(whitespace_before=_some(test.whitespace_before)) for test in kept],
            inner_for_in=inner and inner.with_changes(whitespace_before=_some(inner.whitespace_before)),
        )

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        value = updated_node.value
        if value is not original_node.value and isinstance(value, cst.Integer) and not value.lpar:
            # `1.real` is a malformed float.
            return updated_node.with_changes(value=parenthesised(value))
        return updated_node

    def _expanded(self, body: Sequence[cst.BaseStatement], footer: Sequence[cst.EmptyLine]) -> Lines:
        lines = join(*(((), self._dissolved.get(line) or Lines((cast(BlockStatement, line),))) for line in body))
        return Lines(lines.statements, (*lines.footer, *footer))

    def _without_handlers(
        self, original_node: cst.Try | cst.TryStar, updated_node: cst.Try | cst.TryStar
    ) -> cst.Try | cst.TryStar:
        finalbody = updated_node.finalbody
        if finalbody is not None and is_empty(finalbody.body):
            finalbody = None
        handlers = [
            new
            for old, new in zip(original_node.handlers, updated_node.handlers, strict=True)
            if old not in self._changes.dropped
        ]
        flattened = original_node in self._changes.flattened
        if handlers and not flattened:
            return updated_node.with_changes(handlers=handlers, finalbody=finalbody)
        body = Clause((), updated_node.body)
        if flattened or finalbody is None:
            lines = join_clauses([body, *_clauses(updated_node.orelse), *_clauses(finalbody)])
            self._dissolved[updated_node] = join((updated_node.leading_lines, lines))
            return updated_node
        if not original_node.handlers:
            return updated_node
        lines = join_clauses([body, *_clauses(updated_node.orelse)])
        return cst.Try(
            body=_indented(updated_node.body).with_changes(body=lines.statements, footer=lines.footer),
            finalbody=finalbody,
            leading_lines=updated_node.leading_lines,
            whitespace_before_colon=updated_node.whitespace_before_colon,
        )

    def _as_value(self, original_node: _Assignment, updated_node: _Assignment) -> _Assignment | cst.Expr:
        if original_node not in self._changes.reduced_to_value:
            return updated_node
        assert updated_node.value is not None
        return cst.Expr(value=updated_node.value, semicolon=updated_node.semicolon)

    def _with_tripwires(self, original_node: _Wired, updated_node: _Wired) -> _Wired:
        wire = self._changes.tripwires.get((original_node, "body"))
        if wire is not None:
            old = _indented(updated_node.body)
            keeps_first = wire.keeps_docstring and _first(original_node.body) not in self._changes.dropped
            kept: list[BlockStatement] = [_first_alone(old)] if keeps_first else []
            body = old.with_changes(body=[*kept, self._tripwire(wire)], footer=())
            updated_node = updated_node.with_changes(body=body)
        wire = self._changes.tripwires.get((original_node, "orelse"))
        if wire is not None:
            updated_node = updated_node.with_changes(orelse=cst.Else(cst.IndentedBlock([self._tripwire(wire)])))
        return updated_node

    def _tripwire(self, wire: Wire) -> BlockStatement:
        return self._parsed_statement(f"raise {wire.error}({_literal(wire.message)})")

    def _with_insertions(self, block: cst.CSTNode, statements: Sequence[BlockStatement]) -> Sequence[BlockStatement]:
        insertion = self._changes.insertions.get(block)
        if insertion is None:
            return statements
        new = [self._parsed_statement(source) for source in insertion.sources]
        if isinstance(block, cst.Module) and insertion.after:
            new[0] = with_leading(new[0], [cst.EmptyLine(indent=False)])
        return insert(statements, insertion.after, new)

    def _parsed_statement(self, source: str) -> BlockStatement:
        module = self._legacy.module
        return cst.parse_statement(source.replace("\n", module.default_newline), config=module.config_for_parsing)

    def _parsed_expression(self, source: str) -> cst.BaseExpression:
        return cst.parse_expression(source.strip(), config=self._legacy.module.config_for_parsing)


def _first(block: cst.BaseSuite) -> cst.CSTNode:
    """The first statement of a block; one that shares a line is meant alone."""
    first = block.body[0]
    return first.body[0] if isinstance(first, cst.SimpleStatementLine) else first


def _first_alone(block: cst.IndentedBlock) -> BlockStatement:
    """The first statement of a block, without others on its line."""
    line = cst.ensure_type(block.body[0], cst.SimpleStatementLine)
    return line.with_changes(body=[line.body[0].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)])


def _test_of(node: cst.If) -> Lines:
    """The test alone, as a statement."""
    test = node.test
    value = parenthesised(test) if isinstance(test, cst.NamedExpr) and not test.lpar else test
    return Lines((cst.SimpleStatementLine([cst.Expr(value)], leading_lines=node.leading_lines),))


def _literal(text: str) -> str:
    plain = text.isprintable() and not set(text) & {'"', "\\"}
    return f'"{text}"' if plain else repr(text)


def _clauses(clause: cst.Else | cst.Finally | None) -> list[Clause]:
    return [Clause(clause.leading_lines, clause.body)] if clause is not None else []


def _indented(body: cst.BaseSuite) -> cst.IndentedBlock:
    return body if isinstance(body, cst.IndentedBlock) else cst.IndentedBlock(lines_of(body).statements)


def _without_header_comment(body: cst.BaseSuite) -> cst.BaseSuite:
    return body.with_changes(header=cst.TrailingWhitespace()) if isinstance(body, cst.IndentedBlock) else body


def _with_last_semicolon(original: _SmallBlock, updated: _SmallBlock) -> _SmallBlock:
    """The last statement of a line ends as the last one did before some went."""
    if len(updated.body) == len(original.body) or not updated.body:
        return updated
    last = updated.body[-1].with_changes(semicolon=original.body[-1].semicolon)
    return updated.with_changes(body=[*updated.body[:-1], last])


def _unchained(
    original: cst.BooleanOperation, updated: cst.BooleanOperation
) -> tuple[list[cst.BaseExpression], list[cst.BaseBooleanOp]]:
    """The operands that are one list in `ast`, and the operators between them; LibCST nests them to the left."""
    operands: list[cst.BaseExpression] = [updated.right]
    operators = [updated.operator]
    kind = type(original.operator)
    while isinstance(original.left, cst.BooleanOperation) and not original.left.lpar:
        if not isinstance(original.left.operator, kind):
            break
        assert isinstance(updated.left, cst.BooleanOperation)
        original, updated = original.left, updated.left
        operands.insert(0, updated.right)
        operators.insert(0, updated.operator)
    return [updated.left, *operands], operators


def _some(space: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    return cst.SimpleWhitespace(" ") if space.empty else space
