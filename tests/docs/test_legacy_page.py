"""What docs/legacy.md counts and finds."""

from __future__ import annotations

import importlib
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "reproduction" / "legacy" / "champion"
FACTS = tomllib.loads((ROOT / "docs" / "legacy_facts.toml").read_text())

HABITS = '''
"""Two lines
of docstring."""
import os

# a comment
from champion.x import y


def f(cfg, other):
    import torch.distributed as dist

    try:
        flag = getattr(cfg, "a", None) if hasattr(other, "b") else isinstance(other, int)
        logger.warning("x")
        self.log("m", getattr(other, "c"))
    except Exception:
        pass
    except ValueError:
        raise
    value = OmegaConf.select(cfg, "k") or os.environ.get("E")

    def g():
        if _is_rank_zero():
            dist.barrier()

    return g
'''
COUNTED = {
    "docstring_lines": 2,
    "comment_lines": 1,
    "statements": 17,  # the two handlers among them
    "tries": 1,
    "handlers": 2,
    "broad_handlers": 1,
    "silent_handlers": 1,
    "raises": 1,
    "logger_calls": 1,
    "metric_logs": 1,
    "getattr_calls": 2,
    "getattr_on_config": 1,
    "hasattr_calls": 1,
    "isinstance_calls": 1,
    "config_selects": 1,
    "environment_reads": 1,
    "rank_checks": 1,
    "distributed_calls": 1,
    "nested_functions": 1,
    "local_imports": 1,
    "ifs": 1,
    "ternaries": 1,
    "package_imports": 1,
}

MODULE = """\
from x import feature_helper


class Model:
    def build(self, cfg):
        try:
            feature_on = bool(cfg.feature)
        except Exception:
            feature_on = False
        if feature_on:
            self.part = 1
            self.other = 2
        else:
            self.part = 0
        mode = cfg.get("feature_mode")
        return mode

    def feature_loss(self):
        # a comment
        return 1

    def run(self, tgt):
        loss = self.feature_loss()
        return loss if tgt is None else 0
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "module.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_counts(tmp_path: Path) -> None:
    found = importlib.import_module("legacy_counts").counts(_write(tmp_path, HABITS))
    assert {measure: found[measure] for measure in COUNTED} == COUNTED


def test_every_measure_of_the_facts_is_counted_for_every_file() -> None:
    measures = importlib.import_module("legacy_counts").MEASURES
    assert FACTS["patterns"].keys() == measures.keys()
    assert {len(known) for known in FACTS["patterns"].values()} == {len(FACTS["files"])}


@pytest.mark.parametrize(
    ("marks", "ranges", "statements"),
    [
        pytest.param(["feature_on"], "6-12", 7, id="handlers follow their try, else does not follow its if"),
        pytest.param(["feature_*"], "6-12, 15, 18-20, 23", 11, id="names, keys and definitions, but no import of the module"),
        pytest.param(["feature_loss", "!run"], "18-20", 2, id="taken out"),
        pytest.param(["def feature_loss"], "18-20", 2, id="as text"),
        pytest.param(["build/self.part = *"], "11, 14", 2, id="in a function"),
        pytest.param(["run/self.part = *"], "", 0, id="in another"),
        pytest.param(["except Exception"], "8-9", 2, id="handler"),
        pytest.param(["build", "!self.other = *"], "5-11, 14-16", 10, id="all but"),
    ],
)
def test_statements_are_found_by_marks(tmp_path: Path, marks: list[str], ranges: str, statements: int) -> None:
    found = importlib.import_module("legacy_subsystems").find(_write(tmp_path, MODULE), marks)
    assert (str(found), found.statements) == (ranges, statements)


def test_a_subsystem_that_is_not_there_stops_the_generator(tmp_path: Path) -> None:
    page = importlib.import_module("legacy_page")
    _write(tmp_path, MODULE)
    row = {"name": "gone", "marks": {"module.py": ["feature_loss_of_old"]}}
    with pytest.raises(page.NotFound, match=r"'gone': nothing in module\.py"):
        page.located(row, tmp_path)


def test_all_59_subsystems_are_known() -> None:
    assert len(FACTS["subsystems"]) == 59
    assert all(("keys" in row) != ("when" in row) for row in FACTS["subsystems"])
    assert all((PACKAGE / file).is_file() for row in FACTS["subsystems"] for file in row["marks"])


@pytest.mark.parametrize(
    ("key", "shown"),
    [("a.b", "`a.b` = false"), ("a.c", "`a.c` = absent"), ("x.y.z", "`x.y.z` = absent"), ("n", "`n` = null")],
)
def test_switches_are_read_from_the_config(key: str, shown: str) -> None:
    config = OmegaConf.create({"a": {"b": False}, "n": None})
    assert importlib.import_module("legacy_page").switch({"keys": [key]}, config) == shown


@pytest.mark.parametrize(
    ("number", "known", "shown"),
    [
        (0, 0, "0"),
        (12, 12, "12 / 12"),
        (4, 3, "4 / 3, +33 %"),
        (1500, 1000, "**1,500 / 1,000, +50 %**"),
        (1, 0, "**1 / 0**"),
    ],
)
def test_deviations(number: int, known: int, shown: str) -> None:
    assert importlib.import_module("legacy_page").beside(number, known) == shown


SWALLOWING = """\
def swallows(error):
    try:
        raises(error)
    except ValueError:
        pass


def raises(error):
    raise error


def hands_on(error):
    try:
        try:
            raises(error)
        except ValueError:
            raise
    finally:
        pass


def outer(error):
    try:
        hands_on(error)
    except Exception:
        return None
"""


def test_only_exceptions_that_end_in_a_handler_are_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = importlib.import_module("legacy_run")
    monkeypatch.setattr(run, "LEGACY", tmp_path)
    space: dict[str, Any] = {}
    path = _write(tmp_path, SWALLOWING)
    exec(compile(path.read_text(), str(path), "exec"), space)

    def both() -> None:
        space["swallows"](ValueError("one"))
        space["outer"](ValueError("two"))
        with pytest.raises(ValueError, match="three"):
            space["hands_on"](ValueError("three"))
        with pytest.raises(TypeError, match="four"):
            space["swallows"](TypeError("four"))

    before = sys.gettrace()
    found = run.swallowed("test", both)
    assert sys.gettrace() is before, "whoever was tracing still is"
    assert [(one.function, one.line, one.message) for one in found] == [("swallows", 3, "one"), ("outer", 24, "two")]
