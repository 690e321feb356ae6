"""Write a wire as one line: `if test: raise …` becomes `unbloat_forbid(test, lines)`, its counterpart `unbloat_require`.

Safe because the call raises the same error under the same test, evaluated as often and at the same place. It comes last, when
nothing is left to fold: what was a decision is now a check.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import Check, Span
from unbloat.evidence import Module
from unbloat.plan.example import Example
from unbloat.plan.guard import FORBID, REQUIRE
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "compact wires"

EXAMPLES = (
    Example(
        "branches that data decides, and never did",
        before="""
        def run(cfg, values=(1,)):
            # A few are enough.
            if len(values) > 9:
                values = values[:9]
            if values:
                return sum(values)
            else:
                return len(cfg)
        """,
        after="""
        def run(cfg, values=(1,)):
            # A few are enough.
            unbloat_forbid(len(values) > 9, "pkg/module.py:4")
            unbloat_require(values, "pkg/module.py:8")
            return sum(values)
        """,
        calls=(([1],),),
        first=("trip unseen code",),
    ),
    Example(
        "nothing to do without a wire",
        before="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                raise ValueError(values)
            return sum(values)
        """,
        after="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                raise ValueError(values)
            return sum(values)
        """,
        calls=(([1],),),
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every `if` one branch of which is a wire."""
    for module, node in view.nodes():
        if not isinstance(node, ast.If) or _is_elif(module, node):
            continue
        if any(isinstance(part, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom) for part in ast.walk(node.test)):
            continue
        wires = {branch: lines for branch in ("body", "orelse") if (lines := _wire(getattr(node, branch))) is not None}
        if len(wires) != 1:
            continue
        branch, lines = next(iter(wires.items()))
        outcome = branch == "orelse"
        place = Span.of(node)
        edit = Check(place, outcome, REQUIRE if outcome else FORBID, lines)
        reason = f"`{ast.unparse(node.test)}` was always {'true' if outcome else 'false'}, and data decides"
        yield Removal(module.file, edit, NAME, Evidence.UNSEEN, reason, Span.of(node.test), ())


def _is_elif(module: Module, node: ast.If) -> bool:
    """Whether the legacy has `elif` here, of which the text keeps something even when its `if` has gone."""
    parent = module.parents[node]
    if isinstance(parent, ast.If) and parent.orelse == [node]:
        return True
    return node.test.lineno == node.lineno and node.test.col_offset - node.col_offset >= len("elif ")


def _wire(block: list[ast.stmt]) -> str | None:
    """The legacy lines that a wire names; None for any other block."""
    match block:
        case [ast.Raise(exc=ast.Call(func=ast.Name(id="NotImplementedError"), args=[ast.Constant(value=str(message))]))]:
            return message.removeprefix("stripped: ") if getattr(block[0], "inserted", False) else None
    return None
