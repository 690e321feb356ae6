"""Handing a run's checkpoint on, and measuring it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from .conftest import PAIRS, TASK_IDS, Place, Script, Trained


@pytest.fixture
def exported(trained: Trained, tmp_path: Path, script: Script) -> Path:
    code, _, errors = script("export", trained.folder, "--to", tmp_path / "weights" / "small.ckpt", "--which", "last")
    assert code == 0, errors
    return tmp_path / "weights" / "small.ckpt"


def test_the_export_is_the_run(exported: Path, trained: Trained, place: Place, module: Any) -> None:
    found = torch.load(exported, weights_only=True)
    original = torch.load(trained.folder / "last.ckpt", weights_only=True)
    assert found.keys().isdisjoint({"callbacks", "loops"})
    assert all(torch.equal(found["state_dict"][name], tensor) for name, tensor in original["state_dict"].items())
    assert str(trained.folder.parent).encode() not in exported.read_bytes()
    twice = found["state_dict"]["model.bos_embed"], found["state_dict"]["core_model.bos_embed"]
    assert twice[0].data_ptr() == twice[1].data_ptr()
    module("scripting").use_tree("legacy")
    trainer = module("champion.model.trainer").TransformerTrainer
    config = module("scripting").load_config(place.config)
    loaded = trainer.load_from_checkpoint(exported, config=config, weights_only=True)
    assert torch.equal(loaded.model.bos_embed, found["state_dict"]["model.bos_embed"])


def test_safetensors_holds_each_tensor_once(exported: Path) -> None:
    state = torch.load(exported, weights_only=True)["state_dict"]
    with safe_open(exported.with_suffix(".safetensors"), framework="pt") as file:
        tied = json.loads(file.metadata()["tied"])
        names = set(file.keys())
        assert tied == {"output_fc.weight": "input_embedding.G"}
        assert names | tied.keys() == {name.removeprefix("model.") for name in state if name.startswith("model.")}
        assert all(torch.equal(file.get_tensor(name), state[f"model.{name}"]) for name in names)


def test_the_manifest_says_what_it_is(exported: Path) -> None:
    manifest = json.loads(exported.with_name("manifest.json").read_text())
    for name, file in manifest["files"].items():
        assert file["sha256"] == hashlib.sha256(exported.with_name(name).read_bytes()).hexdigest()
    assert (manifest["steps"], manifest["seed"]) == (6, 42)
    assert manifest["environment"]["torch"].startswith("2.")
    assert 0 <= manifest["validation"]["val_cell_accuracy"] <= 1


def test_evaluation(exported: Path, place: Place, tmp_path: Path, script: Script) -> None:
    arguments = ("--checkpoint", exported, "--out", tmp_path / "out", *place.options(), "--pairs", 1)
    code, output, errors = script("evaluate", *arguments)
    assert code == 0, errors
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert output.strip() == (tmp_path / "out" / "evaluation.md").read_text().strip()
    assert list(report["tasks"]) == list(TASK_IDS) and list(report["categories"]) == ["-", "S1"]
    assert report["all"]["all"]["pairs"] == 3 and report["categories"]["-"]["pairs"] == 2
    assert report["tasks"][TASK_IDS[0]]["copy"]["copy_rate"] == 1
    with Image.open(tmp_path / "out" / "panels" / f"{TASK_IDS[0]}.png") as picture:
        assert picture.width > 100 and len(set(picture.get_flattened_data())) > 5


@pytest.fixture
def evaluate(module: Any) -> Any:
    return module("evaluate")


def _canvas(*rows: list[int]) -> torch.Tensor:
    canvas = torch.full((1, 4, 4), 10)
    for number, row in enumerate(rows):
        canvas[0, number, : len(row)] = torch.tensor(row)
    return canvas


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("copy", _canvas([1, 1], [2, 1])),
        ("commonest colour", _canvas([1, 1, 1], [1, 1, 1])),
        ("cell before", _canvas([10, 3, 4], [10, 6, 7])),
    ],
)
def test_baselines(baseline: str, expected: torch.Tensor, evaluate: Any) -> None:
    src, tgt = _canvas([1, 1], [2, 1]), _canvas([3, 4, 5], [6, 7, 8])
    assert torch.equal(evaluate.BASELINES[baseline](src, tgt), expected)


def test_figures_of_a_perfect_prediction(evaluate: Any) -> None:
    src, tgt = _canvas([1, 1], [2, 1]), _canvas([1, 3], [2, 1])
    nothing = torch.zeros(1)
    answers = {"model": {"a": tgt}, "decided": {"a": src}}
    report = evaluate.measured({"a": (src, tgt, nothing, nothing, nothing)}, answers, {"a": "S1"})
    figures = report["tasks"]["a"]
    assert figures["model"] == {
        "cell_accuracy": 1.0, "grid_accuracy": 1.0, "copy_rate": 0.9375, "change_recall": 1.0, "change_precision": 1.0
    }  # fmt: skip
    for name in ("copy", "decided"):
        assert (figures[name]["cell_accuracy"], figures[name]["change_recall"]) == (0.75, 0.0)


@pytest.mark.parametrize("classes", [24, 11])
def test_a_colour_counts_with_its_hedge(classes: int, evaluate: Any) -> None:
    logits = torch.full((1, 1, 2, classes), -20.0)
    logits[0, 0, :, 3] = 1.0
    if classes == 24:
        logits[0, 0, 0, 12 + 5] = 2.0  # surer of colour 5, yet hedging
        logits[0, 0, 1, [11, 23]] = 9.0  # undecided, or finished: no colour
    found = evaluate.decided(logits)
    assert found.shape == (1, 1, 2, 11)
    assert found.argmax(dim=-1).tolist() == [[[5 if classes == 24 else 3, 3]]]


BROKEN = {
    "missing": (lambda file: file.unlink(), "is not a file; check the path"),
    "text": (lambda file: file.write_text("no checkpoint"), "is not a readable checkpoint ("),
    "cut off": (lambda file: file.write_bytes(file.read_bytes()[:9000]), "is not a readable checkpoint ("),
    "pickled code": (lambda file: torch.save({"state_dict": print}, file), "is not a readable checkpoint ("),
    "a tensor": (lambda file: torch.save(torch.zeros(1), file), "has no `state_dict`; give a checkpoint that"),
    "too little": (lambda file: _change(file, lambda state: state.pop("model.bos_embed")), "lacks tensor 'model.bos_embed'"),
    "too much": (lambda file: _change(file, lambda state: state.update(new=torch.ones(1))), "has the unknown tensor 'new'"),
    "shape": (
        lambda file: _change(file, lambda state: state.update({"model.bos_embed": torch.ones(3)})),
        "tensor 'model.bos_embed' is (3,), not (160,); give the --config that it was trained with",
    ),
}  # fmt: skip


def _change(file: Path, change: Any) -> None:
    content = torch.load(file, weights_only=True)
    change(content["state_dict"])
    torch.save(content, file)


@pytest.mark.parametrize("script_name", ["evaluate", "finetune"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_one_line(
    name: str, script_name: str, exported: Path, place: Place, tmp_path: Path, script: Script
) -> None:
    spoil, message = BROKEN[name]
    spoil(exported)
    code, _, errors = script(script_name, "--checkpoint", exported, "--out", tmp_path / "out", *place.options())
    assert code == 2
    assert f"{script_name}.py: error: {exported}: " in errors and message in errors
    assert errors.strip().split("\n")[-1].startswith(f"{script_name}.py: error: ")


def test_a_folder_that_is_no_run(tmp_path: Path, script: Script) -> None:
    code, _, errors = script("export", tmp_path, "--to", tmp_path / "weights" / "small.ckpt")
    assert code == 2
    assert "has no run.json; give the folder that train.py --out wrote" in errors and errors.count("\n") == 1


def test_all_held_out_pairs_without_panels(exported: Path, place: Place, tmp_path: Path, script: Script) -> None:
    arguments = ("--checkpoint", exported, "--out", tmp_path / "out", *place.options(), "--panels", 0)
    assert script("evaluate", *arguments)[0] == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["all"]["all"]["pairs"] == 3 * (PAIRS // 5)
    assert not (tmp_path / "out" / "panels").exists()
