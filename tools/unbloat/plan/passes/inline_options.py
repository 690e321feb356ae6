"""Write the value of an option in place of the option, where every run left it alone, so that the option can go.

Safe because the value is settled by pins that the generated guard holds, every run saw the same one, and it is a `None`, a
flag or a text, which nobody can tell from another one of its kind. Only options that end with all their reads replaced are
touched: then `drop unread parameters` takes them, and whoever passes one gets a `TypeError`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import ReplaceExpression, Span
from unbloat.evidence import Module
from unbloat.evidence.flow.calls import Definition
from unbloat.evidence.functions import default_of
from unbloat.plan.example import Example
from unbloat.plan.passes.drop_parameters import is_free
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "inline options"

EXAMPLES = (
    Example(
        "a flag that is only handed on",
        before="""
        class Box:
            def __init__(self, size, strict=False):
                self.parts = (size, strict)

        def run(cfg):
            return Box(cfg.size).parts
        """,
        after="""
        class Box:
            def __init__(self, size, strict=False):
                self.parts = (size, False)

        def run(cfg):
            return Box(cfg.size).parts
        """,
        config={"size": 3},
    ),
    Example(
        "a mode that is compared with `None`",
        before="""
        def layer(size, norm="batch"):
            return size, norm is None, norm is not None, norm

        def run(cfg):
            return layer(cfg.size)
        """,
        after="""
        def layer(size, norm="batch"):
            return size, False, True, 'batch'

        def run(cfg):
            return layer(cfg.size)
        """,
        config={"size": 3},
    ),
    Example(
        "a flag that somebody sets",
        before="""
        class Box:
            def __init__(self, size, strict=False):
                self.parts = (size, strict)

        def run(cfg):
            return Box(cfg.size).parts, Box(cfg.size, True).parts
        """,
        after="""
        class Box:
            def __init__(self, size, strict=False):
                self.parts = (size, strict)

        def run(cfg):
            return Box(cfg.size).parts, Box(cfg.size, True).parts
        """,
        config={"size": 3},
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every read of an option that kept its default in all runs."""
    for module, node in view.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_free(view, module, node):
            for parameter in [*node.args.args, *node.args.kwonlyargs]:
                yield from _inlined(view, module, node, parameter.arg)


def _inlined(view: View, module: Module, function: Definition, name: str) -> Iterator[Removal]:
    default = default_of(function, name)
    seen = view.facts.arguments.get((module.file, Span.of(function)), {}).get(name, ())
    if not isinstance(default, ast.Constant) or not _is_left_alone(default, seen):
        return
    reads = _reads(module, function, name)
    support = view.flow.option(function, name) if reads else None
    if support is None or not reads:
        return
    for read in reads:
        reason = f"`{name}` is {default.value!r} wherever `{function.name}` is called"
        whole, value = _settled(module, read, default.value)
        edit = ReplaceExpression(Span.of(whole), repr(value))
        yield Removal(module.file, edit, NAME, Evidence.PINNED, reason, Span.of(whole), (), support)


def _settled(module: Module, read: ast.Name, value: object) -> tuple[ast.expr, object]:
    """What is written in place of a read; of `x is None`, which no text may stand in, the outcome."""
    match module.parents[read]:
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Constant(value=None)]) as whole:
            if left is read:
                return whole, (value is None) is isinstance(op, ast.Is)
    return read, value


def _is_left_alone(default: ast.Constant, seen: tuple[tuple[str, object], ...]) -> bool:
    plain = default.value is None or isinstance(default.value, bool | str)
    return (
        plain
        and len(seen) == 1
        and seen[0][0] == "plain"
        and seen[0][1] == default.value
        and type(seen[0][1]) is type(default.value)
    )


def _reads(module: Module, function: Definition, name: str) -> list[ast.Name] | None:
    """Every read of a parameter; None if one of them cannot be replaced, or if it is bound anew."""
    scope = module.scopes.by_node[function]
    if any(binding.kind != "parameter" for binding in scope.bindings[name]):
        return None
    reads = [
        read
        for other in module.scopes.by_node.values()
        if name in other.reads and other.resolve(name) is scope
        for read in other.reads[name]
    ]
    if any(getattr(read, "inserted", False) or not isinstance(read.ctx, ast.Load) for read in reads):
        return None
    if any(module.enclosing(read, (ast.JoinedStr,)) is not None for read in reads):
        return None  # before Python 3.12 nothing in an f-string has a position of its own
    return reads
