"""Drop attributes that are stored and that nobody reads.

Safe because "nobody" is judged by name, over the whole package, its strings, the workloads and every base class from
elsewhere; because what is stored was seen to be a plain value or a container, nothing that a framework registers when
it is stored (a module, a parameter); because storing it runs no code (a setter, `__setattr__`), and nobody asks for the
attributes of unknown objects (`vars`, `__dict__`); and because computing it leaves no trace.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropStatement, Span
from unbloat.evidence import Module, Support
from unbloat.evidence.program import FUNCTIONS
from unbloat.evidence.references import names_in_strings
from unbloat.plan.blocks import blocks_of
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop unread attributes"

EXAMPLES = (
    Example(
        "a number that nobody asks for; one that is read stays",
        before="""
        class Box:
            def __init__(self, size):
                self.size = size
                self.weight = size * 2

        def run(cfg):
            return Box(3).size
        """,
        after="""
        class Box:
            def __init__(self, size):
                self.size = size

        def run(cfg):
            return Box(3).size
        """,
    ),
    Example(
        "an attribute that is found by its name in a string stays",
        before="""
        class Box:
            def __init__(self, size):
                self.size = size

        def run(cfg):
            return getattr(Box(3), "size")
        """,
        after="""
        class Box:
            def __init__(self, size):
                self.size = size

        def run(cfg):
            return getattr(Box(3), "size")
        """,
    ),
    Example(
        "a counter that is only counted up, and a flag that is set twice",
        before="""
        class Box:
            def __init__(self):
                self.opened = 0
                self.shut = True
                self.shut = False

            def open(self):
                self.opened += 1
                return not self.shut

        def run(cfg):
            return Box().open()
        """,
        after="""
        class Box:
            def __init__(self):
                self.shut = False

            def open(self):
                return not self.shut

        def run(cfg):
            return Box().open()
        """,
    ),
    Example(
        "values that leave a trace, and objects of other classes, stay",
        before="""
        class Box:
            def __init__(self, items):
                self.first = items.pop()
                self.rest = iter(items)

        def run(cfg, items=(1,)):
            items = list(items)
            Box(items)
            return items
        """,
        after="""
        class Box:
            def __init__(self, items):
                self.first = items.pop()
                self.rest = iter(items)

        def run(cfg, items=(1,)):
            items = list(items)
            Box(items)
            return items
        """,
        calls=(([1, 2],),),
    ),
    Example(
        "a setter runs when its attribute is stored",
        before="""
        class Box:
            @property
            def size(self):
                return 1

            @size.setter
            def size(self, value):
                self.area = value * value

        def run(cfg):
            box = Box()
            box.grow = 2
            return _sized(box)

        def _sized(self):
            self.size = 3
            return self.area
        """,
        after="""
        class Box:
            @property
            def size(self):
                return 1

            @size.setter
            def size(self, value):
                self.area = value * value

        def run(cfg):
            box = Box()
            box.grow = 2
            return _sized(box)

        def _sized(self):
            self.size = 3
            return self.area
        """,
    ),
    Example(
        "a base from elsewhere reads what is stored over its own",
        before="""
        import json

        class Wide(json.JSONEncoder):
            def __init__(self):
                super().__init__()
                self.indent = 2
                self.unread = 3

        def run(cfg):
            return Wide().encode([1])
        """,
        after="""
        import json

        class Wide(json.JSONEncoder):
            def __init__(self):
                super().__init__()
                self.indent = 2

        def run(cfg):
            return Wide().encode([1])
        """,
    ),
    Example(
        "`vars()` sees every attribute",
        before="""
        class Box:
            def __init__(self, size):
                self.size = size

        def run(cfg):
            return vars(Box(3))
        """,
        after="""
        class Box:
            def __init__(self, size):
                self.size = size

        def run(cfg):
            return vars(Box(3))
        """,
    ),
)

# Types that no framework keeps book of when they are stored.
_PLAIN_TYPES = frozenset(
    f"builtins:{name}"
    for name in "list dict tuple set frozenset str bytes float int complex range method function type".split()
) | {"omegaconf.dictconfig:DictConfig", "omegaconf.listconfig:ListConfig", "pathlib:PosixPath", "collections:OrderedDict"}
_NAMESPACE = frozenset("vars dir asdict __dict__ __setattr__ __getattribute__".split())


def propose(view: View) -> Iterator[Removal]:
    """Every store of an attribute that is read nowhere."""
    shown = _shown_attributes(view)
    if shown is None:
        return
    read, asked_of_configs = _names_read(view)
    methods = _methods(view)
    for module, node in view.nodes():
        target = _target(node)
        if target is None or not _is_self(module, target) or target.attr in methods:
            continue
        owner = module.enclosing(node, (ast.ClassDef,))
        if isinstance(owner, ast.ClassDef) and owner.name in view.facts.classes_of_objects:
            continue  # the guard asks for what is in a config
        assert isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
        if (support := _overwritten(view, module, node, target)) is not None:
            yield _removal(module, node, f"`{target.attr}` is overwritten before anybody reads it", support)
            continue
        if target.attr in read or target.attr in view.facts.framework:
            continue
        if not _is_plain(view, module, node):
            continue
        support = view.dropping(module, node.value) if node.value is not None else None
        if support is not None:
            yield _removal(
                module,
                node,
                f"nothing that is kept reads `{target.attr}`",
                support.and_(shown).and_(asked_of_configs.get(target.attr, Support())),
            )


def _shown_attributes(view: View) -> Support | None:
    """What it rests on that no code looks at all attributes of an object of the subject; None if some does."""
    support = Support()
    for module, node in view.program.walk():
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.FunctionDef(name=name) if name in _NAMESPACE:
                path = _config_looked_at(view, module, node)
                if path is None:
                    return None
                support = support.and_(Support(types=frozenset({path})))
    return support


def _config_looked_at(view: View, module: Module, node: ast.AST) -> str | None:
    """The key of the config of which `vars(cfg)` or `cfg.__dict__` shows everything, if it is no object of the subject."""
    parent = module.parents[node]
    match node:
        case ast.Attribute(value=ast.Name() as shown):
            pass
        case ast.Name() if isinstance(parent, ast.Call) and parent.func is node and len(parent.args) == 1:
            if not isinstance(parent.args[0], ast.Name):
                return None
            shown = parent.args[0]
        case _:
            return None
    holder = module.scope_of_name(shown).resolve(shown.id)
    if holder is None or not isinstance(holder.node, FUNCTIONS):
        return None
    if [binding.kind for binding in holder.bindings[shown.id]] != ["parameter"]:
        return None
    paths = view.facts.config_paths.get((module.file, Span.of(holder.node)), {}).get(shown.id, ())
    if len(paths) != 1 or paths[0] is None or view.flow.config(module, shown) is None:
        return None
    kinds = {kind for _, kind in view.facts.values[paths[0]]}
    classes = {one.name for _, one in view.program.walk() if isinstance(one, ast.ClassDef)}
    return None if None in kinds or kinds & classes else paths[0]


def _methods(view: View) -> frozenset[str]:
    """The names of methods; a store to one of these may run a setter."""
    return frozenset(
        part.name
        for _, node in view.program.walk()
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.FunctionDef)
    )


def _removal(module: Module, node: ast.stmt, reason: str, support: Support) -> Removal:
    place = Span.of(node)
    return Removal(module.file, DropStatement(place), NAME, Evidence.UNREFERENCED, reason, place, lines_of([node]), support)


def _overwritten(view: View, module: Module, node: ast.AST, target: ast.Attribute) -> Support | None:
    """What it rests on that a store is replaced by the next one, with nothing in between that could read it."""
    if not isinstance(node, ast.Assign) or not _is_plain(view, module, node):
        return None
    for block in blocks_of(module.parents[node]):
        if node in block:
            for behind in block[block.index(node) + 1 :]:
                if not isinstance(behind, ast.Assign) or not view.purity.is_pure(module, behind.value):
                    return None
                if any(isinstance(part, ast.Call) and view.flow.calls.callees(module, part) for part in ast.walk(behind)):
                    return None
                if any(isinstance(part, ast.Attribute) and part.attr == target.attr for part in ast.walk(behind.value)):
                    return None
                again = _target(behind)
                if again is not None and again.attr == target.attr and _is_self(module, again):
                    return view.dropping(module, node.value)
    return None


def _target(node: ast.AST) -> ast.Attribute | None:
    match node:
        case ast.Assign(targets=[ast.Attribute() as target]) | ast.AnnAssign(target=ast.Attribute() as target):
            return target
        case ast.AugAssign(target=ast.Attribute() as target):
            return target
    return None


def _is_self(module: Module, target: ast.Attribute) -> bool:
    return isinstance(target.value, ast.Name) and target.value.id == "self" and not target.attr.startswith("__")


def _is_plain(view: View, module: Module, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> bool:
    """Whether everything that was seen stored there is of a kind that nobody notices."""
    if isinstance(node, ast.AugAssign):
        return isinstance(node.value, ast.Constant)
    seen = view.facts.stored.get((module.file, Span.of(node)), ())
    if not seen and not view.facts.executed(module.file, node.lineno):
        return False
    return bool(seen) and all(kind != "other" or value in _PLAIN_TYPES for kind, value in seen)


def _names_read(view: View) -> tuple[frozenset[str], dict[str, Support]]:
    """Every attribute name that somebody may ask an object of the subject for; those that are asked of a config.

    The latter with what it rests on that it is a config: the guard holds it to being none of the subject's other objects.
    """
    found, asked = set(view.outside), dict[str, Support]()
    of_configs: set[ast.AST] = set()
    for module, node in view.program.walk():
        if (config := _config_asked(view, module, node)) is not None:
            name, support = config
            of_configs.add(name)
            for one in [name.attr] if isinstance(name, ast.Attribute) else names_in_strings(name):
                asked[one] = asked.get(one, Support()).and_(support)
    for _, node in view.program.walk():
        if node in of_configs:
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        else:
            found.update(names_in_strings(node))
    for names in view.facts.names.values():
        found |= names
    return frozenset(found) | view.references.asked_for, asked


def _config_asked(view: View, module: Module, node: ast.AST) -> tuple[ast.AST, Support] | None:
    """The part of an expression that names what it asks a config for, and what it rests on that it is a config."""
    if not isinstance(node, ast.Attribute | ast.Call) or (module.file, Span.of(node)) not in view.facts.direct:
        return None
    if not all(map(view.facts.is_object, view.facts.keys_read(module.file, Span.of(node)))):
        return None
    match node:
        case ast.Attribute(value=base):
            name: ast.AST = node
        case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[base, ast.Constant() as name, *_]):
            pass
        case ast.Call(func=ast.Attribute(attr="get", value=base), args=[ast.Constant() as name, *_]):
            pass
        case _:
            return None
    support = view.flow.config(module, base)
    return None if support is None else (name, support)
