"""The golden workloads: what a user does with the champion package, watched by a recorder.

The package is imported inside the functions, because the process decides which tree of it is importable. What makes
it repeatable (seeds, one worker thread) is added from outside: the package itself is left as it is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast
from unittest.mock import patch

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from task_files import TaskFileError, check_task_file
from torch.utils.data import DataLoader, TensorDataset

REPRODUCTION = Path(__file__).resolve().parent
CONFIG = REPRODUCTION / "configs" / "champion.yaml"
TASKS = REPRODUCTION.parent / "data" / "tasks"

TASK_COUNT = 18
SEED = 307
FINETUNE_TASKS = ("88a62173", "9172f3a0")
FINETUNE_PAIRS = 12
FINETUNE_BATCH = 4
FINETUNE_VALIDATION = 0.2

Item = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Columns = tuple[torch.Tensor, ...]  # src, tgt, ctx_in, ctx_out, task index; the first dimension is the sample


class Recorder(Protocol):
    """The part of the golden recorder that the workloads use."""

    workdir: Path

    def record(self, name: str, value: object) -> None: ...

    def rng(self, name: str) -> None: ...

    def files(self, name: str, folder: Path) -> None: ...


def prepare(golden: Recorder) -> None:
    """All task files through the package's data preparation, as at the start of a training run."""
    config = champion_config(TASKS)
    check_tasks(TASKS, TASK_COUNT)
    train, validation, task_ids = prepared(golden, config)
    for name, items in (("train", train), ("validation", validation)):
        golden.record(f"{name}.count", len(items))
        if items:
            golden.record(name, stacked_by_context(items))
    golden.record("task_ids", task_ids)
    golden.record("config", portable(config))
    golden.files("files", golden.workdir)


def prepare_finetune(golden: Recorder) -> None:
    """Two short tasks on the fine-tuner's way: prepared, sorted by task, split and batched."""
    tasks = golden.workdir / "tasks"
    copy_tasks(FINETUNE_TASKS, FINETUNE_PAIRS, tasks)
    check_tasks(tasks, len(FINETUNE_TASKS))
    train, _, task_ids = prepared(golden, champion_config(tasks))
    buckets = bucketed(train)
    for task_id, index in task_ids.items():
        training, validation = split(buckets[index])
        golden.record(f"{task_id}.train", list(batches(training, shuffle=True)))
        golden.record(f"{task_id}.validation", list(batches(validation, shuffle=False)))
    golden.rng("after_batches")
    golden.files("files", golden.workdir)


def champion_config(tasks: Path) -> DictConfig:
    """The pinned config, reading its training data from `tasks`."""
    config = cast(DictConfig, OmegaConf.load(CONFIG))
    config.data.training_data_dir = str(tasks)
    return config


def portable(config: DictConfig) -> dict[str, Any]:
    """The whole config with the task folder's name alone: where it lies differs between machines."""
    values = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    values["data"]["training_data_dir"] = Path(values["data"]["training_data_dir"]).name
    return values


def check_tasks(folder: Path, count: int) -> None:
    """Refuse a folder that is incomplete or holds a damaged file, before the package skips what it dislikes.

    Raises:
        TaskFileError: a file is damaged, or there are not `count` of them.
    """
    files = sorted(folder.glob("*.json"))
    if len(files) != count:
        raise TaskFileError(f"{folder}: holds {len(files)} task files, expected {count}; run `python -m data.generate`")
    for file in files:
        check_task_file(file)


def copy_tasks(task_ids: Sequence[str], pairs: int, folder: Path) -> None:
    """The first pairs of each task, as task files of their own."""
    folder.mkdir()
    for task_id in task_ids:
        source = TASKS / f"{task_id}.json"
        check_task_file(source)
        task = json.loads(source.read_text(encoding="utf-8"))
        short = {"train": task["train"][:pairs], "test": task["test"]}
        (folder / source.name).write_text(json.dumps(short), encoding="utf-8")


def prepared(golden: Recorder, config: DictConfig) -> tuple[list[Item], list[Item], dict[str, int]]:
    """Run the package's preparation repeatably and record what it does to the random generators."""
    seed_everything()
    golden.rng("before_prepare")
    with single_worker_pools():
        from champion.data.data_preparation import prepare_data

        train, validation, task_ids = prepare_data(config)
    golden.rng("after_prepare")
    return list(items_of(train)), list(items_of(validation)), task_ids


def seed_everything() -> None:
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


@contextmanager
def single_worker_pools() -> Iterator[None]:
    """One worker per thread pool: contexts come from one shared generator, so their order must be the tasks' order."""
    original = ThreadPoolExecutor.__init__

    def with_one_worker(self: ThreadPoolExecutor, max_workers: int | None = None, *arguments: Any, **options: Any) -> None:
        original(self, 1, *arguments, **options)

    with patch.object(ThreadPoolExecutor, "__init__", with_one_worker):
        yield


def items_of(dataset: Any) -> Iterator[Item]:
    """By index: the package's datasets promise no iteration."""
    for index in range(len(dataset)):
        yield dataset[index]


def stacked_by_context(items: Sequence[Item]) -> dict[str, object]:
    """One tensor per field instead of an entry per sample; contexts, which differ in number, one after the other."""
    sources, targets, contexts_in, contexts_out, indices = zip(*items, strict=True)
    return {
        "src": torch.stack(sources),
        "tgt": torch.stack(targets),
        "context_count": torch.tensor([len(context) for context in contexts_in]),
        "context_input": torch.cat(contexts_in),
        "context_output": torch.cat(contexts_out),
        "task_index": torch.stack(indices),
        "dtypes": sorted({", ".join(str(field.dtype) for field in item) for item in items}),
    }


def bucketed(items: Sequence[Item]) -> dict[int, Columns]:
    """Samples by task index, in order; missing contexts become grids of zeros (not of PAD) as in the fine-tuner."""
    buckets: dict[int, list[Item]] = {}
    for item in items:
        buckets.setdefault(int(item[4]), []).append(item)
    return {index: _columns(bucket) for index, bucket in sorted(buckets.items())}


def _columns(items: Sequence[Item]) -> Columns:
    sources, targets, contexts_in, contexts_out, indices = zip(*items, strict=True)
    return (
        torch.stack(sources),
        torch.stack(targets),
        torch.stack(_equally_many(contexts_in)),
        torch.stack(_equally_many(contexts_out)),
        torch.stack(indices),
    )


def _equally_many(contexts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    most = max(len(context) for context in contexts)
    return [torch.cat([context, context.new_zeros(most - len(context), *context.shape[1:])]) for context in contexts]


def split(columns: Columns) -> tuple[Columns, Columns]:
    """The last fifth validates, at least one sample and never all of them."""
    count = len(columns[0])
    validation = min(max(1, int(FINETUNE_VALIDATION * count)), count - 1)
    first = count - validation
    return tuple(column[:first] for column in columns), tuple(column[first:] for column in columns)


def batches(columns: Columns, *, shuffle: bool) -> Iterator[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(SEED)
    yield from DataLoader(TensorDataset(*columns), batch_size=FINETUNE_BATCH, shuffle=shuffle, generator=generator)
