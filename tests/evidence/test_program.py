"""Names are followed through the imports of a package, and not around in circles."""

from __future__ import annotations

import ast

import pytest
from unbloat.evidence.program import Program

FILES = {
    "pkg/__init__.py": "from . import part\nfrom .part import thing\nfrom .first import lost\n",
    "pkg/part.py": "def thing(): pass\n",
    "pkg/first.py": "from .second import lost\n",
    "pkg/second.py": "from pkg import lost\nfrom pkg import thing\n",
}


@pytest.mark.parametrize(
    ("file", "name", "found"),
    [
        ("pkg/__init__.py", "thing", "pkg/part.py"),
        ("pkg/second.py", "thing", "pkg/part.py"),
        ("pkg/__init__.py", "part", None),
        ("pkg/__init__.py", "lost", None),
        ("pkg/__init__.py", "unknown", None),
    ],
)
def test_where_a_name_is_defined(file: str, name: str, found: str | None) -> None:
    program = Program({path: ast.parse(text) for path, text in FILES.items()})
    module = program.modules[file]
    definition = program.definition(module, module.scopes.module, name)
    assert (definition[0].file if definition else None) == found
