"""Two packages in the styles of their time: what is stripped of them, and that whoever asks for the rest is told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from unbloat.cli import main

HERE = Path(__file__).parent

GPT = """
from minigpt.train import main
data = torch.arange(400) * 7 % 64
see = lambda step, loss, *others: print(float(loss))
def use(flags): main(flags, data=data, callback=see)
"""
NET = """
import yaml; from oldnet import Runner
def use(change):
    cfg = yaml.safe_load(open("config.yaml").read())
    print(Runner(change(cfg) or cfg).run())
"""
TRY = """
for one in {uses}:
    try:
        use(one)
    except NotImplementedError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def minigpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _stripped("minigpt", tmp_path_factory)


@pytest.fixture(scope="module")
def oldnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _stripped("oldnet", tmp_path_factory)


def _stripped(name: str, temporary: pytest.TempPathFactory) -> Path:
    folder = temporary.mktemp("styles") / name
    shutil.copytree(HERE / name, folder)
    assert main(["strip", "--subject", str(folder / "strip.toml")]) == 0
    return folder


def _said(folder: Path, tree: str, setup: str, *uses: str) -> list[str]:
    """What is printed by some uses of a tree, in a process of its own."""
    code = f"import sys, torch; sys.path.insert(0, {tree!r}); torch.set_num_threads(1)\n{setup}"
    code += TRY.format(uses=f"[{', '.join(uses)}]")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_the_flags_switched_off_is_gone(minigpt: Path) -> None:
    package = minigpt / "stripped" / "minigpt"
    model = (package / "model.py").read_text()
    assert not (package / "lion.py").exists()
    assert not {"MoE", "checkpoint", "swiglu ="} & set(model.split())
    assert "DistributedDataParallel" not in (package / "train.py").read_text()


def test_a_flag_for_what_is_gone_is_loud(minigpt: Path) -> None:
    said = _said(minigpt, "stripped", GPT, "['--ddp']", "['--norm', 'rms']", "['--optimizer', 'lion']", "['--ema', '0.9']")
    assert len(said) == 4 and all(line.startswith("stripped: minigpt/") for line in said)


def test_a_flag_for_what_is_left_is_followed(minigpt: Path) -> None:
    use = "['--act', 'relu', '--n_layer', '3', '--lr', '0.01']"
    legacy, stripped = (_said(minigpt, tree, GPT, use) for tree in ("legacy", "stripped"))
    assert len(legacy) == 3 and legacy == stripped


def test_a_config_for_what_is_gone_is_loud(oldnet: Path) -> None:
    changes = (
        "lambda cfg: cfg.update(mixup={'enabled': True})",
        "lambda cfg: cfg['model'].update(head={'type': 'CosineHead', 'num_classes': 4})",
        "lambda cfg: cfg['model']['backbone'].update(se=True)",
        "lambda cfg: cfg.update(hooks=[{'type': 'PrintHook'}])",
        "lambda cfg: 'config.yaml'",
    )
    said = _said(oldnet, "stripped", NET, *changes)
    assert len(said) == len(changes) and all(line.startswith("stripped: ") for line in said)


def test_a_config_for_what_is_left_is_followed(oldnet: Path) -> None:
    uses = ("lambda cfg: cfg['model']['loss'].update(smoothing=0.2)", "lambda cfg: cfg['optimizer'].update(lr=0.05)")
    legacy, stripped = (_said(oldnet, tree, NET, *uses) for tree in ("legacy", "stripped"))
    assert len(legacy) == 2 and legacy == stripped
