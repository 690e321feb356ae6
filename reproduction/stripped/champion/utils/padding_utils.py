"""Bring grids of any size onto one canvas."""
import torch
import torch.nn.functional as F


def pad_to_fixed_size(grid, target_shape=(30, 30), pad_value=10):
    """
    Pad ``grid`` [h, w] at the right and at the bottom up to ``target_shape``.

    Grids that are too large are cut off at the same two sides.
    """
    if grid.dim() != 2:
        raise ValueError(f"expected a 2-d grid, got shape {tuple(grid.shape)}")
    height, width = grid.shape
    # negative amounts crop
    return F.pad(grid, (0, target_shape[1] - width, 0, target_shape[0] - height), value=pad_value)
