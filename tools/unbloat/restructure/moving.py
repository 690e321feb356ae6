"""What rope does: move, merge and rename in a project on disk, and mend every reference."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rope.base.exceptions import RopeError
from rope.base.project import Project
from rope.refactor.move import MoveModule
from rope.refactor.rename import Rename

from unbloat.errors import RestructureError
from unbloat.restructure.mentions import exported, lines_of, named, named_modules
from unbloat.restructure.merging import merged
from unbloat.subject import Step

_ON_ITS_WAY = "on_its_way_to"


@contextmanager
def opened(folder: Path) -> Iterator[Project]:
    """The tree in `folder` as a project of rope's, which leaves nothing of its own there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rope's of itself, and Python's of how the subject is written
        project = Project(str(folder), ropefolder=None, automatic_soa=False, ignore_syntax_errors=True, python_path=[])
        try:
            yield project
        finally:
            project.close()


def move(folder: Path, step: Step) -> None:
    """Move a module.

    Raises:
        RestructureError: there is no such module, its place is taken, or its name is looked up as text.
    """
    _check_move(folder, step)
    arrived = _sent(folder, step.what[0], step.to, 0)
    (folder / arrived).rename(folder / step.to)
    _arrive(folder, step)


def merge(folder: Path, step: Step) -> None:
    """Make one module of several, in their order.

    Raises:
        RestructureError: as for a move, or two of them have a name in common.
    """
    _check_move(folder, step)
    arrived = [_sent(folder, file, step.to, number) for number, file in enumerate(step.what)]
    _arrive(folder, step)
    parts = {old: (folder / now).read_text(encoding="utf-8") for old, now in zip(step.what, arrived, strict=True)}
    for file in arrived:
        (folder / file).unlink()
    (folder / step.to).write_text(merged(parts, module_name(step.to)), encoding="utf-8")


def rename(folder: Path, step: Step) -> None:
    """Rename a class, function or global of a module.

    Raises:
        RestructureError: there is no such name, the new one is taken, or the name is looked up as text.
    """
    module, _, old = step.what[0].partition(":")
    file = next((name for name in _module_files(module) if (folder / name).is_file()), None)
    if file is None:
        raise RestructureError(f"there is no module {module}")
    text = (folder / file).read_text(encoding="utf-8")
    offset = _offset(text, old)
    if offset is None:
        raise RestructureError(f"{file} defines no {old}")
    files = sources(folder)
    if step.to in _names(text):
        raise RestructureError(f"{file} has a {step.to} already")
    if (place := next(named(files, old), None)) is not None:
        raise RestructureError(f"{place} holds {old!r} as text, which may be a lookup")
    with _told(), opened(folder) as project:
        project.do(Rename(project, project.get_resource(file), offset).get_changes(step.to))
    for name, now in sources(folder).items():
        if now != files[name]:
            (folder / name).write_text(_exporting(now, old, step.to), encoding="utf-8")


def sources(folder: Path) -> dict[str, str]:
    """The modules of a tree."""
    return {path.relative_to(folder).as_posix(): path.read_bytes().decode("utf-8") for path in sorted(folder.rglob("*.py"))}


def module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _check_move(folder: Path, step: Step) -> None:
    files = sources(folder)
    for file in step.what:
        if file not in files:
            raise RestructureError(f"there is no {file}")
        if file.endswith("/__init__.py"):
            raise RestructureError(f"{file} is a package, not a module")
        if (place := next(named_modules(files, module_name(file)), None)) is not None:
            raise RestructureError(f"{place} holds {module_name(file)!r} as text, which may be a lookup")
    if len(set(step.what)) < len(step.what):
        raise RestructureError("a module is named twice")
    taken = step.to in files or (folder / step.to.removesuffix(".py")).exists()
    if taken and step.to not in step.what:
        raise RestructureError(f"{step.to} is there already")


def _sent(folder: Path, old: str, new: str, number: int) -> str:
    """Bring a module to its new folder, under a name that occurs nowhere else; where it is then."""
    for package in [one for one in (folder / new).parents if one != folder and one.is_relative_to(folder)]:
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
    between = Path(old).with_name(f"part_{number}_{_ON_ITS_WAY}_{Path(new).stem}.py")
    with _told(), opened(folder) as project:
        project.do(Rename(project, project.get_resource(old)).get_changes(between.stem))
        if between.parent != Path(new).parent:
            destination = project.get_resource(Path(new).parent.as_posix())
            project.do(MoveModule(project, project.get_resource(between.as_posix())).get_changes(destination))
    return Path(new).with_name(between.name).as_posix()


def _arrive(folder: Path, step: Step) -> None:
    """Give all that was sent there its last name, wherever the code refers to it."""
    sent = re.compile(rf"\bpart_\d+_{_ON_ITS_WAY}_{Path(step.to).stem}\b")
    for file, text in sources(folder).items():
        mended = sent.sub(Path(step.to).stem, text)
        if mended != text:
            (folder / file).write_text(mended, encoding="utf-8")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RopeError as error:
        raise RestructureError(f"rope cannot do it: {' '.join(str(error).split())}") from error


def _module_files(module: str) -> tuple[str, str]:
    path = module.replace(".", "/")
    return f"{path}.py", f"{path}/__init__.py"


def _names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} | set(_definitions(ast.parse(text)))


def _definitions(tree: ast.Module) -> Mapping[str, Any]:
    """What a module defines at its top, by name; an import defines nothing."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(node.name, node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, target)
    return found


def _offset(text: str, name: str) -> int | None:
    """Where the name stands in its definition, in characters."""
    node = _definitions(ast.parse(text)).get(name)
    if node is None:
        return None
    lines = lines_of(text)
    start = sum(map(len, lines[: node.lineno - 1])) + len(lines[node.lineno - 1].encode()[: node.col_offset].decode())
    return text.index(name, start)


def _exporting(text: str, old: str, new: str) -> str:
    """With the name changed in `__all__` as well."""
    lines = lines_of(text)
    for constant in exported(ast.parse(text)):
        if constant.value == old:
            line = lines[constant.lineno - 1].encode()
            part = line[constant.col_offset : constant.end_col_offset].replace(old.encode(), new.encode())
            lines[constant.lineno - 1] = (line[: constant.col_offset] + part + line[constant.end_col_offset :]).decode()
    return "".join(lines)
