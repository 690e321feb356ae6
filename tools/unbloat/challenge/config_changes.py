"""Changes of a subject that has a config: every key that is read or pinned, one at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from unbloat.challenge.change import ABSENT, Change
from unbloat.challenge.handed_configs import MISSING, find
from unbloat.challenge.hints import Hints
from unbloat.challenge.perturb import others
from unbloat.challenge.schedule import Reader, Runs, cheapest, runs_for_any, runs_for_key
from unbloat.evidence import Facts
from unbloat.evidence.config_reads import ANY_PART, KEYS_PART, TYPE_PART

UNASKED = 200
"""Keys that nobody asks for by name are many and cheap; that many of them are enough."""
EXTRA = "unbloat_extra"

_Leaf: TypeAlias = tuple[tuple[str, ...], Any]


@dataclass(frozen=True)
class Pinned:
    """The names that the generated guard of a stripped tree knows."""

    keys: frozenset[str]
    variables: Mapping[str, str | None]

    @classmethod
    def read(cls, guard: Path) -> Pinned:
        """Nothing is pinned in a tree without a guard."""
        if not guard.is_file():
            return cls(frozenset(), {})
        tables = {
            node.targets[0].id: node.value
            for node in ast.parse(guard.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Dict)
        }
        keys = {key for name in ("CONFIG", "TYPES", "OBJECTS") if name in tables for key, _ in _rows(tables[name])}
        variables = dict(_rows(tables["ENVIRONMENT"])) if "ENVIRONMENT" in tables else {}
        return cls(frozenset(keys), {name: _first(row) for name, row in variables.items()})


def _rows(table: ast.Dict) -> Iterator[tuple[str, ast.expr]]:
    for key, row in zip(table.keys, table.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, row


def _first(row: ast.expr) -> str | None:
    """The value in a row of value and lines."""
    match row:
        case ast.Tuple(elts=[ast.Constant(value=str(value)), *_]):
            return value
    return None


def config_changes(
    config: Mapping[str, Any], readers: Sequence[Reader], facts: Facts, pinned: Pinned, hints: Hints
) -> Iterator[Change]:
    """In the order of the keys; those that nobody asks for come last. Each says whether what it changes is handed over."""
    for change in _of_keys(config, readers, facts, pinned, hints):
        yield replace(change, injected={**change.injected, "handed": change.injected["path"][0] in facts.objects})


def _of_keys(
    config: Mapping[str, Any], readers: Sequence[Reader], facts: Facts, pinned: Pinned, hints: Hints
) -> Iterator[Change]:
    asked = {key for reader in readers for key in reader.keys} | pinned.keys
    for key in sorted(asked):
        # A key of the guard that no workload asks for would still have to be refused.
        runs = runs_for_key(readers, key) or runs_for_any(readers)
        if key.endswith((KEYS_PART, ANY_PART, TYPE_PART)):
            continue  # asked about the mapping
        kinds = {kind for kind, _ in facts.values.get(key, ())}
        if (f"{key}.{KEYS_PART}" if key else KEYS_PART) in facts.values:
            kinds.add("keys")
        yield from _changes_of(config, key, kinds, runs, hints)
    runs = Runs((cheapest(readers).workload,), None)
    unasked = [(path, value) for path, value in _leaves(config, ()) if ".".join(path) not in asked]
    for path, value in _spread(unasked, UNASKED):
        for other in others(value)[:1]:
            yield _set(path, value, other, runs, likely=False)


def environment_changes(readers: Sequence[Reader], pinned: Pinned) -> Iterator[Change]:
    """Every variable of the guard, set where it was not and otherwise where it was."""
    runs = runs_for_any(readers)
    for name, value in sorted(pinned.variables.items()):
        new = "1" if value != "1" else "0"
        injected = {"kind": "environment", "name": name, "value": new}
        old = ABSENT if value is None else repr(value)
        yield Change("environment", name, old, repr(new), injected, runs.always, runs.deep)


def _changes_of(config: Mapping[str, Any], key: str, kinds: set[str], runs: Runs, hints: Hints) -> Iterator[Change]:
    path = tuple(key.split(".")) if key else ()
    value = find(config, path)
    name = path[-1] if path else ""
    if isinstance(value, Mapping):
        if "keys" in kinds:
            yield _set((*path, EXTRA), MISSING, True, runs)
        if path:
            yield _removed(path, value, runs)
    elif value is not MISSING:
        for other in others(value, hints.texts(name)):
            yield _set(path, value, other, runs)
        yield _removed(path, value, runs)
    elif "absent" in kinds:  # Else a workload puts it there, over whatever the file says.
        yield _set(path, MISSING, hints.instead_of_nothing(name), runs)


def _set(path: tuple[str, ...], old: Any, new: Any, runs: Runs, *, likely: bool = True) -> Change:
    injected = {"kind": "config", "path": list(path), "value": repr(new), "new": old is MISSING}
    shown = ABSENT if old is MISSING else repr(old)
    return Change("config", ".".join(path), shown, repr(new), injected, runs.always, runs.deep, likely)


def _removed(path: tuple[str, ...], old: Any, runs: Runs) -> Change:
    shown = "<section>" if isinstance(old, Mapping) else repr(old)
    injected = {"kind": "config", "path": list(path), "value": None, "new": False}
    return Change("config", ".".join(path), shown, ABSENT, injected, runs.always, runs.deep)


def _leaves(node: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[_Leaf]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _spread(items: Sequence[_Leaf], count: int) -> Sequence[_Leaf]:
    """At most so many, evenly from first to last."""
    if len(items) <= count:
        return items
    return [items[index * len(items) // count] for index in range(count)]
