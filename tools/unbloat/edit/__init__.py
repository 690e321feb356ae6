"""Edits: their vocabulary, what they mean for the tree, and what they do to the text."""

from __future__ import annotations

from unbloat.edit.edits import (
    DropAlias,
    DropFilter,
    DropHandler,
    DropStatement,
    Edit,
    FlattenTry,
    InsertImport,
    InsertInFunction,
    KeepArm,
    KeepBranch,
    KeepOperands,
    KeepValue,
    ReplaceExpression,
    Span,
    Tripwire,
    from_json,
    to_json,
)
from unbloat.edit.render import render
from unbloat.edit.specialise import specialise

__all__ = [
    "DropAlias",
    "DropFilter",
    "DropHandler",
    "DropStatement",
    "Edit",
    "FlattenTry",
    "InsertImport",
    "InsertInFunction",
    "KeepArm",
    "KeepBranch",
    "KeepOperands",
    "KeepValue",
    "ReplaceExpression",
    "Span",
    "Tripwire",
    "from_json",
    "render",
    "specialise",
    "to_json",
]
