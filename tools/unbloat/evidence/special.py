"""What Python calls behind an expression: operators, items, truth and attributes may run methods of the subject."""

from __future__ import annotations

import ast

_ARITHMETIC = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod".split()
_OPERATORS = frozenset(f"__{side}{name}__" for name in _ARITHMETIC for side in ("", "r", "i"))
_SIGNS = frozenset({"__neg__", "__pos__", "__invert__"})
_COMPARISONS = frozenset("__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __contains__ __hash__".split())
_ITEMS = frozenset({"__getitem__", "__missing__", "__class_getitem__", "__index__"})
_TRUTH = frozenset({"__bool__", "__len__"})
_TEXT = frozenset({"__str__", "__repr__", "__format__"})
_WALK = frozenset({"__iter__", "__next__", "__getitem__", "__len__", "__eq__", "__lt__", "__add__", "__radd__", "__hash__"})
_NUMBER = frozenset("__int__ __float__ __complex__ __round__ __abs__ __index__".split())
ATTRIBUTES = frozenset({"__getattr__", "__getattribute__"})
_BUILTINS = {
    **dict.fromkeys("str repr format".split(), _TEXT),
    "bool": _TRUTH,
    "len": frozenset({"__len__"}),
    **dict.fromkeys("int float complex round abs".split(), _NUMBER),
    **dict.fromkeys("all any dict enumerate frozenset list max min reversed set sorted sum tuple zip".split(), _WALK),
    **dict.fromkeys("hash isinstance issubclass".split(), frozenset({"__hash__", "__instancecheck__", "__subclasscheck__"})),
    **dict.fromkeys("getattr hasattr".split(), ATTRIBUTES),
}


def special_methods(node: ast.AST) -> frozenset[str]:
    """The special methods that evaluating `node` itself, not its parts, may call."""
    match node:
        case ast.BinOp():
            return _OPERATORS
        case ast.UnaryOp(op=ast.Not()) | ast.BoolOp() | ast.IfExp():
            return _TRUTH
        case ast.UnaryOp():
            return _SIGNS
        case ast.Compare(ops=operators):
            identity = all(isinstance(operator, ast.Is | ast.IsNot) for operator in operators)
            return frozenset() if identity else _COMPARISONS
        case ast.Subscript(ctx=ast.Load()):
            return _ITEMS
        case ast.FormattedValue():
            return _TEXT
        case ast.Starred() | ast.comprehension():
            return _WALK
        case ast.Attribute(ctx=ast.Load()):
            return ATTRIBUTES
        case ast.Call(func=ast.Name(id=name)):
            return _BUILTINS.get(name, frozenset())
    return frozenset()


def is_plain(node: ast.expr) -> bool:
    """Whether an operand is plain to see as a number, a text or a container made on the spot."""
    match node:
        case ast.Constant() | ast.JoinedStr() | ast.List() | ast.Tuple() | ast.Dict() | ast.Set() | ast.Compare():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in ("bool", "dict", "float", "int", "len", "list", "range", "round", "set", "sorted", "str", "tuple")
        case ast.BinOp(left=left, right=right):
            return is_plain(left) and is_plain(right)
        case ast.UnaryOp(operand=operand):
            return is_plain(operand)
    return False


def operands(node: ast.AST) -> list[ast.expr]:
    """What the special methods of `node` would belong to."""
    match node:
        case ast.Subscript(value=value) | ast.Attribute(value=value) | ast.FormattedValue(value=value):
            return [value]
        case ast.IfExp(test=test):
            return [test]
        case ast.Call(args=arguments):
            return arguments
        case ast.comprehension(iter=source):
            return [source]
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
