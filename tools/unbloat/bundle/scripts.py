"""What a script needs beside it, and what all of it imports from elsewhere."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from unbloat.errors import SubjectError
from unbloat.subject.sources import parse_file


def with_helpers(scripts: Sequence[Path], package: str, folders: Sequence[Path]) -> dict[str, Path]:
    """The scripts, and every module beside them or in `folders` that they import, by their name in the bundle.

    A script that is named stands in for a module of its name elsewhere: so a bundle can have its own.

    Raises:
        SubjectError: two scripts share a name, or a helper is a package.
    """
    found: dict[str, Path] = {}
    for script in scripts:
        if script.name in found:
            raise SubjectError(f"{script}: {found[script.name]} has the same name; in a bundle they lie side by side")
        found[script.name] = script
    pending = list(scripts)
    while pending:
        script = pending.pop()
        for name in sorted(imported(parse_file(script)) - {package}):
            if f"{name}.py" in found:
                continue
            for folder in (script.parent, *folders):
                if (folder / name / "__init__.py").is_file():
                    raise SubjectError(f"{script}: imports the package {folder / name}; a bundle takes modules beside a script")
                if (folder / f"{name}.py").is_file():
                    found[f"{name}.py"] = folder / f"{name}.py"
                    pending.append(found[f"{name}.py"])
                    break
    return dict(sorted(found.items()))


def foreign_imports(sources: Mapping[str, bytes], own: Iterable[str]) -> dict[str, str]:
    """Modules from neither the standard library nor the bundle, with the first place that imports each."""
    known = {*sys.stdlib_module_names, *own}
    found: dict[str, str] = {}
    for file, content in sorted(sources.items()):
        if file.endswith(".py"):
            for name in sorted(imported(ast.parse(content)) - known):
                found.setdefault(name, file)
    return dict(sorted(found.items()))


def imported(tree: ast.Module) -> set[str]:
    """The first part of every module that is imported absolutely."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            names.add(node.module.partition(".")[0])
    return names
