"""Fixed sinusoidal table over the rows and columns of a grid."""
import math

import torch
import torch.nn as nn


class Grid2DPositionalEncoding(nn.Module):
    """
    First half of the channels encodes the row, second half the column.

    The table is addressed with the flat (row-major) position, so callers have to flatten
    grids of exactly ``max_width`` columns.
    """

    def __init__(self, d_model, max_height=30, max_width=30):
        super().__init__()
        if d_model % 4 != 0:
            raise ValueError(f"d_model must be divisible by 4, got {d_model}")
        half = d_model // 2
        freq = torch.exp(torch.arange(0, half, 2, dtype=torch.float32) * (-math.log(10000.0) / half))

        rows = torch.arange(max_height, dtype=torch.float32).unsqueeze(1) * freq
        cols = torch.arange(max_width, dtype=torch.float32).unsqueeze(1) * freq

        table = torch.zeros(max_height, max_width, d_model)
        table[:, :, 0:half:2] = torch.sin(rows).unsqueeze(1)
        table[:, :, 1:half:2] = torch.cos(rows).unsqueeze(1)
        table[:, :, half::2] = torch.sin(cols).unsqueeze(0)
        table[:, :, half + 1::2] = torch.cos(cols).unsqueeze(0)
        self.register_buffer("pe", table.reshape(1, max_height * max_width, d_model))

    def forward(self, x):
        # x: [B, L, d_model]
        return x + self.pe[:, : x.size(1)]
