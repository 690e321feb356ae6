"""Drop parameters that nothing reads any more, and the arguments that were passed for them.

Safe because whoever still passes one gets an error, never silence: no other parameter takes its place (it is keyword-only,
or nothing positional behind it stays, or every mention of the function is a call that the runs saw; otherwise those behind
it are passed by keyword alone from now on), what `**kwargs` would take in the guard refuses, and the method is not one that
a base class or a relative defines as well. An argument goes only if computing it leaves no trace.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropArgument, DropParameter, Edit, Span
from unbloat.evidence import NOTHING, Module, PinnedArgument, Support, joined
from unbloat.evidence.flow.calls import Calls, Definition, Passed, is_bound, passed
from unbloat.evidence.functions import default_of, is_guarded
from unbloat.evidence.references import names_in_strings
from unbloat.plan.example import Example
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "drop unread parameters"
_GONE = "<gone>"

EXAMPLES = (
    Example(
        "a flag whose branch has gone, with the argument for it",
        before="""
        def _size(values, strict=False, *, scale=1):
            return len(values) * scale

        def run(cfg, values=(1,)):
            return _size(values, False, scale=2)
        """,
        after="""
        def _size(values, *, scale=1):
            return len(values) * scale

        def run(cfg, values=(1,)):
            return _size(values, scale=2)
        """,
        calls=(([1, 2],),),
    ),
    Example(
        "the last of a public function: whoever passes it gets a `TypeError`",
        before="""
        class Box:
            def __init__(self, size, colour=None):
                self.size = size

        def run(cfg, scale=2, strict=False):
            return Box(3, None).size * scale
        """,
        after="""
        class Box:
            def __init__(self, size):
                self.size = size

        def run(cfg, scale=2):
            return Box(3).size * scale
        """,
        calls=((2,),),
    ),
    Example(
        "another one would take its place: in a public function, and where somebody has the function itself",
        before="""
        def size(values, strict=False, scale=1):
            return len(values) * scale

        def _sum(values, strict=False, scale=1):
            return sum(values) * scale

        def run(cfg, values=(1,)):
            other = _sum
            return size(values, False, 2) + _sum(values, False, 2)
        """,
        after="""
        def size(values, strict=False, scale=1):
            return len(values) * scale

        def _sum(values, strict=False, scale=1):
            return sum(values) * scale

        def run(cfg, values=(1,)):
            other = _sum
            return size(values, False, 2) + _sum(values, False, 2)
        """,
    ),
    Example(
        "`locals()` reads it, a relative shares the signature, an argument leaves a trace",
        before="""
        def _named(values, strict=False):
            return sorted(locals())

        class _Box:
            def size(self, strict=False):
                return 1

        class _Bag(_Box):
            def size(self, strict=False):
                return 2 if strict else 3

        def _least(values, popped=None):
            return min(values)

        def run(cfg, values=(1, 2, 3)):
            values = list(values)
            sizes = [box.size(strict=True) for box in (_Box(), _Bag())]
            return _named(values), sizes, _least(values, values.pop())
        """,
        after="""
        def _named(values, strict=False):
            return sorted(locals())

        class _Box:
            def size(self, strict=False):
                return 1

        class _Bag(_Box):
            def size(self, strict=False):
                return 2 if strict else 3

        def _least(values, popped=None):
            return min(values)

        def run(cfg, values=(1, 2, 3)):
            values = list(values)
            sizes = [box.size(strict=True) for box in (_Box(), _Bag())]
            return _named(values), sizes, _least(values, values.pop())
        """,
    ),
    Example(
        "some code chooses by the parameters that a function has",
        before="""
        import inspect

        def run(cfg, size=3):
            options = {"size": size, "unit": 1}
            known = inspect.signature(scaled).parameters
            return scaled(**{name: value for name, value in options.items() if name in known}), plain(size, 1)

        def scaled(size, unit=1):
            return size * 2

        def plain(size, unit=1):
            return size * 2
        """,
        after="""
        import inspect

        def run(cfg, size=3):
            options = {"size": size, "unit": 1}
            known = inspect.signature(scaled).parameters
            return scaled(**{name: value for name, value in options.items() if name in known}), plain(size)

        def scaled(size, unit=1):
            return size * 2

        def plain(size):
            return size * 2
        """,
    ),
)

_NAMESPACE = frozenset("locals vars dir eval exec".split())
_OF_SIGNATURE = frozenset("__code__ __defaults__ __kwdefaults__ __signature__".split())
_SIGNATURES = frozenset("signature getfullargspec getargspec getcallargs".split())


def propose(view: View) -> Iterator[Removal]:
    """Every parameter that is read nowhere and that nobody can miss."""
    calls = view.flow.calls
    asked_for = _signatures_asked_for(view)
    for module, node in view.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_free(view, module, node):
            if asked_for.isdisjoint(_names(view, module, node)):
                yield from _unread(view, calls, module, node)


def _signatures_asked_for(view: View) -> frozenset[str]:
    """The names of functions and classes of which some code asks which parameters they have, and may choose by them."""
    found: set[str] = set()
    for module, node in view.program.walk():
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[asked, *_]) if name in _SIGNATURES:
                pass
            case ast.Attribute(attr=name, value=asked) if name in _OF_SIGNATURE:
                pass
            case ast.Call(func=ast.Name(id="getattr"), args=[asked, ast.Constant(value=name), *_]) if name in _OF_SIGNATURE:
                pass
            case _:
                continue
        if isinstance(asked, ast.Attribute):
            found.add(asked.attr)
        elif isinstance(asked, ast.Name) and view.program.definition(module, module.scope_of(asked), asked.id) is not None:
            found.add(asked.id)
        else:
            found.update(_handed_about(view))
    return frozenset(found)


def _handed_about(view: View) -> Iterator[str]:
    """The names that are used otherwise than to be called: what they stand for may be in any variable."""
    for module, node in view.program.walk():
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                parent = module.parents[node]
                if not isinstance(parent, ast.Call) or parent.func is not node:
                    yield name
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) if node.decorator_list:
                yield name


def _names(view: View, module: Module, function: Definition) -> frozenset[str]:
    """The names by which a function's signature can be asked for."""
    owner = module.parents[function]
    if not isinstance(owner, ast.ClassDef) or function.name != "__init__":
        return frozenset({function.name})
    return frozenset({function.name, *(relative.name for relative in view.program.family(owner))})


def is_free(view: View, module: Module, function: Definition) -> bool:
    """Whether no one but the function itself has a say in its signature."""
    owner = module.parents[function]
    if isinstance(owner, ast.ClassDef) and function.name == "__init__" and _keeps_its_arguments(view, owner):
        return False
    if any(ast.unparse(one) not in ("staticmethod", "classmethod") for one in function.decorator_list):
        return False
    if not view.facts.outcomes(module.file, Span.of(function), "function").true:
        return False
    named = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)}
    if named & _NAMESPACE or ("super" in named and function.name != "__init__"):
        return False
    if not isinstance(owner, ast.ClassDef):
        return True
    if function.name.startswith("__") and function.name != "__init__":
        return False
    if function.name not in ("__init__", "forward") and (module.file, owner.name, function.name) in view.facts.foreign:
        return False
    relatives = [
        one
        for relative in view.program.family(owner)
        for one in relative.body
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == function.name
    ]
    return len(relatives) == 1 or function.name == "__init__"


def _keeps_its_arguments(view: View, owner: ast.ClassDef) -> bool:
    """Whether Lightning takes the arguments of the constructors out of their frames, whoever reads them then."""
    return any(
        isinstance(part, ast.Attribute) and part.attr == "save_hyperparameters"
        for relative in view.program.family(owner)
        for part in ast.walk(relative)
    )


def _unread(view: View, calls: Calls, module: Module, function: Definition) -> Iterator[Removal]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    is_method = isinstance(module.parents[function], ast.ClassDef) and not any(
        ast.unparse(one) == "staticmethod" for one in function.decorator_list
    )
    for parameter in [*reversed(arguments.kwonlyargs), *reversed(positional)]:
        is_positional = parameter in positional
        if is_method and parameter is positional[0]:
            return
        removals = None
        if not getattr(parameter, "inserted", False) and not _is_read(module, function, parameter.arg):
            shifts = is_positional and parameter is not positional[-1] and _is_public(view, calls, module, function)
            by_keyword = shifts and _can_pass_by_keyword(calls, module, function, parameter)
            if by_keyword or not (shifts or (is_positional and arguments.vararg)):
                removals = _removals(view, calls, module, function, parameter, by_keyword)
        if removals is not None:
            yield from removals


def _can_pass_by_keyword(calls: Calls, module: Module, function: Definition, parameter: ast.arg) -> bool:
    """Whether no call that is known passes this parameter, or one behind it, by its position."""
    arguments = function.args
    if arguments.vararg is not None or parameter not in arguments.args:
        return False
    index = len(arguments.posonlyargs) + arguments.args.index(parameter)
    return all(
        call is not None
        and not any(isinstance(part, ast.Starred) for part in call.args)
        and len(call.args) + is_bound(where, module, function, call) <= index
        for where, call in calls.callers(module, function)
    )


def _is_public(view: View, calls: Calls, module: Module, function: Definition) -> bool:
    """Whether somebody whose calls are not known may pass arguments by position."""
    if calls.is_external(module, function) or not function.name.startswith("_") or function.name == "__init__":
        return True
    known = {call.func for _, call in calls.callers(module, function) if call is not None}
    return any(_mentions(node, function.name) and node not in known for _, node in view.program.walk())


def _mentions(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(id=found) | ast.Attribute(attr=found):
            return found == name
        case ast.alias(name=found):
            return found == name
    return name in names_in_strings(node)


def _is_read(module: Module, function: Definition, name: str) -> bool:
    scope = module.scopes.by_node[function]
    if any(binding.kind != "parameter" for binding in scope.bindings[name]):
        return True
    return any(name in other.reads and other.resolve(name) is scope for other in module.scopes.by_node.values())


def _removals(
    view: View, calls: Calls, module: Module, function: Definition, parameter: ast.arg, by_keyword: bool
) -> list[Removal] | None:
    """The parameter and all arguments for it; None if one of them has to stay."""
    name = parameter.arg
    place = (module.file, Span.of(function))
    seen = view.facts.arguments.get(place, {}).get(name, ())
    if calls.is_external(module, function):
        default = default_of(function, name)
        if not isinstance(default, ast.Constant) or [value for _, value in seen] != [default.value]:
            return None
    elif is_guarded(view.facts, module, function) and (default := default_of(function, name)) is not None:
        # Whoever leaves it out, once somebody does, gets the default: it must be what the runs saw.
        if not isinstance(default, ast.Constant) or any(value != default.value for _, value in seen):
            return None
    dropped: list[tuple[Module, ast.expr | ast.keyword, Support]] = []
    for where, call in calls.callers(module, function):
        if call is None or len(calls.callees(where, call)) > 1:
            return None
        argument = passed(view.facts, where, call, module, function, name)
        if argument is Passed.UNKNOWN:
            return None
        if isinstance(argument, ast.expr):
            support = view.dropping(where, argument)
            if support is None or where.file not in view.files:
                return None
            keyword = next((one for one in call.keywords if one.value is argument), None)
            dropped.append((where, keyword if keyword is not None else argument, support))
    reason = f"`{function.name}` no longer reads `{name}`"
    support = joined([one for *_, one in dropped]) or NOTHING
    refused = NOTHING
    if function.args.kwarg is not None:
        # A name that is gone must not get lost among the others: the guard refuses it.
        refused = Support(arguments=frozenset({PinnedArgument(*place, name, (_GONE,))}))
    removals = [
        _removal(module, DropParameter(Span.of(parameter), by_keyword), Span.of(parameter), reason, support.and_(refused))
    ]
    for where, part, _ in dropped:
        removals.append(_removal(where, DropArgument(Span.of(part)), Span.of(part), reason, support))
    return removals


def _removal(module: Module, edit: Edit, place: Span, reason: str, support: Support) -> Removal:
    return Removal(module.file, edit, NAME, Evidence.UNREFERENCED, reason, place, (), support)
