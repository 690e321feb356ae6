"""How much of a package its workloads execute, beside how much is left of it: the yardstick for a package from elsewhere.

A statement is what `unbloat measure` counts, at module level and in functions alike; it was executed if a line of it ran in any
workload. Of a statement that holds others, only the lines above them count as its own.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from unbloat.evidence import Facts
from unbloat.measure import Measure, counted_statements, measure_path
from unbloat.subject import Subject


@dataclass(frozen=True)
class Executed:
    """Statements of the package, of those the ones that ran, and what is left after stripping, generated modules included."""

    package: int
    executed: int
    stripped: int

    @property
    def ratio(self) -> float:
        return self.stripped / self.executed if self.executed else math.inf

    def line(self) -> str:
        """For the console, and for a page."""
        return (
            f"statements: {self.package} in the package, {self.executed} executed by the workloads, {self.stripped} left: "
            f"{self.ratio:.2f} times what is executed"
        )


def executed(subject: Subject, facts: Facts) -> Executed:
    """Count the untouched package, what ran of it, and the stripped tree."""
    trees = {file: ast.parse((subject.legacy / file).read_bytes()) for file in subject.sources()}
    before = measure_path(subject.legacy / subject.package)
    after = measure_path(subject.stripped / subject.package)
    return Executed(
        package=sum(before.values(), Measure()).statements,
        executed=sum(len(executed_statements(tree, partial(facts.executed, file))) for file, tree in trees.items()),
        stripped=sum(after.values(), Measure()).statements,
    )


def executed_statements(tree: ast.Module, ran: Callable[[int], object]) -> list[ast.stmt]:
    """The statements of one module of which a line ran."""
    return [node for node in counted_statements(tree) if any(map(ran, _own_lines(node)))]


def _own_lines(node: ast.stmt) -> range:
    """All lines of a statement; of one that holds others, those above the first of them, at least one."""
    inner = [child.lineno for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    inner += [case.pattern.lineno for case in ast.iter_child_nodes(node) if isinstance(case, ast.match_case)]
    end = node.end_lineno or node.lineno
    return range(node.lineno, max(min([end + 1, *inner]), node.lineno + 1))
