"""Calls that load modules of the package by their names, or look for them."""

from __future__ import annotations

import ast

from unbloat.evidence.kept import kept
from unbloat.evidence.program import Module

LOADERS = frozenset("import_module __import__".split())
# A module that is missing is no error to these.
FINDERS = frozenset("iter_modules walk_packages find_spec find_loader all_objects".split())


@kept
def loading_calls(module: Module) -> tuple[ast.Call, ...]:
    """The calls in a module that may load or find one of its package, as far as their texts tell."""
    calls = (node for node in module.nodes if isinstance(node, ast.Call) and called(node) in LOADERS | FINDERS)
    return tuple(call for call in calls if not _names_another_package(call, module.name.partition(".")[0]))


def called(node: ast.Call) -> str:
    """The last part of what a call names."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _names_another_package(call: ast.Call, package: str) -> bool:
    match call.args:
        case [ast.Constant(value=str(name)), *_]:
            return name.partition(".")[0] not in ("", package)
    return False
