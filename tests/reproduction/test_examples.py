"""The packages from elsewhere: what is pinned in one place is what is installed by the other."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from unbloat.subject import load_subject
from unbloat.subject.sources import workload_names

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "reproduction" / "examples").glob("*/strip.toml"))


def pins(path: Path) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return {name.lower().replace("_", "-"): version for name, _, version in (line.partition("==") for line in lines if line)}


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_the_pins_agree(folder: Path) -> None:
    subject = tomllib.loads((folder / "strip.toml").read_text())["subject"]
    own, common = pins(folder / "requirements.txt"), pins(ROOT / "reproduction" / "constraints.txt")
    assert subject["installed"] in (folder / "requirements.txt").read_text().splitlines()
    assert all(own.values()) and not own.keys() & common.keys()


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_is_complete(folder: Path) -> None:
    assert workload_names(ast.parse((folder / "workload.py").read_text()))
    assert f'"{folder.name}"' in (ROOT / "noxfile.py").read_text()


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_nothing_is_tuned(folder: Path) -> None:
    """docs/field.md says so; the names of config parameters are what `init` writes."""
    tables = tomllib.loads((folder / "strip.toml").read_text())
    assert tables.keys() - {"config"} == {"subject", "golden"}
    assert tables.get("config", {"parameters": []}).keys() == {"parameters"}


def test_the_champion_knows_nothing_of_them() -> None:
    champion = load_subject(ROOT / "reproduction" / "strip.toml")
    assert EXAMPLES and not any("examples" in path.parts for path in champion.outside())
