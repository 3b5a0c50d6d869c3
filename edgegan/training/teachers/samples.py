"""Sample pictures: one row an example, label maps in colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edgegan.data.images import Pixels, to_pixels, write_image
from edgegan.data.labels import colour_labels
from edgegan.recipe.data_section import Data

GAP = 2


def write_samples(path: Path, columns: list[torch.Tensor], data: Data) -> None:
    """Writes a PNG of columns, each (N, C, H, W) in [-1, 1] or one-hot label planes, side by side on white."""
    rows = []
    for index in range(len(columns[0])):
        cells = [as_pixels(column[index], data) for column in columns]
        rows.append(joined(cells, axis=1))
    write_image(path, joined(rows, axis=0))


def as_pixels(values: torch.Tensor, data: Data) -> Pixels:
    """(C, H, W) -> (H, W, 3) uint8."""
    array = values.detach().float().cpu().numpy()
    if data.kind == "labels" and len(array) > 3:
        return colour_labels(array[: data.label_classes].argmax(0))
    return to_pixels(array[:3] if len(array) > 3 else array)


def joined(cells: list[Pixels], axis: int) -> Pixels:
    """Pictures in a row (axis 1) or a column (axis 0) with white gaps."""
    parts: list[Pixels] = []
    for cell in cells:
        shape = (GAP, cell.shape[1], 3) if axis == 0 else (cell.shape[0], GAP, 3)
        parts += [np.full(shape, 255, np.uint8), cell]
    return np.concatenate(parts[1:], axis=axis)
