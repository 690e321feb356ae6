"""Drop statements that follow a `return`, `raise`, `break` or `continue` in their block.

Safe because control cannot get there. A name that only the dropped code binds, or a `yield` that makes its function a
generator, is protected by the scope check of every batch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropStatement, Span
from unbloat.plan.blocks import blocks_of
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop unreachable code"

EXAMPLES = (
    Example(
        "after a return",
        before="""
        def run(cfg):
            return 1
            print("never")
        """,
        after="""
        def run(cfg):
            return 1
        """,
    ),
    Example(
        "after an `if` both of whose branches leave",
        before="""
        def run(cfg, value=1):
            if value > 2:
                return 1
            else:
                raise ValueError(value)
            value += 1
        """,
        after="""
        def run(cfg, value=1):
            if value > 2:
                return 1
            else:
                raise ValueError(value)
        """,
        calls=((3,),),
    ),
    Example(
        "an `if` without `else` lets control pass",
        before="""
        def run(cfg, value=1):
            if value > 2:
                return 1
            return 2
        """,
        after="""
        def run(cfg, value=1):
            if value > 2:
                return 1
            return 2
        """,
        calls=((3,),),
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every statement behind one that never lets control pass."""
    for module, node in view.nodes():
        for block in blocks_of(node):
            leaver = next((index for index, statement in enumerate(block) if _leaves(statement)), None)
            if leaver is None:
                continue
            # The last one first: should a part of these be tried alone, nothing is read that is bound no more.
            for statement in reversed(block[leaver + 1 :]):
                yield Removal(
                    module.file,
                    DropStatement(Span.of(statement)),
                    NAME,
                    Evidence.UNREFERENCED,
                    f"control never gets past line {block[leaver].lineno}",
                    Span.of(statement),
                    lines_of([statement]),
                )


def _leaves(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Return | ast.Raise | ast.Break | ast.Continue):
        return True
    if not isinstance(statement, ast.If) or not statement.orelse:
        return False
    return any(map(_leaves, statement.body)) and any(map(_leaves, statement.orelse))
