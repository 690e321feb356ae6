"""Pictures of grids side by side, in the usual colours of the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from champion_data import PAD
from PIL import Image, ImageDraw

COLOURS = ("#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00", "#aaaaaa", "#f012be", "#ff851b", "#7fdbff", "#870c25")
NOTHING, NO_COLOUR = "#444444", "#ffffff"
CELL, GAP, TITLE = 10, 14, 14

Panel = Sequence[tuple[str, torch.Tensor]]  # titled grids of one sample


def save_panels(path: Path, samples: Sequence[Panel]) -> None:
    """One row per sample. PAD is dark grey; white with a cross is a class that stands for no colour."""
    pictures = [[(title, _picture(grid)) for title, grid in sample] for sample in samples]
    width = max(sum(max(picture.width, 60) + GAP for _, picture in row) for row in pictures) + GAP
    height = sum(max(picture.height for _, picture in row) + TITLE + GAP for row in pictures) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    top = GAP
    for row in pictures:
        left = GAP
        for title, picture in row:
            draw.text((left, top), title, fill="black")
            sheet.paste(picture, (left, top + TITLE))
            left += max(picture.width, 60) + GAP
        top += max(picture.height for _, picture in row) + TITLE + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _picture(grid: torch.Tensor) -> Image.Image:
    rows = grid.tolist()
    picture = Image.new("RGB", (len(rows[0]) * CELL + 1, len(rows) * CELL + 1), "#555555")
    draw = ImageDraw.Draw(picture)
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            box = (x * CELL + 1, y * CELL + 1, (x + 1) * CELL - 1, (y + 1) * CELL - 1)
            draw.rectangle(box, fill=COLOURS[value] if value < len(COLOURS) else NOTHING if value == PAD else NO_COLOUR)
            if value > PAD:
                draw.line(box, fill="black")
    return picture


def cropped(grid: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The part of a canvas that `like` fills."""
    filled = like != PAD
    return grid[: int(filled.any(1).sum()), : int(filled.any(0).sum())]
