"""A subject with a config file: whatever a key is changed to, the stripped tree follows or refuses; if not, it is caught."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from unbloat.subject import Subject

LEGACY = """
def run(cfg):
    total = cfg.size * 2
    if cfg.flag:
        total += 100
    if cfg.get("mode", "plain") == "fast":
        total += 1
    if cfg.get("shift") is not None:
        total += cfg.shift
    return total + len(cfg.part.names)
"""
CONFIG = """
size: 6
flag: false
part:
  names: [1, 2]
unused: 1
"""
GUARDED = LEGACY.replace("        total += 100", '        raise NotImplementedError("stripped: flag")')
STRICT = GUARDED.replace("    total = ", '    assert isinstance(cfg.get("flag"), bool) and "size" in cfg\n    total = ')

SAME_ERROR = "identical: both raise the same error"
FOLLOWED = {
    "flag: False -> True": "identical",
    "flag: False -> <absent>": SAME_ERROR,
    "mode: <absent> -> 'fast'": "identical",
    "part: <section> -> <absent>": SAME_ERROR,
    "part.names: [1, 2] -> [1]": "identical",
    "part.names: [1, 2] -> [1, 2, 2]": "identical",
    "part.names: [1, 2] -> []": "identical",
    "part.names: [1, 2] -> <absent>": SAME_ERROR,
    "shift: <absent> -> True": "identical",
    "size: 6 -> 3": "identical",
    "size: 6 -> <absent>": SAME_ERROR,
    "unused: 1 -> 0": "identical",
}
# (what was stripped, the outcomes that differ from those of the legacy beside itself, the silent ones)
STRIPPED: list[tuple[str, dict[str, str], list[str]]] = [
    (LEGACY, {}, []),
    (GUARDED, {"flag: False -> True": "loud"}, []),
    (
        STRICT,
        {"flag: False -> True": "loud", "flag: False -> <absent>": "both refuse", "size: 6 -> <absent>": "both refuse"},
        [],
    ),
    (
        GUARDED.replace("cfg.flag", "False"),
        {"flag: False -> True": "silent", "flag: False -> <absent>": "silent"},
        [
            "config flag: False -> True in workload 'workload': differs at `total`: 114 != 14",
            "config flag: False -> <absent> in workload 'workload': runs, though the legacy refuses: ",
        ],
    ),
    (
        LEGACY.replace('    if cfg.get("mode", "plain") == "fast":\n        total += 1\n', ""),
        {"mode: <absent> -> 'fast'": "silent"},
        ["config mode: <absent> -> 'fast' in workload 'workload': differs at `total`: 15 != 14"],
    ),
    (
        LEGACY.replace("    total = ", "    while cfg.size == 3: pass\n    total = "),
        {"size: 6 -> 3": "silent"},
        ["config size: 6 -> 3 in workload 'workload': does not end within "],
    ),
]


@pytest.mark.parametrize(("stripped", "other", "silent"), STRIPPED, ids=range(len(STRIPPED)))
def test_outcomes(
    stripped: str,
    other: dict[str, str],
    silent: list[str],
    with_config: Callable[..., Subject],
    challenged: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unbloat.challenge.challenge.PATIENCE", 1.0)
    told = challenged(with_config(LEGACY, CONFIG), {"module": stripped})
    assert told.outcomes() == FOLLOWED | other
    assert len(told.silent()) == len(silent) and all(map(str.startswith, told.silent(), silent)), told.out
    assert told.code == (1 if silent else 0)


def test_what_only_a_later_workload_shows(with_config: Callable[..., Subject], challenged: Callable[..., Any]) -> None:
    """The constructor reads every key; what it does with one may show only in use."""
    legacy = """
        class Model:
            def __init__(self, cfg):
                self.rate = cfg.rate

            def train(self):
                for _ in range(5):
                    pass
                return self.rate
        """
    workloads = """
        from pathlib import Path

        from omegaconf import OmegaConf


        def _model():
            from pkg.module import Model

            return Model(OmegaConf.load(Path(__file__).with_name("config.yaml")))


        def workload(golden):
            golden.record("model", type(_model()).__name__)


        def train(golden):
            sum(range(10**7))
            golden.record("rate", _model().train())
        """
    subject = with_config(legacy, "rate: 2\n", workload=workloads)
    strip = subject.root / "strip.toml"
    strip.write_text(strip.read_text().replace('gate = ["workload"]', 'gate = ["workload", "train"]'))
    told = challenged(subject, {"module": legacy.replace("return self.rate", "return 2")})
    assert told.outcomes() == {"rate: 2 -> 3": "silent", "rate: 2 -> <absent>": SAME_ERROR}
    assert told.silent() == ["config rate: 2 -> 3 in workload 'train': differs at `rate`: 3 != 2"]


def test_the_guard_names_keys_and_variables(with_config: Callable[..., Subject], challenged: Callable[..., Any]) -> None:
    legacy = """
        import os


        def run(cfg):
            return [cfg.size, os.environ.get("PKG_DEBUG"), os.environ.get("PKG_MODE")]
        """
    guard = """
        CONFIG = {"size": (6, "a:1"), "unused": (1, "a:2")}
        TYPES = {}
        ENVIRONMENT = {"PKG_DEBUG": (None, "a:3"), "PKG_MODE": (None, "a:4")}
        """
    stripped = legacy.replace('os.environ.get("PKG_MODE")', "None").replace(
        "    return", '    assert "PKG_DEBUG" not in os.environ\n            return'
    )
    told = challenged(with_config(legacy, CONFIG), {"module": stripped, "pinned": guard})
    outcomes = told.outcomes()
    assert outcomes["PKG_DEBUG: <absent> -> '1'"] == "loud"
    assert outcomes["PKG_MODE: <absent> -> '1'"] == "silent"
    assert {"unused: 1 -> 0", "unused: 1 -> <absent>"} <= outcomes.keys()


def test_a_legacy_that_does_not_repeat_proves_nothing(
    with_config: Callable[..., Subject], challenged: Callable[..., Any]
) -> None:
    legacy = "import time\ndef run(cfg):\n    return time.time_ns() if cfg.flag else 1\n"
    told = challenged(with_config(legacy, "flag: false\n"), {"module": legacy})
    assert told.outcomes()["flag: False -> True"] == "undecided"
    assert "undecided: config flag: False -> True in workload 'workload': the legacy does not repeat" in told.out
    assert told.code == 0


def test_a_killed_run_goes_on(with_config: Callable[..., Subject], challenged: Callable[..., Any]) -> None:
    subject = with_config(LEGACY, CONFIG)
    whole = challenged(subject, {"module": GUARDED})
    journal = subject.state / "challenge.journal.jsonl"
    kept = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(kept[:7]) + kept[7][:20])
    again = challenged(subject, {})
    assert "resuming: both trees were run unchanged before" in again.out
    assert "resuming: 5 judgements made before" in again.out
    assert again.found == whole.found
    other = challenged(subject, {"module": LEGACY})
    assert "resuming" not in other.out
    assert other.outcomes() == FOLLOWED


def test_a_limit_takes_the_same_changes_every_time(with_config: Callable[..., Subject], challenged: Callable[..., Any]) -> None:
    subject = with_config(LEGACY, CONFIG)
    few = challenged(subject, {"module": LEGACY}, "--limit", "4").outcomes()
    assert len(few) == 4 and "unused: 1 -> 0" not in few
    assert few == challenged(subject, {}, "--limit", "4").outcomes()
    assert list(challenged(subject, {}, "--limit", "12").outcomes()) == list(FOLLOWED)


UNREAD = """
    def workload(golden):
        from pkg.module import run

        golden.record("total", run(3))
"""
# (the legacy, the workload, the stripped module, further arguments, the complaint)
REFUSED = [
    (LEGACY, None, LEGACY, ["--limit", "0"], "--limit 0: at least one change"),
    (LEGACY, None, LEGACY, ["--tree", "nowhere"], "holds no package 'pkg'; strip first"),
    (
        LEGACY,
        None,
        LEGACY.replace("* 2", "* 3"),
        [],
        "differs from the legacy before anything is changed: workload 'workload' at",
    ),
    (LEGACY, None, "def run(cfg):\n    raise OSError\n", [], "before anything is changed: workload 'workload' raised OSError"),
    ("def run(x):\n    return x\n", UNREAD, "def run(x):\n    return x\n", [], "config.yaml: no workload reads it"),
]


@pytest.mark.parametrize(("legacy", "workload", "stripped", "arguments", "complaint"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(
    legacy: str,
    workload: str | None,
    stripped: str,
    arguments: list[str],
    complaint: str,
    with_config: Callable[..., Subject],
    challenged: Callable[..., Any],
) -> None:
    subject = with_config(legacy, CONFIG, **({"workload": workload} if workload else {}))
    told = challenged(subject, {"module": stripped}, *arguments)
    assert told.code == 2 and complaint in told.err and told.err.count("\n") == 1, told.err
    assert not Path("challenge.json").exists()


MADE_BY_HAND = """
    from omegaconf import OmegaConf

    CONFIG = {"size": 6, "flag": False, "part": {"names": [1, 2]}, "unused": 1}


    def _made():
        config = OmegaConf.create({"all": CONFIG}).all if WITHIN else OmegaConf.create(CONFIG)
        OmegaConf.set_struct(config, STRICT)
        OmegaConf.set_readonly(config, STRICT)
        return config


    def workload(golden):
        from pkg.module import run

        config = _made()
        golden.record("total", run(config) if BY_PLACE else run(cfg=config))
        golden.record("again", run(config))
    """


@pytest.mark.parametrize(("stripped", "other", "silent"), STRIPPED[:-1], ids=range(len(STRIPPED) - 1))
@pytest.mark.parametrize(
    ("within", "strict", "by_place"), [(False, False, False), (False, True, True), (True, True, False)], ids=range(3)
)
def test_a_config_that_is_in_no_file(
    stripped: str,
    other: dict[str, str],
    silent: list[str],
    within: bool,
    strict: bool,
    by_place: bool,
    make_subject: Callable[..., Subject],
    challenged: Callable[..., Any],
) -> None:
    """The outcomes are those of a file: a workload may make its config by hand, read-only, as a part of another."""
    made = f"WITHIN, STRICT, BY_PLACE = {within}, {strict}, {by_place}\n" + dedent(MADE_BY_HAND)
    told = challenged(make_subject(LEGACY, workload=made), {"module": stripped})
    assert told.outcomes() == {_within(within, name): outcome for name, outcome in (FOLLOWED | other).items()}
    expected = [line.replace("config ", f"config {_within(within, '')}", 1) for line in silent]
    assert len(told.silent()) == len(expected) and all(map(str.startswith, told.silent(), expected)), told.out


def _within(within: bool, name: str) -> str:
    return f"all.{name}" if within else name


def test_parameters_that_no_config_reaches(make_subject: Callable[..., Subject], challenged: Callable[..., Any]) -> None:
    """What else can be changed still is; that no key was is said."""
    module = "def run(cfg, twice=False):\n    return cfg * (2 if twice else 1)\n"
    workload = """
        def workload(golden):
            from pkg.module import run

            golden.record("total", run(6))
        """
    told = challenged(make_subject(module, workload=workload), {"module": module})
    assert (
        "no workload hands over a config by the names of [config] parameters, so there are no config keys to change" in told.out
    )
    assert told.code == 0
    assert told.outcomes() == {
        "pkg.module.run(cfg): 6 -> 3": "identical",
        "pkg.module.run(twice): False -> True": "identical",
    }


# What makes a config of keyword arguments, the name that its keys begin with, and how the package reads it.
OBJECTS = [
    ("dict", "cfg", "cfg['{}']", "cfg.get('{}', {})"),
    ("argparse.Namespace", "cfg", "cfg.{}", "getattr(cfg, '{}', {})"),
    ("types.SimpleNamespace", "cfg", "cfg.{}", "getattr(cfg, '{}', {})"),
    ("pkg.module.Config", "Config", "cfg.{}", "getattr(cfg, '{}', {})"),
]


@pytest.mark.parametrize(("maker", "root", "read", "asked"), OBJECTS, ids=[maker for maker, *_ in OBJECTS])
@pytest.mark.parametrize("is_silent", [False, True])
def test_a_config_that_is_no_container(
    maker: str,
    root: str,
    read: str,
    asked: str,
    is_silent: bool,
    make_subject: Callable[..., Subject],
    challenged: Callable[..., Any],
) -> None:
    module = f"""
import dataclasses

@dataclasses.dataclass(frozen=True)
class Config:
    size: int
    flag: bool

def run(cfg):
    total = {read.format("size")} * 2
    if {read.format("flag")}:
        total += 100
    return total if {asked.format("shift", "None")} is None else 0
"""
    workload = f"""
        import argparse, types

        def workload(golden):
            import pkg.module

            golden.record("total", pkg.module.run(cfg={maker}(size=6, flag=False)))
        """
    wired = "pass" if is_silent else 'raise NotImplementedError("stripped: flag")'
    told = challenged(make_subject(module, workload=workload), {"module": module.replace("total += 100", wired)})
    outcomes = {name: outcome for name, outcome in told.outcomes().items() if name.startswith(f"{root}.")}
    assert outcomes == {
        f"{root}.flag: False -> True": "silent" if is_silent else "loud",
        f"{root}.flag: False -> <absent>": SAME_ERROR,
        f"{root}.shift: <absent> -> True": "identical",
        f"{root}.size: 6 -> 3": "identical",
        f"{root}.size: 6 -> <absent>": SAME_ERROR,
    }
