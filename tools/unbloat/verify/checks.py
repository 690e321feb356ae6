"""What a candidate must pass before it is worth running: it compiles, every name is defined, no name changed its scope."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache

from pyflakes import checker, messages

from unbloat.evidence.functions import lost_generators
from unbloat.evidence.kept import kept
from unbloat.evidence.program import Program
from unbloat.evidence.scopes import ModuleScopes, lost_names


def faults(legacy: Mapping[str, ast.Module], candidate: Mapping[str, ast.Module], sources: Mapping[str, str]) -> list[str]:
    """One line per fault of the candidate that the legacy does not have; `sources` are the files that changed."""
    found = []
    for file, text in sources.items():
        try:
            names = _undefined_in(file, text)
        except SyntaxError as error:
            return [f"{file}:{error.lineno}: does not compile: {error.msg}"]
        known = _known_undefined(legacy[file]) if file in legacy else ()
        found += [f"{file}: undefined name `{name}`" for name in names if name not in known]
    if found:
        return found
    before, after = Program(legacy), Program(candidate)
    for file in sources.keys() & legacy.keys():
        found += [f"{file}:{fault}" for fault in _scope_faults(before.modules[file].scopes, after.modules[file].scopes)]
    return found + list(_lost_imports(before, after))


@lru_cache(maxsize=1024)
def _undefined_in(file: str, text: str) -> tuple[str, ...]:
    """The same for a text, which must compile; most files are as they were in the candidate before."""
    compile(text, file, "exec", dont_inherit=True)
    return tuple(undefined_names(ast.parse(text)))


@kept
def _known_undefined(tree: ast.Module) -> tuple[str, ...]:
    return tuple(undefined_names(tree))


def undefined_names(tree: ast.Module) -> list[str]:
    """The names that a module reads and never binds, as pyflakes sees them."""
    return [
        str(message.message_args[0])
        for message in sorted(checker.Checker(tree).messages, key=lambda message: (message.lineno, message.col))
        if isinstance(message, messages.UndefinedName | messages.UndefinedLocal | messages.UndefinedExport)
    ]


@lru_cache(maxsize=256)
def _scope_faults(old: ModuleScopes, new: ModuleScopes) -> tuple[str, ...]:
    """Names that were local and no longer are, and functions that stopped being generators."""
    return tuple(_found_scope_faults(old, new))


def _found_scope_faults(old: ModuleScopes, new: ModuleScopes) -> Iterator[str]:
    for node, name in lost_names(old, new):
        yield f"{node.lineno}: `{name}` is no longer local to `{node.name}`"
    for node in lost_generators(old, new):
        yield f"{node.lineno}: `{node.name}` is no longer a generator"


def _lost_imports(before: Program, after: Program) -> Iterator[str]:
    """Names that a module still imports from another one, which no longer has them."""
    for module, node in after.walk():
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            owner, _, name = module.imported_name(alias).rpartition(".")
            old, new = before.by_name.get(owner), after.by_name.get(owner)
            if old is not None and new is not None and name in old.scopes.module.bindings:
                if name not in new.scopes.module.bindings:
                    yield f"{module.file}:{node.lineno}: imports `{name}`, which {new.file} no longer has"
