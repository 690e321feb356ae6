"""What is left, and why: functions by size with what runs of them, and every decision that was not folded."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from unbloat.edit import Span
from unbloat.evidence import Facts, Module
from unbloat.measure import counted_statements
from unbloat.plan.view import View
from unbloat.report.executed import executed_statements
from unbloat.report.explain import obstacle
from unbloat.report.verbatim import is_wire, own_parts

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
WIRED = "one way was never taken, and is an error now"


@dataclass(frozen=True)
class Body:
    """The own statements of a function, without those of definitions inside."""

    file: str
    line: int
    name: str
    legacy: int
    left: int
    executed: int
    workloads: tuple[str, ...]
    decisions: int


@dataclass(frozen=True)
class Decision:
    """A decision that is left."""

    file: str
    line: int
    text: str
    reason: str


def bodies(before: Mapping[str, ast.Module], after: Mapping[str, ast.Module], facts: Facts) -> list[Body]:
    """Every function of which anything is left, the largest first."""
    found = []
    for file, tree in after.items():
        legacy = {Span.of(node): node for node in ast.walk(before[file]) if isinstance(node, ast.stmt)}
        for name, node in _functions(tree, ""):
            old, new = _own(legacy[Span.of(node)]), _own(node)
            kept = [one for one in new if not getattr(one, "inserted", False)]
            lines = {line for one in kept for line in _lines_of(one)}
            workloads = {workload for line in lines for workload in facts.executed(file, line)}
            ran = executed_statements(ast.Module(kept, []), lambda line, file=file: facts.executed(file, line))  # type: ignore[misc]
            found.append(
                Body(
                    file,
                    node.lineno,
                    name,
                    len(old),
                    len(new),
                    len({*ran} & {*kept}),
                    tuple(one for one in facts.workloads if one in workloads),
                    sum(isinstance(part, ast.If | ast.While | ast.IfExp) for one in kept for part in own_parts(one)),
                )
            )
    return sorted(found, key=lambda body: (-body.left, body.file, body.line))


def decisions(view: View, before: Mapping[str, ast.Module], files: Collection[str]) -> list[Decision]:
    """Every decision that is left, as `unbloat measure` counts them, with what stands in the way of folding it."""
    found = []
    for file in files:
        module = view.program.module_at(file)
        legacy = {Span.of(node): node for node in ast.walk(before[file]) if isinstance(node, ast.BoolOp)}
        for node in module.nodes:
            if not getattr(node, "inserted", False):
                found += [
                    Decision(file, line, " ".join(text.split()), reason)
                    for line, text, reason in _decisions(view, module, node, legacy)
                ]
    return sorted(found, key=lambda one: (one.file, one.line, one.text))


def _decisions(view: View, module: Module, node: ast.AST, legacy: Mapping[Span, ast.BoolOp]) -> Iterator[tuple[int, str, str]]:
    facts, file = view.facts, module.file
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            outcomes = facts.outcomes(file, Span.of(node), type(node).__name__.lower())
            wired = is_wire(node.body) or is_wire(node.orelse)
            yield node.lineno, ast.unparse(node.test), WIRED if wired else obstacle(view, module, node.test, outcomes)
        case ast.BoolOp():
            # Operands are numbered as the legacy has them.
            origin = legacy.get(Span.of(node), node)
            numbers = {Span.of(value): number for number, value in enumerate(origin.values)}
            for value, following in pairwise(node.values):
                outcomes = facts.outcomes(file, Span.of(node), "operand", numbers.get(Span.of(value), -1))
                reason = WIRED if is_wire(following) else obstacle(view, module, value, outcomes)
                yield value.lineno, ast.unparse(value), reason
        case ast.comprehension():
            for test in node.ifs:
                yield (
                    test.lineno,
                    ast.unparse(test),
                    obstacle(view, module, test, facts.outcomes(file, Span.of(test), "filter")),
                )
        case ast.ExceptHandler():
            fired = facts.outcomes(file, Span.of(node), "handler").true
            kind = ast.unparse(node.type) if node.type is not None else ""
            yield (
                node.lineno,
                f"except {kind}".strip(),
                "caught an error" if fired else "caught nothing, but has an effect if it does",
            )
        case ast.match_case():
            yield node.pattern.lineno, f"case {ast.unparse(node.pattern)}", "a case"


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFINITIONS) and not getattr(child, "inserted", False):
            if not isinstance(child, ast.ClassDef):
                yield f"{prefix}{child.name}", child
            yield from _functions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from _functions(child, prefix)


def _own(function: ast.stmt) -> list[ast.stmt]:
    """The statements of a function's body that count; of a definition inside, its head alone."""
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    counted = set(counted_statements(ast.Module([function], [])))
    found: list[ast.stmt] = []
    pending: list[ast.AST] = [*function.body]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt) and node in counted:
            found.append(node)
        if not isinstance(node, (*_DEFINITIONS, ast.expr)):
            pending.extend(ast.iter_child_nodes(node))
    return found


def _lines_of(node: ast.stmt) -> range:
    inner = [child.lineno for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    end = (node.end_lineno or node.lineno) + 1
    return range(node.lineno, max(min([end, *inner]), node.lineno + 1))
