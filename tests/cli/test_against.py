"""A tree and the goldens that came with it, on a machine where nothing was recorded: the lane is said before any number."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from unbloat.golden.store import save
from unbloat.subject import Subject
from unbloat.verify.determinism_check import assert_deterministic
from unbloat.verify.server import Server

MODULE = """
def run(cfg, values=(1.5, 2.5)):
    if cfg.flag:
        return 0
    return sum(values), len(values)
"""
HERE = "workload: same machine: every bit is equal"
ELSEWHERE = (
    "workload: across machines: what is discrete is equal, floating values are close, because processor was other and is "
)

# (what differs where the golden was recorded, how the tree was changed, what is said first, the difference)
LANES: list[tuple[Mapping[str, str], tuple[str, str], str, str | None]] = [
    ({}, ("", ""), HERE, None),
    ({}, ("sum(values)", "sum(values) + 1e-14"), HERE, "differs at `call 0[0]`: 4.0 != 4.00000000000001 (same machine"),
    ({"processor": "other"}, ("", ""), ELSEWHERE, None),
    ({"processor": "other"}, ("sum(values)", "sum(values) + 1e-14"), ELSEWHERE, None),
    ({"processor": "other"}, ("sum(values)", "sum(values) + 1e-8"), ELSEWHERE, "2.5e-09 of the norm apart"),
    ({"processor": "other"}, ("len(values)", "len(values) + 1"), ELSEWHERE, "differs at `call 0[1]`: 2 != 3 (across machines"),
    ({}, ("len(values)", "len(value)"), HERE, "raised NameError"),
]


@pytest.fixture
def stripped(make_subject: Callable[..., Subject]) -> Subject:
    """What was stripped by somebody else: neither a recording nor a journal of it is here."""
    subject = make_subject(MODULE, config={"flag": False})
    shutil.copytree(subject.legacy, subject.stripped)
    return subject


@pytest.fixture
def goldens(stripped: Subject, server: Server) -> Callable[[Mapping[str, str]], Path]:
    """Goldens in a folder, as of a machine that differs from this one in some facts."""

    def write(elsewhere: Mapping[str, str]) -> Path:
        golden = assert_deterministic(server, stripped.legacy, stripped.workload("workload"), stripped.seed)
        save(golden, stripped.root / "goldens" / "workload.json", {**server.environment, **elsewhere})
        return stripped.root / "goldens"

    return write


@pytest.mark.parametrize(("elsewhere", "change", "lane", "difference"), LANES)
def test_a_tree_is_held_to_goldens_in_their_lane(
    elsewhere: Mapping[str, str],
    change: tuple[str, str],
    lane: str,
    difference: str | None,
    stripped: Subject,
    goldens: Callable[[Mapping[str, str]], Path],
    unbloat: Callable[..., Any],
) -> None:
    folder = goldens(elsewhere)
    module = stripped.stripped / "pkg" / "module.py"
    module.write_text(module.read_text().replace(*change))
    said = unbloat("verify", stripped.root, "--against", str(folder))
    assert said.err == ""
    first, *rest, last = said.out.splitlines()
    assert lane in first
    assert said.code == (0 if difference is None else 1)
    assert [line.startswith("differs: ") and (difference or "") in line for line in rest] == [True] * (difference is not None)
    assert last == f"stripped: {'agrees with' if difference is None else 'differs from'} the goldens in {folder}"
    assert not stripped.state.exists()


def empty(folder: Path) -> None:
    folder.mkdir()


def of_another(folder: Path) -> None:
    folder.mkdir()
    (folder / "train.json").write_text("{}")


def no_golden(folder: Path) -> None:
    folder.mkdir()
    (folder / "workload.json").write_text("{}")


# (what is found in the place of goldens, the error)
REFUSED = [
    (lambda folder: None, "goldens: holds no golden; name a folder with a file WORKLOAD.json for each workload"),
    (empty, "goldens: holds no golden; name a folder with a file WORKLOAD.json for each workload"),
    (of_another, "train.json: strip.toml has no workload 'train'; known: workload"),
    (no_golden, "workload.json is not a golden"),
]


@pytest.mark.parametrize(("make", "error"), REFUSED)
def test_what_is_no_folder_of_goldens_is_refused(
    make: Callable[[Path], None], error: str, stripped: Subject, unbloat: Callable[..., Any]
) -> None:
    make(stripped.root / "goldens")
    assert error in unbloat("verify", stripped.root, "--against", str(stripped.root / "goldens")).error()


def test_a_folder_without_the_package_is_refused(
    stripped: Subject, goldens: Callable[[Mapping[str, str]], Path], unbloat: Callable[..., Any]
) -> None:
    folder = goldens({})
    said = unbloat("verify", stripped.root, "--tree", str(folder), "--against", str(folder))
    assert "goldens: holds no package 'pkg'" in said.error()
