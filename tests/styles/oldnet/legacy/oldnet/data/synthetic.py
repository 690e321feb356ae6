import torch
from torch.utils.data import Dataset

from ..registry import DATASETS

__all__ = ["Blobs", "Stripes"]


@DATASETS.register()
class Blobs(Dataset):
    def __init__(self, n=16, size=8, classes=4, transforms=()):
        g = torch.Generator().manual_seed(n)
        self.x = torch.randn(n, 3, size, size, generator=g)
        self.y = torch.randint(classes, (n,), generator=g)
        self.transforms = [globals()[f"_{t}"] for t in transforms]

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        x = self.x[i]
        for t in self.transforms:
            x = t(x)
        return x, self.y[i]


@DATASETS.register()
class Stripes(Blobs):
    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        x[:, ::2] = 0
        return x, y


def _flip(x):
    return x.flip(-1)


def _noise(x):
    return x + 0.1 * torch.randn_like(x)


def _cutout(x):
    x = x.clone()
    x[:, :2, :2] = 0
    return x
