"""One module's text from that of several: documentation and imports first, then what each defines, in order."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from unbloat.errors import RestructureError


@dataclass
class Parts:
    """What has been taken over so far."""

    documentation: str = ""
    future: dict[str, None] = field(default_factory=dict)
    imports: dict[str, None] = field(default_factory=dict)
    known: dict[str, None] = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)
    shared: set[str] = field(default_factory=set)
    owners: dict[str, tuple[str, str]] = field(default_factory=dict)


def merged(parts: Mapping[str, str], own: str) -> str:
    """The text of the module `own` that holds all parts.

    A statement that two parts write in the same words (`logger = …`) stays once. Documentation is that of the first part.

    Raises:
        RestructureError: two parts bind a name differently, or one imports another part under a second name.
    """
    found = Parts()
    for file, text in parts.items():
        _take(found, file, text, own)
    head = [found.documentation, "\n".join(found.future), "\n".join(found.imports)]
    return "\n\n".join(part for part in head if part) + "\n\n\n" + "\n\n\n".join(body for body in found.bodies if body) + "\n"


def _take(found: Parts, file: str, text: str, own: str) -> None:
    tree, lines = ast.parse(text), text.split("\n")
    body = list(tree.body)
    gone: list[ast.stmt] = []
    if body and ast.get_docstring(tree, clean=False) is not None:
        documentation = body.pop(0)
        gone.append(documentation)
        found.documentation = found.documentation or _text(lines, documentation)
    for node in body:
        if isinstance(node, ast.ImportFrom) and _is_self(node, own):
            if any(alias.asname not in (None, alias.name) for alias in node.names):
                raise RestructureError(f"{file}:{node.lineno}: imports from a module of the merge under another name")
            gone.append(node)
            continue
        shown = _text(lines, node)
        for name, what in bound(node, shown):
            if found.owners.setdefault(name, (file, what))[1] != what and name != "__all__":
                raise RestructureError(f"{file}:{node.lineno} and {found.owners[name][0]} both bind {name}, differently")
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            found.future[shown] = None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            _take_import(found, node, shown)
        elif any(name == "__all__" for name, _ in bound(node, shown)):
            raise RestructureError(f"{file}:{node.lineno}: merging `__all__` is not supported; leave this module out")
        elif shown not in found.shared:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                found.shared.add(shown)
            continue
        gone.append(node)
    found.bodies.append(_without(lines, gone))


def _take_import(found: Parts, node: ast.Import | ast.ImportFrom, shown: str) -> None:
    """Verbatim if all of it is new, otherwise what is new of it."""
    keys = {ast.dump(_alone(node, alias)): alias for alias in node.names}
    new = [alias for key, alias in keys.items() if key not in found.known]
    found.known.update(dict.fromkeys(keys))
    if len(new) == len(node.names):
        found.imports[shown] = None
    elif new:
        node.names = new
        found.imports[ast.unparse(node)] = None


def _alone(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.Import([alias])
    return ast.ImportFrom(node.module, [alias], node.level)


def bound(node: ast.stmt, shown: str) -> Iterator[tuple[str, str]]:
    """The names that a statement at the top of a module binds, and to what."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name, shown
    elif isinstance(node, ast.Import):
        # `import a.b` and `import a.c` both bind `a`, to the same.
        yield from ((alias.asname or alias.name.partition(".")[0], alias.name if alias.asname else "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from ((alias.asname or alias.name, ast.dump(_alone(node, alias))) for alias in node.names)
    else:
        stored = (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store))
        yield from ((name, shown) for name in stored)


def _is_self(node: ast.ImportFrom, own: str) -> bool:
    package, _, stem = own.rpartition(".")
    return (node.level == 0 and node.module == own) or (node.level == 1 and node.module == stem and bool(package))


def _text(lines: list[str], node: ast.stmt) -> str:
    assert node.end_lineno is not None
    return "\n".join(lines[node.lineno - 1 : node.end_lineno])


def _without(lines: list[str], gone: Iterable[ast.stmt]) -> str:
    numbers = {number for node in gone for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return "\n".join(line for number, line in enumerate(lines, 1) if number not in numbers).strip("\n")
