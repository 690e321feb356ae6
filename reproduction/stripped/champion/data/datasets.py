"""Datasets for the trainer."""
from typing import Sequence, Tuple

import torch
from torch.utils.data import Dataset

from .context_data import ContextPair


class ArcPairDataset(Dataset):
    """
    Map-style dataset over padded pairs.

    Every item is (src, tgt, context_pair, task_idx) with
        src, tgt : [30, 30] long
        contexts : [C, 30, 30] long, C may differ between samples (collate accordingly)
        task_idx : scalar long
    """

    def __init__(
        self,
        sources: Sequence[torch.Tensor],
        targets: Sequence[torch.Tensor],
        contexts: Sequence[ContextPair],
        task_indices: Sequence[int],
    ):
        lengths = {len(sources), len(targets), len(contexts), len(task_indices)}
        assert len(lengths) == 1, f"lengths differ: {sorted(lengths)}"
        self.sources = list(sources)
        self.targets = list(targets)
        self.contexts = list(contexts)
        self.task_indices = torch.tensor(list(task_indices), dtype=torch.long)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Tuple[torch.Tensor, ...]:
        context = self.contexts[index]
        return (
            self.sources[index],
            self.targets[index],
            context.context_input,
            context.context_output,
            self.task_indices[index],
        )

    def max_value(self) -> int:
        values = [0]
        values.extend(int(grid.max()) for grid in self.sources)
        values.extend(int(grid.max()) for grid in self.targets)
        return max(values)
