"""What decides whether a node runs: the tests and loops around it, and whatever may leave before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.evidence.flow.calls import Calls, enclosing_function
from unbloat.evidence.flow.contexts import may_swallow
from unbloat.evidence.functions import own_nodes
from unbloat.evidence.program import FUNCTIONS, Module


def deciding(calls: Calls, module: Module, node: ast.AST) -> Iterator[ast.expr | None]:
    """The expressions that decide whether `node` runs, up to its function, and how often; None for what is no expression."""
    yield from _around(calls, module, node)
    yield from _leaving(module, node)


def _around(calls: Calls, module: Module, node: ast.AST) -> Iterator[ast.expr | None]:
    """The expressions around `node` that decide, None for what is no expression; wires on the way decide nothing."""
    inner, outer = node, module.parents.get(node)
    while outer is not None and not isinstance(outer, (*FUNCTIONS, ast.ClassDef, ast.Module)):
        match outer:
            case ast.If(test=test):
                other = outer.orelse if inner in outer.body else outer.body
                if inner is not test and not _is_wire(other):
                    yield test
            case ast.While(test=test):
                yield test
            case ast.For(iter=walked) | ast.AsyncFor(iter=walked):
                yield walked
            case ast.Try() | ast.TryStar() if outer.handlers and not _only_imports(outer):
                yield None
            case ast.With() | ast.AsyncWith() if may_swallow(calls, module, outer):
                yield None
            case ast.Match() | ast.IfExp() | ast.BoolOp() | ast.comprehension():
                yield None
        inner, outer = outer, module.parents.get(outer)


def _leaving(module: Module, node: ast.AST) -> Iterator[ast.expr | None]:
    """The same for what decides whether the function, or a pass of a loop, ends before it gets to `node`."""
    function = enclosing_function(module, node)
    if function is None or isinstance(function, ast.Lambda):
        return
    around = set(_ancestors(module, node))
    for part in own_nodes(function):
        if not isinstance(part, ast.Return | ast.Break | ast.Continue) or part is node:
            continue
        within = _loop_around(module, part)  # an earlier pass of it may end it
        if _line(part) >= _line(node) and (within is None or within not in around):
            continue
        if isinstance(part, ast.Return) or within in around:
            outer = module.parents[part]
            inner: ast.AST = part
            while outer is not function:
                if isinstance(outer, ast.If) and inner is not outer.test:
                    yield outer.test
                elif isinstance(outer, ast.For | ast.While | ast.Try | ast.Match):
                    yield outer.iter if isinstance(outer, ast.For) else None
                inner, outer = outer, module.parents[outer]


def _loop_around(module: Module, node: ast.AST) -> ast.AST | None:
    return module.enclosing(node, (ast.For, ast.AsyncFor, ast.While))


def _ancestors(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    outer = module.parents.get(node)
    while outer is not None:
        yield outer
        outer = module.parents.get(outer)


def _is_wire(block: list[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], ast.Raise) and getattr(block[-1], "inserted", False)


def _only_imports(node: ast.Try | ast.TryStar) -> bool:
    """Whether all that can fail in a `try` is an import, which the installed versions settle."""
    return all(isinstance(part, ast.Import | ast.ImportFrom | ast.Assign) for part in node.body) and all(
        isinstance(part.value, ast.Constant) for part in node.body if isinstance(part, ast.Assign)
    )


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)
