"""Make a training run's checkpoint fit to be handed on: `python reproduction/export.py runs/NAME --to weights/NAME.ckpt`.

Beside the checkpoint it writes the same weights as safetensors, and a manifest that says what they are.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from scripting import ScriptError, read_checkpoint, run, sha256, write_json

KEPT = (
    "epoch",
    "global_step",
    "pytorch-lightning_version",
    "state_dict",
    "optimizer_states",
    "lr_schedulers",
    "hparams_name",
    "hyper_parameters",
)
"""Left out are the states of loops and callbacks: they serve to resume a run where it is, and name its folder."""

CORE = "core_model."
MOST_BYTES = 25_000_000
PACKAGES = ("torch", "pytorch-lightning", "omegaconf", "numpy")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Export a run's checkpoint, as Lightning checkpoint and as safetensors.")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--to", type=Path, default=Path("weights/champion_bootstrap.ckpt"), help="default: %(default)s")
    parser.add_argument("--which", choices=("best", "last"), default="best", help="which checkpoint (default: best)")
    options = parser.parse_args(arguments)
    settings = _settings(options.run)
    found = read_checkpoint(options.run / f"{options.which}.ckpt")
    absent = [key for key in KEPT if key not in found]
    if absent:
        raise ScriptError(f"{options.run / options.which}.ckpt: has no {absent[0]!r}; give a run of train.py")
    target: Path = options.to.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save({key: found[key] for key in KEPT}, target)
    if target.stat().st_size > MOST_BYTES:
        raise ScriptError(
            f"{target}: has {target.stat().st_size} bytes, at most {MOST_BYTES} may be handed on; shrink the model"
        )
    tensors = target.with_suffix(".safetensors")
    core, tied = core_tensors(found["state_dict"])
    save_file(core, tensors, metadata={"format": "pt", "tied": json.dumps(tied)})
    tensors.chmod(0o644)  # it comes readable for its owner alone
    metrics = metrics_at(options.run / "metrics.csv", found["global_step"])
    write_json(target.parent / "manifest.json", manifest([target, tensors], found, settings, metrics))
    for path in (target, tensors):
        print(f"{path}: {path.stat().st_size:,} bytes")
    print(f"step {found['global_step']}:", ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()) or "no metrics")
    return 0


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / "run.json"
    if not file.is_file():
        raise ScriptError(f"{folder}: has no run.json; give the folder that train.py --out wrote")
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return settings


def core_tensors(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The model's tensors without prefix, and for names that share one tensor: which name has it."""
    kept: dict[str, torch.Tensor] = {}
    tied: dict[str, str] = {}
    owner: dict[int, str] = {}
    for name, tensor in sorted((name.removeprefix(CORE), value) for name, value in state.items() if name.startswith(CORE)):
        first = owner.setdefault(tensor.data_ptr(), name)
        if first == name:
            kept[name] = tensor.contiguous()
        else:
            tied[name] = first
    return kept, tied


def metrics_at(path: Path, step: int) -> dict[str, float]:
    """The last validation up to a step."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("val_loss") and int(row["step"]) <= step]
    return {key: float(value) for key, value in rows[-1].items() if key.startswith("val_") and value} if rows else {}


def manifest(
    files: list[Path], checkpoint: Mapping[str, Any], settings: Mapping[str, Any], metrics: Mapping[str, float]
) -> dict[str, Any]:
    """What the weights are: digests, how they came about, how good they were when they were validated."""
    versions = {name: version(name) for name in PACKAGES}
    return {
        "files": {file.name: {"sha256": sha256(file), "bytes": file.stat().st_size} for file in files},
        "steps": checkpoint["global_step"],
        "epoch": checkpoint["epoch"],
        "seed": settings["seed"],
        "settings": dict(settings),
        "environment": {"python": platform.python_version(), "machine": platform.machine(), **versions},
        "validation": dict(metrics),
    }


if __name__ == "__main__":
    sys.exit(run(main))
