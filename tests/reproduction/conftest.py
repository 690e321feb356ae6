"""Small tasks, a small champion, and a run of `train.py` that is made once."""

from __future__ import annotations

import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf

REPRODUCTION = Path(__file__).resolve().parents[2] / "reproduction"
OWN = frozenset({"champion", *(file.stem for file in REPRODUCTION.glob("*.py"))})
TASK_IDS = ("05269061", "88a62173", "9172f3a0")
PAIRS = 12
SIDE = 8


@pytest.fixture(autouse=True, scope="module")
def scripts_importable() -> Iterator[None]:
    """The scripts and whichever tree they put on the path, for one file of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPRODUCTION))
        forget_modules()
        yield
        forget_modules()


def forget_modules() -> None:
    """Have the scripts and the package imported anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]


@dataclass(frozen=True)
class Place:
    """Where the small stand-ins lie."""

    config: Path
    data: Path

    def options(self, *more: object) -> list[str]:
        return [str(option) for option in ("--config", self.config, "--data", self.data, *more)]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The champion's config with a smaller canvas and fewer, narrower layers, and tasks of a few pairs."""
    folder = tmp_path_factory.mktemp("place")
    config = OmegaConf.load(REPRODUCTION / "configs" / "champion.yaml")
    sizes = {"decoder_layers": 1, "d_ff": 16, "context_encoder.pixel_layers": 1}
    sizes |= dict.fromkeys(("max_h", "max_w", "context_encoder.grid_height", "context_encoder.grid_width"), SIDE)
    for key, value in sizes.items():
        OmegaConf.update(config, f"model.{key}", value)
    OmegaConf.save(config, folder / "small.yaml")
    (folder / "tasks").mkdir()
    for task_id in TASK_IDS:
        rng = random.Random(task_id)
        pairs = [
            {side: [[rng.randrange(10) for _ in range(4)] for _ in range(rng.randint(1, 5))] for side in ("input", "output")}
            for _ in range(PAIRS)
        ]
        (folder / "tasks" / f"{task_id}.json").write_text(json.dumps({"train": pairs, "test": []}))
    (folder / "manifest.json").write_text(json.dumps({"tasks": {TASK_IDS[0]: {"category": "S1"}}}))
    return Place(folder / "small.yaml", folder / "tasks")


SMALL_RUN = tuple(
    "--epochs 2 --steps-per-epoch 3 --batch-size 1 --val-every 2 --limit-val-batches 1 --checkpoint-every 1".split()
)
"""Six steps, a validation after every other."""


@dataclass(frozen=True)
class Trained:
    folder: Path
    output: str


@pytest.fixture(scope="session")
def trained(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An unbroken run of six steps, in a process as a user has it."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    command = [sys.executable, str(REPRODUCTION / "train.py"), "--out", str(folder), *place.options(*SMALL_RUN)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode in (0, 1), done.stderr
    return Trained(folder, done.stdout)


Script = Callable[..., tuple[int, str, str]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    """Runs a script's `main` with arguments: exit code, output, errors."""

    def call(name: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *(str(argument) for argument in arguments)])
        code = importlib.import_module("scripting").run(importlib.import_module(name).main)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def module() -> Callable[[str], ModuleType]:
    return importlib.import_module
