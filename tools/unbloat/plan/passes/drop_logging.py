"""Drop calls of loggers, where the contract calls logging engineering.

Safe because a log call is removed only if building its arguments leaves no trace; one that consumes an iterator, draws
a random number or calls something unknown stays and is reported by `unbloat explain`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropStatement, Span
from unbloat.evidence import joined
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
    """Every statement that is nothing but a pure log call."""
    for module, node in view.nodes():
        if isinstance(node, ast.Expr) and view.purity.is_log_call(module, node.value):
            assert isinstance(node.value, ast.Call)
            parts = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
            if (support := joined([view.dropping(module, part) for part in parts])) is not None:
                yield Removal(
                    module.file,
                    DropStatement(Span.of(node)),
                    NAME,
                    Evidence.ENGINEERING,
                    f"`{ast.unparse(node.value.func)}` only logs",
                    Span.of(node),
                    lines_of([node]),
                    support,
                )
