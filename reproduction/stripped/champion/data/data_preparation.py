"""
Data preparation for ARC style tasks.

Reads the task files, draws the context pairs of every task, puts all grids on one canvas
and builds the data loaders for the trainer.

The yardstick benchmark (3x3 grids, four skills) lives here as well: it is our smoke test
for new context encoders, see ``generate_yardstick_tasks``.
"""

from .. import pinned
from ..pinned import unseen as unbloat_unseen, forbid as unbloat_forbid
import concurrent.futures
import copy
import json
import math
import os
import random
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader, TensorDataset

from .context_data import ContextPair
from .datasets import ArcPairDataset
from ..utils.logging_config import setup_logging
from ..utils.padding_utils import pad_to_fixed_size

logger = setup_logging(__name__)

DEFAULT_CANVAS = (30, 30)
DEFAULT_PAD = 10
NUM_SHAPE_CLASSES = 11
INSPECT_FIRST_N = 2

# split of the list-shaped synthetic files
SYNTHETIC_TRAIN_FRACTION = 0.8
SYNTHETIC_SPLIT_SEED = 42

Sample = Tuple[torch.Tensor, torch.Tensor, ContextPair, str]


def _cfg_get(cfg: Any, dotted: str, default: Any = None) -> Any:
    """Read ``a.b.c`` from cfg, raises KeyError if a node is missing."""
    node = cfg
    for part in dotted.split("."):
        unbloat_forbid(node is None, "champion/data/data_preparation.py:55")
        node = node.get(part, None) if hasattr(node, "get") else unbloat_unseen("champion/data/data_preparation.py:57")
    return default if node is None else node


def _as_bool(value: Any) -> bool:
    # overrides from the command line arrive as strings every now and then
    unbloat_forbid(value is None, "champion/data/data_preparation.py:66")
    unbloat_forbid(isinstance(value, str), "champion/data/data_preparation.py:68")
    return bool(value)


def _describe_run(cfg: DictConfig, mode: str, dynamic_pairs: bool) -> str:
    """
    One line that says with which settings the data were prepared.

    Goes into the run name and into the checkpoint, so keep the order of the entries.
    """
    # the keys moved twice, that is why every one of them is read differently
    settings: Dict[str, Any] = OrderedDict()
    settings["mode"] = mode
    settings["dyn"] = int(dynamic_pairs)
    settings["ctx"] = _cfg_get(cfg, "data.num_context_pairs", "?")
    settings["ctx_max"] = _cfg_get(cfg, "data.max_context_pairs", "?")
    settings["pad"] = _cfg_get(cfg, "model.pad_token_id", DEFAULT_PAD)
    settings["h"] = _cfg_get(cfg, "model.max_h", DEFAULT_CANVAS[0])
    settings["w"] = _cfg_get(cfg, "model.max_w", DEFAULT_CANVAS[1])
    settings["synth"] = int(_as_bool(_cfg_get(cfg, "training.include_synthetic_training_data", False)))

    # short form, tensorboard cuts long names
    entries = [f"{key}={value}" for key, value in settings.items()]
    description = " ".join(entries)
    return description


# ---------------------------------------------------------------------------
# loading
# ---------------------------------------------------------------------------
def _split_synthetic_list(data: List[Any], name: str) -> Dict[str, List[Any]]:
    """
    Bring a list-shaped synthetic file into the train/test form.

    The last element is metadata, everything before it is shuffled and split 80/20.
    """
    if not data:
        return {"train": [], "test": []}

    # first element is metadata (generator name, seed, ...) and not a pair
    pairs = [entry for entry in data[1:] if isinstance(entry, dict) and "input" in entry]

    rng = random.Random(SYNTHETIC_SPLIT_SEED)
    rng.shuffle(pairs)
    n_train = max(1, int(len(pairs) * SYNTHETIC_TRAIN_FRACTION))
    return {"train": pairs[:n_train], "test": pairs[n_train:]}


def load_task_files(
    directory: Union[str, Path],
    cfg: DictConfig,
    include_synthetic: bool = False,
    synthetic_dir: Optional[str] = None,
) -> Dict[str, Dict[str, Any]]:
    """
    Load all task files below ``directory`` with a pool of threads.

    Args:
        directory: searched recursively for ``*.json``
        cfg: the config
        include_synthetic: also read ``synthetic_dir`` and accept list-shaped files
        synthetic_dir: where the synthetic files are

    Returns:
        list of (task id, task) tuples
    """
    pinned.check(cfg)
    directory = Path(directory)
    if not directory.exists():
        raise FileNotFoundError(f"Data directory not found: {directory}")
    files = sorted(directory.glob("*.json"))

    unbloat_forbid(include_synthetic and synthetic_dir is not None, "champion/data/data_preparation.py:160-165")
    if not files:
        raise ValueError(f"No task files in {directory}")

    n_workers = OmegaConf.select(cfg, "data.load_workers", default=None)
    n_inspect = _cfg_get(cfg, "data.inspect_files", INSPECT_FIRST_N)

    def _load_one(path: Path) -> Optional[Dict[str, Any]]:
        try:
            with open(path, "r", encoding="utf-8") as handle:
                data = json.load(handle)
        except (OSError, ValueError) as e:
            return None
        if include_synthetic and isinstance(data, list):
            data = _split_synthetic_list(data, path.name)
        return data

    with concurrent.futures.ThreadPoolExecutor(max_workers=n_workers) as executor:
        loaded = list(executor.map(_load_one, files))

    # have a look at the first files, saves a lot of time when the generator changed again
    if n_inspect:
        first = list(zip(files, loaded))[:n_inspect]
        for path, data in first:
            pass

    tasks: Dict[str, Dict[str, Any]] = {}
    for path, data in zip(files, loaded):
        unbloat_forbid(data is None or "train" not in data, "champion/data/data_preparation.py:202")
        tasks[path.stem] = data
    return tasks


# ---------------------------------------------------------------------------
# contexts
# ---------------------------------------------------------------------------
def _pad_grids(grids: Iterable[Any], canvas: Tuple[int, int], pad_value: int) -> List[torch.Tensor]:
    """Grids as lists -> padded float tensors."""
    return [pad_to_fixed_size(torch.tensor(grid, dtype=torch.long), canvas, pad_value) for grid in grids]


def build_context_map(tasks: Dict[str, Dict[str, Any]], cfg: DictConfig) -> Dict[str, ContextPair]:
    """
    Draw the context pairs, fresh for every sample.

    ``dynamic_pairs`` decides whether a task with fewer pairs than asked for gets fewer
    context pairs (True) or is filled up with padding (False).
    """
    pinned.check(cfg)
    pinned.check_environment()
    canvas = (cfg.model.max_h, cfg.model.max_w)
    pad_value = cfg.model.pad_token_id
    num_context_pairs = cfg.data.num_context_pairs
    max_context_pairs = cfg.data.max_context_pairs

    def _draw_one(task: Dict[str, Any]) -> ContextPair:
        examples = task["train"]
        if not examples:
            return ContextPair()
        k = min(len(examples), num_context_pairs, max_context_pairs)
        chosen = random.sample(examples, k)

        ctx_in = torch.stack(_pad_grids([pair["input"] for pair in chosen], canvas, pad_value))
        ctx_out = torch.stack(_pad_grids([pair["output"] for pair in chosen], canvas, pad_value))
        return ContextPair(context_input=ctx_in, context_output=ctx_out)

    n_workers = cfg.data.get("context_workers", None)
    with concurrent.futures.ThreadPoolExecutor(max_workers=n_workers) as executor:
        drawn = list(executor.map(_draw_one, tasks.values()))

    context_map = dict(zip(tasks, drawn))
    return context_map


def _drop_identical(context: ContextPair, src: torch.Tensor) -> ContextPair:
    """Remove the context pairs that would give the answer away. May return an empty context."""
    n_pairs = context.num_pairs
    keep = [i for i in range(n_pairs) if not torch.equal(context.context_input[i], src)]
    if len(keep) == n_pairs:
        return context

    # never leave a sample without any context
    keep = keep or [0]
    ctx_in = context.context_input[keep]
    ctx_out = context.context_output[keep]
    return ContextPair(context_input=ctx_in, context_output=ctx_out)


def process_examples(
    tasks: Dict[str, Dict[str, Any]],
    split: str,
    context_map: Dict[str, ContextPair],
    cfg: DictConfig,
) -> List[Sample]:
    """
    Pad every pair of one split and attach its context.

    Returns:
        (src, tgt, ctx_in, ctx_out, task_id) tuples
    """
    pinned.check(cfg)
    canvas = (cfg.model.max_h, cfg.model.max_w)
    pad_value = cfg.model.pad_token_id
    skip_ids = set()

    samples: List[Sample] = []
    for task_id, task in tasks.items():
        unbloat_forbid(skip_ids and task_id in skip_ids, "champion/data/data_preparation.py:307")
        pairs = task.get(split, [])
        sources = _pad_grids([pair["input"] for pair in pairs], canvas, pad_value)
        targets = _pad_grids([pair["output"] for pair in pairs], canvas, pad_value)
        for src, tgt in zip(sources, targets):
            context = _drop_identical(context_map[task_id], src)
            samples.append((src, tgt, context, task_id))
    return samples


# ---------------------------------------------------------------------------
# entry point
# ---------------------------------------------------------------------------
def prepare_data(cfg: DictConfig):
    """
    Prepare everything for a run.

    Args:
        cfg: full hydra config, is not modified
        mode: 'train' or 'eval'

    Returns:
        train_loader, val_loader
    """
    pinned.check(cfg)
    pinned.check_environment()
    mode = "train"

    dynamic_pairs = bool(getattr(cfg.model.context_encoder, "dynamic_pairs", True))

    include_synthetic = _as_bool(_cfg_get(cfg, "training.include_synthetic_training_data", False))
    only_synthetic = _as_bool(_cfg_get(cfg, "training.current_data_is_synthetic", False))
    synthetic_dir = _cfg_get(cfg, "training.synthetic_data_dir", None)
    _as_bool(OmegaConf.select(cfg, "data.limit_shuffle", default=False))

    unbloat_forbid(_as_bool(_cfg_get(cfg, "data.log_to_file", False)), "champion/data/data_preparation.py:644")
    unbloat_forbid(OmegaConf.is_struct(cfg), "champion/data/data_preparation.py:647")

    _describe_run(cfg, mode, dynamic_pairs)

    # --- training ---
    train_dir = synthetic_dir if only_synthetic and synthetic_dir is not None else cfg.data.training_data_dir
    tasks = load_task_files(
        train_dir,
        cfg,
        include_synthetic=include_synthetic or only_synthetic,
        synthetic_dir=synthetic_dir,
    )
    context_map = build_context_map(tasks, cfg)

    # one list per split, in the order of the files
    train_samples = process_examples(tasks, "train", context_map, cfg)
    val_samples = process_examples(tasks, "test", context_map, cfg)

    # sorted, so that the map does not depend on the order of the files
    task_ids = sorted({sample[3] for sample in train_samples + val_samples})
    task_id_map = {task_id: index for index, task_id in enumerate(task_ids)}

    train_dataset = ArcPairDataset(
        [sample[0] for sample in train_samples],
        [sample[1] for sample in train_samples],
        [sample[2] for sample in train_samples],
        [task_id_map[sample[3]] for sample in train_samples],
    )
    val_dataset = ArcPairDataset(
        [sample[0] for sample in val_samples],
        [sample[1] for sample in val_samples],
        [sample[2] for sample in val_samples],
        [task_id_map[sample[3]] for sample in val_samples],
    )
    vocab_size = max(train_dataset.max_value(), val_dataset.max_value()) + 1
    cfg.model.vocab_size = vocab_size
    cfg.model.V_colours = vocab_size
    cfg.model.S_shapes = NUM_SHAPE_CLASSES

    with open("task_id_map.json", "w", encoding="utf-8") as handle:
        json.dump(task_id_map, handle, indent=2)
    return train_dataset, val_dataset, task_id_map
