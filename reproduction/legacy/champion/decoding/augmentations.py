"""Symmetries of a grid: the eight of the square and permutations of the colours, each with its inverse."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch

from champion.utils.padding_utils import pad_to_fixed_size, unpad_grid

NUM_COLOURS = 10
PAD = 10
IDENTITY_COLOURS = tuple(range(NUM_COLOURS))


@dataclass(frozen=True)
class Augmentation:
    """
    Mirror left-right first (if asked for), then ``turns`` quarter turns counter-clockwise, then recolour.

    Grids are [H, W] with PAD at the right and at the bottom; only the part without PAD is moved, so the
    result is padded the same way. Colour 0 is the background and keeps its colour unless the permutation says
    otherwise.
    """

    turns: int = 0
    mirror: bool = False
    colours: Tuple[int, ...] = IDENTITY_COLOURS

    def __post_init__(self) -> None:
        if sorted(self.colours) != list(IDENTITY_COLOURS):
            raise ValueError(f"not a permutation of the colours: {self.colours}")

    def apply(self, grid: torch.Tensor) -> torch.Tensor:
        inner = unpad_grid(grid, PAD)
        if self.mirror:
            inner = inner.flip(1)
        inner = torch.rot90(inner, self.turns % 4, (0, 1))
        return _padded(_recoloured(inner, self.colours), grid)

    def invert(self, grid: torch.Tensor) -> torch.Tensor:
        back = [0] * NUM_COLOURS
        for old, new in enumerate(self.colours):
            back[new] = old
        inner = torch.rot90(_recoloured(unpad_grid(grid, PAD), tuple(back)), -self.turns % 4, (0, 1))
        return _padded(inner.flip(1) if self.mirror else inner, grid)


# the group of the square, identity first
D4: Tuple[Augmentation, ...] = tuple(
    Augmentation(turns=turns, mirror=mirror) for mirror in (False, True) for turns in range(4)
)


def _recoloured(grid: torch.Tensor, colours: Sequence[int]) -> torch.Tensor:
    table = torch.tensor([*colours, PAD], dtype=grid.dtype, device=grid.device)
    return table[grid]


def _padded(inner: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if inner.size(0) > like.size(0) or inner.size(1) > like.size(1):
        raise ValueError(f"a grid of {tuple(inner.shape)} does not fit on a canvas of {tuple(like.shape)}")
    return pad_to_fixed_size(inner, tuple(like.shape), PAD)


def sample_augmentations(count: int, seed: int, permute_colours: bool = True) -> List[Augmentation]:
    """``count`` different views, the identity first; colour 0 stays. At most 8 without colours."""
    generator = torch.Generator().manual_seed(seed)
    found: Dict[Augmentation, None] = {D4[0]: None}
    if not permute_colours:
        picked = torch.randperm(len(D4) - 1, generator=generator)[: max(0, count - 1)]
        return [D4[0], *(D4[int(place) + 1] for place in picked)][:count]
    while len(found) < count:
        shape = D4[int(torch.randint(len(D4), (1,), generator=generator))]
        others = torch.randperm(NUM_COLOURS - 1, generator=generator) + 1
        found[Augmentation(shape.turns, shape.mirror, (0, *others.tolist()))] = None
    return list(found)[:count]


def vote(predictions: Sequence[torch.Tensor], weights: Optional[Sequence[float]] = None) -> torch.Tensor:
    """The whole grid that most (or the heaviest) predictions agree on; the earliest one if several do."""
    if not predictions:
        raise ValueError("nothing to vote on")
    ballots: Dict[Tuple[Any, ...], float] = {}
    first: Dict[Tuple[Any, ...], torch.Tensor] = {}
    for number, grid in enumerate(predictions):
        key = (tuple(grid.shape), tuple(grid.flatten().tolist()))
        first.setdefault(key, grid)
        ballots[key] = ballots.get(key, 0.0) + (1.0 if weights is None else weights[number])
    best = max(ballots.values())
    return next(grid for key, grid in first.items() if ballots[key] == best)
