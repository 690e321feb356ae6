"""Changes of expressions: numbers, operators, comparisons, slices, sums of a branch and what it branched from."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator

from unbloat.mutate.kinds import ARGUMENT, CONSTANT, DTYPE, MASK, NORM, OPERATOR, ORDER, RESIDUAL, SHIFT
from unbloat.mutate.source import Source, called

Change = tuple[str, ast.expr]
"""The kind, and what stands in the expression's place."""

SMALL = 1e-3
"""A number below this guards against something (a division by zero): twice as much would change nothing that is seen."""

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_DTYPES = {
    "float64": "float32",
    "float32": "float64",
    "float16": "float32",
    "bfloat16": "float32",
    "double": "float32",
    "float": "float64",
    "long": "int32",
    "int64": "int32",
    "int32": "int64",
    "bool": "uint8",
}
_UNORDERED = frozenset("all any dict frozenset max min set sorted sum".split())
"""What makes the same of its elements in any order."""

_COMMUTATIVE = frozenset("max min maximum minimum add mul isinstance zip logaddexp".split())


def constant(source: Source, node: ast.expr) -> Iterator[Change]:
    match node:
        case ast.Constant(bool(value)):
            yield CONSTANT, ast.Constant(not value)
        case ast.Constant(int(value)) if not isinstance(source.parents[node], ast.UnaryOp):
            yield CONSTANT, ast.Constant(value + 1)
        case ast.UnaryOp(ast.USub(), ast.Constant(int(value))):
            yield CONSTANT, ast.Constant(value - 1) if value > 1 else ast.Constant(0)
        case ast.Constant(float(value)):
            yield CONSTANT, ast.Constant(other_number(value))


def other_number(value: float) -> float:
    """Far enough away to be seen in single precision, beside numbers around one."""
    return 0.5 if abs(value) < SMALL else 2 * value


def arithmetic(source: Source, node: ast.expr) -> Iterator[Change]:
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in _ARITHMETIC:
            kind = MASK if isinstance(operator, ast.BitAnd | ast.BitOr) else OPERATOR
            yield kind, ast.BinOp(left, _ARITHMETIC[type(operator)](), right)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield OPERATOR, operand
        case ast.UnaryOp(ast.Invert(), operand):
            yield MASK, operand
        case ast.BoolOp(operator, values):
            yield OPERATOR, ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.IfExp(test, body, orelse):
            yield OPERATOR, ast.IfExp(test, orelse, body)
        case ast.Compare(left, [operator], others):
            for other in _COMPARISONS[type(operator)]:
                yield OPERATOR, ast.Compare(left, [other()], others)


def negated(source: Source, node: ast.expr) -> Iterator[Change]:
    """The condition of an `if` or `while`, where no operator inside it does the same."""
    parent = source.parents[node]
    if isinstance(parent, ast.If | ast.While) and node is parent.test and not isinstance(node, ast.Compare | ast.UnaryOp):
        yield OPERATOR, ast.UnaryOp(ast.Not(), node)


def residual(source: Source, node: ast.expr) -> Iterator[Change]:
    """`x + f(x)`: only one of the two; the branch alone is the worse mistake, the way around it the quieter one."""
    match node:
        case ast.BinOp(ast.Name() | ast.Attribute() as kept, ast.Add(), ast.Call() as branch):
            yield RESIDUAL, branch
            yield RESIDUAL, kept
        case ast.BinOp(ast.Call() as branch, ast.Add(), ast.Name() | ast.Attribute() as kept):
            yield RESIDUAL, branch
            yield RESIDUAL, kept


def norm(source: Source, node: ast.expr) -> Iterator[Change]:
    """`norm(x)` → `x`; `norm(x + f(x))` → `x + norm(f(x))`; `x + f(norm(x))` is the first of these, inside."""
    if not isinstance(node, ast.Call) or not _is_norm(called(node)) or len(node.args) != 1 or node.keywords:
        return
    (inner,) = node.args
    yield NORM, inner
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Add):
        yield NORM, ast.BinOp(inner.left, ast.Add(), ast.Call(node.func, [inner.right], []))


def _is_norm(name: str) -> bool:
    """Of a module or function that is called, not of a class that makes one."""
    return re.fullmatch(r"(\w*_)?(norm|ln|layernorm)\d*", name) is not None


def shift(source: Source, node: ast.expr) -> Iterator[Change]:
    """A slice that begins or ends one further: `[1:]` ↔ `[:-1]` are the two sides of a shift by one."""
    if not isinstance(node, ast.Subscript):
        return
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for place, part in enumerate(parts):
        if not isinstance(part, ast.Slice) or (other := _shifted(part)) is None:
            continue
        fresh = copy.copy(node)
        fresh.slice = ast.Tuple([*parts[:place], other, *parts[place + 1 :]], ast.Load()) if len(parts) > 1 else other
        yield SHIFT, fresh


def _shifted(part: ast.Slice) -> ast.Slice | None:
    match part:
        case ast.Slice(ast.Constant(int(value)), None, None) if value > 0:
            return ast.Slice(None, ast.UnaryOp(ast.USub(), ast.Constant(value)), None)
        case ast.Slice(None, ast.UnaryOp(ast.USub(), ast.Constant(int(value))), None):
            return ast.Slice(ast.Constant(value), None, None)
        case ast.Slice(None, ast.Constant(int(value)), None):
            return ast.Slice(ast.UnaryOp(ast.USub(), ast.Constant(value)), None, None)
        case ast.Slice(None, ast.expr() as upper, None):
            return ast.Slice(None, ast.BinOp(upper, ast.Sub(), ast.Constant(1)), None)
        case ast.Slice(ast.expr() as lower, upper, step):
            return ast.Slice(ast.BinOp(lower, ast.Add(), ast.Constant(1)), upper, step)
    return None


def dtype(source: Source, node: ast.expr) -> Iterator[Change]:
    match node:
        case ast.Attribute(ast.Name("torch" | "np" | "numpy") as library, name) if name in _DTYPES and not _is_asked(
            source, node
        ):
            yield DTYPE, ast.Attribute(library, _DTYPES[name], ast.Load())
        case ast.Call(ast.Attribute(value, "float"), [], []):
            yield DTYPE, ast.Call(ast.Attribute(value, "double", ast.Load()), [], [])
        case ast.Call(ast.Attribute(value, "long"), [], []):
            yield DTYPE, ast.Call(ast.Attribute(value, "int", ast.Load()), [], [])
        case ast.Call(ast.Attribute(value, "bool" | "double" | "half" | "int" | "type_as"), _, _):
            yield DTYPE, value
        case ast.Call(ast.Attribute(value, "to"), [ast.Attribute(attr="dtype")], []):
            yield DTYPE, value


def _is_asked(source: Source, node: ast.expr) -> bool:
    """Whether an expression is part of a comparison: which type something has is asked there, not made."""
    return any(isinstance(one, ast.Compare) for one in source.above(node) if isinstance(one, ast.expr))


def order(source: Source, node: ast.expr) -> Iterator[Change]:
    """What is walked, the other way round; two elements of a list, or two arguments, in the other order."""
    if _is_walked_in_order(source, node):
        walked = ast.Call(ast.Name("list", ast.Load()), [node], [])
        yield ORDER, ast.Call(ast.Name("reversed", ast.Load()), [walked], [])
    match node:
        case ast.Call(ast.Name("sorted"), [ast.expr() as whole], _):
            yield ORDER, ast.Call(ast.Name("list", ast.Load()), [whole], [])
        case ast.Call(args=[first, second, *rest]) if called(node) not in _COMMUTATIVE and _are_alike(first, second):
            fresh = copy.copy(node)
            fresh.args = [second, first, *rest]
            yield ARGUMENT, fresh
        case ast.List(elts=[first, second, *rest], ctx=ast.Load()) if _are_alike(first, second):
            yield ARGUMENT, ast.List([second, first, *rest], ast.Load())


def _is_walked_in_order(source: Source, node: ast.expr) -> bool:
    parent = source.parents[node]
    if not isinstance(parent, ast.For | ast.comprehension) or node is not parent.iter or called(node) == "range":
        return False
    around = source.parents[parent]
    return not isinstance(around, ast.SetComp | ast.DictComp) and called(source.parents.get(around, around)) not in _UNORDERED


def _are_alike(first: ast.expr, second: ast.expr) -> bool:
    """Two different expressions that could be mistaken for each other."""
    kinds = (ast.Name, ast.Attribute, ast.Subscript)
    return isinstance(first, kinds) and isinstance(second, kinds) and ast.dump(first) != ast.dump(second)
