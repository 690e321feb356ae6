"""Which errors handlers name: builtin classes, and those of the package that derive from one of them.

A class of the package catches what it was made for. Only what nobody can tell from the text counts as any error at all.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable
from typing import TypeAlias

from unbloat.evidence.names import last_name
from unbloat.evidence.program import Module, Program

# Classes of exceptions; None is any exception at all.
Errors: TypeAlias = frozenset[type[BaseException]] | None


class ErrorClasses:
    """The classes of a program that are errors, each as a class that derives from the same builtin one."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._made: dict[ast.ClassDef, type[BaseException] | None] = {}
        # An error of a class with several bases is caught by handlers that have nothing to do with each other.
        self._mixed = {
            last_name(base)
            for _, node in program.walk()
            if isinstance(node, ast.ClassDef) and len(node.bases) > 1
            for base in node.bases
        }

    def of_handler(self, module: Module, handler: ast.ExceptHandler) -> Errors:
        if handler.type is None:
            return None
        return self.of_types(module, handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])

    def of_types(self, module: Module, types: Iterable[ast.expr]) -> Errors:
        found = {self._class_of(module, one) for one in types}
        return None if None in found else frozenset(one for one in found if one is not None)

    def _class_of(self, module: Module, node: ast.expr) -> type[BaseException] | None:
        if not isinstance(node, ast.Name) or node.id in self._mixed:
            return None
        scope = module.scope_of_name(node)
        if scope.resolve(node.id) is None:
            found = getattr(builtins, node.id, None)
            return found if isinstance(found, type) and issubclass(found, BaseException) else None
        match self._program.definition(module, scope, node.id):
            case owner, binding if isinstance(binding.node, ast.ClassDef) and not self._program.patches.module_name(node.id):
                return self._made_of(owner, binding.node)
        return None

    def _made_of(self, module: Module, node: ast.ClassDef) -> type[BaseException] | None:
        if node not in self._made:
            self._made[node] = None  # also what a class in a circle is
            if len(node.bases) == 1 and not node.keywords and not node.decorator_list and node.name not in self._mixed:
                base = self._class_of(module, node.bases[0])
                self._made[node] = None if base is None else type(node.name, (base,), {})
        return self._made[node]


def overlap(caught: Errors, raised: Errors) -> bool:
    """Whether an error of one kind may be one of the other."""
    if caught is None or raised is None:
        return True
    return any(issubclass(one, other) or issubclass(other, one) for one in caught for other in raised)
