"""Drop `if`s, loops and statements that no longer do anything.

Safe because every block is empty (`pass` only), and evaluating the test, or walking the iterable, leaves no trace: the
runs saw nothing but containers there. The target of a dropped loop must not be read anywhere. A call as a statement
goes if the function only computes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropStatement, Span
from unbloat.evidence import Module, Support
from unbloat.plan.blocks import is_docstring
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop empty blocks"

EXAMPLES = (
    Example(
        "an `if` and a loop that do nothing",
        before="""
        def run(cfg, values=(1,)):
            if len(values) > 1:
                pass
            for name in values:
                pass
            describe(values)
            return values

        def describe(values):
            return [str(value) for value in values]
        """,
        after="""
        def run(cfg, values=(1,)):
            return values

        def describe(values):
            return [str(value) for value in values]
        """,
    ),
    Example(
        "a call that checks something is not nothing",
        before="""
        def run(cfg, values=(1,)):
            check(values)
            return values

        def check(values):
            if not values:
                raise ValueError("empty")
        """,
        after="""
        def run(cfg, values=(1,)):
            check(values)
            return values

        def check(values):
            if not values:
                raise ValueError("empty")
        """,
        calls=(([1],),),
    ),
    Example(
        "walking an iterator is an effect, and a target may be read later",
        before="""
        def run(cfg, values=(1,)):
            walker = iter(values)
            for value in walker:
                pass
            for last in values:
                pass
            return list(walker), last
        """,
        after="""
        def run(cfg, values=(1,)):
            walker = iter(values)
            for value in walker:
                pass
            for last in values:
                pass
            return list(walker), last
        """,
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every statement without any effect."""
    for module, node in view.nodes():
        if isinstance(node, ast.stmt) and (support := _does_nothing(view, module, node)) is not None:
            yield Removal(
                module.file,
                DropStatement(Span.of(node)),
                NAME,
                Evidence.UNREFERENCED,
                "does nothing any more",
                Span.of(node),
                lines_of([node]),
                support,
            )


def _does_nothing(view: View, module: Module, node: ast.stmt) -> Support | None:
    """What it rests on that a statement has no effect; None if it has one."""
    match node:
        case ast.If():
            return view.dropping(module, node.test) if _is_empty(node.body) and _is_empty(node.orelse) else None
        case ast.For() if _only_goes_on(node.body) and _is_empty(node.orelse) and _walk_is_free(view, module, node):
            return view.dropping(module, node.iter)
        case ast.Expr() if not is_docstring(module.parents[node], node) and not _is_ellipsis(node.value):
            return view.dropping(module, node.value)
    return None


def _is_ellipsis(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is Ellipsis


def _is_empty(block: list[ast.stmt]) -> bool:
    return all(isinstance(statement, ast.Pass) for statement in block)


def _only_goes_on(block: list[ast.stmt]) -> bool:
    return all(isinstance(statement, ast.Pass | ast.Continue) for statement in block)


def _walk_is_free(view: View, module: Module, node: ast.For) -> bool:
    """Nobody asks where the loop ended, and walking leaves no trace."""
    names = {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
    if any(isinstance(part, ast.Attribute | ast.Subscript) for part in ast.walk(node.target)):
        return False
    read = any(names & scope.reads.keys() for scope in module.scopes.by_node.values())
    return not read and view.purity.walks_freely(module, node.iter)
