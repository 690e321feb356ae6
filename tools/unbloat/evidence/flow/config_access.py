"""Reads of configs: what the runs saw read, and what that rests on."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod

from unbloat.edit.edits import Span
from unbloat.evidence.config_reads import UNKNOWN_KEY
from unbloat.evidence.facts import Facts
from unbloat.evidence.flow.atoms import DYNAMIC, Atoms, Held, Read, Source, looked_into, union
from unbloat.evidence.flow.calls import enclosing_function
from unbloat.evidence.flow.unseen_writes import UnseenWrites
from unbloat.evidence.names import CONFIG_FUNCTIONS, PURE_FUNCTIONS, PURE_METHODS
from unbloat.evidence.program import Module, Program


class ConfigAccess(ABC):
    """What an expression that reads a config rests on."""

    def __init__(self, program: Program, facts: Facts) -> None:
        self._program = program
        self._facts = facts
        self._unseen_writes = UnseenWrites(program, facts)

    @abstractmethod
    def source(self, module: Module, node: ast.expr) -> Source:
        """What an expression rests on."""

    def _config_read(self, module: Module, node: ast.expr) -> Source | None:
        """An access that the runs saw read the pinned config by itself, and nothing else."""
        if not isinstance(node, ast.Attribute | ast.Subscript | ast.Call) or getattr(node, "inserted", False):
            return None
        place = (module.file, Span.of(node))
        if place not in self._facts.direct:
            return None
        found = self._keys_read(module, node)
        read, there = found.content, found.presence
        if isinstance(node, ast.Call):
            base, rest = self._reader(node)
            if base is None:
                return None
            named = union(self.source(module, part).content for part in rest)
            read, there = union([read, named]), union([there, named])
        else:
            base = node.value
            if isinstance(node, ast.Subscript):
                named = self.source(module, node.slice).content
                read, there = union([read, named]), union([there, named])
        if not self._is_held_by_framework(module, base):
            held = looked_into(self.source(module, base).content)
            read, there = union([read, held]), union([there, held])
        return Source(read, there)

    def _may_vary(self, key: str) -> bool:
        """Whether the subject itself changes what a read of `key` finds."""
        if key not in self._facts.values or self._unseen_writes.reach(key):
            return True
        if is_mapping(self._facts, key):
            return any(key == written or key.startswith(written + ".") for written in self._facts.writes)
        return self._facts.is_written(key)

    @staticmethod
    def _reader(node: ast.Call) -> tuple[ast.expr | None, list[ast.expr]]:
        """The config and the other arguments of a call that reads a key."""
        others = [*node.args, *(keyword.value for keyword in node.keywords)]
        function = node.func
        if isinstance(function, ast.Name) and function.id in PURE_FUNCTIONS and node.args:
            return node.args[0], others[1:]
        if (
            isinstance(function, ast.Attribute)
            and function.attr in CONFIG_FUNCTIONS
            and ast.unparse(function.value) == "OmegaConf"
        ):
            return node.args[0] if node.args else None, others[1:]
        if isinstance(function, ast.Attribute) and function.attr in PURE_METHODS:
            return function.value, others
        return None, others

    def _is_held_by_framework(self, module: Module, base: ast.expr) -> bool:
        """Whether a config is in a field that only a base from elsewhere stores (Lightning's `hparams`)."""
        if not isinstance(base, ast.Attribute) or not isinstance(base.value, ast.Name):
            return False
        owner = self._program.self_class(module, base.value)
        return owner is not None and base.attr == "hparams" and self._program.has_foreign_base(owner)

    def _keys_read(self, module: Module, node: ast.expr) -> Source:
        """The keys that the runs saw an expression read, and nothing else."""
        place = (module.file, Span.of(node))
        keys = self._facts.keys_read(*place)
        if UNKNOWN_KEY in keys or any(self._may_vary(key) for key in keys):
            return DYNAMIC
        function = enclosing_function(module, node)
        differs = any(len(self._facts.values[key]) > 1 and not is_mapping(self._facts, key) for key in keys)
        parts = [key for key in keys if self._facts.is_object(key) and is_mapping(self._facts, key)]
        read: Atoms = None if differs else frozenset({Read(function, *place), *map(Held, parts)})
        return Source(read, frozenset({Read(function, *place, presence=True)}))


def only_looks(node: ast.expr) -> bool:
    """Whether all that an expression takes from a config, it takes by looking for keys."""
    match node:
        case ast.Compare(ops=[ast.In() | ast.NotIn()]):
            return True
        case ast.Call(func=ast.Name(id="dict" | "len" | "list" | "set" | "sorted" | "tuple"), args=[_], keywords=[]):
            return True
    return False


def is_mapping(facts: Facts, key: str) -> bool:
    """Whether a key always held a part of the config, whatever is in it."""
    return all(kind == "mapping" for kind, _ in facts.values[key])
