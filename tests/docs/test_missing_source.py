"""What docs/missing-source.md reads from docstrings."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("docstring", "chosen", "alternatives"),
    [
        ("Sum. [INFERRED] a sum; alternatives: mean, max.", "a sum", "mean, max"),
        ("[INFERRED] Known is ``k``. Alternative considered: x\n    (or y).\n\n    More.", "Known is `k`", "x (or y)"),
        ("[INFERRED] the target (alternative: the memory).", "the target", "the memory"),
        ("[INFERRED] Alternatives considered: a | b.", "", "a \\| b"),
        ("First. The state is put back. [INFERRED]", "The state is put back", ""),
        ("Puts things back ([INFERRED], for the next run).", "Puts things back, for the next run", ""),
        ("[INFERRED] :math:`e^x`; alternatives: softplus.", "$e^x$", "softplus"),
    ],
)
def test_docstrings(tmp_path: Path, docstring: str, chosen: str, alternatives: str) -> None:
    (tmp_path / "module.py").write_text(f'class A:\n    def f(self):\n        """{docstring}"""\n')
    (found,) = importlib.import_module("missing_source").inferences(tmp_path)
    assert (found.file, found.name) == ("module.py", "A.f")
    assert (found.chosen, found.alternatives) == (chosen, alternatives)
    assert found.fits == bool(chosen and alternatives)


def test_a_label_outside_a_docstring_is_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1  # [INFERRED] one; alternative: two\n")
    module = importlib.import_module("missing_source")
    with pytest.raises(module.Unread, match=r"module\.py: 1 labels, 0 of them"):
        module.inferences(tmp_path)
