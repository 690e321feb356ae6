"""Task files as samples, by the package's own preparation: what the workloads and the scripts share.

The package is imported inside the functions, because the process decides which tree of it is importable. What makes its
preparation repeatable (seeds, one worker thread) is added from outside: the package itself is left as it is.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from places import CONFIG
from task_files import TaskFileError, check_task_file
from torch.utils.data import DataLoader, Dataset

PAD = 10
VALIDATION = 0.2

Item = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Columns = tuple[torch.Tensor, ...]  # src, tgt, ctx_in, ctx_out, task index; the first dimension is the sample


def champion_config(tasks: Path, file: Path = CONFIG) -> DictConfig:
    """The pinned config, or another one, reading its training data from `tasks`."""
    config = cast(DictConfig, OmegaConf.load(file))
    config.data.training_data_dir = str(tasks)
    return config


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


def prepared(config: DictConfig, seed: int | str) -> tuple[list[Item], list[Item], dict[str, int]]:
    """Run the package's preparation repeatably: training items, validation items, index of each task."""
    seed_everything(seed)
    with single_worker_pools():
        from champion.data.data_preparation import prepare_data

        train, validation, task_ids = prepare_data(config)
    return list(items_of(train)), list(items_of(validation)), task_ids


def seed_everything(seed: int | str) -> None:
    """A text seeds Python's generator alone, the only one that the preparation draws from."""
    random.seed(seed)
    if isinstance(seed, int):
        np.random.seed(seed)
        torch.manual_seed(seed)


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


def stack(items: Sequence[Item], filler: int) -> Columns:
    """One tensor per field; missing contexts become grids of `filler`."""
    sources, targets, contexts_in, contexts_out, indices = zip(*items, strict=True)
    return (
        torch.stack(sources),
        torch.stack(targets),
        torch.stack(_equally_many(contexts_in, filler)),
        torch.stack(_equally_many(contexts_out, filler)),
        torch.stack(indices),
    )


def _equally_many(contexts: Sequence[torch.Tensor], filler: int) -> list[torch.Tensor]:
    most = max(len(context) for context in contexts)
    return [torch.cat([context, context.new_full((most - len(context), *context.shape[1:]), filler)]) for context in contexts]


def validation_count(count: int) -> int:
    """The last fifth validates, at least one sample and never all of them: the fine-tuner's rule."""
    return min(max(1, int(VALIDATION * count)), count - 1)


@dataclass(frozen=True)
class Split:
    """Samples of some tasks; the index in a sample is the task's place in `task_ids`."""

    task_ids: tuple[str, ...]
    train: list[Item]
    held_out: list[Item]


def select_tasks(folder: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted tasks, or all if none is named, sorted; their files are checked.

    Raises:
        TaskFileError: there is no such task, or its file is damaged.
    """
    if not folder.is_dir():
        raise TaskFileError(f"{folder}: is not a folder; run `python -m data.generate`, or name the folder of the task files")
    known = sorted(file.stem for file in folder.glob("*.json"))
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise TaskFileError(f"{folder}: has no task {unknown[0]!r}; choose from {', '.join(known) or 'none: it is empty'}")
    chosen = sorted(set(wanted)) or known
    if not chosen:
        raise TaskFileError(f"{folder}: holds no task files; run `python -m data.generate`")
    for task_id in chosen:
        check_task_file(folder / f"{task_id}.json")
    return tuple(chosen)


def load_split(
    config: DictConfig,
    folder: Path,
    task_ids: Sequence[str],
    seed: int,
    *,
    pairs: int | None = None,
    held_out: int | None = None,
) -> Split:
    """Prepare each task on its own: of its first `pairs` the last fifth is held out, and of these the first `held_out` kept.

    The package keeps a file's "train" and "test" pairs apart and draws contexts from the former, so a held-out pair never
    is a context. A task's contexts depend on the seed and the task, not on which others were chosen with it.
    """
    train: list[Item] = []
    validation: list[Item] = []
    folder = folder.resolve()
    for index, task_id in enumerate(task_ids):
        with tempfile.TemporaryDirectory() as temporary, chdir(temporary):  # the package leaves its task map where it runs
            tasks = Path(temporary) / "tasks"
            _write_split(folder / f"{task_id}.json", tasks, pairs, held_out)
            own = config.copy()  # the preparation writes sizes back into it
            own.data.training_data_dir = str(tasks)
            parts = prepared(own, f"{seed}:{task_id}")[:2]
        for items, found in zip((train, validation), parts, strict=True):
            items.extend((*item[:4], torch.tensor(index)) for item in found)
    return Split(tuple(task_ids), train, validation)


def _write_split(source: Path, folder: Path, pairs: int | None, held_out: int | None) -> None:
    chosen = json.loads(source.read_text(encoding="utf-8"))["train"][:pairs]
    if len(chosen) < 2:
        raise TaskFileError(f"{source}: {len(chosen)} pair is too few; use at least two, the last fifth is held out")
    first = len(chosen) - validation_count(len(chosen))
    folder.mkdir()
    parts = {"train": chosen[:first], "test": chosen[first:][:held_out]}
    (folder / source.name).write_text(json.dumps(parts), encoding="utf-8")


class Samples(Dataset[Item]):
    """A list of samples as a data set."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        return self._items[index]


def collate(items: Sequence[Item]) -> Columns:
    """A batch; missing contexts become grids of PAD, which the context encoder leaves out (grids of zeros it would not)."""
    return stack(items, PAD)


class BatchStream:
    """Endless seeded passes over the samples, cut into equal batches.

    Batch number n depends on the seed and n alone, so a resumed run goes on with exactly the batches that were left. Each
    iteration yields the rest of an epoch, from the number that `position` tells.
    """

    def __init__(
        self, samples: int, batch_size: int, steps_per_epoch: int, seed: int, position: Callable[[], int], rank: int, ranks: int
    ) -> None:
        self._samples, self._batch_size, self._steps, self._seed = samples, batch_size, steps_per_epoch, seed
        self._position, self._rank, self._ranks = position, rank, ranks

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[int]]:
        first = self._position()
        for number in range(first, (first // self._steps + 1) * self._steps):
            start = (number * self._ranks + self._rank) * self._batch_size
            yield [self._sample(place) for place in range(start, start + self._batch_size)]

    def _sample(self, place: int) -> int:
        return self._order(place // self._samples)[place % self._samples]

    def _order(self, number: int) -> list[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        order: list[int] = torch.randperm(self._samples, generator=generator).tolist()
        return order


def train_loader(items: Sequence[Item], batches: BatchStream) -> DataLoader[Item]:
    """The loader's own generator keeps it from drawing from the global one, where dropout draws."""
    return DataLoader(Samples(items), batch_sampler=batches, collate_fn=collate, generator=torch.Generator())


def eval_loader(items: Sequence[Item], batch_size: int) -> DataLoader[Item]:
    return DataLoader(Samples(items), batch_size=batch_size, collate_fn=collate, generator=torch.Generator())
