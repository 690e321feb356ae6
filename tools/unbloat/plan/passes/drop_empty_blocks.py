"""Drop `if`s and loops that no longer do anything.

Safe because every block is empty (`pass` only), and evaluating the test, or walking the iterable, leaves no trace; the
target of a dropped loop must not be read afterwards. Bare constants and names as statements go for the same reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropStatement, Span
from unbloat.evidence import Module
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
            for name in ("a", "b"):
                pass
            return values
        """,
        after="""
        def run(cfg, values=(1,)):
            return values
        """,
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
        if isinstance(node, ast.stmt) and _does_nothing(view, module, node):
            yield Removal(
                module.file,
                DropStatement(Span.of(node)),
                NAME,
                Evidence.UNREFERENCED,
                "does nothing any more",
                Span.of(node),
                lines_of([node]),
            )


def _does_nothing(view: View, module: Module, node: ast.stmt) -> bool:
    match node:
        case ast.If():
            return _is_empty(node.body) and _is_empty(node.orelse) and view.purity.is_pure(module, node.test)
        case ast.For():
            return _is_empty(node.body) and _is_empty(node.orelse) and _walk_is_free(view, module, node)
        case ast.Expr():
            if is_docstring(module.parents[node], node):
                return False
            return isinstance(node.value, ast.Constant | ast.Name | ast.Attribute) and not _is_ellipsis(node.value)
    return False


def _is_ellipsis(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is Ellipsis


def _is_empty(block: list[ast.stmt]) -> bool:
    return all(isinstance(statement, ast.Pass) for statement in block)


def _walk_is_free(view: View, module: Module, node: ast.For) -> bool:
    """The iterable is a container for sure, and nobody asks where the loop ended."""
    if not isinstance(node.target, ast.Name) or not isinstance(node.iter, ast.Name | ast.Tuple | ast.List):
        return False
    if isinstance(node.iter, ast.Name) and not _is_container(module, node.iter):
        return False
    name = node.target.id
    scopes = module.scopes.by_node.values()
    return not any(name in scope.reads for scope in scopes) and view.purity.is_pure(module, node.iter)


def _is_container(module: Module, node: ast.Name) -> bool:
    """A variable that only ever holds containers written down in the code; a default counts."""
    scope = module.scopes.of_name[node].resolve(node.id)
    if scope is None:
        return False
    displays = ast.List | ast.Tuple | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    return all(isinstance(binding.value, displays) for binding in scope.bindings[node.id])
