"""Drop whole modules that nothing kept imports.

Safe because importing one is a `ModuleNotFoundError`, never silence. What counts is every import that a workload executed,
and one that did not run but whose failure somebody might swallow, or that types rely on; a package stays with anything in
it, and a module whose name a workload mentions stays. Where the package itself loads modules by computed names, those stay
that a workload loaded; where it lists modules or its files, or swallows the error of one that is missing, all stay.
What importing a module does beside that (registering something, drawing a random number) is what the goldens are for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from unbloat.edit import DropModule, Span
from unbloat.evidence import Module
from unbloat.evidence.loaders import is_heard, loads
from unbloat.evidence.related import absolute_name, loaded_files
from unbloat.plan.example import Example
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop unused modules"

EXAMPLES = (
    Example(
        "a module whose import did not run, with what only that one imports",
        before="""
        from .used import VALUE

        def run(cfg):
            if cfg.wide:
                from .wide import widened
                return widened(VALUE)
            return VALUE
        """,
        after="""
        from .used import VALUE

        def run(cfg):
            if cfg.wide:
                from .wide import widened
                return widened(VALUE)
            return VALUE
        """,
        config={"wide": False},
        others={
            "used.py": "VALUE = 1\n",
            "wide.py": "from .wider import WIDER\n\ndef widened(value):\n    return value + WIDER\n",
            "wider.py": "WIDER = 9\n",
        },
        gone=("wide.py", "wider.py"),
    ),
    Example(
        "an import whose failure somebody would swallow",
        before="""
        def run(cfg):
            try:
                if cfg.wide:
                    from .wide import WIDE
                    return WIDE
            except ImportError:
                return 3
            return 2
        """,
        after="""
        def run(cfg):
            try:
                if cfg.wide:
                    from .wide import WIDE
                    return WIDE
            except ImportError:
                return 3
            return 2
        """,
        config={"wide": False},
        others={"wide.py": "WIDE = 9\n"},
    ),
    Example(
        "a module that the workload imports",
        before="""
        def run(cfg):
            return 1
        """,
        after="""
        def run(cfg):
            return 1
        """,
    ),
)

_MISSING = frozenset({ImportError})


def propose(view: View) -> Iterator[Removal]:
    """Every module that no workload reaches through imports."""
    modules = {**view.program.modules, **view.program.strangers}
    package = next(iter(modules)).partition("/")[0]
    found = [*loads(modules.values())]
    if any(_is_silent(view, module, node) for module, node in found):
        return
    by_name = any(view.facts.executed(module.file, node.lineno) for module, node in found)
    kept = _kept(view, modules, package, loads_by_name=by_name)
    for file in sorted(view.files - kept):
        module = modules[file]
        last = max((getattr(node, "end_lineno", 0) or 0 for node in module.tree.body), default=1)
        reason = f"nothing that is kept imports `{module.name}`"
        place = Span(1, 0, last, 0)
        yield Removal(file, DropModule(), NAME, Evidence.UNREFERENCED, reason, place, ((1, last),))


def _is_silent(view: View, module: Module, node: ast.expr) -> bool:
    """Whether a load may find less than before, and nobody hears of it."""
    executed = bool(view.facts.executed(module.file, node.lineno))
    if module.file in view.program.strangers:
        return executed
    return (executed and not is_heard(module, node)) or view.catchers.caught(module, node, _MISSING)


def _kept(view: View, modules: Mapping[str, Module], package: str, *, loads_by_name: bool) -> set[str]:
    """The modules that workloads name or load by name, and what those import, with the packages that they lie in."""
    roots = [
        file
        for file, module in modules.items()
        if file not in view.files or _is_root(view, module, package) or (loads_by_name and _was_loaded(view, module))
    ]
    pending = [(file, False) for file in roots]
    kept: dict[str, bool] = {}  # whether a module is for somebody who would not hear what it misses
    while pending:
        file, unheard = pending.pop()
        if file in kept and unheard <= kept[file]:
            continue
        kept[file] = unheard
        pending += [(found, unheard) for found in loaded_files(modules[file].name, modules)]
        for dotted, is_unheard in _imports(view, modules[file], unheard):
            pending += [(found, is_unheard) for found in loaded_files(dotted, modules)]
    return {*kept}


def _is_root(view: View, module: Module, package: str) -> bool:
    if module.name == package:
        return True
    return module.name.rpartition(".")[2] in view.outside and (_ran(view, module) or not module.tree.body)


def _was_loaded(view: View, module: Module) -> bool:
    """Whether a workload loaded a module; of an empty one, nothing tells."""
    return module.file in view.facts.lines or not module.tree.body


def _ran(view: View, module: Module) -> bool:
    return any(view.facts.executed(module.file, node.lineno) for node in module.tree.body)


def _imports(view: View, module: Module, unheard: bool) -> Iterator[tuple[str, bool]]:
    """The dotted names that a module imports where that counts, and whether nobody would hear that it fails."""
    for node in module.nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom) or not (unheard or _counts(view, module, node)):
            continue
        is_unheard = unheard or (
            not view.facts.executed(module.file, node.lineno) and view.catchers.caught(module, node, _MISSING)
        )
        if isinstance(node, ast.Import):
            yield from ((alias.name, is_unheard) for alias in node.names)
        else:
            owner = absolute_name(module.name, module.file, node)
            yield from ((f"{owner}.{alias.name}", is_unheard) for alias in node.names)


def _counts(view: View, module: Module, node: ast.stmt) -> bool:
    """Whether an import ran, or would fail where nobody hears it.

    A module of the phase that did not run is kept for somebody who would not hear that it is missing, nor what it misses.
    """
    if view.facts.executed(module.file, node.lineno):
        return True
    if module.file in view.files and not _ran(view, module):
        return True
    outer: ast.AST | None = module.parents.get(node)
    while outer is not None:
        if isinstance(outer, ast.Try | ast.TryStar) and outer.handlers:
            return True
        if isinstance(outer, ast.If) and "TYPE_CHECKING" in ast.unparse(outer.test):
            return True
        outer = module.parents.get(outer)
    return view.catchers.caught(module, node, _MISSING)
