"""The binding time of an expression, given that of the variables, fields and functions that it uses."""

from __future__ import annotations

import ast
import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterable

from unbloat.evidence.callers import argument_of
from unbloat.evidence.environment import variable_read
from unbloat.evidence.program import Callee, Module, Program
from unbloat.evidence.scopes import Scope
from unbloat.evidence.values import DYNAMIC, OBJECT, STATIC, Key, Value, join, union

PURE_FUNCTIONS = frozenset(
    "abs all any bool callable complex dict enumerate float format frozenset getattr hasattr hash int "
    "isinstance issubclass len list max min range repr reversed round set sorted str sum tuple type zip".split()
)
PURE_METHODS = frozenset(
    "casefold count endswith find format get index isdigit isidentifier isnumeric items join keys lower "
    "lstrip partition removeprefix removesuffix replace rpartition rsplit rstrip split splitlines "
    "startswith strip title upper values".split()
)
CONFIG_FUNCTIONS = frozenset({"select", "is_missing", "is_config", "is_dict", "is_list", "is_none", "to_container"})
# Attributes that torch and Lightning change behind the subject's back.
FRAMEWORK_ATTRIBUTES = frozenset(
    "training trainer current_epoch global_step logger device dtype automatic_optimization fabric".split()
)


class Expressions(ABC):
    """Rules for every kind of expression; what a name stands for is left to the fixpoint."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @abstractmethod
    def _lookup(self, key: Key) -> Value:
        """The value of a variable, a field or what a function returns, as far as it is known by now."""

    @abstractmethod
    def _owner(self, argument: ast.expr, caller: Module) -> Module:
        """The module in which an argument or default is evaluated."""

    def value(self, module: Module, node: ast.expr, *, looked_at: bool = False) -> Value:
        """The binding time of an expression; `looked_at` says that nobody keeps (and so changes) a container."""
        match node:
            case ast.Constant():
                return STATIC
            case ast.Name():
                return self._name(module, node)
            case ast.Attribute():
                return self._member(module, node)
            case ast.Call():
                return self._call(module, node)
            case ast.Compare():
                return self._compare(module, node)
            case ast.Lambda():
                return STATIC
            case ast.NamedExpr():
                return self.value(module, node.value)
            case ast.List() | ast.Set() | ast.Dict():
                parts = join(self.value(module, part, looked_at=True) for part in children(node))
                return parts if looked_at else Value(None, frozenset())
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                parts = self._join_all(module, node)
                return parts if looked_at else Value(None, frozenset())
            case ast.IfExp():
                arms = join([self.value(module, node.body), self.value(module, node.orelse)])
                test = self.value(module, node.test).content
                return join([arms, Value(test, test)])
            case ast.BoolOp():
                operands = join(self.value(module, part) for part in node.values)
                return Value(operands.content, operands.content)
            case ast.Await() | ast.Yield() | ast.YieldFrom() | ast.Starred():
                return DYNAMIC
            case _:
                parts = self._join_all(module, node)
                return Value(parts.content, frozenset())

    def _join_all(self, module: Module, node: ast.expr) -> Value:
        return join(self.value(module, part, looked_at=True) for part in children(node))

    def _name(self, module: Module, node: ast.Name) -> Value:
        scope = module.scopes.of_name.get(node) or module.scope_of(node)
        holder = scope.resolve(node.id)
        if holder is None:
            return STATIC if hasattr(builtins, node.id) else DYNAMIC
        if len(holder.bindings[node.id]) > 1 and holder.is_function and function_of(scope) is not holder:
            return DYNAMIC  # a closure reads it at a time nobody knows
        return self._lookup((holder, node.id))

    def _member(self, module: Module, node: ast.Attribute) -> Value:
        if isinstance(node.value, ast.Name):
            scope = module.scopes.of_name.get(node.value) or module.scope_of(node.value)
            if owner := self._program.class_of_self(module, scope, node.value.id):
                return self._field(owner, node.attr)
            target = self._program.imported_module(module, scope, node.value.id)
            if isinstance(target, Module):
                if node.attr in target.scopes.module.bindings:
                    return self._lookup((target.scopes.module, node.attr))
                return DYNAMIC
            if target is not None and not self._program.definition(module, scope, node.value.id):
                # A class or constant of another package is what the pinned versions make it; anything else may move.
                return STATIC if node.attr[:1].isupper() else OBJECT
        base = self.value(module, node.value)
        return Value(base.content, base.content)

    def _field(self, owner: ast.ClassDef, name: str) -> Value:
        if name in FRAMEWORK_ATTRIBUTES and self._program.has_foreign_base(owner):
            return DYNAMIC
        return self._lookup((self._program.family(owner)[0], name))

    def _compare(self, module: Module, node: ast.Compare) -> Value:
        absent = [isinstance(part, ast.Constant) and part.value is None for part in node.comparators]
        if all(absent) and all(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops):
            presence = self.value(module, node.left).presence
            return Value(presence, frozenset())
        return Value(self._join_all(module, node).content, frozenset())

    def _call(self, module: Module, node: ast.Call) -> Value:
        scope = module.scope_of(node)
        if callee := self._program.callee(module, scope, node):
            return self._result(module, node, callee)
        function = node.func
        if variable_read(self._program, module, node) is not None:
            content = self._arguments(module, node)
            return Value(content, content)
        if isinstance(function, ast.Name) and scope.resolve(function.id) is None:
            if function.id in PURE_FUNCTIONS and not _reads_self(node):
                content = self._arguments(module, node)
                return Value(content, content if function.id == "getattr" else frozenset())
            return DYNAMIC
        if isinstance(function, ast.Attribute):
            return self._method_call(module, scope, node, function)
        found = self._program.definition(module, scope, function.id) if isinstance(function, ast.Name) else None
        return OBJECT if found is not None and isinstance(found[1].node, ast.ClassDef) else DYNAMIC

    def _method_call(self, module: Module, scope: Scope, node: ast.Call, function: ast.Attribute) -> Value:
        if isinstance(function.value, ast.Name):
            target = self._program.imported_module(module, scope, function.value.id)
            if isinstance(target, str):
                return self._library_call(module, node, f"{target}.{function.attr}")
        if function.attr in PURE_METHODS:
            base = self.value(module, function.value, looked_at=True).content
            content = union([base, self._arguments(module, node)])
            return Value(content, content if function.attr == "get" else frozenset())
        return DYNAMIC

    def _library_call(self, module: Module, node: ast.Call, dotted: str) -> Value:
        owner, _, name = dotted.rpartition(".")
        if owner == "omegaconf.OmegaConf" and name in CONFIG_FUNCTIONS:
            content = self._arguments(module, node)
            return Value(content, content)
        return DYNAMIC

    def _arguments(self, module: Module, node: ast.Call) -> frozenset[Key] | None:
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        return union(self.value(module, part, looked_at=True).content for part in parts)

    def _result(self, module: Module, node: ast.Call, callee: Callee) -> Value:
        """What a function of the subject returns, with its own parameters replaced by this call's arguments."""
        if not isinstance(callee.function, ast.Lambda) and callee.function.name == "__init__":
            return OBJECT
        returned = self._lookup((callee.function, "return"))
        return Value(
            self._substituted(module, node, callee, returned.content),
            self._substituted(module, node, callee, returned.presence),
        )

    def _substituted(
        self, module: Module, node: ast.Call, callee: Callee, content: frozenset[Key] | None
    ) -> frozenset[Key] | None:
        if content is None:
            return None
        parts: list[frozenset[Key] | None] = []
        for key in content:
            if key[0] is not callee.function:
                parts.append(frozenset({key}))
                continue
            argument = argument_of(node, callee, key[1])
            parts.append(None if argument is None else self.value(self._owner(argument, module), argument).content)
        return union(parts)


def children(node: ast.expr) -> Iterable[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.comprehension):
            yield child.iter
            yield from child.ifs


def _reads_self(node: ast.Call) -> bool:
    """`getattr(self, …)` asks for an attribute, which may change."""
    return bool(node.args) and isinstance(node.args[0], ast.Name) and node.args[0].id in ("self", "cls")


def function_of(scope: Scope) -> Scope:
    while scope.is_comprehension and scope.parent is not None:
        scope = scope.parent
    return scope
