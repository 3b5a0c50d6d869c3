"""Resizing that mobile converters get wrong or slow: nearest to slices or gathers, pixel shuffles to depth_to_space."""

from __future__ import annotations

import torch
from torch import fx, nn

from edgegan.export.rewrites.edits import (
    Convolution,
    layer_of,
    only_user,
    replace_layer,
    shape_of,
    source_of,
)
from edgegan.export.rewrites.phases import depth_to_space


class NearestSlices(nn.Module):
    """Nearest reduction by whole numbers: every step-th pixel, from the first."""

    def __init__(self, start: tuple[int, int], step: tuple[int, int]) -> None:
        super().__init__()
        self.start, self.step = start, step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, step H, step W) -> (N, C, H, W)."""
        return x[:, :, self.start[0] :: self.step[0], self.start[1] :: self.step[1]]


class NearestRuns(nn.Module):
    """Nearest resizing by any ratio: the pixels it picks, as slices of equal steps joined along each axis."""

    def __init__(self, rows: list[int], columns: list[int]) -> None:
        super().__init__()
        self.rows, self.columns = equal_steps(rows), equal_steps(columns)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, rows, columns)."""
        y = x.permute(0, 2, 3, 1)
        y = torch.cat([y[:, a:b:step] for a, b, step in self.rows], 1)
        y = torch.cat([y[:, :, a:b:step] for a, b, step in self.columns], 2)
        return y.permute(0, 3, 1, 2)


def equal_steps(picks: list[int]) -> list[tuple[int, int, int]]:
    """Ascending indices as (start, stop, step) slices, as long as each can be."""
    runs: list[tuple[int, int, int]] = []
    begin = 0
    while begin < len(picks):
        end = begin + 1
        step = picks[end] - picks[begin] if end < len(picks) else 1
        while end < len(picks) and step > 0 and picks[end] - picks[end - 1] == step:
            end += 1
        runs.append((picks[begin], picks[end - 1] + 1, max(step, 1)))
        begin = end
    return runs


def nearest_picks(before: int, after: int, scale: float | None, *, exact: bool) -> list[int]:
    """The index that PyTorch's nearest resizing reads for every output, in its float32 arithmetic."""
    ratio = torch.tensor(before / after if scale is None else 1 / scale, dtype=torch.float32)
    places = torch.arange(after, dtype=torch.float32) + (0.5 if exact else 0.0)
    return (places * ratio).floor().long().clamp_max(before - 1).tolist()


def slice_nearest(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Nearest resizing that does not enlarge by whole numbers -> slices. litert-torch converts it with half-pixel
    centres, which is silently wrong."""
    layer = layer_of(graph, node)
    if not isinstance(layer, nn.Upsample) or layer.mode not in ("nearest", "nearest-exact"):
        return False
    before, after = shape_of(source_of(node))[2:], shape_of(node)[2:]
    exact = layer.mode == "nearest-exact"
    if not after[0] % before[0] and not after[1] % before[1]:
        if exact:
            replace_layer(graph, node, nn.Upsample(tuple(after), mode="nearest"))
        return exact
    used = layer.scale_factor if not layer.recompute_scale_factor else None
    scales = (None, None) if used is None else used if isinstance(used, tuple) else (used, used)
    picks = [nearest_picks(before[axis], after[axis], scales[axis], exact=exact) for axis in (0, 1)]
    runs = [equal_steps(axis) for axis in picks]
    if len(runs[0]) == len(runs[1]) == 1:
        starts = (runs[0][0][0], runs[1][0][0])
        sliced: nn.Module = NearestSlices(starts, (runs[0][0][2], runs[1][0][2]))
        if all(
            len(range(s, b, r[0][2])) == a
            for s, b, r, a in zip(starts, before, runs, after, strict=True)
        ):
            replace_layer(graph, node, sliced)
            return True
    replace_layer(graph, node, NearestRuns(*picks))
    return True


class BlockShuffle(nn.Module):
    """PixelShuffle whose channels already come in the order of depth_to_space."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, block^2 C, H, W), channels ordered (row, column, C) -> (N, C, block H, block W)."""
        return depth_to_space(x, (self.block, self.block), x.shape[1] // self.block**2)


def block_shuffle(graph: fx.GraphModule, node: fx.Node) -> bool:
    """PixelShuffle right behind a dense convolution -> depth_to_space, the convolution's outputs reordered."""
    layer, before = layer_of(graph, node), source_of(node)
    conv = layer_of(graph, before)
    if not isinstance(layer, nn.PixelShuffle) or only_user(before) is not node:
        return False
    if not isinstance(conv, Convolution) or conv.groups != 1:
        return False
    block = layer.upscale_factor
    order = torch.arange(conv.out_channels).reshape(-1, block * block).T.reshape(-1)
    axis = 1 if isinstance(conv, nn.ConvTranspose2d) else 0
    conv.weight = nn.Parameter(conv.weight.detach().index_select(axis, order))
    if conv.bias is not None:
        conv.bias = nn.Parameter(conv.bias.detach()[order])
    replace_layer(graph, node, BlockShuffle(block))
    return True
