"""The same layers written the way mobile runtimes run them fast. Each equals the layer it replaces."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class ConcatReflectionPad(nn.Module):
    """Reflection padding as slices and concatenation: MIRROR_PAD is not in XNNPACK and costs ten times as much."""

    def __init__(self, pad: nn.ReflectionPad2d) -> None:
        super().__init__()
        self.left, self.right, self.top, self.bottom = pad.padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H + top + bottom, W + left + right)."""
        height, width = x.shape[2:]
        rows = [x[:, :, i : i + 1] for i in range(self.top, 0, -1)]
        rows += [x, *(x[:, :, height - 1 - i : height - i] for i in range(1, self.bottom + 1))]
        x = torch.cat(rows, 2) if len(rows) > 1 else x
        columns = [x[..., i : i + 1] for i in range(self.left, 0, -1)]
        columns += [x, *(x[..., width - 1 - i : width - i] for i in range(1, self.right + 1))]
        return torch.cat(columns, 3) if len(columns) > 1 else x


class ChannelLastInstanceNorm(nn.Module):
    """InstanceNorm over NHWC as x * factor + offset: no TRANSPOSE is left, and two full-size writes instead of four.

    Variance is E[x^2] - E[x]^2. Means are taken over width, then over height: XNNPACK sums each MEAN one by one in
    float32, and 65,536 terms lose two decimal digits where twice 256 lose none (measured: largest error 2.6e-4
    against 2e-6). Without `centre` the offset is left out, for norms whose next norm cancels it.
    """

    def __init__(self, norm: nn.InstanceNorm2d, *, centre: bool = True) -> None:
        super().__init__()
        self.eps, self.centre = norm.eps, centre
        self.scale = None if norm.weight is None else nn.Parameter(norm.weight.detach().clone())
        self.shift = None if norm.bias is None else nn.Parameter(norm.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        y = x.permute(0, 2, 3, 1)
        mean = spatial_mean(y)
        variance = torch.relu(spatial_mean(y * y) - mean * mean)
        factor = torch.rsqrt(variance + self.eps)
        if self.scale is not None:
            factor = factor * self.scale
        y = y * factor
        if self.centre:
            offset = mean * -factor
            y = y + (offset if self.shift is None else offset + self.shift)
        return y.permute(0, 3, 1, 2)


def spatial_mean(y: torch.Tensor) -> torch.Tensor:
    """(N, H, W, C) -> (N, 1, 1, C), one axis after the other."""
    return y.mean(2, keepdim=True).mean(1, keepdim=True)


def depth_to_space(y: torch.Tensor, block: int, channels: int) -> torch.Tensor:
    """(N, block^2 C, H, W), channels ordered (row, column, C) -> (N, C, block H, block W)."""
    y = y.permute(0, 2, 3, 1)
    n, h, w, _ = y.shape
    y = y.reshape(n, h, w, block, block, channels).permute(0, 1, 3, 2, 4, 5)
    return y.reshape(n, block * h, block * w, channels).permute(0, 3, 1, 2)


class DepthToSpaceDoubling(nn.Module):
    """A 3x3 stride-2 transposed convolution (padding 1, output padding 1) as a 2x2 convolution and depth_to_space.

    Output pixel (2i + a, 2j + b) sums input (i + t, j + u) times kernel (a + 1 - 2t, b + 1 - 2u) for t, u in {0, 1}.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        inputs, outputs = weight.shape[:2]
        kernel = torch.zeros(2, 2, outputs, inputs, 2, 2)
        for a in range(2):
            for b in range(2):
                for t in range(2):
                    for u in range(2):
                        row, column = a + 1 - 2 * t, b + 1 - 2 * u
                        if 0 <= row < 3 and 0 <= column < 3:
                            kernel[a, b, :, :, t, u] = weight[:, :, row, column].T
        self.channels = outputs
        self.conv = nn.Conv2d(inputs, 4 * outputs, 2, bias=layer.bias is not None)
        self.conv.weight = nn.Parameter(kernel.reshape(4 * outputs, inputs, 2, 2))
        if layer.bias is not None:
            self.conv.bias = nn.Parameter(layer.bias.detach().repeat(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, 2H, 2W)."""
        return depth_to_space(self.conv(F.pad(x, (0, 1, 0, 1))), 2, self.channels)


class StridedHead(nn.Module):
    """A k x k convolution with few outputs as a (k + 1) x (k + 1) one of stride 2 with four times the outputs, then
    depth_to_space: three output channels leave most of a SIMD register idle, twelve do not."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        outputs, inputs, kernel_height, kernel_width = weight.shape
        kernel = torch.zeros(2, 2, outputs, inputs, kernel_height + 1, kernel_width + 1)
        for a in range(2):
            for b in range(2):
                kernel[a, b, :, :, a : a + kernel_height, b : b + kernel_width] = weight
        self.channels = outputs
        self.conv = nn.Conv2d(
            inputs,
            4 * outputs,
            (kernel_height + 1, kernel_width + 1),
            stride=2,
            bias=layer.bias is not None,
        )
        self.conv.weight = nn.Parameter(
            kernel.reshape(4 * outputs, inputs, kernel_height + 1, kernel_width + 1)
        )
        if layer.bias is not None:
            self.conv.bias = nn.Parameter(layer.bias.detach().repeat(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H + k - 1, W + k - 1) -> (N, out, H, W), H and W even."""
        return depth_to_space(self.conv(x), 2, self.channels)


class ChannelLast(nn.Module):
    """The artefact's signature: NHWC image in, {"output": NHWC image} out."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, H, W, C) -> {"output": (N, H, W, C)}."""
        return {"output": self.module(input.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)}
