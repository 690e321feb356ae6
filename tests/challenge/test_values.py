"""Which other values are tried, and how they come in."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from unbloat.challenge.hints import Hints
from unbloat.challenge.inject import inject
from unbloat.challenge.perturb import literal, others

# (a value, strings that the source compares it with, what is tried instead)
OTHERS: list[tuple[Any, list[str], list[Any]]] = [
    (True, [], [False]),
    (None, [], [1]),
    (None, ["fast"], ["fast"]),
    (0, [], [1]),
    (1, [], [0]),
    (-1, [], [0]),
    (2, [], [3]),
    (7, [], [8]),
    (128, [], [64]),
    (0.0, [], [1.0]),
    (1.0, [], [0.0]),
    (0.1, [], [0.2]),
    (0.9, [], [0.45]),
    (3.0, [], [1.5]),
    (math.inf, [], [1.0]),
    ("adam", [], ["other"]),
    ("adam", ["adam", "sgd"], ["sgd"]),
    ("other", [], ["another"]),
    ([], [], [[1]]),
    ([3], [], [[], [3, 3]]),
    ((1, 2), [], [(1,), (1, 2, 2), ()]),
    ({"a": 1, "b": 2}, [], [{"a": 1}]),
    ({}, [], [{"other": True}]),
    (object(), [], []),
]


def spelled(value: object) -> str:
    """The same in every process, as the processes of a test run must find the same tests: an object's repr has its address."""
    return type(value).__name__ if type(value) is object else repr(value)


@pytest.mark.parametrize(("value", "texts", "tried"), OTHERS, ids=spelled)
def test_other_values(value: Any, texts: list[str], tried: list[Any]) -> None:
    found = others(value, texts)
    assert found == tried
    assert all(type(one) is type(value) for one in found if value is not None)
    assert all(literal(one) is not None for one in found)


@pytest.mark.parametrize("value", [object(), math.nan, math.inf, [object()], "x" * 3000, int])
def test_what_text_does_not_tell(value: Any) -> None:
    assert literal(value) is None


# (source, a name, a value for it where it is absent)
HINTS = [
    ('if cfg.mode == "fast": pass', "mode", "fast"),
    ('if str(cfg.get("mode")).lower() in ("fast", "slow"): pass', "mode", "fast"),
    ('kind = getattr(cfg, "mode", None)\nif kind == "fast": pass', "mode", "fast"),
    ('match cfg.mode:\n    case "fast" | "slow": pass', "mode", "fast"),
    ('cfg.get("flag", True)', "flag", False),
    ('OmegaConf.select(cfg, "part.size", default=4)', "size", 2),
    ('read(cfg, "part.kind", "a")\nif cfg.kind == "b": pass', "kind", "b"),
    ('shard = int(cfg.get("shard", None) or 0)', "shard", 1),
    ('limit = cfg.get("limit")\nif limit is not None and limit > 0: pass', "limit", 1),
    ('tasks = getattr(cfg, "tasks", None)\nif tasks and len(tasks) > 2: pass', "tasks", ["other"]),
    ("if cfg.flag: pass", "flag", True),
]


@pytest.mark.parametrize(("source", "name", "value"), HINTS)
def test_hints(source: str, name: str, value: Any) -> None:
    assert Hints([ast.parse(source)]).instead_of_nothing(name) == value


def load_json(path: Path) -> Any:
    with path.open() as file:
        return json.load(file)


YAML, JSON = "a: 1\r\npart:\n  b: 2\n", '{"a": 1, "part": {"b": 2}}'
WAYS: list[tuple[str, Callable[[Path], Any]]] = [
    (YAML, lambda path: OmegaConf.to_container(OmegaConf.load(path))),
    (YAML, lambda path: yaml.safe_load(path.read_text())),
    (YAML, lambda path: yaml.safe_load(path.read_bytes())),
    (YAML, lambda path: yaml.load(path.open(), yaml.FullLoader)),
    (JSON, load_json),
    (JSON, lambda path: json.loads(path.read_text())),
]
CHANGES = [
    (["a"], "5", {"a": 5, "part": {"b": 2}}),
    (["part", "b"], "None", {"a": 1, "part": {"b": None}}),
    (["part", "b"], None, {"a": 1, "part": {}}),
    (["new", "c"], "[1]", {"a": 1, "part": {"b": 2}, "new": {"c": [1]}}),
]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("text", "load"), WAYS, ids=range(len(WAYS)))
@pytest.mark.parametrize(("path", "value", "changed"), CHANGES, ids=range(len(CHANGES)))
def test_ways_into_a_config(
    text: str, load: Callable[[Path], Any], path: list[str], value: str | None, changed: object, tmp_path: Path
) -> None:
    config, other = tmp_path / "config", tmp_path / "other"
    config.write_text(text)
    other.write_text(text.replace("2", "3"))
    before = load(config), load(other)
    options = {
        "package": "pkg",
        "tree": str(tmp_path),
        "files": [],
        "text": text.replace("\r\n", "\n"),
        "parameters": [],
        "change": {"kind": "config", "path": path, "value": value, "new": False, "handed": False},
    }
    with inject(options) as injection:
        assert load(config) == changed
        assert load(other) == before[1]
    assert (load(config), load(other)) == before
    expected = {"seconds": 0, "applied": 1, "config": before[0], "is_read": True, "calls": []}
    assert injection.result() | {"seconds": 0} == expected
    assert config.read_text() == dedent(text).replace("\r\n", "\n")
