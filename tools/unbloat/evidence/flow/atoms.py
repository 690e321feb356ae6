"""What a value rests on: pins, and parameters until it is known who passes what."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.support import PinnedArgument


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function, for whoever calls it to settle: its value, or only whether it is there and of which type.

    Who only looks into it is seen to, if it is a config.
    """

    function: ast.AST
    name: str
    presence: bool = False
    looked_into: bool = False


@dataclass(frozen=True)
class Read:
    """The config keys that the runs saw an expression read."""

    function: ast.AST | None
    file: str
    place: Span
    presence: bool = False  # only whether the values are there, and of which type
    key: str | None = None  # only this one of them


@dataclass(frozen=True)
class Variable:
    """A variable of the environment."""

    name: str


@dataclass(frozen=True)
class Held:
    """A config that is no OmegaConf container, or a part of it, as a whole: which one it is, is settled, but not what is in it.

    Only what was seen to be read from it can be pinned; Python lets everything be read from it unseen.
    """

    key: str


Atom: TypeAlias = Parameter | Read | Variable | PinnedArgument | Held
Atoms: TypeAlias = frozenset[Atom] | None  # None: something that no pin settles


@dataclass(frozen=True)
class Source:
    """What a value rests on, and what the question rests on whether it is there (not `None`) and of which type it is."""

    content: Atoms
    presence: Atoms


STATIC = Source(frozenset(), frozenset())
OBJECT = Source(None, frozenset())
DYNAMIC = Source(None, None)


def union(parts: Iterable[Atoms]) -> Atoms:
    found: frozenset[Atom] = frozenset()
    for part in parts:
        if part is None:
            return None
        found |= part
    return found


def looked_into(atoms: Atoms) -> Atoms:
    """What it rests on which config something is, to who is seen to look into it."""
    if atoms is None:
        return None
    known = frozenset(atom for atom in atoms if not isinstance(atom, Held))
    return frozenset(replace(atom, looked_into=True) if isinstance(atom, Parameter) else atom for atom in known)


def join(sources: Iterable[Source]) -> Source:
    """A value that may be any of these."""
    sources = list(sources)
    return Source(union(one.content for one in sources), union(one.presence for one in sources))
