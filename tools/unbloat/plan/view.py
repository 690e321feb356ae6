"""What a pass looks at: the subject as it stands after the accepted edits, with everything that is known about it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cached_property

from unbloat.edit import DropModule, Edit, Span, specialise
from unbloat.evidence import LOUD, Catchers, Facts, Flow, Module, Purity, References, Support, program_around
from unbloat.evidence.purity import cannot_raise, only_asks
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
        legacy_errors: Catchers,
        vetoes: tuple[Veto, ...] = (),
    ) -> None:
        self._trees = trees
        self.program = program_around(trees, files)
        self.facts = facts
        self.contract = contract
        self.files = files & trees.keys()
        self._config_parameters = config_parameters
        self._outside = outside
        self._legacy_errors = legacy_errors
        self._vetoes = vetoes

    @cached_property
    def flow(self) -> Flow:
        return Flow(self.program, self.facts, self._config_parameters, self.files)

    @cached_property
    def catchers(self) -> Catchers:
        return Catchers(self.program, self.facts)

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

    def after(self, edits: Mapping[str, list[Edit]]) -> View:
        """This state with more edits applied, which must be of places that earlier edits left as they were."""
        return View(
            specialised(self._trees, edits),
            self.facts,
            self.contract,
            self._config_parameters,
            self._outside,
            self.files,
            self._legacy_errors,
            self._vetoes,
        )

    def own_modules(self) -> Iterator[Module]:
        """The phase's modules."""
        for file in sorted(self.files):
            yield self.program.modules[file]

    def nodes(self) -> Iterator[tuple[Module, ast.AST]]:
        """Every node of the phase's files that is legacy code, outermost first."""
        for module in self.own_modules():
            for node in module.nodes:
                if not getattr(node, "inserted", False):
                    yield module, node

    def dropping(self, module: Module, expression: ast.expr) -> Support | None:
        """What it rests on that nobody can tell whether an expression is still evaluated; None if somebody can.

        It must leave no trace, check nothing, and raise no error that the legacy caught: where it did, it must have been
        evaluated where no error can have been caught in the runs, and the config alone must decide that there is none. Nobody
        asks for what engineering does, nor for its errors.
        """
        if self.purity.is_engineering(module, expression):
            return Support()
        if not self.only_computes(module, expression):
            return None
        if cannot_raise(expression) or not self._legacy_errors.caught_at(module.file, Span.of(expression), None):
            return Support()
        if only_asks(expression) and not self._legacy_errors.stands_in_try(module.file, expression):
            return Support()
        if not self.facts.executed(module.file, expression.lineno):
            return None
        if self.catchers.caught_at(module.file, Span.of(expression), None):
            return None
        return self.flow.support(module, expression)

    def only_computes(self, module: Module, expression: ast.expr) -> bool:
        """Whether evaluating an expression leaves no trace and checks nothing."""
        return self.leaves_no_trace(module, expression) and not self.purity.checks_something(module, expression)

    def leaves_no_trace(self, module: Module, expression: ast.expr) -> bool:
        """Whether evaluating an expression has no effect, and puts no operation on the tape of a golden."""
        on_tape = self.facts.computed_tensors(module.file, Span.of(expression))
        return not on_tape and self.purity.is_pure(module, expression)

    def is_heard(self, file: str, place: Span, support: Support) -> bool:
        """Whether nobody swallows the complaint of the checks that an edit at a place rests on: of arguments where they come
        in, of the environment where it decides."""
        checked = [(pin.file, pin.function) for pin in support.arguments]
        checked += [(file, place)] if support.environment else []
        return not any(self.catchers.caught_at(*one, LOUD) for one in checked)

    def is_vetoed(self, file: str, place: Span) -> str | None:
        """The reason of the veto that covers a place, if one does."""
        for veto in self._vetoes:
            if veto.covers(file, place.line, place.end_line):
                return veto.reason
        return None


def specialised(trees: Mapping[str, ast.Module], edits: Mapping[str, list[Edit]]) -> dict[str, ast.Module]:
    """All modules that stay, with their edits applied; untouched ones are shared."""
    return {
        file: specialise(tree, edits[file]) if edits.get(file) else tree
        for file, tree in trees.items()
        if DropModule() not in edits.get(file, ())
    }
