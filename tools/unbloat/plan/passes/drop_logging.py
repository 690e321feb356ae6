"""Drop calls of loggers, where the contract calls logging engineering, and of the functions that it calls so.

Safe because such a call is removed only if building its arguments leaves no trace and checks nothing; one that consumes an
iterator, draws a random number or calls something unknown stays and is reported by `unbloat explain`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropStatement, Span
from unbloat.evidence import Module
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop logging"

EXAMPLES = (
    Example(
        "a logger and its calls",
        before="""
        import logging

        logger = logging.getLogger(__name__)

        def run(cfg, values=(1,)):
            logger.info("%d values, first %s", len(values), values[0])
            return sum(values)
        """,
        after="""
        import logging

        logger = logging.getLogger(__name__)

        def run(cfg, values=(1,)):
            return sum(values)
        """,
    ),
    Example(
        "an argument that does something keeps its call",
        before="""
        import logging

        logger = logging.getLogger(__name__)

        def run(cfg):
            values = iter([1, 2])
            logger.info("first %s", next(values))
            return list(values)
        """,
        after="""
        import logging

        logger = logging.getLogger(__name__)

        def run(cfg):
            values = iter([1, 2])
            logger.info("first %s", next(values))
            return list(values)
        """,
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every statement that is nothing but a log call, or a call of what the contract calls engineering."""
    for module, node in view.nodes():
        if not isinstance(node, ast.Expr):
            continue
        if view.purity.is_engineering(module, node.value):
            yield _removal(module, node, "is engineering by contract")
        elif view.purity.is_log_call(module, node.value):
            assert isinstance(node.value, ast.Call)
            parts = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
            if all(view.only_computes(module, part) for part in parts):
                yield _removal(module, node, "only logs")


def _removal(module: Module, node: ast.Expr, what: str) -> Removal:
    assert isinstance(node.value, ast.Call)
    reason = f"`{ast.unparse(node.value.func)}` {what}"
    place = Span.of(node)
    return Removal(module.file, DropStatement(place), NAME, Evidence.ENGINEERING, reason, place, lines_of([node]))
