"""Where every line has gone, and where every line has come from: one value for all pages and commands that tell it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from unbloat.edit import DropModule, Span
from unbloat.plan.removal import Removal
from unbloat.report.causes import Causes
from unbloat.report.fate import Deciders, Fate
from unbloat.report.lexed import Lexed
from unbloat.report.origin import Origins, Written, origins, unedited
from unbloat.restructure.provenance import Line


class Origin(StrEnum):
    VERBATIM = "verbatim"
    MOVED = "moved"
    """Verbatim, but in another file."""
    REWRITTEN = "rewritten"
    GENERATED = "generated"


@dataclass(frozen=True)
class LegacyLine:
    """`decider` is the line that this one shares its fate with, often itself; `causes` are numbers of removals."""

    fate: Fate
    decider: int
    went: tuple[Line, ...]
    causes: tuple[int, ...]
    why: str = ""
    """What restructuring did to it, if anything."""


@dataclass(frozen=True)
class StrippedLine:
    """`legacy` are the lines that it has come from; of a generated line, those that it stands for."""

    origin: Origin
    legacy: tuple[Line, ...]
    causes: tuple[int, ...]
    why: str
    """Of a generated line what it is for; of others what restructuring did to it, if anything."""


@dataclass(frozen=True)
class Provenance:
    """Every line of both packages. `phases` has, for each of the `removals`, the phase that accepted it."""

    legacy: Mapping[str, tuple[LegacyLine, ...]]
    stripped: Mapping[str, tuple[StrippedLine, ...]]
    removals: tuple[Removal, ...]
    phases: tuple[str, ...]


@dataclass(frozen=True)
class Trees:
    """The states of a package on its way: `after` is specialised by legacy positions, `rendered` the text of that."""

    legacy: Mapping[str, str]
    after: Mapping[str, ast.Module]
    rendered: Mapping[str, str]
    final: Mapping[str, str]
    places: Mapping[Line, Line]
    """From which line of `rendered` a line of `final` has come; a line that is missing is new."""


def trace(trees: Trees, done: Mapping[str, Sequence[Removal]]) -> Provenance:
    """Follow every line, forth and back; `done` are the removals that each phase accepted."""
    return _Trace(trees, done).provenance()


class _Trace:
    def __init__(self, trees: Trees, done: Mapping[str, Sequence[Removal]]) -> None:
        self._trees = trees
        self._removals = tuple(removal for removals in done.values() for removal in removals)
        self._phases = tuple(name for name, removals in done.items() for _ in removals)
        self._legacy = {file: Lexed(text) for file, text in trees.legacy.items()}
        self._origins = {file: self._of(file) for file in trees.legacy if file in trees.rendered}
        self._causes = {file: Causes(file, lexed.tree, self._removals) for file, lexed in self._legacy.items()}
        self._rendered = {file: Lexed(text).lines for file, text in trees.rendered.items()}

    def provenance(self) -> Provenance:
        stripped = {file: tuple(self._stripped(file, Lexed(text))) for file, text in sorted(self._trees.final.items())}
        went: dict[Line, list[tuple[Line, Origin]]] = {}
        for file, lines in stripped.items():
            for number, line in enumerate(lines, 1):
                for place in line.legacy if line.origin is not Origin.GENERATED else self._tested(file, number):
                    went.setdefault(place, []).append(((file, number), line.origin))
        legacy = {file: tuple(self._fates(file, went)) for file in sorted(self._legacy)}
        return Provenance(legacy, stripped, self._removals, self._phases)

    def _of(self, file: str) -> Origins:
        legacy = self._legacy[file]
        if self._trees.rendered[file] == self._trees.legacy[file]:
            return unedited(len(legacy.lines), legacy.tree)
        return origins(legacy, self._trees.after[file], Lexed(self._trees.rendered[file]))

    # -- back -----------------------------------------------------------------------------------------------------

    def _stripped(self, file: str, final: Lexed) -> Iterator[StrippedLine]:
        tables = _pins(final.tree, self._removals) if file not in self._legacy else {}
        for number, text in enumerate(final.lines, 1):
            place = self._trees.places.get((file, number))
            if place is None:
                yield StrippedLine(Origin.GENERATED, (), (), "written by restructuring")
            elif place[0] not in self._origins:
                causes = tables.get(number, ())
                yield StrippedLine(
                    Origin.GENERATED, self._gone(causes), causes, "part of the guard, which refuses other configs"
                )
            else:
                yield self._restructured(file, text, place)

    def _restructured(self, file: str, text: str, place: Line) -> StrippedLine:
        origin, number = place
        found = self._written(origin, number)
        if text != self._rendered[origin][number - 1]:
            kind = found.origin if found.origin is Origin.GENERATED else Origin.REWRITTEN
            return replace(found, origin=kind, why="; ".join(filter(None, [found.why, "changed by restructuring"])))
        if file != origin and found.origin is Origin.VERBATIM:
            return replace(found, origin=Origin.MOVED, why=f"restructuring moved it from {origin}")
        return found

    def _written(self, file: str, number: int) -> StrippedLine:
        """A line before restructuring."""
        line = self._origins[file].lines[number - 1]
        legacy = tuple((file, place) for place in line.legacy)
        if line.inserted is not None:
            return self._inserted(file, line, line.inserted)
        if line.is_verbatim:
            return StrippedLine(Origin.VERBATIM, legacy, (), "")
        if not legacy and line.head is None:
            return self._layout(file, number)
        causes = self._causes[file]
        if line.head is None:
            return StrippedLine(Origin.REWRITTEN, legacy, causes.of(line.legacy[0]), "")
        # Of a line that was replaced as a whole, the statement is what it has come from.
        places = legacy or ((file, line.head.line),)
        return StrippedLine(Origin.REWRITTEN, places, causes.of_head(line.head, (place for _, place in places)), "")

    def _inserted(self, file: str, line: Written, node: ast.stmt) -> StrippedLine:
        causes = self._causes[file].of_inserted(node)
        places = {*line.legacy, *range(node.lineno, (node.end_lineno or node.lineno) + 1)}
        match node:
            case ast.Raise():
                why = "a wire: no workload came here, and whoever does gets an error"
            case ast.Expr() if line.legacy:
                why = "a check: the other way was never taken, and is an error"
                gone = (range(first, last + 1) for number in causes for first, last in self._removals[number].gone)
                places = {*line.legacy, *(place for lines in gone for place in lines)}
            case ast.Pass():
                why = "keeps a block whose statements went"
            case ast.Import() | ast.ImportFrom():
                why, places = "imports the guard", set()
            case _:
                why = "the guard: refuses what was stripped where it comes in"
                function = self._function(file, Span.of(node))
                causes, places = _guarded(file, function, node, self._removals), {function.line}
        return StrippedLine(Origin.GENERATED, tuple((file, place) for place in sorted(places)), causes, why)

    def _function(self, file: str, body: Span) -> Span:
        """The function at whose start something was inserted, which has the position of its body."""
        for node in ast.walk(self._legacy[file].tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if (node.body[0].lineno, node.body[0].col_offset) == (body.line, body.column):
                    return Span.of(node)
        return body

    def _layout(self, file: str, number: int) -> StrippedLine:
        """A line none of whose words are the legacy's: the `else:` of a wire, or one that was an `elif`; a blank line."""
        lines = self._origins[file].lines
        below = next((line for line in lines[number:] if line.inserted is not None or line.legacy), None)
        if below is not None and isinstance(below.inserted, ast.Raise):
            return self._inserted(file, below, below.inserted)
        if below is not None and below.legacy and self._rendered[file][number - 1].strip():
            legacy = self._legacy[file]
            place = next((at for at in range(below.legacy[0] - 1, 0, -1) if legacy.has_code(at)), below.legacy[0])
            return StrippedLine(Origin.REWRITTEN, ((file, place),), self._causes[file].of(place), "")
        return StrippedLine(Origin.GENERATED, (), (), "layout around what was inserted or went")

    def _gone(self, causes: Sequence[int]) -> tuple[Line, ...]:
        lines = {(self._removals[number].file, first) for number in causes for first, _ in self._removals[number].gone}
        return tuple(sorted(lines))

    # -- forth ----------------------------------------------------------------------------------------------------

    def _fates(self, file: str, went: Mapping[Line, Sequence[tuple[Line, Origin]]]) -> Iterator[LegacyLine]:
        legacy, causes = self._legacy[file], self._causes[file]
        deciders = Deciders(legacy)
        left = self._origins.get(file)
        for number in range(1, len(legacy.lines) + 1):
            decider = deciders.decider(number)
            if left is None:
                dropped = tuple(n for n, one in enumerate(self._removals) if one.file == file and one.edit == DropModule())
                yield LegacyLine(Fate.REMOVED, decider, (), dropped or causes.of(decider))
                continue
            places = went.get((file, number), ())
            earlier = deciders.fate(number, left)
            fate, why = _finally(earlier, file, places)
            evidence = () if earlier is Fate.KEPT else causes.of(decider)
            yield LegacyLine(fate, decider, tuple(place for place, _ in places), evidence, why)

    def _tested(self, file: str, number: int) -> Iterator[Line]:
        """What a generated line holds of the legacy's own: the test of a decision."""
        origin, place = self._trees.places.get((file, number), ("", 0))
        if origin in self._origins:
            yield from ((origin, line) for line in self._origins[origin].lines[place - 1].legacy)


def _finally(fate: Fate, file: str, places: Sequence[tuple[Line, Origin]]) -> tuple[Fate, str]:
    """The fate of a line after restructuring, and what that did to a line that was kept so far."""
    if fate is not Fate.KEPT:
        return fate, ""
    if not places:
        return Fate.REMOVED, "restructuring left it out: the same is said elsewhere, or it is layout"
    if all(origin is Origin.REWRITTEN for _, origin in places):
        return Fate.CHANGED, "restructuring changed it"
    if all(place[0] != file for place, _ in places):
        return Fate.MOVED, f"restructuring moved it to {places[0][0][0]}"
    return Fate.KEPT, ""


def _pins(tree: ast.Module, removals: Sequence[Removal]) -> dict[int, tuple[int, ...]]:
    """By line of the guard's module: the removals that rest on the pin that stands there."""
    found: dict[int, tuple[int, ...]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant):
                    causes = tuple(n for n, one in enumerate(removals) if key.value in _named_pins(one))
                    found.update(dict.fromkeys(range(key.lineno, (value.end_lineno or key.lineno) + 1), causes))
    return found


def _named_pins(removal: Removal) -> frozenset[str]:
    return removal.support.keys | removal.support.types | removal.support.environment


def _guarded(file: str, function: Span, node: ast.stmt, removals: Sequence[Removal]) -> tuple[int, ...]:
    """The removals that rest on an option whose check this is."""
    names = {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)}
    return tuple(
        number
        for number, one in enumerate(removals)
        if any(pin.file == file and pin.function == function and pin.name in names for pin in one.support.arguments)
    )
