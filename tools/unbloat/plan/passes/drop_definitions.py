"""Drop functions, methods, classes and module-level constants that nothing kept can reach.

Safe because reachability is judged generously: any mention of the name counts, an attribute or a word in a string
included, and so does every identifier of the workload files. Special methods and whatever a framework might call on a
class with a foreign base stay. Asking for a removed definition is an `ImportError` or `AttributeError`, never silence.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropStatement, Span
from unbloat.evidence import NOTHING, Module, Support
from unbloat.evidence.references import module_exports, names_in_strings
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop unused definitions"

EXAMPLES = (
    Example(
        "a function, its helper and its constant",
        before="""
        SCALE = 3
        LIMIT = 4

        def unused(x):
            return helper(x)

        def helper(x):
            return x

        def run(cfg):
            return LIMIT
        """,
        after="""
        LIMIT = 4

        def run(cfg):
            return LIMIT
        """,
    ),
    Example(
        "a method that nothing mentions; a special one stays",
        before="""
        class Box:
            def __len__(self):
                return 2

            def unused(self):
                return 3

        def run(cfg):
            return len(Box())
        """,
        after="""
        class Box:
            def __len__(self):
                return 2

        def run(cfg):
            return len(Box())
        """,
    ),
    Example(
        "a name in a string is a reference, and a framework may call any method",
        before="""
        import threading

        def chosen():
            return 1

        class Worker(threading.Thread):
            def run(self):
                self.result = 2

        def run(cfg):
            worker = Worker()
            worker.start()
            worker.join()
            return globals()["chosen"](), worker.result
        """,
        after="""
        import threading

        def chosen():
            return 1

        class Worker(threading.Thread):
            def run(self):
                self.result = 2

        def run(cfg):
            worker = Worker()
            worker.start()
            worker.join()
            return globals()["chosen"](), worker.result
        """,
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every unreached definition, then every unread constant."""
    exports = module_exports(view.program, view.facts)
    for module, node in view.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not view.references.is_reached(node) and not _goes_with_another(view, module, node):
                kind = "class" if isinstance(node, ast.ClassDef) else "function"
                yield _removal(module, node, f"nothing that is kept refers to {kind} `{node.name}`")
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node in module.tree.body:
            name = _constant(node)
            if name is not None and _is_unread(view, module, name, exports):
                support = NOTHING if node.value is None else view.dropping(module, node.value)
                if support is not None:
                    yield _removal(module, node, f"nothing that is kept reads `{name}`", support)


def _goes_with_another(view: View, module: Module, node: ast.AST) -> bool:
    """With a definition goes what is inside of it; where it turns out that it cannot go, that stays, too."""
    outer = module.enclosing(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    if not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return not view.references.is_reached(outer)


def _removal(module: Module, node: ast.stmt, reason: str, support: Support = NOTHING) -> Removal:
    place = Span.of(node)
    return Removal(module.file, DropStatement(place), NAME, Evidence.UNREFERENCED, reason, place, lines_of([node]), support)


def _constant(node: ast.Assign | ast.AnnAssign) -> str | None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    target = targets[0]
    special = isinstance(target, ast.Name) and target.id.startswith("__") and target.id.endswith("__")
    return target.id if len(targets) == 1 and isinstance(target, ast.Name) and not special else None


def _is_unread(view: View, module: Module, name: str, exports: frozenset[tuple[str, str]]) -> bool:
    root = module.scopes.module
    if name in view.outside or (module.name, name) in exports or (module.name, "*") in exports:
        return False
    if any(name in scope.reads and scope.resolve(name) is root for scope in module.scopes.by_node.values()):
        return False
    return not any(name in names_in_strings(node) for node in module.nodes)
