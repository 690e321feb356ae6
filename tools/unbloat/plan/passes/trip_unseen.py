"""Turn a branch that no workload took, though data could, into an error that names the legacy lines.

Safe because nothing becomes silent: whoever needs the branch is told so. Only branches of two statements or more are
worth a wire, and files that the contract calls algorithm keep theirs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import Span, Tripwire
from unbloat.evidence import LOUD, Module
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "trip unseen branches"

EXAMPLES = (
    Example(
        "a branch for data that never came",
        before="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                values = values[:9]
                values = sorted(values)
            return sum(values)
        """,
        after="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                raise NotImplementedError("stripped: pkg/module.py:3-4, a branch that no workload took")
            return sum(values)
        """,
        calls=(([1],),),
    ),
    Example(
        "a branch that raises is loud already",
        before="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                count = len(values)
                raise ValueError(count)
            return sum(values)
        """,
        after="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                count = len(values)
                raise ValueError(count)
            return sum(values)
        """,
        calls=(([1],),),
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every one-sided `if` that the pins do not settle."""
    for module, node in view.nodes():
        if not isinstance(node, ast.If) or module.file in view.contract.algorithm:
            continue
        outcome = view.facts.outcomes(module.file, Span.of(node), "if").only
        if outcome is None or view.binding.is_static(module, node.test):
            continue
        if view.swallowers.swallowed(module, node, LOUD):
            continue  # nobody would hear the wire
        untaken = node.orelse if outcome else node.body
        if _is_worth_a_wire(untaken):
            yield _wire(view, module, node, "orelse" if outcome else "body", untaken)


def _is_worth_a_wire(block: list[ast.stmt]) -> bool:
    statements = [node for part in block for node in ast.walk(part) if isinstance(node, ast.stmt)]
    inserted = any(getattr(node, "inserted", False) for node in statements)
    return len(statements) > 1 and not inserted and not isinstance(block[-1], ast.Raise)


def _wire(view: View, module: Module, node: ast.If, branch: str, untaken: list[ast.stmt]) -> Removal:
    lines = lines_of(untaken)
    first, last = lines[0][0], lines[-1][1]
    message = f"stripped: {module.file}:{first}-{last}, a branch that no workload took"
    seen = ", ".join(view.facts.seen_in(module.file, Span.of(node), "if"))
    return Removal(
        module.file,
        Tripwire(Span.of(node), branch, message),
        NAME,
        Evidence.UNSEEN,
        f"`{ast.unparse(node.test)}` went one way in {seen}, but data could send it the other",
        Span.of(untaken[0]),
        lines,
    )
