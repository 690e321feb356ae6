"""Whether a tree can be told from the legacy: exit code 0 if not, 1 with the first difference if so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unbloat.subject import Subject


@pytest.fixture
def tree(tiny: Subject, unbloat: Callable[..., Any]) -> Path:
    assert unbloat("strip", tiny.root).code == 0
    shutil.copytree(tiny.stripped, tiny.root / "tree")
    return tiny.root / "tree"


def differing(said: Any) -> list[str]:
    assert said.err == ""
    return [line.removeprefix("differs: ") for line in said.out.splitlines() if line.startswith("differs: ")]


def test_identical_trees(tree: Path, tiny: Subject, unbloat: Callable[..., Any]) -> None:
    for arguments in ([], ["--tree", str(tree)], ["--tree", str(tiny.legacy)], ["--phase", "all"]):
        said = unbloat("verify", tiny.root, *arguments)
        assert (said.code, differing(said)) == (0, [])
        assert said.out.splitlines()[-1].endswith("identical to the legacy")


# (what is changed in the stripped module, the difference)
TAMPERED = [
    ("total += cfg.size", "total += cfg.size + 1", "workload 'workload' differs at `call 0`: 7 != 8"),
    ("total += cfg.size", "total = total + cfg.size.no", "workload 'workload' raised AttributeError: "),
    ("total = 0", "total = 0\n    print(nowhere) if total else None", "pkg/module.py: undefined name `nowhere`"),
    ("total = 0", "total = (", "pkg/module.py: does not compile: "),
    ("total = 0", "import warnings; warnings.warn('new'); total = 0", "workload 'workload' differs at `warnings"),
    ("total = 0", "total = 0\n    open({legacy!r}).read()", "raised ForbiddenAccess: this run may not read {legacy}"),
]


@pytest.mark.parametrize(("old", "new", "difference"), TAMPERED)
def test_a_tampered_tree(old: str, new: str, difference: str, tree: Path, tiny: Subject, unbloat: Callable[..., Any]) -> None:
    names = {"legacy": str(tiny.legacy / "pkg" / "module.py")}
    module = tree / "pkg" / "module.py"
    assert old in module.read_text()
    module.write_text(module.read_text().replace(old, new.format(**names)))
    said = unbloat("verify", tiny.root, "--tree", str(tree))
    assert said.code == 1
    found = differing(said)
    assert any(difference.format(**names) in one for one in found), found
    assert said.out.splitlines()[-1] == "tree: differs from the legacy"


def test_a_module_in_another_encoding(tree: Path, tiny: Subject, unbloat: Callable[..., Any]) -> None:
    (tree / "pkg" / "more.py").write_bytes(b"# \xe4\n")
    said = unbloat("verify", tiny.root, "--tree", str(tree))
    assert said.code == 1
    assert differing(said)[0].startswith("pkg/more.py: does not compile: ")


def test_a_tampered_output_is_reported_and_stripped_anew(tree: Path, tiny: Subject, unbloat: Callable[..., Any]) -> None:
    module = tiny.stripped / "pkg" / "module.py"
    good = module.read_text()
    module.write_text(good.replace("total += cfg.size", "total += 4"))
    page = tiny.root / "STATUS.md"
    assert unbloat("report", tiny.root, "--status", str(page)).code == 1
    assert "| all | workload | workload 'workload' differs at `call 0`: 7 != 8 | stripped |" in page.read_text()
    assert unbloat("strip", tiny.root).code == 0
    assert module.read_text() == good
    assert unbloat("report", tiny.root).code == 0
