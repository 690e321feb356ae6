"""Mutants that cannot matter, and why: nothing is guessed, whatever has no proof counts as one that can."""

from __future__ import annotations

import ast
import types
from collections.abc import Iterable, Mapping
from functools import lru_cache

from unbloat.evidence.names import CONFIG_FUNCTIONS, FRAMEWORK_ATTRIBUTES, PURE_FUNCTIONS, PURE_METHODS
from unbloat.mutate.mutants import Mutant
from unbloat.mutate.source import Source, called, replaced

SAME_CODE = "compiles to the same code"
_FRAMES = frozenset("eval exec locals vars".split())
"""Whoever calls one of these may read any name."""


class Proofs:
    """Answers for one tree and the files beside it that use it."""

    def __init__(self, sources: Mapping[str, Source], outside: Iterable[str]) -> None:
        self._sources = sources
        trees = [*(source.tree for source in sources.values()), *(ast.parse(text) for text in outside)]
        self._read = frozenset(name for tree in trees for name in _names_read(tree)) | FRAMEWORK_ATTRIBUTES

    def compiles(self, mutant: Mutant) -> bool:
        """Whether it is a program at all; of what is not, nothing can be said."""
        (edit,) = mutant.edits
        try:
            ast.parse(replaced(self._sources[mutant.file].text, edit.span, edit.text))
        except SyntaxError:
            return False
        return True

    def reason(self, mutant: Mutant) -> str | None:
        """Why a mutant does what the original does; None if there is no proof."""
        (edit,) = mutant.edits
        source = self._sources[mutant.file]
        if _code(source.text) == _code(replaced(source.text, edit.span, edit.text)):
            return SAME_CODE
        node = next((one for one in source.nodes if (one.lineno, one.col_offset) == (edit.span.line, edit.span.column)), None)
        return None if node is None else self._unread(source, source.statement(node))

    def _unread(self, source: Source, statement: ast.stmt) -> str | None:
        """All that the statement does is to compute a value, and nobody reads it."""
        match statement:
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                if not _computes(value) or (name := self._name(source, statement, target)) is None:
                    return None
                return f"nobody reads `{name}`"
            case ast.Expr(value=value) if _computes(value):
                return "its value is not used"
        return None

    def _name(self, source: Source, statement: ast.stmt, target: ast.expr) -> str | None:
        """What is stored, if nobody reads it."""
        match target:
            case ast.Attribute(ast.Name("self"), name):
                return None if name in self._read else f"self.{name}"
            case ast.Name(name):
                function = source.function(statement)
                if function is None or isinstance(source.parents[statement], ast.ClassDef):
                    return None if name in self._read else name
                return None if _reads(function, name) else name
        return None


def _names_read(tree: ast.Module) -> Iterable[str]:
    """Every name and attribute that is read anywhere, and every text, by which one could be looked up."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name, ctx=ast.Load()) | ast.Name(id=name, ctx=ast.Load()) | ast.alias(name=name):
                yield name
            case ast.AugAssign(target=ast.Attribute(attr=name) | ast.Name(id=name)):
                yield name
            case ast.Constant(str(text)):
                yield from text.split(".")


def _reads(function: ast.AST, name: str) -> bool:
    for node in ast.walk(function):
        match node:
            case ast.Name(id=read, ctx=ast.Load()) if read == name:
                return True
            case ast.Global(names) | ast.Nonlocal(names) if name in names:
                return True
            case ast.AugAssign(target=ast.Name(id=read)) if read == name:
                return True
            case ast.Call() if called(node) in _FRAMES:
                return True
    return False


def _computes(value: ast.expr) -> bool:
    """Nothing but reading, comparing and converting: no draw, no tensor operation, nothing written."""
    for node in ast.walk(value):
        match node:
            case ast.Call(func=ast.Name(name)) if name in PURE_FUNCTIONS:
                continue
            case ast.Call(func=ast.Attribute(attr=name)) if name in PURE_METHODS | CONFIG_FUNCTIONS:
                continue
            case ast.Call() | ast.Await() | ast.Yield() | ast.YieldFrom() | ast.NamedExpr():
                return False
    return True


@lru_cache(maxsize=64)
def _code(text: str) -> object:
    return _content(compile(text, "<mutant>", "exec", dont_inherit=True))


def _content(code: types.CodeType) -> object:
    """What the interpreter executes, without the positions in the source."""
    constants = tuple(_content(one) if isinstance(one, types.CodeType) else (type(one), repr(one)) for one in code.co_consts)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_name)
    return code.co_code, constants, names, code.co_argcount, code.co_flags, code.co_exceptiontable
