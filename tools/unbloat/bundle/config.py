"""The keys of the pinned config that still mean something; all others, and the comments, go.

A key stays if a workload read it on the legacy, if the guard of the stripped package asks for it, or if code of the bundle
could read it: every part of its path is named there. The last is for code that no workload reached: a key that is missing
would quietly become a default.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbloat.evidence import Facts

GUARD_TABLES = ("CONFIG", "TYPES")
_INTERPOLATED = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Pruned:
    """The text of a smaller config, and on whose account its leaves stay."""

    text: str
    leaves: int
    kept: int
    read: int
    guarded: int
    named: int


def pruned(file: Path, facts: Facts, sources: Mapping[str, bytes], guard: bytes | None) -> Pruned:
    """The config in `file` without what nobody asks for."""
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    assert isinstance(values, dict), file
    everything = dict(leaves(values))
    read = covered(everything, read_keys(facts, everything.keys()))
    guarded = covered(everything, guard_keys(guard) if guard is not None else ())
    words = set(names_of(sources))
    named = {key for key in everything if words.issuperset(key.split("."))}
    kept = closed(everything, read | guarded | named)
    smaller = only(values, kept)
    return Pruned(
        OmegaConf.to_yaml(OmegaConf.create(smaller)),
        leaves=len(everything),
        kept=len(kept),
        read=len(read),
        guarded=len(guarded - read),
        named=len(kept - read - guarded),
    )


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values; a list is one value, and so is an empty mapping."""
    if isinstance(node, dict) and node:
        for key, child in node.items():
            yield from leaves(child, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def read_keys(facts: Facts, everything: Iterable[str]) -> set[str]:
    """What single expressions of the package read. One that reads every key there is makes a copy of the config."""
    whole = set(everything)
    per_expression = (keys for reads in facts.reads.values() for _, keys in reads)
    return {key for keys in per_expression if not ("" in keys and whole <= keys) for key in keys & whole}


def guard_keys(guard: bytes) -> Iterator[str]:
    """The keys in the tables of a stripped package's `pinned.py`; of a mapping whose keys are pinned, all of them."""
    for node in ast.parse(guard).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and _is_table(node.targets)):
            continue
        for key, row in zip(node.value.keys, node.value.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(name := key.value, str) and name:
                yield name
                match row:
                    case ast.Tuple(elts=[ast.Tuple(elts=[ast.Constant(value="<keys>"), names]), _]):
                        yield from (f"{name}.{inner}" for inner in ast.literal_eval(names))


def _is_table(targets: Iterable[ast.expr]) -> bool:
    return any(isinstance(target, ast.Name) and target.id in GUARD_TABLES for target in targets)


def covered(everything: Iterable[str], keys: Iterable[str]) -> set[str]:
    """The leaves that are among `keys`; where a key is a mapping, its first leaf, so that the mapping is there."""
    found = set()
    order = list(everything)
    for key in keys:
        below = [leaf for leaf in order if leaf == key or leaf.startswith(f"{key}.")]
        found.update(below[:1])
    return found


def names_of(sources: Mapping[str, bytes]) -> Iterator[str]:
    """Everything in the code that could be a part of a key: names, and the words in strings that are no docstrings."""
    for file, content in sources.items():
        if not file.endswith(".py"):
            continue
        tree = ast.parse(content)
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.arg | ast.keyword) and node.arg is not None:
                yield node.arg
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                yield from re.findall(r"\w+", node.value)


def closed(everything: Mapping[str, Any], kept: set[str]) -> set[str]:
    """With whatever the values of kept leaves are interpolated from."""
    while True:
        wanted = {name for key in kept for name in _INTERPOLATED.findall(str(everything[key]))}
        more = {leaf for leaf in everything for name in wanted if leaf == name or leaf.startswith(f"{name}.")} - kept
        if not more:
            return kept
        kept = kept | more


def only(node: Any, kept: set[str], path: str = "") -> Any:
    """The mapping with those leaves alone, in their order."""
    if not isinstance(node, dict) or not node:
        return node
    found = {}
    for key, child in node.items():
        inner = f"{path}.{key}" if path else str(key)
        if inner in kept or any(leaf.startswith(f"{inner}.") for leaf in kept):
            found[key] = only(child, kept, inner)
    return found
