"""Edits: their vocabulary, what they mean for the tree, and what they do to the text."""

from __future__ import annotations

from unbloat.edit.edited import Edited
from unbloat.edit.edits import (
    Check,
    CutTry,
    DropAlias,
    DropArgument,
    DropElement,
    DropFilter,
    DropHandler,
    DropModule,
    DropParameter,
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
from unbloat.edit.specialise import first_operand, specialise

__all__ = [
    "Check",
    "CutTry",
    "DropAlias",
    "DropArgument",
    "DropElement",
    "DropFilter",
    "DropHandler",
    "DropModule",
    "DropParameter",
    "DropStatement",
    "Edit",
    "Edited",
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
    "first_operand",
    "from_json",
    "render",
    "specialise",
    "to_json",
]
