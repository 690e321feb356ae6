"""Take names out of `__all__` that no workload mentions.

Safe because only a star import asks for `__all__`: a name that goes is a `NameError` for whoever relied on that, never
silence. A module that another one of the package star-imports keeps its list.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropElement, Span
from unbloat.evidence.references import module_exports
from unbloat.plan.example import Example
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "shorten exports"

EXAMPLES = (
    Example(
        "a name that nobody outside mentions",
        before="""
        __all__ = ["run", "other"]

        def other():
            return 1

        def run(cfg):
            return other()
        """,
        after="""
        __all__ = ["run"]

        def other():
            return 1

        def run(cfg):
            return other()
        """,
    ),
    Example(
        "a list that is put together stays",
        before="""
        __all__ = ["run"] + ["other"]

        def other():
            return 1

        def run(cfg):
            return other()
        """,
        after="""
        __all__ = ["run"] + ["other"]

        def other():
            return 1

        def run(cfg):
            return other()
        """,
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every element of a plain `__all__` that stands for nothing a workload names."""
    exports = module_exports(view.program, view.facts)
    for module in view.own_modules():
        if (module.name, "*") in exports:
            continue
        for statement in module.tree.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=elements)):
                    for element in elements:
                        if isinstance(element, ast.Constant) and element.value not in view.outside:
                            place = Span.of(element)
                            reason = f"no workload mentions {element.value!r}"
                            yield Removal(module.file, DropElement(place), NAME, Evidence.UNREFERENCED, reason, place, ())
