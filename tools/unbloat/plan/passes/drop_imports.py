"""Drop imports whose name nobody reads.

Safe because the name is not read in its scope, not exported to another module, workload or `__all__`, and not mentioned
in a string, and what it loads registers nothing, by a decorator or by a call that says so. What else an import does
besides binding a name (drawing a random number) is what the goldens are for. An import of a package's `__init__` file stays
if another module reaches what it loads through the package, and so does one whose error may have been caught;
`from __future__` stays as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropAlias, Span
from unbloat.evidence import Module
from unbloat.evidence.references import module_exports, names_in_strings
from unbloat.evidence.registers import loaded_by, registering_modules
from unbloat.evidence.related import absolute_name
from unbloat.plan.blocks import blocks_of
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop unused imports"

EXAMPLES = (
    Example(
        "one name of two, at module level and inside a function",
        before="""
        import math
        from collections import Counter, deque

        def run(cfg):
            import json
            return len(Counter([1]))
        """,
        after="""
        from collections import Counter

        def run(cfg):
            return len(Counter([1]))
        """,
    ),
    Example(
        "a name in a string annotation is read",
        before="""
        from decimal import Decimal

        def run(cfg, value: "Decimal | None" = None):
            return value
        """,
        after="""
        from decimal import Decimal

        def run(cfg, value: "Decimal | None" = None):
            return value
        """,
    ),
    Example(
        "an import that fails: what follows must not run",
        before="""
        try:
            import a_module_that_nobody_has
            RATE = 2
        except ImportError:
            RATE = 1

        def run(cfg):
            return RATE
        """,
        after="""
        try:
            import a_module_that_nobody_has
            RATE = 2
        except ImportError:
            RATE = 1

        def run(cfg):
            return RATE
        """,
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every import alias without a reader."""
    exports = module_exports(view.program, view.facts)
    registering = registering_modules(view.program)
    for module, node in view.nodes():
        if not isinstance(node, ast.alias) or node.name == "*":
            continue
        statement = module.parents[node]
        assert isinstance(statement, ast.Import | ast.ImportFrom)
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            continue
        if _loads_what_others_reach(module, statement, exports) or _may_have_failed(view, module, statement):
            continue
        name = node.asname or (node.name if isinstance(statement, ast.ImportFrom) else node.name.partition(".")[0])
        if _is_first_to_register(view, module, statement, node, registering):
            continue
        if not _is_read(view, module, statement, name, exports):
            yield Removal(
                module.file,
                DropAlias(Span.of(node)),
                NAME,
                Evidence.UNREFERENCED,
                f"nothing that is kept reads `{name}`",
                Span.of(node),
                lines_of([node]),
            )


def _is_first_to_register(
    view: View, module: Module, statement: ast.Import | ast.ImportFrom, alias: ast.alias, registering: frozenset[str]
) -> bool:
    """Whether a name is the first of its statement that loads a module which registers something."""
    loaded = loaded_by(module, statement, alias, view.program) & registering
    for other in statement.names[: statement.names.index(alias)]:
        loaded -= loaded_by(module, statement, other, view.program)
    return bool(loaded)


def _is_read(view: View, module: Module, statement: ast.stmt, name: str, exports: frozenset[tuple[str, str]]) -> bool:
    holder = module.scope_of(statement).resolve(name)
    if holder is None:
        return True
    if holder is module.scopes.module and (
        name in view.outside or (module.name, name) in exports or (module.name, "*") in exports
    ):
        return True
    if any(name in scope.reads and scope.resolve(name) is holder for scope in module.scopes.by_node.values()):
        return True
    return any(name in names_in_strings(node) for node in module.nodes if not _is_all_prose(node))


def _loads_what_others_reach(
    module: Module, statement: ast.Import | ast.ImportFrom, exports: frozenset[tuple[str, str]]
) -> bool:
    """Whether a package's import is what makes `package.module` work for others, who import the package alone."""
    if not module.file.endswith("/__init__.py") or not isinstance(statement, ast.ImportFrom):
        return False
    loaded = absolute_name(module.name, module.file, statement)
    part = loaded.removeprefix(module.name + ".").partition(".")[0]
    return loaded.startswith(module.name + ".") and (module.name, part) in exports


def _may_have_failed(view: View, module: Module, statement: ast.stmt) -> bool:
    """Whether an import stands in a `try` that caught an error, or nothing behind it was executed."""
    for block in blocks_of(module.parents[statement]):
        if statement in block and (behind := block[block.index(statement) + 1 :]):
            reached = any(view.facts.executed(module.file, part.lineno) for part in behind)
            if view.facts.executed(module.file, statement.lineno) and not reached:
                return True
    inner: ast.AST = statement
    while (outer := module.parents.get(inner)) is not None:
        if isinstance(outer, ast.Try | ast.TryStar) and inner in outer.body:
            if any(view.catchers.fired(module, handler) for handler in outer.handlers):
                return True
        inner = outer
    return False


def _is_all_prose(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value
