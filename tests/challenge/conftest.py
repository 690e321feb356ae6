"""Small subjects with a hand-written stripped tree, and the challenge in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from unbloat.cli import main
from unbloat.subject import Subject

NO_CONFIG = '[config]\nparameters = ["cfg"]\n'
CONFIG_WORKLOAD = """
    from pathlib import Path

    from omegaconf import OmegaConf


    def workload(golden):
        from pkg.module import run

        golden.record("total", run(OmegaConf.load(Path(__file__).with_name("config.yaml"))))
"""


@dataclass(frozen=True)
class Told:
    """What `unbloat challenge` answered."""

    code: int
    out: str
    err: str
    found: Mapping[str, Any]

    def outcomes(self) -> dict[str, str]:
        return {f"{one['target']}: {one['old']} -> {one['new']}": one["outcome"] for one in self.found["changes"]}

    def silent(self) -> list[str]:
        return [line.removeprefix("silent: ") for line in self.out.splitlines() if line.startswith("silent: ")]


@pytest.fixture
def with_config(make_subject: Callable[..., Subject]) -> Callable[..., Subject]:
    """A package whose `run(cfg)` gets the content of a config file."""

    def make(legacy: str, config: str, *, workload: str = CONFIG_WORKLOAD) -> Subject:
        def strip(text: str) -> str:
            return text.replace("[config]\n", '[config]\nfile = "config.yaml"\n')

        (Path.cwd() / "config.yaml").write_text(dedent(config))
        return make_subject(legacy, workload=workload, strip=strip)

    return make


@pytest.fixture
def without_config(make_subject: Callable[..., Subject]) -> Callable[[str, str], Subject]:
    return lambda legacy, workload: make_subject(legacy, workload=workload, strip=lambda text: text.replace(NO_CONFIG, ""))


@pytest.fixture(autouse=True)
def _in_the_subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def challenged(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Writes the stripped tree, unless there is one, and challenges it."""

    def run(subject: Subject, modules: Mapping[str, str], *arguments: str) -> Told:
        package = subject.stripped / "pkg"
        package.mkdir(parents=True, exist_ok=True)
        for name, text in {"__init__": "", **modules}.items():
            (package / f"{name}.py").write_text(dedent(text).lstrip("\n"))
        report = subject.root / "challenge.json"
        capsys.readouterr()
        code = main(["challenge", "--subject", str(subject.root / "strip.toml"), "--json", str(report), *arguments])
        out, err = capsys.readouterr()
        return Told(code, out, err, json.loads(report.read_text()) if report.is_file() else {})

    return run
