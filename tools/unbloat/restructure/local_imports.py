"""A package that imports itself relatively can be put anywhere, also into another package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from unbloat.errors import RestructureError
from unbloat.restructure.mentions import lines_of


def localised(files: Mapping[str, str], package: str) -> dict[str, str]:
    """Every module with its imports of the own package made relative.

    Raises:
        RestructureError: `import PACKAGE.MODULE` binds the package's own name, and more than that module is used through it.
    """
    return {file: _local(file, text, package, set(files)) for file, text in files.items()}


def _local(file: str, text: str, package: str, known: set[str]) -> str:
    tree = ast.parse(text)
    lines = lines_of(text)
    edits: list[tuple[int, int, int, str]] = []  # line, first byte, last byte, what is written instead
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _is_own(node.module, package):
            assert node.module is not None
            first = lines[node.lineno - 1].encode()[node.col_offset :]
            match = re.match(rb"from\s+([\w.]+)(?=\s+import\b)", first)
            if match is None:
                raise RestructureError(f"{file}:{node.lineno}: the import goes over a line's end before its names")
            start, end = (node.col_offset + at for at in match.span(1))
            edits.append((node.lineno, start, end, relative(file, node.module, known)))
        elif isinstance(node, ast.Import) and any(_is_own(alias.name, package) for alias in node.names):
            edits.append(_from_import(file, node, package, known, bound))
    edits += _uses(file, tree, package, bound)
    for number, start, end, instead in sorted(edits, reverse=True):
        line = lines[number - 1].encode()
        lines[number - 1] = (line[:start] + instead.encode() + line[end:]).decode()
    return "".join(lines)


def relative(file: str, module: str, known: set[str]) -> str:
    """A module's name as the file writes it: a dot is its own package, each more the one around it."""
    own = file.split("/")[:-1]
    target = module.split(".")
    same = 0
    while same < min(len(own), len(target)) and own[same] == target[same]:
        same += 1
    return "." * (len(own) - same + 1) + ".".join(target[same:])


def _from_import(file: str, node: ast.Import, package: str, known: set[str], bound: set[str]) -> tuple[int, int, int, str]:
    """`import a.b.c` becomes `from ..b import c`."""
    if len(node.names) > 1 or node.end_lineno != node.lineno or node.end_col_offset is None:
        raise RestructureError(f"{file}:{node.lineno}: imports several modules at once; import them one by one")
    alias = node.names[0]
    parent, _, name = alias.name.rpartition(".")
    if not parent:
        raise RestructureError(f"{file}:{node.lineno}: imports the whole package {package} by its name")
    renamed = f" as {alias.asname}" if alias.asname and alias.asname != name else ""
    if not alias.asname:
        bound.add(alias.name)
    return node.lineno, node.col_offset, node.end_col_offset, f"from {relative(file, parent, known)} import {name}{renamed}"


def _uses(file: str, tree: ast.Module, package: str, bound: set[str]) -> Iterator[tuple[int, int, int, str]]:
    """Where `a.b.c` stands for the module that is called `c` from now on."""
    if not bound:
        return
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | {
        argument.arg for argument in ast.walk(tree) if isinstance(argument, ast.arg)
    }
    accounted = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (module := _dotted(node)) in bound:
            name = module.rpartition(".")[2]
            if name in names:
                raise RestructureError(f"{file}:{node.lineno}: {name} is the name of something else here")
            assert node.end_col_offset is not None
            if node.end_lineno != node.lineno:
                raise RestructureError(f"{file}:{node.lineno}: {module} goes over a line's end")
            accounted += 1
            yield node.lineno, node.col_offset, node.end_col_offset, name
    if accounted < sum(isinstance(node, ast.Name) and node.id == package for node in ast.walk(tree)):
        raise RestructureError(f"{file}: uses {package} beyond the modules that it imports")


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_own(module: str | None, package: str) -> bool:
    return module is not None and (module == package or module.startswith(f"{package}."))
