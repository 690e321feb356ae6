"""A copy of a module that reports which of its sites were evaluated, and which defaults were used.

Lines are not enough: of `a if c else b` one arm is never reached, and of `getattr(a, "b", 1)` the 1 counts only where there
is no `b`. A change there cannot be seen, and says nothing about the goldens.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from unbloat.edit import Span
from unbloat.mutate.source import Source, fallback, is_dataclass

PROBE = "unbloat_probe"
"""What the copies report to; see `unbloat.mutate.observe`."""


def probed(source: Source, numbers: Mapping[Span, int]) -> str:
    """The text with a probe at every site, each known by its number. The source's own tree is used up."""
    return ast.unparse(ast.fix_missing_locations(_Probes(source, numbers).visit(source.tree)))


class _Probes(ast.NodeTransformer):
    def __init__(self, source: Source, numbers: Mapping[Span, int]) -> None:
        self._numbers = numbers
        self._defaults: dict[int, int] = {}
        self._sites: dict[int, int] = {}
        for node in source.nodes:
            number = numbers.get(Span.of(node))
            if number is not None:
                known = self._sites if source.default_of(node) is None else self._defaults
                known[id(node)] = number

    def visit(self, node: ast.AST) -> Any:
        number = self._sites.get(id(node))
        visited = super().visit(node)
        if number is None:
            return visited
        hit = report("hit", ast.Constant(number))
        if isinstance(node, ast.stmt):
            return [ast.Expr(hit), visited]
        return ast.Subscript(ast.Tuple([hit, visited], ast.Load()), ast.Constant(1), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        default = fallback(node)
        number = None if default is None else self._defaults.get(id(default))
        place = next((index for index, one in enumerate(node.args) if one is default), "default")
        self.generic_visit(node)
        if number is None:
            return node
        return report("fallback", ast.Constant(number), ast.Constant(place), node.func, *node.args, keywords=node.keywords)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        entries = []
        for argument, default in _optional(node.args):
            if (number := self._defaults.get(id(default))) is not None:
                given = ast.Name(argument.arg, ast.Load())
                entries.append(ast.Expr(report("given", ast.Constant(number), given)))
        node.args.defaults = [self._kept(default) for default in node.args.defaults]
        node.args.kw_defaults = [None if default is None else self._kept(default) for default in node.args.kw_defaults]
        self.generic_visit(node)
        at = 1 if ast.get_docstring(node, clean=False) is not None else 0
        node.body[at:at] = entries
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def _kept(self, default: ast.expr) -> ast.expr:
        number = self._defaults.get(id(default))
        return default if number is None else report("keep", ast.Constant(number), default)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        fields = {}
        if is_dataclass(node):
            for one in node.body:
                match one:
                    case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value) if id(value) in self._defaults:
                        fields[name] = self._defaults[id(value)]
        self.generic_visit(node)
        if fields:
            node.decorator_list.insert(0, report("fields", *(ast.Constant(one) for pair in fields.items() for one in pair)))
        return node


def _optional(arguments: ast.arguments) -> list[tuple[ast.arg, ast.expr]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return pairs + [(argument, default) for argument, default in named if default is not None]


def report(method: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.Call:
    """A call of what the copies report to."""
    return ast.Call(ast.Attribute(ast.Name(PROBE, ast.Load()), method, ast.Load()), list(arguments), keywords or [])
