"""Probes: a copy of a module in which every decision reports its outcomes.

Two decisions in five (ternaries, operands of `and`/`or`, one-line `if`s, comprehension filters) cannot be told apart by
line coverage. The copy is made on the AST and keeps every position, so coverage, tracebacks and config reads still
speak of the legacy's lines. A probe wraps a test and hands back its truth value, asked for exactly once and in the same
order (the truth of a tensor is an operation of its own), so the instrumented package computes what the untouched one does.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TypeVar

from unbloat.edit.edits import Span
from unbloat.evidence.scopes import parameters

PROBE = "_unbloat_probe"  # not `__…`: a class body would mangle it; not `u…`: a star import would hand it on
# Builtins that walk their argument: harmless for a container, an effect for an iterator.
CONSUMERS = frozenset("all any dict enumerate filter frozenset iter list map max min reversed set sorted sum tuple zip".split())
_Test = TypeVar("_Test", ast.If, ast.While, ast.IfExp)


@dataclass(frozen=True, order=True)
class Site:
    """A decision, handler, case or function: the node's position, its kind, and the operand's index (else 0)."""

    span: Span
    kind: str
    index: int = 0


def instrument(tree: ast.Module, configs: frozenset[str] = frozenset()) -> tuple[ast.Module, list[Site]]:
    """A probed copy of `tree`, in place, and the sites in the order of their numbers.

    Functions hand the parameters that are named like `configs` to the probe first, and go on with what that hands back.
    """
    probes = _Probes(configs)
    probed = probes.visit(tree)
    ast.fix_missing_locations(probed)
    assert isinstance(probed, ast.Module)
    return probed, probes.sites


def consumes(node: ast.Call) -> bool:
    """Whether a call walks its positional arguments, if its name is the builtin; `max(a, b)` compares them instead."""
    if not isinstance(node.func, ast.Name) or node.func.id not in CONSUMERS:
        return False
    return node.func.id not in ("max", "min") or len(node.args) == 1


def computes_name(node: ast.Call) -> bool:
    """Whether a call reads or stores an attribute whose name it computes."""
    if not isinstance(node.func, ast.Name) or node.func.id not in ("getattr", "setattr", "hasattr", "delattr"):
        return False
    return (
        len(node.args) > 1
        and not isinstance(node.args[1], ast.Constant | ast.Starred)
        and not isinstance(node.args[0], ast.Starred)
    )


class _Probes(ast.NodeTransformer):
    def __init__(self, configs: frozenset[str]) -> None:
        self.sites: list[Site] = []
        self._configs = configs
        self._judged: set[ast.expr] = set()  # expressions of which only the truth is asked for

    def _number(self, node: ast.stmt | ast.expr | ast.excepthandler, kind: str, index: int = 0) -> ast.Constant:
        self.sites.append(Site(Span.of(node), kind, index))
        return ast.Constant(len(self.sites) - 1)

    @staticmethod
    def _call(method: str, arguments: list[ast.expr], place: ast.AST) -> ast.Call:
        name = ast.Name(PROBE, ast.Load())
        call = ast.Call(ast.Attribute(name, method, ast.Load()), arguments, [])
        for node in ast.walk(call):
            if node not in arguments and not hasattr(node, "lineno"):
                ast.copy_location(node, place)
        # A call of a method counts for the line on which its name ends, which must not be the last of what is probed.
        call.func.end_lineno, call.func.end_col_offset = call.lineno, call.col_offset
        return call

    def _test(self, node: _Test) -> _Test:
        number = self._number(node, type(node).__name__.lower())
        self._judged.add(node.test)
        self.generic_visit(node)
        node.test = self._call("test", [number, node.test], node.test)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        return self._test(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        return self._test(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        if node in self._judged:
            self._judged |= {node.body, node.orelse}
        return self._test(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.Not) and node in self._judged:
            self._judged.add(node.operand)
        self.generic_visit(node)
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        self._judged.add(node.test)
        self.generic_visit(node)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        numbers = [self._number(node, "operand", index) for index in range(len(node.values) - 1)]
        is_judged = node in self._judged
        if is_judged:
            self._judged.update(node.values)
        self.generic_visit(node)
        # The last operand's truth is not asked for by Python either: it may have none (an array).
        if is_judged:
            tests = [self._call("test", [number, value], value) for number, value in zip(numbers, node.values, strict=False)]
            node.values[:-1] = tests
            return node
        chosen = node.values[-1]
        for number, value in zip(reversed(numbers), reversed(node.values[:-1]), strict=True):
            chosen = self._chosen(isinstance(node.op, ast.Or), number, value, chosen)
        return chosen

    def _chosen(self, decides: bool, number: ast.Constant, value: ast.expr, other: ast.expr) -> ast.expr:
        """`a and b` as `b if a else a`: the probe tells the truth of `a`, and keeps `a` itself for `last` if it decides."""
        operand = self._call("operand", [number, ast.Constant(decides), value], value)
        last = self._call("last", [], value)
        body, orelse = (last, other) if decides else (other, last)
        return ast.copy_location(ast.IfExp(operand, body, orelse), value)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        numbers = [self._number(condition, "filter") for condition in node.ifs]
        walked = self._number(node.iter, "walk")
        self._judged.update(node.ifs)
        self.generic_visit(node)
        node.iter = self._call("walk", [walked, node.iter], node.iter)
        node.ifs = [self._call("test", [number, test], test) for number, test in zip(numbers, node.ifs, strict=True)]
        return node

    def _element(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> ast.AST:
        number = self._number(node.elt, "element")
        self.generic_visit(node)
        node.elt = self._call("reach", [number, node.elt], node.elt)
        return node

    visit_ListComp = visit_SetComp = visit_GeneratorExp = _element

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        numbers = [self._number(part, "element") for part in (node.key, node.value)]
        self.generic_visit(node)
        node.key = self._call("reach", [numbers[0], node.key], node.key)
        node.value = self._call("reach", [numbers[1], node.value], node.value)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        number = self._number(node.body, "element")
        self.generic_visit(node)
        node.body = self._call("reach", [number, node.body], node.body)
        return node

    def _loop(self, node: ast.For | ast.AsyncFor) -> ast.AST:
        number = self._number(node.iter, "walk")
        self.generic_visit(node)
        node.iter = self._call("walk", [number, node.iter], node.iter)
        return node

    visit_For = visit_AsyncFor = _loop

    def visit_Call(self, node: ast.Call) -> ast.AST:
        named = self._number(node.args[1], "name") if computes_name(node) else None
        unpacked = [self._number(part.value, "keys") if part.arg is None else None for part in node.keywords]
        visited = self._walked(node)
        if named is not None:
            visited.args[1] = self._call("name", [named, visited.args[1]], visited.args[1])
        for number, keyword in zip(unpacked, visited.keywords, strict=True):
            if number is not None:
                keyword.value = self._call("keys", [number, keyword.value], keyword.value)
        if self._configs and isinstance(node.func, ast.Name) and node.func.id == "type" and len(node.args) == 1:
            return self._call("type_of", [visited], node)
        return visited

    def _store(self, node: ast.Assign | ast.AnnAssign) -> ast.AST:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        number = None
        if node.value is not None and any(isinstance(target, ast.Attribute) for target in targets):
            number = self._number(node, "store")
        self.generic_visit(node)
        if number is not None and node.value is not None:
            node.value = self._call("store", [number, node.value], node.value)
        return node

    visit_Assign = visit_AnnAssign = _store

    def _walked(self, node: ast.Call) -> ast.Call:
        if not consumes(node):
            self.generic_visit(node)
            return node
        numbers = [None if isinstance(part, ast.Starred) else self._number(part, "walk") for part in node.args]
        self.generic_visit(node)
        for index, number in enumerate(numbers):
            if number is not None:
                node.args[index] = self._call("walk", [number, node.args[index]], node.args[index])
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        number = self._number(node, "handler")
        self.generic_visit(node)
        node.body.insert(0, ast.copy_location(ast.Expr(self._call("hit", [number], node)), node))
        return node

    def _try(self, node: ast.Try | ast.TryStar) -> ast.AST:
        number = self._number(node, "try")
        self.generic_visit(node)
        node.body.insert(0, ast.copy_location(ast.Expr(self._call("hit", [number], node.body[0])), node.body[0]))
        return node

    visit_Try = visit_TryStar = _try

    def visit_Match(self, node: ast.Match) -> ast.AST:
        for index, case in enumerate(node.cases):
            number = self._number(node, "case", index)
            case.body.insert(0, ast.copy_location(ast.Expr(self._call("hit", [number], node)), case.body[0]))
        self.generic_visit(node)
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        number = self._number(node, "function")
        named = [argument.arg for argument in parameters(node)]
        self.generic_visit(node)
        values = ast.Dict([ast.Constant(name) for name in named], [ast.Name(name, ast.Load()) for name in named])
        entry = ast.copy_location(ast.Expr(self._call("enter", [number, values], node)), node)
        taken = [self._taken(name, node) for name in named if name in self._configs]
        first = 1 if ast.get_docstring(node, clean=False) is not None else 0
        for statement in reversed([*taken, entry]):
            ast.fix_missing_locations(statement)
            node.body.insert(first, statement)
        return node

    def _taken(self, name: str, node: ast.AST) -> ast.stmt:
        value = self._call("take", [ast.Constant(name), ast.Name(name, ast.Load())], node)
        return ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), node)

    visit_FunctionDef = visit_AsyncFunctionDef = _function
