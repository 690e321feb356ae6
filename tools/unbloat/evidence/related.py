"""Which modules of a package have to do with the files of a phase, by import.

What those files import may run on their behalf, and what imports them may call them: these are analysed together. Any
other module of the package can reach them no better than a stranger's script does, so it counts as one: what it names
stays, and what it might pass is unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping

from unbloat.evidence.kept import kept


def related_files(trees: Mapping[str, ast.Module], files: Iterable[str]) -> frozenset[str]:
    """The given files, what they import, directly or not, and what imports them, directly or not."""
    imports = {file: _imported_files(file, tree, trees) for file, tree in trees.items()}
    importers: dict[str, set[str]] = {file: set() for file in trees}
    for file, targets in imports.items():
        for target in targets:
            importers[target].add(file)
    known = [file for file in files if file in trees]
    return _closure(known, imports) | _closure(known, importers)


def _closure(start: Iterable[str], edges: Mapping[str, set[str]]) -> frozenset[str]:
    found: set[str] = set()
    pending = list(start)
    while pending:
        file = pending.pop()
        if file not in found:
            found.add(file)
            pending.extend(edges[file])
    return frozenset(found)


def _imported_files(file: str, tree: ast.Module, trees: Mapping[str, ast.Module]) -> set[str]:
    """The modules that an import anywhere in a file may load, packages on the way to them included."""
    return {loaded for dotted in _imported_names(tree, file) for loaded in loaded_files(dotted, trees)} - {file}


@kept
def _imported_names(tree: ast.Module, file: str) -> frozenset[str]:
    """The dotted names that a file imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            owner = absolute_name(module_name(file), file, node)
            found.update(f"{owner}.{alias.name}" for alias in node.names)
    return frozenset(found)


def loaded_files(dotted: str, trees: Collection[str]) -> Iterable[str]:
    """The files of a package that importing a dotted name may load."""
    parts = dotted.split(".")
    for length in range(1, len(parts) + 1):
        path = "/".join(parts[:length])
        yield from (file for file in (f"{path}.py", f"{path}/__init__.py") if file in trees)


def module_name(file: str) -> str:
    """The dotted name of the module in a file."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def absolute_name(module: str, file: str, statement: ast.ImportFrom) -> str:
    """The dotted name of the module that an import names."""
    if not statement.level:
        return statement.module or ""
    package = module.split(".")
    up = statement.level - (1 if file.endswith("/__init__.py") else 0)
    kept = package[: len(package) - up]
    return ".".join([*kept, *([statement.module] if statement.module else [])])
