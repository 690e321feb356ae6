"""Drop local variables that nobody reads, and containers that are only ever filled.

Safe because only names of function scopes are looked at, in functions that never hand out their namespace (`locals`,
`vars`, `eval`, `exec`), and only where the value leaves no trace; otherwise the value stays as a statement of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropStatement, Edit, KeepValue, Span
from unbloat.evidence import NOTHING, Module, Support, joined
from unbloat.evidence.scopes import Binding, Scope
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop dead stores"

_FILLING = frozenset("add append clear discard extend insert setdefault sort update".split())
_NAMESPACE = frozenset("locals vars eval exec dir globals".split())

EXAMPLES = (
    Example(
        "an unread flag, and a value that must still be computed",
        before="""
        def run(cfg):
            flag = bool(cfg.get("flag"))
            found = cfg.pop("size")
            return len(cfg)
        """,
        after="""
        def run(cfg):
            cfg.pop("size")
            return len(cfg)
        """,
        config={"flag": True, "size": 1},
    ),
    Example(
        "a table that is filled and never read",
        before="""
        def run(cfg, values=(1, 2)):
            seen = {}
            total = 0
            for value in values:
                seen[value] = True
                total += value
            return total
        """,
        after="""
        def run(cfg, values=(1, 2)):
            total = 0
            for value in values:
                total += value
            return total
        """,
    ),
    Example(
        "overwritten before anybody reads it",
        before="""
        def run(cfg, values=(1, 2)):
            size = 0
            size = len(values)
            return size
        """,
        after="""
        def run(cfg, values=(1, 2)):
            size = len(values)
            return size
        """,
    ),
    Example(
        "`locals()` sees every name",
        before="""
        def run(cfg):
            flag = True
            return sorted(locals())
        """,
        after="""
        def run(cfg):
            flag = True
            return sorted(locals())
        """,
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every dead store of the phase's functions."""
    for file in sorted(view.files):
        module = view.program.modules[file]
        for function, scope in module.scopes.functions():
            if getattr(function, "inserted", False) or _hands_out_namespace(function):
                continue
            yield from _unread_functions(module, scope)
            for name, bindings in scope.bindings.items():
                readers = list(_readers(module, scope, name))
                if all(_only_fills(module, reader) for reader in readers):
                    yield from _unread(view, module, name, bindings, readers)
                elif len(bindings) > 1:
                    yield from _overwritten(view, module, scope, name)


def _unread_functions(module: Module, scope: Scope) -> Iterator[Removal]:
    """A function inside of another that nobody names; a decorator would keep book of it."""
    for name, bindings in scope.bindings.items():
        node = bindings[0].node
        if len(bindings) == 1 and isinstance(node, ast.FunctionDef) and not node.decorator_list:
            if not any(True for _ in _readers(module, scope, name)) and not node.args.defaults:
                yield _removal(module, node, DropStatement(Span.of(node)), f"`{name}` is never read")


def _readers(module: Module, scope: Scope, name: str) -> Iterator[ast.Name]:
    """Every read of a local variable, from closures too; `x += 1` alone does not make `x` worth keeping."""
    for other in module.scopes.by_node.values():
        for read in other.reads.get(name, ()):
            if isinstance(read.ctx, ast.Load) and other.resolve(name) is scope:
                yield read


def _only_fills(module: Module, reader: ast.Name) -> bool:
    """`x[k] = v` and `x.append(v)` as statements."""
    return _filling_statement(module, reader) is not None


def _filling_statement(module: Module, reader: ast.Name) -> ast.stmt | None:
    parent = module.parents[reader]
    statement = module.statement_of(reader)
    if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Store) and parent.value is reader:
        single = isinstance(statement, ast.Assign) and len(statement.targets) == 1 and statement.targets[0] is parent
        return statement if single or (isinstance(statement, ast.AugAssign) and statement.target is parent) else None
    if isinstance(parent, ast.Attribute) and parent.attr in _FILLING:
        call = module.parents[parent]
        if isinstance(call, ast.Call) and call.func is parent and isinstance(statement, ast.Expr) and statement.value is call:
            return statement
    return None


def _unread(view: View, module: Module, name: str, bindings: list[Binding], readers: list[ast.Name]) -> Iterator[Removal]:
    stores = [binding.node for binding in bindings]
    if not all(_is_plain_store(store) for store in stores):
        return
    if any(isinstance(store, ast.AugAssign) for store in stores) and not all(_is_own(store) for store in stores):
        return  # `x += y` may change what somebody else holds
    values = [store.value for store in stores if isinstance(store, ast.Assign | ast.AnnAssign | ast.AugAssign)]
    if readers and not all(value is None or _is_fresh(view, module, value) for value in values):
        return  # somebody else may hold the container
    reason = f"`{name}` is never read" if not readers else f"`{name}` is filled, never read"
    for store in stores:
        assert isinstance(store, ast.Assign | ast.AnnAssign | ast.AugAssign)
        support = Support() if store.value is None else view.dropping(module, store.value)
        if support is None:
            yield _removal(module, store, KeepValue(Span.of(store)), reason)
        else:
            yield _removal(module, store, DropStatement(Span.of(store)), reason, support)
    for reader in readers:
        filling = _filling_statement(module, reader)
        assert filling is not None
        supports = [_harmless(view, module, part) for part in ast.iter_child_nodes(filling)]
        if (support := joined(supports)) is not None:
            yield _removal(module, filling, DropStatement(Span.of(filling)), reason, support)


def _harmless(view: View, module: Module, part: ast.AST) -> Support | None:
    if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
        parts = [*part.args, *(keyword.value for keyword in part.keywords)]
        return joined([view.dropping(module, argument) for argument in parts])
    return view.dropping(module, part) if isinstance(part, ast.expr) else Support()


def _is_plain_store(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign):
        return len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    return isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name)


def _is_own(store: ast.AST) -> bool:
    """Whether a store gives the name a number, a text or a container of its own."""
    if isinstance(store, ast.AugAssign):
        return True
    value = store.value if isinstance(store, ast.Assign | ast.AnnAssign) else None
    return value is None or isinstance(value, ast.Constant | ast.JoinedStr | ast.List | ast.Dict | ast.Set | ast.Compare)


def _is_fresh(view: View, module: Module, value: ast.expr) -> bool:
    displays = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    return isinstance(value, displays) or (isinstance(value, ast.Call) and view.purity.is_pure(module, value))


def _overwritten(view: View, module: Module, scope: Scope, name: str) -> Iterator[Removal]:
    """A store whose value the next mention of the name, in the same block, replaces."""
    for binding in scope.bindings[name]:
        store = binding.node
        if not isinstance(store, ast.Assign | ast.AnnAssign) or not _is_plain_store(store) or store.value is None:
            continue
        if _is_overwritten(module, scope, store, name) and (support := view.dropping(module, store.value)) is not None:
            reason = f"`{name}` is overwritten before anybody reads it"
            yield _removal(module, store, DropStatement(Span.of(store)), reason, support)


def _is_overwritten(module: Module, scope: Scope, store: ast.stmt, name: str) -> bool:
    owner = module.parents[store]
    if module.enclosing(store, (ast.Try, ast.TryStar)) is not None or isinstance(scope.node, ast.Lambda):
        return False  # an exception may let a handler see the first value
    if any(
        other is not scope and name in other.reads and other.resolve(name) is scope for other in module.scopes.by_node.values()
    ):
        return False  # a closure may run in between
    for block in (getattr(owner, part, []) for part in ("body", "orelse", "finalbody")):
        if store in block:
            for statement in block[block.index(store) + 1 :]:
                if any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(statement)):
                    return _replaces(statement, name)
                if any(isinstance(node, ast.Break | ast.Continue) for node in ast.walk(statement)):
                    return False
    return False


def _replaces(statement: ast.stmt, name: str) -> bool:
    if not isinstance(statement, ast.Assign) or not _is_plain_store(statement):
        return False
    target = statement.targets[0]
    return (
        isinstance(target, ast.Name)
        and target.id == name
        and not any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(statement.value))
    )


def _hands_out_namespace(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Name) and node.id in _NAMESPACE for node in ast.walk(function))


def _removal(module: Module, node: ast.stmt, edit: Edit, reason: str, support: Support = NOTHING) -> Removal:
    gone = lines_of([node]) if isinstance(edit, DropStatement) else ()
    return Removal(module.file, edit, NAME, Evidence.UNREFERENCED, reason, Span.of(node), gone, support)
