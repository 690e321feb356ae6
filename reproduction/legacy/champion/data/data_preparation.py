"""
Data preparation for ARC style tasks.

Reads the task files, draws the context pairs of every task, puts all grids on one canvas
and builds the data loaders for the trainer.

The yardstick benchmark (3x3 grids, four skills) lives here as well: it is our smoke test
for new context encoders, see ``generate_yardstick_tasks``.
"""
import concurrent.futures
import copy
import json
import math
import os
import random
import time
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch.utils.data import DataLoader, TensorDataset

from champion.data.context_data import ContextPair
from champion.data.datasets import ArcPairDataset
from champion.utils.logging_config import setup_logging
from champion.utils.padding_utils import pad_to_fixed_size, unpad_grid

logger = setup_logging(__name__)

DEFAULT_CANVAS = (30, 30)
DEFAULT_PAD = 10
NUM_SHAPE_CLASSES = 11
INSPECT_FIRST_N = 2

# split of the list-shaped synthetic files
SYNTHETIC_TRAIN_FRACTION = 0.8
SYNTHETIC_SPLIT_SEED = 42

# yardstick skills: A mirror, B recolour, C majority, D = B after A
YARDSTICK_SKILLS = ("A", "B", "C", "D")
YARDSTICK_SIZE = 3
YARDSTICK_SEED = 307

Sample = Tuple[torch.Tensor, torch.Tensor, ContextPair, str]


def _cfg_get(cfg: Any, dotted: str, default: Any = None) -> Any:
    """Read ``a.b.c`` from cfg, raises KeyError if a node is missing."""
    node = cfg
    for part in dotted.split("."):
        if node is None:
            return default
        try:
            node = node.get(part, None) if hasattr(node, "get") else getattr(node, part)
        except Exception:
            return default
    return default if node is None else node


def _as_bool(value: Any, default: bool = False) -> bool:
    # overrides from the command line arrive as strings every now and then
    if value is None:
        return default
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "yes", "on")
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
    logger.info("%s: list-shaped, %d of %d pairs for training", name, n_train, len(pairs))
    return {"train": pairs[:n_train], "test": pairs[n_train:]}


def inspect_task_file(path: Path, data: Any) -> None:
    """Log what one file looks like (structure, sizes, colours). Returns a dict with the findings."""
    pairs = data.get("train", []) if isinstance(data, dict) else []
    sizes = Counter()
    colours = set()
    cells = 0
    for pair in pairs:
        height = len(pair["input"])
        width = len(pair["input"][0])
        sizes[(height, width)] += 1
        cells += height * width
        for row in pair["input"]:
            colours.update(row)
    common = sizes.most_common(3)
    mean_cells = cells / max(1, len(pairs))
    logger.info("[inspect] %s: %s, %d train pairs", path.name, type(data).__name__, len(pairs))
    logger.info("[inspect] sizes %s, mean cells %.1f, colours %s", common, mean_cells, sorted(colours))


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
    directory = Path(directory)
    if not directory.exists():
        raise FileNotFoundError(f"Data directory not found: {directory}")
    files = sorted(directory.glob("*.json"))

    if include_synthetic and synthetic_dir is not None:
        extra_dir = Path(synthetic_dir)
        if extra_dir.resolve() != directory.resolve():
            # a missing directory simply adds nothing
            extra = sorted(extra_dir.glob("*.json"))
            logger.info("adding %d synthetic files from %s", len(extra), extra_dir)
            files = files + extra
    if not files:
        raise ValueError(f"No task files in {directory}")

    n_workers = OmegaConf.select(cfg, "data.load_workers", default=None)
    n_inspect = _cfg_get(cfg, "data.inspect_files", INSPECT_FIRST_N)
    # shards, for the big synthetic sets: "0/8" reads every eighth file from the first on
    shard = OmegaConf.select(cfg, "data.shard", default=None)
    if shard is not None:
        position, n_shards = (int(x) for x in str(shard).split("/"))
        files = files[position::n_shards]

    def _load_one(path: Path) -> Optional[Dict[str, Any]]:
        try:
            with open(path, "r", encoding="utf-8") as handle:
                data = json.load(handle)
        except (OSError, ValueError) as e:
            # corrupt files: complain and go on
            logger.error("could not read %s: %s", path, e)
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
            inspect_task_file(path, data)

    tasks: Dict[str, Dict[str, Any]] = {}
    for path, data in zip(files, loaded):
        if data is None or "train" not in data:
            # list-shaped or unreadable
            continue
        tasks[path.stem] = data
    logger.info("loaded %d tasks from %s", len(tasks), directory)
    return tasks


# ---------------------------------------------------------------------------
# contexts
# ---------------------------------------------------------------------------
def _pad_grids(grids: Iterable[Any], canvas: Tuple[int, int], pad_value: int) -> List[torch.Tensor]:
    """Grids as lists -> padded float tensors."""
    return [pad_to_fixed_size(torch.tensor(grid, dtype=torch.long), canvas, pad_value) for grid in grids]


def build_context_map(tasks: Dict[str, Dict[str, Any]], cfg: DictConfig, dynamic_pairs: bool) -> Dict[str, ContextPair]:
    """
    Draw the context pairs, fresh for every sample.

    ``dynamic_pairs`` decides whether a task with fewer pairs than asked for gets fewer
    context pairs (True) or is filled up with padding (False).
    """
    canvas = (cfg.model.max_h, cfg.model.max_w)
    pad_value = cfg.model.pad_token_id
    num_context_pairs = cfg.data.num_context_pairs
    max_context_pairs = cfg.data.max_context_pairs

    # older configs had the switch below data
    override = OmegaConf.select(cfg, "data.context_strategy", default=None)
    first_pairs = override is not None and str(override).lower() == "first"

    def _draw_one(task: Dict[str, Any]) -> ContextPair:
        examples = task["train"]
        if not examples:
            return ContextPair()
        k = min(len(examples), num_context_pairs, max_context_pairs)
        chosen = examples[:k] if first_pairs else random.sample(examples, k)

        ctx_in = torch.stack(_pad_grids([pair["input"] for pair in chosen], canvas, pad_value))
        ctx_out = torch.stack(_pad_grids([pair["output"] for pair in chosen], canvas, pad_value))
        if not dynamic_pairs:
            missing = min(num_context_pairs, max_context_pairs) - k
            if missing > 0:
                filler = torch.full((missing, *canvas), pad_value, dtype=torch.long)
                ctx_in = torch.cat([ctx_in, filler])
                ctx_out = torch.cat([ctx_out, filler])
        return ContextPair(context_input=ctx_in, context_output=ctx_out)

    n_workers = cfg.data.get("context_workers", None) if hasattr(cfg.data, "get") else None
    with concurrent.futures.ThreadPoolExecutor(max_workers=n_workers) as executor:
        drawn = list(executor.map(_draw_one, tasks.values()))

    context_map = dict(zip(tasks, drawn))
    if os.environ.get("JARC_FORCED_DEBUG"):
        try:
            for task_id in list(context_map)[:5]:
                shape = tuple(context_map[task_id].context_input.shape)
                logger.warning("[debug] context of %s: %s", task_id, shape)
        except Exception:
            pass
    return context_map


def _drop_identical(context: ContextPair, src: torch.Tensor, dynamic_pairs: bool, pad_value: int) -> ContextPair:
    """Remove the context pairs that would give the answer away. May return an empty context."""
    n_pairs = context.num_pairs
    keep = [i for i in range(n_pairs) if not torch.equal(context.context_input[i], src)]
    if len(keep) == n_pairs:
        return context

    # never leave a sample without any context
    keep = keep or [0]
    ctx_in = context.context_input[keep]
    ctx_out = context.context_output[keep]
    if not dynamic_pairs:
        # the number of pairs has to stay the same here
        removed = n_pairs - len(keep)
        filler = torch.full((removed, *src.shape), pad_value, dtype=torch.long)
        ctx_in = torch.cat([ctx_in, filler])
        ctx_out = torch.cat([ctx_out, filler])
    return ContextPair(context_input=ctx_in, context_output=ctx_out)


def process_examples(
    tasks: Dict[str, Dict[str, Any]],
    split: str,
    context_map: Dict[str, ContextPair],
    cfg: DictConfig,
    dynamic_pairs: bool,
) -> List[Sample]:
    """
    Pad every pair of one split and attach its context.

    Returns:
        (src, tgt, ctx_in, ctx_out, task_id) tuples
    """
    canvas = (cfg.model.max_h, cfg.model.max_w)
    pad_value = cfg.model.pad_token_id

    allow_identity = bool(getattr(cfg.data, "allow_identity_pairs", True))
    exclude = getattr(cfg.data, "exclude_tasks", None)
    skip_ids = set(exclude) if exclude is not None and len(exclude) > 0 else set()

    samples: List[Sample] = []
    for task_id, task in tasks.items():
        if skip_ids and task_id in skip_ids:
            continue
        pairs = task.get(split, [])
        sources = _pad_grids([pair["input"] for pair in pairs], canvas, pad_value)
        targets = _pad_grids([pair["output"] for pair in pairs], canvas, pad_value)
        for src, tgt in zip(sources, targets):
            if not allow_identity and torch.equal(src, tgt):
                continue
            context = _drop_identical(context_map[task_id], src, dynamic_pairs, pad_value)
            samples.append((src, tgt, context, task_id))
    return samples


def _log_split(name: str, samples: List[Sample]) -> None:
    """Figures of one split for the log: samples per task, contexts, how much of the canvas is used."""
    per_task = Counter()
    per_count = Counter()
    shapes = Counter()
    for src, tgt, context, task_id in samples:
        per_task[task_id] += 1
        per_count[context.num_pairs] += 1
        shapes[(tuple(src.shape), tuple(tgt.shape))] += 1
    counts = sorted(per_task.values())
    smallest = counts[:1]
    largest = counts[-1:]
    logger.info("%s: %d samples, %d tasks (%s..%s each)", name, len(samples), len(per_task), smallest, largest)
    logger.info("%s: samples by number of context pairs %s, shapes %s", name, dict(per_count), list(shapes))


# ---------------------------------------------------------------------------
# yardstick
# ---------------------------------------------------------------------------
def generate_yardstick_tasks(cfg: DictConfig) -> "OrderedDict[str, Dict[str, List[Any]]]":
    """
    Synthetic 3x3 benchmark.

    Four skills, one task per skill:
        A  left-right mirror
        B  swap of two colours
        C  whole grid in the most frequent colour
        D  A, then B (composition, only in the test split)

    Config (all optional, below ``data.yardstick``):
        seed, samples_per_skill, val_samples_per_skill, colours, skills, noise,
        allow_identity, balance_colours, max_attempts, export_path

    Returns:
        task id -> {"train": [...], "test": [...]}
    """
    import itertools

    node = OmegaConf.select(cfg, "data.yardstick", default=None) or OmegaConf.create({})

    try:
        seed = int(node.get("seed", YARDSTICK_SEED))
    except (TypeError, ValueError):
        logger.warning("bad yardstick seed, using %d", YARDSTICK_SEED)
        seed = YARDSTICK_SEED
    # val defaults to a quarter of train
    n_train = int(node.get("samples_per_skill", 64))
    n_val = int(node.get("val_samples_per_skill", max(1, n_train // 4)))
    noise = float(node.get("noise", 0.0))
    allow_identity = _as_bool(node.get("allow_identity", None), default=False)
    balance = _as_bool(node.get("balance_colours", None), default=True)
    max_attempts = int(node.get("max_attempts", 200))

    skills = node.get("skills", None)
    skills = list(skills) if skills is not None else list(YARDSTICK_SKILLS)
    unknown = [skill for skill in skills if skill not in YARDSTICK_SKILLS]
    if unknown:
        raise ValueError(f"unknown yardstick skills: {unknown}")

    colours = node.get("colours", None)
    colours = [int(c) for c in colours] if colours is not None else list(range(10))
    if len(set(colours)) < 2 or max(colours) > 9 or min(colours) < 0:
        raise ValueError(f"the yardstick needs at least two colours out of 0..9, got {colours}")

    # own generator, the benchmark has to be the same whatever ran before
    rng = random.Random(seed)
    size = YARDSTICK_SIZE
    shuffled = list(colours)
    rng.shuffle(shuffled)
    swap_a, swap_b = shuffled[0], shuffled[1]
    palette_cycle = itertools.cycle(shuffled)

    def _random_grid(skill: str) -> List[List[int]]:
        palette = list(colours)
        if balance:
            # two or three colours per grid, every colour comes by in turn
            palette = [next(palette_cycle), rng.choice(colours)]
            third = rng.choice(colours)
            palette += [third] if rng.random() < 0.5 else []
        if skill in ("B", "D"):
            palette = palette + [swap_a, swap_b]
        grid = []
        for _ in range(size):
            grid.append([rng.choice(palette) for _ in range(size)])
        if noise > 0:
            for r in range(size):
                for c in range(size):
                    replacement = rng.choice(colours)
                    grid[r][c] = replacement if rng.random() < noise else grid[r][c]
        return grid

    def _apply(skill: str, grid: List[List[int]]) -> Optional[List[List[int]]]:
        if skill == "A":
            return [row[::-1] for row in grid]
        if skill == "B":
            out = []
            for row in grid:
                new_row = []
                for value in row:
                    new_row.append(swap_b if value == swap_a else swap_a if value == swap_b else value)
                out.append(new_row)
            return out
        if skill == "C":
            counts = np.bincount(np.array(grid).flatten(), minlength=10)
            order = np.argsort(-counts, kind="stable")
            # a tie has no answer
            if counts[order[0]] == counts[order[1]]:
                return None
            return [[int(order[0])] * size for _ in range(size)]
        if skill == "D":
            mirrored = [row[::-1] for row in grid]
            out = []
            for row in mirrored:
                new_row = []
                for value in row:
                    new_row.append(swap_b if value == swap_a else swap_a if value == swap_b else value)
                out.append(new_row)
            return out
        return None

    tasks: "OrderedDict[str, Dict[str, List[Any]]]" = OrderedDict()
    stats: Dict[str, Dict[str, int]] = defaultdict(dict)
    for skill in skills:
        seen = set()
        pairs: List[Dict[str, Any]] = []
        rejected_identity = 0
        rejected_duplicate = 0
        rejected_ambiguous = 0
        attempts = 0
        wanted = n_train + n_val
        while len(pairs) < wanted:
            attempts += 1
            if attempts > max_attempts * wanted:
                logger.warning("yardstick %s: gave up with %d of %d pairs", skill, len(pairs), wanted)
                break
            grid = _random_grid(skill)
            key = tuple(itertools.chain.from_iterable(grid))
            if key in seen:
                rejected_duplicate += 1
                continue
            target = _apply(skill, grid)
            if target is None:
                rejected_ambiguous += 1
                continue
            if target == grid and not allow_identity:
                rejected_identity += 1
                continue
            seen.add(key)
            pairs.append({"input": grid, "output": target})

        # contexts are drawn from train, so a skill needs at least one pair there
        cut = min(n_train, len(pairs))
        tasks[f"yardstick_{skill}"] = {"train": pairs[:cut], "test": pairs[cut:]}
        stats[skill]["pairs"] = len(pairs)
        stats[skill]["attempts"] = attempts
        stats[skill]["duplicate"] = rejected_duplicate
        stats[skill]["identity"] = rejected_identity
        stats[skill]["ambiguous"] = rejected_ambiguous

    for skill, figures in stats.items():
        logger.info("yardstick %s: %s", skill, dict(figures))

    export_path = node.get("export_path", None)
    if export_path:
        try:
            export_dir = Path(export_path)
            export_dir.mkdir(parents=True, exist_ok=True)
            for task_id, task in tasks.items():
                with open(export_dir / f"{task_id}.json", "w", encoding="utf-8") as handle:
                    json.dump(task, handle)
        except Exception:
            # only a convenience for the notebooks
            pass
    return tasks


def yardstick_skill_accuracy(
    predictions: torch.Tensor, targets: torch.Tensor, task_indices: torch.Tensor, task_id_map: Dict[str, int]
) -> Dict[str, float]:
    """Share of solved grids per skill letter, only cells of the 3x3 corner count."""
    from collections import defaultdict as _dd

    # skills without samples do not show up in the result
    names = {index: name for name, index in task_id_map.items()}
    solved: Dict[str, int] = _dd(int)
    total: Dict[str, int] = _dd(int)
    for pred, tgt, idx in zip(predictions, targets, task_indices.tolist()):
        name = names.get(idx, "")
        letter = name.rsplit("_", 1)[-1]
        corner = slice(0, YARDSTICK_SIZE)
        total[letter] += 1
        solved[letter] += 1 if torch.equal(pred[corner, corner], tgt[corner, corner]) else 0
    return {letter: solved[letter] / total[letter] for letter in sorted(total)}


# ---------------------------------------------------------------------------
# evaluation
# ---------------------------------------------------------------------------
def prepare_eval_data(cfg: DictConfig) -> Tuple[ArcPairDataset, Dict[str, int]]:
    """
    Evaluation counterpart of ``prepare_data``: the *test* pairs with contexts from *train*.

    Writes eval_id_map.json next to the checkpoints.
    """
    from omegaconf import OmegaConf as _OC

    eval_dir = _OC.select(cfg, "data.testing_data_dir", default=None) or cfg.evaluation.data_dir
    dynamic_pairs = _cfg_get(cfg, "model.context_encoder.dynamic_pairs", True)
    include_synthetic = _cfg_get(cfg, "evaluation.include_synthetic_data", False)

    tasks = load_task_files(
        eval_dir,
        cfg,
        include_synthetic=_as_bool(include_synthetic),
        synthetic_dir=_cfg_get(cfg, "evaluation.synthetic_data_dir", None),
    )
    context_map = build_context_map(tasks, cfg, dynamic_pairs)
    samples = process_examples(tasks, "test", context_map, cfg, dynamic_pairs)

    # ids of their own, do not mix them up with the ones of the training run
    eval_id_map = {task_id: index for index, task_id in enumerate(sorted({sample[3] for sample in samples}))}
    eval_dataset = ArcPairDataset(
        [sample[0] for sample in samples],
        [sample[1] for sample in samples],
        [sample[2] for sample in samples],
        [eval_id_map[sample[3]] for sample in samples],
    )
    with open("eval_id_map.json", "w", encoding="utf-8") as handle:
        json.dump(eval_id_map, handle, indent=2)
    return eval_dataset, eval_id_map


def summarise_samples(samples: List[Sample], name: str = "train") -> Dict[str, float]:
    """Mean input and output area of a split, used in the notebooks."""
    import statistics

    if not samples:
        return {"n": 0.0}
    in_cells = [float(unpad_grid(sample[0]).numel()) for sample in samples]
    out_cells = [float(unpad_grid(sample[1]).numel()) for sample in samples]
    same = sum(1 for a, b in zip(in_cells, out_cells) if math.isclose(a, b))
    summary = {
        "n": float(len(samples)),
        "in_cells": statistics.fmean(in_cells),
        "out_cells": statistics.fmean(out_cells),
        "same_area": same / len(samples),
    }
    logger.info("%s: %s", name, summary)
    return summary


def make_loaders(cfg: DictConfig, train_dataset: ArcPairDataset, val_dataset: ArcPairDataset):
    """
    Loaders for both splits.

    Only for context_encoder.dynamic_pairs=True, the default collate cannot stack different
    numbers of context pairs.
    """
    node = cfg.get("dataloader", None)
    batch_size = int(node.get("batch_size", 32)) if node is not None else 32
    num_workers = int(node.get("num_workers", 0)) if node is not None else 0
    kwargs: Dict[str, Any] = {"batch_size": batch_size, "num_workers": num_workers}
    if num_workers > 0:
        # both are rejected by torch without workers
        kwargs["persistent_workers"] = _as_bool(node.get("persistent_workers", None))
        kwargs["prefetch_factor"] = int(node.get("prefetch_factor", 2))
    kwargs["pin_memory"] = _as_bool(_cfg_get(cfg, "dataloader.pin_memory", False)) and torch.cuda.is_available()

    train_loader = DataLoader(
        train_dataset,
        shuffle=True,
        drop_last=_as_bool(_cfg_get(cfg, "dataloader.drop_last_train", False)),
        **kwargs,
    )
    # val stays in the order of the files
    val_loader = DataLoader(
        val_dataset,
        shuffle=False,
        drop_last=_as_bool(_cfg_get(cfg, "dataloader.drop_last_eval", False)),
        **kwargs,
    )
    return train_loader, val_loader


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
    started = time.time()

    # --- switches, in the order in which they were added ---
    try:
        use_yardstick = bool(getattr(getattr(cfg, "data", None), "use_synthetic_yardstick", False))
    except Exception:
        use_yardstick = False

    mode = OmegaConf.select(cfg, "data.mode", default=None)
    mode = str(mode).lower() if mode is not None else "train"
    if mode not in ("train", "eval"):
        raise ValueError(f"unknown data mode: {mode}")

    try:
        dynamic_pairs = bool(getattr(cfg.model.context_encoder, "dynamic_pairs", True))
    except Exception:
        dynamic_pairs = True

    include_synthetic = _as_bool(_cfg_get(cfg, "training.include_synthetic_training_data", False))
    only_synthetic = _as_bool(_cfg_get(cfg, "training.current_data_is_synthetic", False))
    synthetic_dir = _cfg_get(cfg, "training.synthetic_data_dir", None)

    limit = cfg.data.get("limit_train_samples", None) if hasattr(cfg.data, "get") else None
    limit_val = cfg.data.get("limit_val_samples", None) if hasattr(cfg.data, "get") else limit
    shuffle_before_limit = _as_bool(OmegaConf.select(cfg, "data.limit_shuffle", default=False))

    if _as_bool(_cfg_get(cfg, "data.log_to_file", False)):
        setup_logging(__name__, cfg)
    if OmegaConf.is_struct(cfg):
        # vocab_size and friends are written back below
        OmegaConf.set_struct(cfg, False)

    description = _describe_run(cfg, mode, dynamic_pairs)
    logger.info("prepare_data: %s", description)
    logger.debug("limits: train=%s val=%s shuffle=%s", limit, limit_val, shuffle_before_limit)

    # --- yardstick: generated, nothing is read from disk ---
    if use_yardstick:
        logger.info("using the yardstick benchmark instead of %s", cfg.data.get("training_data_dir", None))
        tasks = generate_yardstick_tasks(cfg)
        context_map = build_context_map(tasks, cfg, dynamic_pairs)
        train_samples = process_examples(tasks, "train", context_map, cfg, dynamic_pairs)
        val_samples = process_examples(tasks, "test", context_map, cfg, dynamic_pairs)
        if limit is not None and limit > 0:
            train_samples = train_samples[: int(limit)]
        task_id_map = {
            task_id: index
            for index, task_id in enumerate(sorted({sample[3] for sample in train_samples + val_samples}))
        }
        yardstick_train = ArcPairDataset(
            [sample[0] for sample in train_samples],
            [sample[1] for sample in train_samples],
            [sample[2] for sample in train_samples],
            [task_id_map[sample[3]] for sample in train_samples],
        )
        yardstick_val = ArcPairDataset(
            [sample[0] for sample in val_samples],
            [sample[1] for sample in val_samples],
            [sample[2] for sample in val_samples],
            [task_id_map[sample[3]] for sample in val_samples],
        )
        cfg.model.vocab_size = max(yardstick_train.max_value(), yardstick_val.max_value()) + 1
        cfg.model.V_colours = cfg.model.vocab_size
        cfg.model.S_shapes = NUM_SHAPE_CLASSES
        with open("task_id_map.json", "w", encoding="utf-8") as handle:
            json.dump(task_id_map, handle, indent=2)
        return yardstick_train, yardstick_val, task_id_map

    # --- evaluation has its own directories ---
    if mode == "eval":
        eval_dataset, eval_id_map = prepare_eval_data(cfg)
        eval_limit = _cfg_get(cfg, "data.limit_eval_samples", None)
        if eval_limit is not None and eval_limit < len(eval_dataset):
            eval_dataset = torch.utils.data.Subset(eval_dataset, range(int(eval_limit)))
        logger.info("eval: %d samples, %d tasks", len(eval_dataset), len(eval_id_map))
        return eval_dataset, eval_id_map

    # --- training ---
    train_dir = synthetic_dir if only_synthetic and synthetic_dir is not None else cfg.data.training_data_dir
    tasks = load_task_files(
        train_dir,
        cfg,
        include_synthetic=include_synthetic or only_synthetic,
        synthetic_dir=synthetic_dir,
    )
    loaded_at = time.time()
    context_map = build_context_map(tasks, cfg, dynamic_pairs)
    drawn_at = time.time()

    # one list per split, in the order of the files
    train_samples = process_examples(tasks, "train", context_map, cfg, dynamic_pairs)
    val_samples = process_examples(tasks, "test", context_map, cfg, dynamic_pairs)
    processed_at = time.time()
    _log_split("train", train_samples)
    _log_split("val", val_samples)

    if limit is not None and limit > 0:
        if shuffle_before_limit:
            random.Random(SYNTHETIC_SPLIT_SEED).shuffle(train_samples)
        logger.warning("keeping at most %d of %d training samples", int(limit), len(train_samples))
        train_samples = train_samples[: int(limit)]
    if limit_val is not None and limit_val > 0:
        val_samples = val_samples[: int(limit_val)]

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

    # --- the model takes its sizes from here ---
    configured_vocab = getattr(cfg.model, "vocab_size", None)
    vocab_size = max(train_dataset.max_value(), val_dataset.max_value()) + 1
    logger.info("vocab_size: configured %s, found %d", configured_vocab, vocab_size)
    try:
        cfg.model.vocab_size = vocab_size
        cfg.model.V_colours = vocab_size
        cfg.model.S_shapes = NUM_SHAPE_CLASSES
    except Exception as e:
        logger.warning("could not write vocab_size back to the config: %s", e)

    try:
        with open("task_id_map.json", "w", encoding="utf-8") as handle:
            json.dump(task_id_map, handle, indent=2)
        logger.info("task_id_map.json written (%d tasks)", len(task_id_map))
    except Exception as e:
        logger.error("task_id_map.json not written: %s", e)

    if os.environ.get("JARC_FORCED_DEBUG"):
        try:
            src, tgt, ctx_in, ctx_out, idx = train_dataset[0]
            logger.warning("[debug] src %s %s max %d", tuple(src.shape), src.dtype, int(src.max()))
            logger.warning("[debug] tgt %s %s max %d", tuple(tgt.shape), tgt.dtype, int(tgt.max()))
            logger.warning("[debug] ctx %s / %s of task %d", tuple(ctx_in.shape), tuple(ctx_out.shape), int(idx))
        except Exception:
            pass

    # where does the time go? (it was json)
    timings = OrderedDict()
    timings["load"] = loaded_at - started
    timings["contexts"] = drawn_at - loaded_at
    timings["process"] = processed_at - drawn_at
    timings["rest"] = time.time() - processed_at
    slowest = max(timings, key=timings.get)
    logger.info("prepare_data took %.1f s, most of it: %s", sum(timings.values()), slowest)
    return train_dataset, val_dataset, task_id_map


if __name__ == "__main__":
    import sys

    # python -m champion.data.data_preparation some_config.yaml
    _train, _val, _map = prepare_data(OmegaConf.load(sys.argv[1]))
    print(len(_train), len(_val), len(_map))
