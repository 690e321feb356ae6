"""Writes that may reach a config on ways on which nobody sees it written.

While a config is watched, what is written into it shows, whatever the value. Left are the body of a loop that stands on the
line of its `for`, of which nobody knows whether it ran; and, for a config that is no OmegaConf container, writes that go
round what watches: by the methods of `dict` and `object` themselves, into a namespace that `vars` hands out, to a class, and
through references from before the config came in. They are judged by the names that they write.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Facts
from unbloat.evidence.flow.stores import CONSTRUCTION, is_read
from unbloat.evidence.names import PURE_METHODS
from unbloat.evidence.program import FUNCTIONS, Module, Program

_HARMLESS = PURE_METHODS | {"fromkeys"}
_WRITERS = frozenset("pop setdefault __setitem__ __delitem__ __setattr__ __delattr__".split())


class UnseenWrites:
    """What of the configs may be written unseen."""

    def __init__(self, program: Program, facts: Facts) -> None:
        self._program, self._facts = program, facts
        self._names: set[str] = set()
        self._roots: set[str] = set()
        self._all = False
        self._in_lines: set[str] = set()
        for module, node in program.walk():
            if isinstance(node, ast.For) and node.body[0].lineno == node.lineno:
                self._in_lines.update(name for part in node.body for inner in ast.walk(part) for name in _names(inner))
            if facts.objects:
                self._note(module, node)

    def reach(self, key: str) -> bool:
        """Whether a key, or a part of a config that it is in, may be written."""
        root, *parts = key.split(".")
        if not self._in_lines.isdisjoint([root, *parts]):
            return True
        return self._facts.is_object(key) and (self._all or root in self._roots or not self._names.isdisjoint(parts))

    def _note(self, module: Module, node: ast.AST) -> None:
        match node:
            case ast.Subscript(ctx=ast.Store() | ast.Del(), slice=ast.Constant(value=str(name))):
                self._names.add(name)
            case ast.Attribute(ctx=ast.Store() | ast.Del(), attr=name):
                if not self._is_construction(module, node, node.value):
                    self._names.add(name)
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[base, name, *_]):
                if not self._is_construction(module, node, base):
                    self._names.update(self._texts(module, name))
            case ast.Call(func=ast.Attribute(attr="update"), args=arguments, keywords=keywords):
                self._names.update(part.arg for part in keywords if part.arg is not None)
                for argument in arguments:
                    if isinstance(argument, ast.Dict):
                        self._names.update(text for key in argument.keys if key for text in self._texts(module, key))
            case ast.Call(func=ast.Attribute(value=base, attr=name), args=[*_]) if name in _WRITERS:
                if not self._is_construction(module, node, node.args[0] if node.args else base):
                    for argument in node.args[:2]:
                        self._names.update(self._texts(module, argument))
            case ast.Attribute(attr="__dict__", value=base) | ast.Call(func=ast.Name(id="vars"), args=[base]):
                if not is_read(node, module.parents[node]):
                    self._note_namespace(module, base)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and not self._is_shadowed(module, node.value):
            self._note_unbound(module, node, node.value.id)

    def _note_namespace(self, module: Module, base: ast.expr) -> None:
        """`vars(cfg)` in the hands of somebody who may write to it."""
        if (owner := self._program.self_class(module, base)) is not None:
            self._roots.update(one.name for one in self._program.family(owner))
            return
        scope = module.scope_of_name(base) if isinstance(base, ast.Name) else None
        holder = scope.resolve(base.id) if scope is not None and isinstance(base, ast.Name) else None
        bindings = holder.bindings[base.id] if holder is not None and isinstance(base, ast.Name) else []
        if bindings and all(_is_parsed(binding.value) for binding in bindings):
            self._roots.update(
                key for key in self._facts.objects if ("mapping", "Namespace") in self._facts.values.get(key, ())
            )
        else:
            self._all = True

    def _note_unbound(self, module: Module, node: ast.Attribute, owner: str) -> None:
        """`dict.update(cfg, …)`, `object.__setattr__(cfg, "x", …)`."""
        if owner in ("dict", "list") and node.attr not in _HARMLESS:
            self._all = True
        elif owner in ("object", "type") and node.attr in ("__setattr__", "__delattr__"):
            call = module.parents[node]
            named = isinstance(call, ast.Call) and len(call.args) > 1 and list(self._texts(module, call.args[1]))
            if not named:
                self._all = True

    def _is_construction(self, module: Module, node: ast.AST, base: ast.expr) -> bool:
        """Whether an object is written that is no config: one of another class, or one that is just being made."""
        owner = self._program.self_class(module, base)
        if owner is None:
            return False
        classes = {one.name for one in self._program.family(owner)}
        function = module.enclosing(node, FUNCTIONS)
        making = isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name in CONSTRUCTION
        return making or classes.isdisjoint(self._facts.classes_of_objects)

    def _texts(self, module: Module, node: ast.expr) -> Iterator[str]:
        """The names that an expression was seen to give."""
        if isinstance(node, ast.Constant):
            yield from [node.value] if isinstance(node.value, str) else []
        else:
            yield from self._facts.names.get((module.file, Span.of(node)), ())

    def _is_shadowed(self, module: Module, name: ast.Name) -> bool:
        return module.scope_of_name(name).resolve(name.id) is not None


def _names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
            yield name


def _is_parsed(value: ast.expr | None) -> bool:
    """Whether a value comes from argparse: `parser.parse_args()`."""
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "parse_args"
