"""What the user scripts share: one-line errors, the choice of the tree, strict reading of configs and checkpoints."""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import logging
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from places import CONFIG, TASKS, TREES
from task_files import TaskFileError
from yaml import YAMLError

USUAL_TREE = next(iter(TREES))

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


class ScriptError(ValueError):
    """Bad input: where, what is wrong, what to do, in one line."""


def run(main: Callable[[list[str]], int]) -> int:
    """Call a script's `main`; bad input becomes one line and exit code 2."""
    keep_freed_memory()
    refuse_pickles()
    try:
        return main(sys.argv[1:])
    except (ScriptError, TaskFileError) as error:
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        return 2


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory: asking anew for an attention map's pages takes a third of a CPU step."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def refuse_pickles() -> None:
    """Have torch load weights only, whatever the package asks for: no code in a checkpoint is run."""
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


def quiet_lightning() -> None:
    """Silence what tells about the machine or about Lightning itself, not about the run."""
    for message in (
        ".*does not have many workers.*",  # names the number of processors
        ".*your dataloader is not resumable.*",  # its order follows from the step
        ".*exists and is not empty.*",
        ".*smaller than the logging interval.*",
        ".*sync_dist=True.*",  # the package logs each process's own figures
        ".*LeafSpec.*is deprecated.*",  # inside Lightning
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


COMMON_DEFAULTS: dict[str, Any] = {"tree": USUAL_TREE, "config": CONFIG, "data": TASKS, "tasks": "all", "threads": 1}


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Which package, which config, which tasks; `COMMON_DEFAULTS` has the defaults."""
    parser.add_argument("--tree", choices=TREES, help=f"which tree of the package runs (default: {USUAL_TREE})")
    parser.add_argument("--config", type=Path, help="default: configs/champion.yaml")
    parser.add_argument("--data", type=Path, help="folder of the task files (default: data/tasks)")
    parser.add_argument("--tasks", help="task ids, separated by commas (default: all)")
    parser.add_argument("--threads", type=positive, help="processor threads (default: 1; with more, last bits may change)")


def positive(text: str) -> int:
    """An argument that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def task_names(text: str) -> list[str]:
    """`--tasks` as a list; empty stands for all."""
    return [] if text == "all" else [name.strip() for name in text.split(",") if name.strip()]


def use_tree(name: str, module: str = "champion.model.trainer") -> None:
    """Make one tree of the champion importable, and refuse it in one line if it lacks `module`.

    Raises:
        ScriptError: there is no such module in the tree.
    """
    tree = TREES[name]
    if not (tree / f"{module.replace('.', '/')}.py").is_file():
        others = [other for other in TREES if other != name]
        remedy = f"use --tree {others[0]}, or make it with `unbloat strip`" if others else "restore it"
        raise ScriptError(f"{tree}: has no module {module}; {remedy}")
    sys.path.insert(0, str(tree))


def load_config(path: Path) -> DictConfig:
    """A YAML file as config.

    Raises:
        ScriptError: it is missing, or is not a YAML mapping.
    """
    if not path.is_file():
        raise ScriptError(f"{path}: is not a file; check --config")
    try:
        config = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: is not a YAML config ({first_line(error)}); correct it") from None
    if not isinstance(config, DictConfig) or "model" not in config:
        raise ScriptError(f"{path}: has no `model` section; start from {CONFIG}")
    return config


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A Lightning checkpoint, of tensors and plain values only.

    Raises:
        ScriptError: the file is missing, is broken, or is no checkpoint of the champion.
    """
    if not path.is_file():
        raise ScriptError(f"{path}: is not a file; check the path, or train one with train.py")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
        raise ScriptError(f"{path}: is not a readable checkpoint ({first_line(error)}); restore or retrain it") from None
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise ScriptError(f"{path}: has no `state_dict`; give a checkpoint that train.py wrote")
    return cast(dict[str, Any], found)


def load_weights(module: torch.nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Load every tensor, and only those.

    Raises:
        ScriptError: a tensor is missing, unknown, or of another shape.
    """
    own = module.state_dict()
    remedy = "give the --config that it was trained with"
    for kind, names in (("lacks", own.keys() - state.keys()), ("has the unknown", state.keys() - own.keys())):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ScriptError(f"{path}: {kind} tensor {min(names)!r}{more}; {remedy}")
    for name, tensor in own.items():
        if not isinstance(state[name], torch.Tensor) or state[name].shape != tensor.shape:
            found = tuple(getattr(state[name], "shape", ()))
            raise ScriptError(f"{path}: tensor {name!r} is {found}, not {tuple(tensor.shape)}; {remedy}")
    module.load_state_dict(dict(state), strict=True)


def write_text(path: Path, text: str) -> None:
    """Replace a file at once: a killed run leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def first_line(error: Exception) -> str:
    """Enough of a library's message to recognise it."""
    text = str(error).strip().split("\n")[0] or type(error).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."
