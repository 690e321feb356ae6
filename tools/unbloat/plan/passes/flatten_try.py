"""Take `except` handlers away that never fired.

Safe because removal makes the code louder, not quieter: where the handler would have swallowed or replaced an error,
the error now surfaces. A handler that fired in any workload is behaviour of the legacy and stays, and so does one whose
`try` no workload reached, or whose errors something around it that stays would swallow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropHandler, Span
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "flatten try"

EXAMPLES = (
    Example(
        "a broad handler that never fires",
        before="""
        def run(cfg):
            try:
                size = cfg.size
            except Exception:
                size = 3
            return size
        """,
        after="""
        def run(cfg):
            size = cfg.size
            return size
        """,
        config={"size": 4},
    ),
    Example(
        "one handler of two, and a `finally`",
        before="""
        def run(cfg, text="7"):
            try:
                size = int(text)
            except ValueError:
                size = 0
            except TypeError:
                size = 1
            finally:
                done = True
            return size, done
        """,
        after="""
        def run(cfg, text="7"):
            try:
                size = int(text)
            except ValueError:
                size = 0
            finally:
                done = True
            return size, done
        """,
        calls=(("x",), ("8",)),
    ),
    Example(
        "a handler that fires is behaviour",
        before="""
        def run(cfg):
            try:
                return cfg.missing.size
            except AttributeError:
                return 0
        """,
        after="""
        def run(cfg):
            try:
                return cfg.missing.size
            except AttributeError:
                return 0
        """,
        config={"size": 4, "missing": None},
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every handler that never fired although its `try` was reached."""
    for module, node in view.nodes():
        if not isinstance(node, ast.Try | ast.TryStar):
            continue
        reached = view.facts.seen_in(module.file, Span.of(node), "try")
        if not reached:
            continue
        for handler in node.handlers:
            if not view.catchers.may_go(module, handler):
                continue
            caught = ast.unparse(handler.type) if handler.type is not None else "everything"
            reason = f"the handler for {caught} never fired; its `try` ran in {', '.join(reached)}"
            yield Removal(
                module.file,
                DropHandler(Span.of(handler)),
                NAME,
                Evidence.HANDLER,
                reason,
                Span.of(handler),
                lines_of([handler]),
            )
