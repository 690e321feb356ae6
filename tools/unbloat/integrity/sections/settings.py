"""Every leaf of the config: its value, who read it, whether it is pinned, and what a bundle has of it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unbloat.bundle.config import leaves, read_keys
from unbloat.bundle.write import GUARDS, bundle_files, config_name, is_guard
from unbloat.evidence.config_reads import TYPE_PART
from unbloat.integrity.report import Check, Table, compared
from unbloat.integrity.reproduction import Reproduction


@dataclass(frozen=True)
class Pins:
    """What the guard of the stripped package holds a config to, by key: values, and types where values are free."""

    values: Mapping[str, Any]
    types: Mapping[str, str]


def config_leaves(found: Reproduction) -> dict[str, Any]:
    """The leaves of the config file, or else of the configs that the workloads handed in; interpolations as they are."""
    file = found.subject.config_file
    if file is not None:
        from omegaconf import OmegaConf

        return dict(leaves(OmegaConf.to_container(OmegaConf.load(file), resolve=False)))
    known: dict[str, Any] = {}
    for config in found.recorded.facts.handed_in:
        for key, value in leaves(dict([config]) if isinstance(config, list) else config):
            known.setdefault(key, value)
    return known


def pins(found: Reproduction) -> Pins:
    """Read off the generated module of the stripped tree, not off the plan."""
    tables: dict[str, dict[str, Any]] = {}
    package = {file: text.encode() for file, text in found.stripped.items()}
    for name in GUARDS:
        if is_guard(package, found.subject, name):
            for node in ast.parse(found.stripped[f"{found.subject.package}/{name}.py"]).body:
                match node:
                    case ast.Assign(
                        targets=[ast.Name(id=("CONFIG" | "TYPES" | "OBJECTS") as table)],
                        value=ast.Dict() as rows,
                    ):
                        tables[table] = _literal(rows)
    values, types = tables.get("CONFIG", {}), tables.get("TYPES", {})
    for key, row in tables.get("OBJECTS", {}).items():
        (types if key.endswith(TYPE_PART) else values)[key.removesuffix(f".{TYPE_PART}")] = row
    return Pins({key: row[0] for key, row in values.items()}, {key: row[0] for key, row in types.items()})


def setting_checks(found: Reproduction, everything: Mapping[str, Any], pinned: Pins) -> list[Check]:
    """Pins are what came in; a bundle's config has the values of the config that it was made from."""
    pairs = [(key, _seen(found, key), [value]) for key, value in pinned.values.items()]
    checks = [compared("each value that the guard pins is the only one that the workloads handed in", pairs)]
    if (bundled := _bundled(found)) is not None:
        rows = [(key, everything.get(key), value) for key, value in bundled.items()]
        checks.append(compared("the bundle's config: each leaf has the value of the config", rows))
    elif found.subject.bundle is not None:
        checks.append(Check("the bundle's config: each leaf has the value of the config", 0, (), found.waits_for))
    return checks


def setting_table(found: Reproduction, everything: Mapping[str, Any], pinned: Pins) -> Table:
    """One row a leaf; a leaf that nobody read decides nothing in any workload."""
    read, bundled = read_keys(found.recorded.facts, everything), _bundled(found)
    rows = []
    for key, value in everything.items():
        kept = () if bundled is None else (repr(bundled[key]) if key in bundled else "–",)
        rows.append((key, repr(value), "yes" if key in read else "no", _how(pinned, key), *kept))
    header = ("key", "value", "read by the workloads", "in the stripped package", *(() if bundled is None else ("bundle",)))
    return Table("Leaves of the config", header, tuple(rows))


def _how(pinned: Pins, key: str) -> str:
    if key in pinned.values:
        return f"pinned to {pinned.values[key]!r}"
    return f"pinned by type: {pinned.types[key]}" if key in pinned.types else "free"


def _seen(found: Reproduction, key: str) -> list[Any]:
    """As the guard writes it: what is not there is absent, a mapping whose keys are pinned is the list of them."""
    answers = found.recorded.facts.found_in_configs(key)
    return ["<absent>" if kind == "absent" else "<mapping>" if kind == "mapping" else value for kind, value in answers]


def _bundled(found: Reproduction) -> dict[str, Any] | None:
    """The leaves of the config that `unbloat bundle` would write now; None if it writes none."""
    if found.planned or found.subject.bundle is None or found.subject.config_file is None:
        return None
    from omegaconf import OmegaConf

    content = bundle_files(found.subject, found.recorded.facts).files[config_name(found.subject)].decode()
    return dict(leaves(OmegaConf.to_container(OmegaConf.create(content), resolve=False)))


def _literal(rows: ast.Dict) -> dict[str, Any]:
    """The table; `nan` and `inf` have no literal, and stand as their text."""
    table = {}
    for key, row in zip(rows.keys, rows.values, strict=True):
        assert isinstance(key, ast.Constant) and isinstance(row, ast.Tuple)
        try:
            table[str(key.value)] = ast.literal_eval(row)
        except ValueError:
            table[str(key.value)] = tuple(map(ast.unparse, row.elts))
    return table
