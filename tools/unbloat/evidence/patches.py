"""Names that the program may give another meaning from afar: module variables, functions and methods that are replaced.

A module's flag is a constant only if nobody writes `module.FLAG = …`, `setattr(module, …)` or `globals()["FLAG"] = …`; a
call reaches the function of its name only if nobody puts another one in its place.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator

# Whether an expression names a module of the subject; whether it is the object itself (`self`).
Test = Callable[[ast.expr], bool]

_READING = ("get", "keys", "items", "values", "copy")


class Patches:
    """Which names are stored other than by binding them."""

    def __init__(self) -> None:
        self._fields: set[str] = set()
        self._globals: set[str] = set()
        self._any_field = False
        self._any_global = False
        self._open_stores = False
        self._modules_handed_out = False

    def note(self, nodes: Iterable[tuple[ast.AST, ast.AST | None]], is_module: Test, is_self: Test) -> None:
        """Look at every node of a module, each with its parent."""
        for node, parent in nodes:
            match node:
                case ast.Attribute(value=ast.Name(id="sys"), attr="modules") | ast.Attribute(attr="import_module"):
                    self._modules_handed_out = True
                case ast.Attribute(value=base, attr="__dict__"):
                    self._open_stores = self._open_stores or not is_self(base)
                case ast.Attribute(value=base, attr=name, ctx=ast.Store() | ast.Del()):
                    self._store(name, is_self(base))
                case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[base, name, *_]):
                    self._set(base, name, is_module, is_self)
                case ast.Call(func=ast.Name(id="vars"), args=[base]):
                    self._open_stores = self._open_stores or not is_self(base)
                case ast.Call(func=ast.Name(id="type"), args=[_, _, _]):
                    self._any_field = True
                case ast.Name(id="exec" | "eval", ctx=ast.Load()):
                    self._any_global = self._any_field = True
                case ast.Name(id="__import__", ctx=ast.Load()):
                    self._modules_handed_out = True
                case ast.Name(ctx=ast.Load()) if is_module(node) and not _is_looked_at(parent):
                    self._modules_handed_out = True
                case ast.Subscript(value=ast.Call(func=ast.Name(id="globals")), slice=key, ctx=ast.Store() | ast.Del()):
                    self._store_global(key)
                case ast.Call(func=ast.Name(id="globals")) if not _is_read(node, parent):
                    self._any_global = True

    def note_store(self, name: str) -> None:
        """Somebody stores an attribute of that name, of whatever object."""
        self._globals.add(name)

    def field(self, name: str) -> bool:
        """Whether an attribute of that name is stored anywhere, through `self` included."""
        return self._any_field or name in self._fields or name in self._globals

    def module_name(self, name: str) -> bool:
        """Whether a variable of a module may be stored through the module."""
        return self._any_global or name in self._globals or (self._open_stores and self._modules_handed_out)

    def _store(self, name: str, through_self: bool) -> None:
        (self._fields if through_self else self._globals).add(name)

    def _set(self, base: ast.expr, name: ast.expr, is_module: Test, is_self: Test) -> None:
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self._store(name.value, is_self(base))
        elif is_self(base):
            self._any_field = True
        else:
            self._open_stores = True
            self._any_global = self._any_global or is_module(base)

    def _store_global(self, key: ast.expr) -> None:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            self._globals.add(key.value)
        else:
            self._any_global = True


def attribute_stores(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Every object and attribute that code stores or deletes, where the attribute's name is plain to see."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=base, attr=name, ctx=ast.Store() | ast.Del()):
                yield base, name
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[base, ast.Constant(value=str(name)), *_]):
                yield base, name


def _is_looked_at(parent: ast.AST | None) -> bool:
    """Whether a module is only asked for something."""
    match parent:
        case ast.Attribute():
            return True
        case ast.Call(func=ast.Name(id="getattr" | "hasattr")):
            return True
    return False


def _is_read(call: ast.Call, parent: ast.AST | None) -> bool:
    """`globals()[name]`, `name in globals()` and the like; storing an item is told apart before."""
    return (
        isinstance(parent, ast.Subscript | ast.Compare)
        or (isinstance(parent, ast.Attribute) and parent.attr in _READING)
        or (isinstance(parent, ast.Call) and parent.func is not call and ast.unparse(parent.func) in ("len", "list", "sorted"))
    )
