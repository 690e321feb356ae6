"""Where a config may flow: which expressions may hand on the config, or a part of it, for somebody to write to.

Not the opposite of a binding time: a field that holds a part of the config is DYNAMIC as soon as somebody else stores that
field, and yet a write through it changes the config. Followed by name, flow-insensitively, and generously.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit.edits import Span
from unbloat.evidence.callers import argument_of
from unbloat.evidence.facts import Facts, Found
from unbloat.evidence.program import FUNCTIONS, Module, Program
from unbloat.evidence.scopes import Scope, parameters

_HANDING_ON = frozenset(
    "copy enumerate get getattr items iter list pop reversed select setdefault sorted tuple values vars zip".split()
)
_PUTTING_IN = frozenset("add append extend insert setdefault update".split())
_CONTAINERS = frozenset("Counter OrderedDict defaultdict deque dict list set".split())


class ConfigFlow:
    """The names and fields of one program that may hold a part of the config."""

    def __init__(self, program: Program, facts: Facts, config_parameters: frozenset[str]) -> None:
        self._program = program
        self._facts = facts
        self._parameters = config_parameters
        self._names: set[tuple[Scope, str]] = set()
        self._fields: set[str] = set()
        self._returning: set[ast.AST] = set()
        known = -1
        while known != (known := self._size()):
            for module, node in program.walk():
                self._spread(module, node)

    def may_be_config(self, module: Module, node: ast.expr) -> bool:
        """Whether what `node` gives may be the config or a part of it."""
        if self._is_leaf(module, node):
            return False
        match node:
            case ast.Name():
                scope = module.scopes.of_name.get(node) or module.scope_of(node)
                holder = scope.resolve(node.id)
                return node.id in self._parameters or (holder is not None and (holder, node.id) in self._names)
            case ast.Attribute(value=base, attr=name):
                return name in self._parameters or name in self._fields or self.may_be_config(module, base)
            case ast.Subscript(value=base):
                return self.may_be_config(module, base)
            case ast.Call():
                return self._handed_on(module, node)
            case ast.Compare() | ast.Constant() | ast.JoinedStr() | ast.BinOp() | ast.UnaryOp() | ast.Lambda():
                return False
            case ast.IfExp(body=body, orelse=orelse):
                return self.may_be_config(module, body) or self.may_be_config(module, orelse)
            case _:
                return any(self.may_be_config(module, part) for part in _parts(node))

    def is_fresh(self, module: Module, node: ast.expr) -> bool:
        """Whether `node` names a container that is made here."""
        if not isinstance(node, ast.Name):
            return _is_fresh(node)
        scope = module.scopes.of_name.get(node) or module.scope_of(node)
        holder = scope.resolve(node.id)
        return holder is not None and all(_is_fresh(binding.value) for binding in holder.bindings[node.id])

    def _is_leaf(self, module: Module, node: ast.expr) -> bool:
        """Whether the runs saw a read here that ends at a number, text, flag or nothing: none of these can be written to."""
        if isinstance(node, ast.Name):
            return False
        keys = self._facts.keys_read(module.file, Span.of(node))
        if not all(key in self._facts.values for key in keys):
            return False
        leaves = [key for key in keys if all(_is_scalar(found) for found in self._facts.values[key])]
        return bool(leaves) and all(key in leaves or any(_holds(key, leaf) for leaf in leaves) for key in keys)

    def _size(self) -> int:
        return len(self._names) + len(self._fields) + len(self._returning)

    def _handed_on(self, module: Module, call: ast.Call) -> bool:
        if ast.unparse(call.func).rpartition(".")[2] in _HANDING_ON:
            parts = [*call.args, *([call.func.value] if isinstance(call.func, ast.Attribute) else [])]
            return any(self.may_be_config(module, part) for part in parts)
        callee = self._program.callee(module, module.scope_of(call), call)
        return callee is not None and callee.function in self._returning

    def _spread(self, module: Module, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                if self.may_be_config(module, value):
                    for target in targets:
                        self._take(module, target)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                if self.may_be_config(module, value):
                    self._take(module, target)
            case ast.For(target=target, iter=source) | ast.comprehension(target=target, iter=source):
                if self.may_be_config(module, source):
                    self._take(module, target)
            case ast.withitem(context_expr=source, optional_vars=ast.expr() as target):
                if self.may_be_config(module, source):
                    self._take(module, target)
            case ast.Return(value=ast.expr() as value):
                function = module.enclosing(node, FUNCTIONS)
                if function is not None and self.may_be_config(module, value):
                    self._returning.add(function)
            case ast.Call():
                self._pass(module, node)

    def _take(self, module: Module, target: ast.expr) -> None:
        if isinstance(target, ast.Name):
            holder = module.scopes.of_name[target].resolve(target.id)
            if holder is not None:
                self._names.add((holder, target.id))
        elif isinstance(target, ast.Attribute):
            self._fields.add(target.attr)
        elif isinstance(target, ast.Subscript):
            self._take(module, target.value)
        else:
            for part in _parts(target):
                self._take(module, part)

    def _pass(self, module: Module, call: ast.Call) -> None:
        """Arguments become parameters; a container that something is put into holds it; a keyword may become a field."""
        if isinstance(call.func, ast.Attribute) and call.func.attr in _PUTTING_IN:
            if any(self.may_be_config(module, part) for part in call.args):
                self._take(module, call.func.value)
        callee = self._program.callee(module, module.scope_of(call), call)
        if callee is None:
            for keyword in call.keywords:
                if keyword.arg is not None and self.may_be_config(module, keyword.value):
                    self._fields.add(keyword.arg)
            return
        scope = callee.module.scopes.by_node[callee.function]
        for parameter in parameters(callee.function):
            argument = argument_of(call, callee, parameter.arg)
            if argument is not None and argument in module.parents and self.may_be_config(module, argument):
                self._names.add((scope, parameter.arg))


def _is_fresh(value: ast.expr | None) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _CONTAINERS


def _is_scalar(found: Found) -> bool:
    kind, value = found
    return kind == "absent" or (kind == "value" and not isinstance(value, list))


def _holds(key: str, leaf: str) -> bool:
    return not key or leaf.startswith(key + ".")


def _parts(node: ast.AST) -> Iterator[ast.expr]:
    return (part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr))
