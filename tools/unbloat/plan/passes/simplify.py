"""Compute what inlined options leave behind: `x or False`, `not False`, `None is None`, `a if False else b`, `x = x`.

Safe because only constants that another pass wrote take part, whose pins the guard holds; because an operand that goes leaves
no trace; and because a truth value takes the place of another value only where nothing but truth is asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from unbloat.edit import DropStatement, Edit, KeepArm, KeepOperands, ReplaceExpression, Span
from unbloat.evidence import NOTHING, Module, Support, joined
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "simplify"

EXAMPLES = (
    Example(
        "what an inlined option leaves behind",
        before="""
        class Box:
            def __init__(self, size, strict=False, mode=None):
                self.size = size if not strict else 0
                self.parts = (strict or size, mode and size)
                if strict or size > 2:
                    self.parts = (size,)

        def run(cfg, size=3):
            return Box(size).parts, Box(size).size
        """,
        after="""
        class Box:
            def __init__(self, size, strict=False, mode=None):
                self.size = size if True else 0
                self.parts = (size, None)
                if size > 2:
                    self.parts = (size,)

        def run(cfg, size=3):
            return Box(size).parts, Box(size).size
        """,
        first=("inline options",),
    ),
    Example(
        "a comparison with `None`, which Python would warn of if a text stood in it",
        before="""
        class Box:
            def __init__(self, size, mode="first", hook=None):
                self.parts = (size, mode is None, hook is not None, hook is size)

        def run(cfg, size=3):
            return Box(size).parts
        """,
        after="""
        class Box:
            def __init__(self, size, mode="first", hook=None):
                self.parts = (size, False, False, None is size)

        def run(cfg, size=3):
            return Box(size).parts
        """,
        first=("inline options",),
    ),
    Example(
        "a variable that is given its own value",
        before="""
        def run(cfg, value=1):
            value = value
            return value
        """,
        after="""
        def run(cfg, value=1):
            return value
        """,
    ),
    Example(
        "constants of the legacy's own stay",
        before="""
        def run(cfg, value=1):
            return value or False
        """,
        after="""
        def run(cfg, value=1):
            return value or False
        """,
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every expression that an inlined constant decides, or has no say in, innermost first in later rounds."""
    for module, node in view.nodes():
        found: tuple[Edit, list[ast.expr], Support | None] | None = None
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Name(id=value)) if target == value:
                if module.scope_of(node).is_function:
                    found = DropStatement(Span.of(node)), [], NOTHING
            case ast.UnaryOp(op=ast.Not(), operand=operand) if _is_inlined(operand):
                assert isinstance(operand, ast.Constant)
                found = ReplaceExpression(Span.of(node), repr(not operand.value)), [], NOTHING
            case ast.IfExp(test=test) if _is_inlined(test):
                assert isinstance(test, ast.Constant)
                found = KeepArm(Span.of(node), bool(test.value)), [], NOTHING
            case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot() as operator], comparators=[ast.Constant(value=None)]):
                if _is_inlined(left):
                    assert isinstance(left, ast.Constant)
                    truth = (left.value is None) is isinstance(operator, ast.Is)
                    found = ReplaceExpression(Span.of(node), repr(truth)), [], NOTHING
            case ast.BoolOp():
                found = _operation(view, module, node)
        if found is None:
            continue
        edit, dropped, support = found
        if support is not None and isinstance(node, ast.stmt | ast.expr):
            reason = f"`{ast.unparse(node)}` holds nothing but what was inlined, as far as it matters"
            lines = lines_of([node]) if isinstance(node, ast.stmt) else lines_of(dropped)
            yield Removal(module.file, edit, NAME, Evidence.PINNED, reason, Span.of(node), lines, support)


def _operation(view: View, module: Module, node: ast.BoolOp) -> tuple[Edit, list[ast.expr], Support | None] | None:
    decisive = isinstance(node.op, ast.Or)
    values = node.values
    asks_for_truth = _is_truth(module, node)
    for index, operand in enumerate(values):
        if _is_inlined(operand, decisive) and (asks_for_truth or index == 0):
            assert isinstance(operand, ast.Constant)
            edit = ReplaceExpression(Span.of(node), repr(operand.value if index == 0 else decisive))
            return edit, values, _dropping(view, module, values)
    first, last = 0, len(values)
    while first < last and _is_inlined(values[first], not decisive):
        first += 1
    while asks_for_truth and last > first and _is_inlined(values[last - 1], not decisive):
        last -= 1
    if first == len(values) or (first == last):
        final = values[-1]
        assert isinstance(final, ast.Constant)
        return ReplaceExpression(Span.of(node), repr(final.value)), values, NOTHING
    if (first, last) == (0, len(values)) or not _is_whole(view, module, node):
        return None
    return KeepOperands(Span.of(node), first, last), [], NOTHING


def _is_inlined(node: ast.expr, truth: bool | None = None) -> bool:
    """Whether an expression is a constant that a pass wrote, and as true or false as asked."""
    if not isinstance(node, ast.Constant) or not getattr(node, "inserted", False):
        return False
    return truth is None or bool(node.value) is truth


def _is_truth(module: Module, node: ast.expr) -> bool:
    """Whether nothing but the truth of an expression is asked for."""
    parent = module.parents[node]
    match parent:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) | ast.Assert(test=test):
            return test is node
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp():
            return _is_truth(module, parent)
        case ast.comprehension(ifs=tests):
            return node in tests
    return False


def _is_whole(view: View, module: Module, node: ast.BoolOp) -> bool:
    """Whether all of the legacy's operands are still there, so that their numbers are the legacy's."""
    numbers = {site.index for site in view.facts.counts.get(module.file, {}) if site.span == Span.of(node)}
    return not numbers or max(numbers) == len(node.values) - 2


def _dropping(view: View, module: Module, operands: Sequence[ast.expr]) -> Support | None:
    return joined([NOTHING if _is_inlined(one) else view.dropping(module, one) for one in operands])
