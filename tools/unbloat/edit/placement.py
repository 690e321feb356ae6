"""Parentheses: what an expression needs in order to stand where another one stood.

The legacy expression tells what its place accepts: what binds at least as tightly as it does can stand there as it is.
Everything else takes over its parentheses, or gets new ones.
"""

from __future__ import annotations

import libcst as cst

from unbloat.edit.legacy_text import LegacyText

# Loosest first.
_ANY, _NAMED, _CONDITIONAL, _OR, _AND, _NOT, _COMPARED = range(7)
_BIT_OR, _BIT_XOR, _BIT_AND, _SHIFT, _SUM, _PRODUCT, _SIGN, _POWER, _AWAIT, _ATOM = range(7, 17)

_BY_TYPE: dict[type[cst.CSTNode], int] = {
    cst.Tuple: _ANY,
    cst.GeneratorExp: _CONDITIONAL,
    cst.Yield: _ANY,
    cst.NamedExpr: _NAMED,
    cst.IfExp: _CONDITIONAL,
    cst.Lambda: _CONDITIONAL,
    cst.Comparison: _COMPARED,
    cst.Await: _AWAIT,
}
_BY_OPERATOR: dict[type[cst.CSTNode], int] = {
    cst.Or: _OR,
    cst.And: _AND,
    cst.Not: _NOT,
    cst.Plus: _SIGN,
    cst.Minus: _SIGN,
    cst.BitInvert: _SIGN,
    cst.BitOr: _BIT_OR,
    cst.BitXor: _BIT_XOR,
    cst.BitAnd: _BIT_AND,
    cst.LeftShift: _SHIFT,
    cst.RightShift: _SHIFT,
    cst.Add: _SUM,
    cst.Subtract: _SUM,
    cst.Multiply: _PRODUCT,
    cst.Divide: _PRODUCT,
    cst.FloorDivide: _PRODUCT,
    cst.Modulo: _PRODUCT,
    cst.MatrixMultiply: _PRODUCT,
    cst.Power: _POWER,
}

# Whatever these hold may be any conditional expression.
_OPEN_PLACES = (
    cst.AnnAssign,
    cst.Annotation,
    cst.Arg,
    cst.Assert,
    cst.Assign,
    cst.AugAssign,
    cst.DictComp,
    cst.DictElement,
    cst.Element,
    cst.Expr,
    cst.GeneratorExp,
    cst.If,
    cst.Index,
    cst.Lambda,
    cst.ListComp,
    cst.Param,
    cst.Raise,
    cst.Return,
    cst.SetComp,
    cst.While,
)
_ATOMS = (
    cst.Name,
    cst.BaseNumber,
    cst.SimpleString,
    cst.FormattedString,
    cst.List,
    cst.Set,
    cst.Dict,
    cst.ListComp,
    cst.SetComp,
    cst.DictComp,
    cst.Ellipsis,
)


def place(legacy: LegacyText, original: cst.BaseExpression, new: cst.BaseExpression) -> cst.BaseExpression:
    """`new`, with the parentheses that it needs where the legacy source has `original`."""
    parent = legacy.parents[original]
    if isinstance(parent, cst.WithItem) and isinstance(new, cst.Tuple):
        # `with (a, b):` enters two contexts; only a second pair of parentheses makes it a tuple.
        new = new if new.lpar else parenthesised(new)
        statement = legacy.parents[parent]
        return new if isinstance(statement, cst.With) and isinstance(statement.lpar, cst.LeftParen) else parenthesised(new)
    if new.lpar:
        return new
    before, after = legacy.neighbours(original)
    code = cst.Module([]).code_for_node(new)
    glued = _is_word(before) or _is_word(after) or (before == "{" and code.startswith("{"))
    opened = isinstance(parent, _OPEN_PLACES) and _precedence(new) >= _CONDITIONAL
    if original.lpar:
        bare = (_stands_alone(new) or (opened and "\n" not in code)) and not glued
        return new if bare else new.with_changes(lpar=original.lpar, rpar=original.rpar)
    in_string = isinstance(parent, cst.FormattedStringExpression) and isinstance(new, cst.Lambda)
    bare = (opened or _precedence(new) >= _precedence(original)) and not glued and not in_string
    return new if bare else parenthesised(new)


def parenthesised(expression: cst.BaseExpression) -> cst.BaseExpression:
    return expression.with_changes(lpar=[cst.LeftParen(), *expression.lpar], rpar=[*expression.rpar, cst.RightParen()])


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _precedence(expression: cst.BaseExpression) -> int:
    """How tightly an expression binds, its own parentheses aside."""
    if isinstance(expression, cst.BinaryOperation | cst.BooleanOperation | cst.UnaryOperation):
        return _BY_OPERATOR[type(expression.operator)]
    return _BY_TYPE.get(type(expression), _ATOM)


def _stands_alone(expression: cst.BaseExpression) -> bool:
    """Whether an expression can stand anywhere without parentheses, line breaks included."""
    match expression:
        case cst.Attribute(value=inner, dot=dot):
            breaks = (dot.whitespace_before, dot.whitespace_after)
        case cst.Call(func=inner, whitespace_after_func=space):
            breaks = (space, space)
        case cst.Subscript(value=inner, whitespace_after_value=space):
            breaks = (space, space)
        case _:
            return bool(expression.lpar) or isinstance(expression, _ATOMS)
    simple = all(isinstance(space, cst.SimpleWhitespace) and "\n" not in space.value for space in breaks)
    return simple and _stands_alone(inner)
