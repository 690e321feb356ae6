"""What is worth a wire, and which wires can stand: their error would surface, and no name loses what binds it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from unbloat.edit import CutTry, Edit, ReplaceExpression, Span, Tripwire
from unbloat.evidence import LOUD, LOUDER
from unbloat.evidence.functions import lost_generators, own_nodes
from unbloat.evidence.names import HALT, UNSEEN
from unbloat.evidence.scopes import lost_names
from unbloat.plan.guard import STRIPPED
from unbloat.plan.removal import Removal
from unbloat.plan.view import View


def is_worth_a_wire(block: list[ast.stmt]) -> bool:
    """What raises without a choice, or does nothing, is as loud and as short as a wire."""
    statements = [part for part in block if not _is_idle(part)]
    if not statements or any(getattr(part, "inserted", False) for part in statements):
        return False
    return not isinstance(statements[-1], ast.Raise) or any(map(_leaves, statements[:-1]))


def _is_idle(statement: ast.stmt) -> bool:
    """`pass`, a docstring or `...`."""
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def _leaves(statement: ast.stmt) -> bool:
    """Whether a statement may leave its block, so that an error behind it is not sure to be raised."""
    return any(
        isinstance(part, ast.Return | ast.Break | ast.Continue | ast.Yield | ast.YieldFrom) for part in ast.walk(statement)
    )


def standing(view: View, wires: list[Removal]) -> list[Removal]:
    """The wires that stand if these are all that there are."""
    while wires and (kept := _standing_now(view, wires)) != wires:
        wires = kept  # what stays unseen without a wire may reach others, and may read other names
    return wires


def _standing_now(view: View, wires: list[Removal]) -> list[Removal]:
    edits: dict[str, list[Edit]] = {}
    for wire in wires:
        edits.setdefault(wire.file, []).append(wire.edit)
    after = view.after(edits)
    places = {
        (module.file, node.lineno, node.col_offset): node
        for module in after.own_modules()
        for node in module.nodes
        if isinstance(node, ast.stmt | ast.expr) and getattr(node, "inserted", False)
    }
    needed = set(_needed_lines(view, after, edits))
    kept = []
    for wire in wires:
        # A wire inside of what another one takes away is not there any more.
        node = places.get((wire.file, wire.place.line, wire.place.column))
        if node is None:
            continue
        module = after.program.modules[wire.file]
        if after.catchers.caught(module, node, LOUD):
            wire = _louder(wire)
            if after.catchers.caught(module, node, LOUDER):
                continue
        if not any(file == wire.file and first <= line <= last for file, line in needed for first, last in wire.gone):
            kept.append(wire)
    return kept


def _louder(wire: Removal) -> Removal:
    """The same wire with the error that no handler of `Exception` catches."""
    edit = wire.edit
    if isinstance(edit, ReplaceExpression):
        return replace(wire, edit=replace(edit, source=edit.source.replace(UNSEEN, HALT, 1)))
    assert isinstance(edit, Tripwire | CutTry)
    return replace(wire, edit=replace(edit, error=STRIPPED))


def _needed_lines(view: View, after: View, edits: dict[str, list[Edit]]) -> Iterator[tuple[str, int]]:
    """The lines that bind a name which is still read when the wires are there, and those that make a function a generator."""
    for file in edits:
        module = view.program.modules[file]
        functions = {Span.of(node): scope for node, scope in module.scopes.functions()}
        wired = after.program.modules[file].scopes
        for function in lost_generators(module.scopes, wired):
            for node in own_nodes(functions[Span.of(function)].node):
                if isinstance(node, ast.Yield | ast.YieldFrom):
                    yield file, node.lineno
        for function, name in lost_names(module.scopes, wired):
            for node in (binding.node for binding in functions[Span.of(function)].bindings[name]):
                yield file, node.lineno if isinstance(node, ast.excepthandler) else module.statement_of(node).lineno
