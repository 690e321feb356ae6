"""Every row of `every_row/table.py` is checked: what the bloat inventory has switched off works (or is broken) as it says."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from .every_row.small_champion import plain, see
from .every_row.table import ROWS, Row

HERE = Path(__file__).resolve().parent
LEGACY = HERE.parents[1] / "reproduction" / "legacy"


@pytest.fixture(scope="module", autouse=True)
def modules() -> Iterator[None]:
    """The legacy tree, imported once: no row leaves anything in its modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(LEGACY))
        _forget_modules()
        yield
        plain.cache_clear()
        _forget_modules()


@pytest.fixture(autouse=True)
def legacy_tree(modules: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In place of the fixture of all legacy tests, which imports everything anew for every test."""
    monkeypatch.chdir(tmp_path)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "champion"]:
        del sys.modules[name]


# torch announces the end of its quantisation, and its own observers use a deprecated argument
@pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quant_min and quant_max:UserWarning")
@pytest.mark.parametrize("row", [pytest.param(row, id=f"{number} {row.name}") for number, row in ROWS.items()])
def test_row(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bool(row.switch) is not bool(row.entry)
    if row.entry is not None:
        row.entry(monkeypatch)
        return
    seen = see(row.switch)
    if row.parameters:
        found = seen.further(row.parameters)
        assert found and any(seen.gradients[name] for name in found) is row.learn
    if row.metric:
        assert row.metric in seen.logged and row.metric not in plain().logged
    if row.logits is not None:
        assert torch.equal(seen.logits, plain().logits) is not row.logits
    if row.loss is not None:
        assert (seen.loss != plain().loss) is row.loss
    if row.look is not None:
        row.look(seen)


def test_the_table_is_complete() -> None:
    assert list(ROWS) == list(range(1, 60))
    for row in ROWS.values():
        shown = (row.parameters, row.metric, row.look, row.entry)
        assert any(shown) or True in (row.logits, row.loss)


@pytest.mark.parametrize("node", sorted({node for row in ROWS.values() for node in row.closely}))
def test_the_closer_tests_exist(node: str) -> None:
    file, _, test = node.partition("::")
    name, _, parameter = test.removesuffix("]").partition("[")
    text = (HERE / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, flags=re.MULTILINE)
    assert not parameter or f'"{parameter}": ' in text
