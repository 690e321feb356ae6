"""What a pass looks at: the subject as it stands after the accepted edits, with everything that is known about it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cached_property

from unbloat.edit import Edit, Span, specialise
from unbloat.evidence import (
    BindingTimes,
    ConfigFlow,
    Facts,
    LegacyErrors,
    Module,
    Purity,
    References,
    Support,
    Supports,
    Swallowers,
    program_around,
)
from unbloat.evidence.purity import cannot_raise
from unbloat.subject import Contract, Veto


class View:
    """One state of the specialisation; made anew after every accepted batch."""

    def __init__(
        self,
        trees: Mapping[str, ast.Module],
        facts: Facts,
        contract: Contract,
        config_parameters: frozenset[str],
        outside: frozenset[str],
        files: frozenset[str],
        legacy_errors: LegacyErrors,
        vetoes: tuple[Veto, ...] = (),
    ) -> None:
        self.program = program_around(trees, files)
        self.facts = facts
        self.contract = contract
        self.files = files
        self._config_parameters = config_parameters
        self._outside = outside
        self._legacy_errors = legacy_errors
        self._vetoes = vetoes

    @cached_property
    def binding(self) -> BindingTimes:
        return BindingTimes(self.program, self.facts, self._config_parameters, self.swallowers)

    @cached_property
    def swallowers(self) -> Swallowers:
        return Swallowers(self.program, self.facts, self.files)

    @cached_property
    def supports(self) -> Supports:
        return Supports(self.program, self.facts, self.binding, ConfigFlow(self.program, self.facts, self._config_parameters))

    @cached_property
    def purity(self) -> Purity:
        return Purity(self.program, self.facts, self.contract)

    @cached_property
    def references(self) -> References:
        return References(self.program, self.facts, self._outside)

    @property
    def outside(self) -> frozenset[str]:
        """Every identifier that workloads mention."""
        return self._outside

    def nodes(self) -> Iterator[tuple[Module, ast.AST]]:
        """Every node of the phase's files that is legacy code, outermost first."""
        for file in sorted(self.files):
            module = self.program.modules[file]
            for node in module.nodes:
                if not getattr(node, "inserted", False):
                    yield module, node

    def dropping(self, module: Module, expression: ast.expr) -> Support | None:
        """What it rests on that nobody can tell whether an expression is still evaluated; None if somebody can.

        It must leave no trace, check nothing, and raise no error that the legacy caught: where it did, the runs must have seen
        that there is none, and the config alone must decide that.
        """
        if not self.purity.is_pure(module, expression) or self.purity.checks_something(module, expression):
            return None
        if cannot_raise(expression) or not self._legacy_errors.caught(module.file, expression):
            return Support()
        if not self.facts.executed(module.file, expression.lineno) or self.swallowers.swallowed(module, expression, None):
            return None
        if not self.binding.is_static(module, expression):
            return None
        support = self.supports.of(module, expression, by_type=True)
        return support if isinstance(support, Support) else None

    def is_vetoed(self, file: str, place: Span) -> str | None:
        """The reason of the veto that covers a place, if one does."""
        for veto in self._vetoes:
            if veto.covers(file, place.line, place.end_line):
                return veto.reason
        return None


def specialised(trees: Mapping[str, ast.Module], edits: Mapping[str, list[Edit]]) -> dict[str, ast.Module]:
    """All modules with their edits applied; untouched ones are shared."""
    return {file: specialise(tree, edits[file]) if edits.get(file) else tree for file, tree in trees.items()}
