"""Which scope each name belongs to, by Python's rules: the ground that every other analysis stands on.

`symtable` answers the same question for source text, but not for a specialised tree, whose positions are those of the
legacy and whose text does not exist yet.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from unbloat.edit.edits import Span

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
ScopeNode: TypeAlias = ast.Module | ast.ClassDef | Function | Comprehension


@dataclass(frozen=True, eq=False)
class Binding:
    """One place that gives a name its value; `value` is None where no expression of the source is that value."""

    kind: str
    node: ast.AST
    value: ast.expr | None = None


@dataclass(eq=False)
class Scope:
    """A scope, the names bound in it, and the names it reads."""

    node: ScopeNode
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    reads: dict[str, list[ast.Name]] = field(default_factory=dict)
    declared_global: set[str] = field(default_factory=set)
    declared_nonlocal: set[str] = field(default_factory=set)

    @property
    def is_function(self) -> bool:
        return isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)

    @property
    def is_comprehension(self) -> bool:
        return isinstance(self.node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)

    def module(self) -> Scope:
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def resolve(self, name: str) -> Scope | None:
        """The scope that holds `name` as seen from here; None for a builtin or an undefined name."""
        if name in self.declared_global:
            module = self.module()
            return module if name in module.bindings else None
        if name in self.bindings and name not in self.declared_nonlocal:
            return self
        outer = self.parent
        while outer is not None:
            visible = not isinstance(outer.node, ast.ClassDef)
            if visible and name in outer.bindings and name not in outer.declared_nonlocal | outer.declared_global:
                return outer
            outer = outer.parent
        return None


@dataclass(frozen=True, eq=False)
class ModuleScopes:
    """All scopes of a module, by node."""

    module: Scope
    by_node: dict[ScopeNode, Scope]
    of_name: dict[ast.Name, Scope]

    def functions(self) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, Scope]]:
        for node, scope in self.by_node.items():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node, scope


def analyse_scopes(tree: ast.Module) -> ModuleScopes:
    """Resolve every scope of `tree`."""
    builder = _Builder(tree)
    for statement in tree.body:
        builder.visit(statement)
    _settle_declarations(builder)
    return ModuleScopes(builder.root, builder.by_node, builder.of_name)


def parameters(function: Function) -> list[ast.arg]:
    """Every parameter in order of declaration, with those after `*` and `**`."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]


def lost_names(before: ModuleScopes, after: ModuleScopes) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Functions of `after` with names that they still read, that were local to them in `before` and no longer are."""
    legacy = {Span.of(node): scope for node, scope in before.functions()}
    for node, scope in after.functions():
        if (origin := legacy.get(Span.of(node))) is not None:
            for name in sorted(scope.reads):
                if _holds(origin, name) and not _holds(scope, name):
                    yield node, name


def _holds(scope: Scope, name: str) -> bool:
    return name in scope.bindings and name not in scope.declared_global | scope.declared_nonlocal


def _settle_declarations(builder: _Builder) -> None:
    """Move what `global` and `nonlocal` declare to the scope that holds it."""
    for scope in builder.by_node.values():
        for name in scope.declared_global & scope.bindings.keys():
            builder.root.bindings.setdefault(name, []).extend(scope.bindings.pop(name))
        for name in scope.declared_nonlocal & scope.bindings.keys():
            holder = scope.parent
            while holder is not None and not (holder.is_function and name in holder.bindings):
                holder = holder.parent
            if holder is not None:
                holder.bindings[name].extend(scope.bindings.pop(name))


class _Builder(ast.NodeVisitor):
    def __init__(self, tree: ast.Module) -> None:
        self.root = Scope(tree, None)
        self.scope = self.root
        self.by_node: dict[ScopeNode, Scope] = {tree: self.root}
        self.of_name: dict[ast.Name, Scope] = {}

    # -- scopes -------------------------------------------------------------------------------------------------

    def _enter(self, node: ScopeNode) -> Scope:
        outer = self.scope
        self.scope = self.by_node[node] = Scope(node, outer)
        return outer

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._bind(node.name, Binding("def", node))
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._signature(node)
        outer = self._enter(node)
        for argument in parameters(node):
            self._bind(argument.arg, Binding("parameter", argument))
        for statement in node.body:
            self.visit(statement)
        self.scope = outer

    visit_FunctionDef = _function
    visit_AsyncFunctionDef = _function

    def _signature(self, node: Function) -> None:
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        for argument in parameters(node):
            if argument.annotation is not None:
                self.visit(argument.annotation)
        if not isinstance(node, ast.Lambda) and node.returns is not None:
            self.visit(node.returns)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._signature(node)
        outer = self._enter(node)
        for argument in parameters(node):
            self._bind(argument.arg, Binding("parameter", argument))
        self.visit(node.body)
        self.scope = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._bind(node.name, Binding("class", node))
        for part in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(part)
        outer = self._enter(node)
        for statement in node.body:
            self.visit(statement)
        self.scope = outer

    def _comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        outer = self._enter(node)
        for number, generator in enumerate(node.generators):
            if number:
                self.visit(generator.iter)
            self._target(generator.target, Binding("comprehension", generator))
            for condition in generator.ifs:
                self.visit(condition)
        if isinstance(node, ast.DictComp):
            self.visit(node.key)
            self.visit(node.value)
        else:
            self.visit(node.elt)
        self.scope = outer

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    # -- bindings -----------------------------------------------------------------------------------------------

    def _bind(self, name: str, binding: Binding) -> None:
        self.scope.bindings.setdefault(name, []).append(binding)

    def _target(self, target: ast.expr, binding: Binding) -> None:
        """Bind the names of a target; reads inside it (`a[i]`, `a.b`) are visited as reads."""
        if isinstance(target, ast.Name):
            self.of_name[target] = self.scope
            self._bind(target.id, binding)
        elif isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                self._target(element, Binding("unpack", binding.node))
        elif isinstance(target, ast.Starred):
            self._target(target.value, Binding("unpack", binding.node))
        else:
            self.visit(target)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._target(target, Binding("assign", node, node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._target(node.target, Binding("assign", node, node.value))
        elif isinstance(node.target, ast.Name):
            self.of_name[node.target] = self.scope
            self._bind(node.target.id, Binding("annotation", node))
        else:
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self.scope.reads.setdefault(node.target.id, []).append(node.target)
        self._target(node.target, Binding("augmented", node))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        inner = self.scope
        while self.scope.is_comprehension and self.scope.parent is not None:
            self.scope = self.scope.parent
        self._target(node.target, Binding("assign", node, node.value))
        self.scope = inner

    def _loop(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._target(node.target, Binding("for", node))
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    visit_For = visit_AsyncFor = _loop

    def visit_withitem(self, node: ast.withitem) -> None:
        self.visit(node.context_expr)
        if node.optional_vars is not None:
            self._target(node.optional_vars, Binding("with", node))

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name is not None:
            self._bind(node.name, Binding("handler", node))
        for statement in node.body:
            self.visit(statement)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or (alias.name if isinstance(node, ast.ImportFrom) else alias.name.partition(".")[0])
            self._bind(name, Binding("import", alias))

    visit_Import = visit_ImportFrom = _import

    def visit_Global(self, node: ast.Global) -> None:
        self.scope.declared_global.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.scope.declared_nonlocal.update(node.names)

    def _pattern(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name is not None:
            self._bind(node.name, Binding("pattern", node))
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = _pattern

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest is not None:
            self._bind(node.rest, Binding("pattern", node))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.of_name[node] = self.scope
        if isinstance(node.ctx, ast.Load):
            self.scope.reads.setdefault(node.id, []).append(node)
        elif isinstance(node.ctx, ast.Del):
            self._bind(node.id, Binding("delete", node))
