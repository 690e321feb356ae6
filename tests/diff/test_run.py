"""What a search comes to where operations, values and failures are of the less simple kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unbloat.diff import Finding, Kind
from unbloat.errors import WorkloadError

MODULE = """
import os
import warnings

import numpy
import torch


def run(golden):
    x = torch.arange(6.0)
    mask = torch.zeros(6)
    mask[3:].fill_(1.0)
    y = (x + 1.0) * mask
    z = torch.nn.functional.dropout(x, 0.5)
    table = torch.from_numpy(numpy.arange(6.0, dtype="float32"))
    golden.record("table", x + table)
    golden.record("y", y)
    golden.record("z", z)
    golden.record("note", "a text")
    golden.record("flag", int(bool(y.sum() > 3)))
"""
WORKLOAD = """
def workload(golden):
    from pkg.module import run

    run(golden)
"""

# (what is changed, by what, the kind, a part of what is said, the first tree's line)
CHANGES = [
    ("nothing", "", "", None, "", ""),
    ("a few ulps", "x + 1.0", "x + 1.0000003", Kind.ARGUMENT, "1.0 became 1.0000003", "y = (x"),
    ("a write to a view", "    mask[3:].fill_(1.0)\n", "", Kind.DELETED, "aten.slice", "mask[3:]"),
    ("another view of equal values", "mask[3:]", "mask[:3]", Kind.ARGUMENT, "", "mask[3:]"),
    ("a draw", "    z = ", "    torch.rand(1)\n    z = ", Kind.INSERTED, "aten.rand.default is only in the second", "z = "),
    ("numpy", "numpy.arange(6.0, ", "2 * numpy.arange(6.0, ", Kind.OUTSIDE, "comes from no operation", "table = "),
    ("a text", '"a text"', '"another text"', Kind.RECORDED, "'note': 'a text' != 'another text'", 'golden.record("note"'),
    ("another name", '"note"', '"remark"', Kind.RECORDED, "'note' became the recorded 'remark'", 'golden.record("note"'),
    ("an entry", '    golden.record("z", z)\n', "", Kind.RECORDED, "'z' is only in the first", 'golden.record("z"'),
    ("a warning", "    x = ", "    warnings.warn('new')\n    x = ", Kind.RECORDED, "'warnings': 0 != 1", ""),
    ("a failure", "    z = ", "    assert False, 'broken'\n    z = ", Kind.FAILED, "AssertionError: broken at pkg", "z = "),
    (
        "a failure that follows",
        "y = (x + 1.0)",
        "y = (x + 1.0).reshape(2, 3)",
        Kind.REPLACED,
        "aten.view.default; the second tree fails after that: ",
        "y = (x",
    ),
    ("a failure on import", "import numpy\n", "import nonsense\n", Kind.FAILED, "ModuleNotFoundError", "x = torch.arange"),
    ("a death", "    z = ", "    os.abort()\n    z = ", Kind.FAILED, "was ended by signal 6", None),
]


@pytest.mark.parametrize(("name", "old", "new", "kind", "what", "line"), CHANGES, ids=[row[0] for row in CHANGES])
def test_changes(
    name: str, old: str, new: str, kind: Kind | None, what: str, line: str | None, write_copies: Callable[..., Any]
) -> None:
    copies = write_copies(WORKLOAD, module=MODULE)
    if old:
        copies.edit("module.py", old, new)
    found = copies.find()
    if kind is None:
        assert found is None
        return
    assert found is not None
    assert found.kind is kind, list(found.lines())
    assert what in found.what
    if line is None:
        assert found.first is None
    else:
        assert found.first is not None
        assert (found.first.place is None) if line == "" else found.first.place.text.startswith(line)
    json.dumps(found.to_json())


def found_in(copies: Any) -> Finding:
    found = copies.find()
    assert isinstance(found, Finding)
    return found


def test_the_size_is_told_in_ulps(write_copies: Callable[..., Any]) -> None:
    copies = write_copies(WORKLOAD, module=MODULE)
    copies.edit("module.py", "x + 1.0", "x + 1.0000003")
    found = found_in(copies)
    assert found.size is not None
    assert (found.size.elements, found.size.differing, found.size.ulps) == (6, 6, 3)
    assert found.measured.startswith("output 0 of #")
    shown = "\n".join(found.lines("legacy", "mine"))
    assert "\n  mine      pkg/module.py:12  y = (x + 1.0000003) * mask\n" in shown
    assert "by at most 3 ulp, 4.76837e-07" in shown
    assert found.line().startswith("workload 'workload', step 0: another argument: aten.add.Tensor: 1.0 became 1.0000003 at ")


def test_the_page_shows_what_is_printed(write_copies: Callable[..., Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "diff.md").read_text()
    copies = write_copies()
    copies.edit("model.py", "math.sqrt(width // self.heads)", "math.sqrt(width)")
    assert "\n".join(found_in(copies).lines("first", "second")) in page
    assert [line.split(" | ")[0][2:] for line in page.splitlines() if line.startswith("| ")][1:] == [
        kind.value for kind in Kind
    ]


def test_a_change_without_effect_is_named_beside_the_one_that_has_some(write_copies: Callable[..., Any]) -> None:
    copies = write_copies(WORKLOAD, module=MODULE)
    copies.edit("module.py", "    mask = torch.zeros(6)\n", "    mask = torch.zeros(6)\n    mask.sum()\n")
    unseen = found_in(copies)
    assert (unseen.kind, unseen.size, unseen.earlier) == (Kind.INSERTED, None, ())
    copies.edit("module.py", "(x + 1.0) * mask", "(x + 1.0) / mask")
    found = found_in(copies)
    assert (found.kind, found.what) == (Kind.REPLACED, "aten.mul.Tensor became aten.div.Tensor")
    assert found.earlier == ("nothing became aten.sum.default at pkg/module.py:11",)


def test_of_two_changes_in_a_row_the_first_is_named(write_copies: Callable[..., Any]) -> None:
    copies = write_copies(WORKLOAD, module=MODULE)
    copies.edit("module.py", "(x + 1.0) * mask", "(x + 2.0) / mask")
    assert found_in(copies).what == "aten.add.Tensor: 1.0 became 2.0"


def test_a_tree_under_other_names(write_copies: Callable[..., Any]) -> None:
    copies = write_copies(WORKLOAD, module=MODULE)
    package = copies.subject.stripped / "pkg"
    (package / "module.py").rename(package / "renamed.py")
    (package.parent / "aliases.json").write_text('{"modules": {"pkg.module": "pkg.renamed"}, "names": {}}')
    assert copies.find() is None
    copies.edit("renamed.py", "x + 1.0", "x + 3.0")
    found = found_in(copies)
    assert [str(one and one.place) for one in (found.first, found.second)] == ["pkg/module.py:12", "pkg/renamed.py:12"]


def test_a_workload_that_fails_on_both_trees_is_refused(write_copies: Callable[..., Any]) -> None:
    with pytest.raises(WorkloadError, match="on both trees, workload 'workload' raised KeyError"):
        write_copies("def workload(golden):\n    raise KeyError(1)\n").find()


def test_a_workload_that_is_not_deterministic_is_refused(write_copies: Callable[..., Any]) -> None:
    module = """
        import time
        import torch


        def run(golden):
            golden.record("x", torch.tensor(float(time.time_ns() % 10**9)) + 1)
        """
    with pytest.raises(WorkloadError, match="'workload' is not deterministic: two runs of the same code differ"):
        write_copies(WORKLOAD, module=module).find()


def test_a_run_that_cannot_be_watched_is_no_finding(write_copies: Callable[..., Any]) -> None:
    module = """
        import torch
        from torch.utils._python_dispatch import _get_current_dispatch_mode_stack


        def run(golden):
            assert len(_get_current_dispatch_mode_stack()) == 1, "seen"
            golden.record("x", torch.ones(1))
        """
    copies = write_copies(WORKLOAD, module=module)
    copies.edit("module.py", "torch.ones(1)", "torch.zeros(1)")
    with pytest.raises(WorkloadError, match="fails on the first tree only if watched: "):
        copies.find()
