"""One small subject, stripped and certified once; every test damages a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unbloat.cli import main

FILES = {
    "legacy/pkg/__init__.py": "",
    "legacy/pkg/module.py": """\
import json


def unused():
    return 1


def run(cfg, weights):
    with open(weights) as file:
        scale = json.load(file)["scale"]
    if cfg.flag:
        scale = 0
    return cfg.size * scale
""",
    "config.yaml": "flag: false\nsize: 3\n",
    "weights.json": '{"scale": 2}\n',
    "workloads.py": """\
from pathlib import Path

from omegaconf import OmegaConf

ROOT = Path(__file__).parent


def first(golden):
    from pkg.module import run

    golden.record("found", run(OmegaConf.load(ROOT / "config.yaml"), ROOT / "weights.json"))


def second(golden):
    first(golden)
    golden.record("again", "text")
""",
    "strip.toml": """\
[subject]
package = "pkg"
legacy = "legacy"
stripped = "stripped"

[config]
file = "config.yaml"
parameters = ["cfg"]

[golden]
workloads = "workloads.py"
preload = ["omegaconf"]
inputs = ["weights.json"]

[phases.one]
files = ["pkg/module.py"]
gate = ["first"]

[phases.two]
files = ["**"]
gate = ["first", "second"]
""",
}


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of strip.toml, with `certificate.json`."""
    root = tmp_path_factory.mktemp("certified")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subject = ["--subject", str(root / "strip.toml")]
    assert main(["strip", *subject]) == 0
    assert main(["certify", *subject, "--out", str(root / "certificate.json")]) == 0
    return root


@pytest.fixture
def copy(certified: Path, tmp_path: Path) -> Path:
    """A copy to damage; nothing in a certificate tells where its subject lies."""
    return Path(shutil.copytree(certified, tmp_path / "elsewhere"))


@pytest.fixture
def certify(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str]]]:
    """Runs `unbloat certify`; its exit code and what it said at last, progress left out."""

    def run(root: Path, *arguments: Any) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(["certify", "--subject", str(root / "strip.toml"), *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, [line for line in (out + err).splitlines() if " s  " not in line]

    return run
