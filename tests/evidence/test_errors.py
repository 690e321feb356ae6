"""Which errors a handler catches, the package's own classes among them."""

from __future__ import annotations

import ast

import pytest
from unbloat.evidence.errors import ErrorClasses, overlap
from unbloat.evidence.program import Program

OWN = """
from .elsewhere import Failure, Unknown
from somewhere import Foreign

class Own(ValueError): pass
class Narrow(Own): pass
class Stripped(NotImplementedError): pass
class Wide(Exception): pass
class Left(LookupError): pass
class Right(OSError): pass
class Both(Left, Right): pass
class Named(Foreign): pass
class Made(Exception, metaclass=type): pass
class Circle(Circle): pass
def run():
    class Inner(KeyError): pass
    try: pass
    except {}: pass
"""
ELSEWHERE = "class Failure(RuntimeError): pass\n"
# What may be swallowed: a stripped place's error, a missing module's, one that no handler for `Exception` catches.
NAMED = {"stripped": NotImplementedError, "missing": ImportError, "halt": GeneratorExit}


@pytest.mark.parametrize(
    ("handler", "swallowed"),
    [
        ("ValueError", ""),
        ("Exception", "stripped missing"),
        ("BaseException", "stripped missing halt"),
        ("(KeyError, ImportError)", "missing"),
        ("Own", ""),
        ("Narrow", ""),
        ("Wide", ""),
        ("Inner", ""),
        ("Failure", ""),
        ("(Own, Exception)", "stripped missing"),
        ("Stripped", "stripped"),
        ("Left", "stripped missing halt"),
        ("Both", "stripped missing halt"),
        ("Named", "stripped missing halt"),
        ("Made", "stripped missing halt"),
        ("Circle", "stripped missing halt"),
        ("Foreign", "stripped missing halt"),
        ("Unknown", "stripped missing halt"),
        ("choose()", "stripped missing halt"),
        ("Moved", "stripped missing halt"),
    ],
)
def test_what_a_handler_swallows(handler: str, swallowed: str) -> None:
    texts = {"pkg/__init__.py": "", "pkg/module.py": OWN.format(handler), "pkg/elsewhere.py": ELSEWHERE}
    texts["pkg/module.py"] += "class Moved(ValueError): pass\nimport pkg.module\npkg.module.Moved = Exception\n"
    assert _swallowed(texts) == swallowed.split()


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [("Own", "Narrow", True), ("Narrow", "Own", True), ("Own", "Wide", False), ("Own", "KeyError", False)],
)
def test_one_error_may_be_another(outer: str, inner: str, expected: bool) -> None:
    program = Program({"pkg/module.py": ast.parse(OWN.format("Own"))})
    module = program.modules["pkg/module.py"]
    classes = ErrorClasses(program)
    caught, raised = (classes.of_types(module, [ast.parse(name, mode="eval").body]) for name in (outer, inner))
    assert overlap(caught, raised) is expected


def _swallowed(texts: dict[str, str]) -> list[str]:
    program = Program({path: ast.parse(text) for path, text in texts.items()})
    module = program.modules["pkg/module.py"]
    (handler,) = (node for node in module.nodes if isinstance(node, ast.ExceptHandler))
    caught = ErrorClasses(program).of_handler(module, handler)
    return [name for name, error in NAMED.items() if overlap(caught, frozenset({error}))]
