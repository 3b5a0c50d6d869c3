"""Layers of a simulated int8 network: convolutions on the grid, with what the exporter folds into them."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from edgegan.compress.slimming.quantizers import (
    WeightQuantizer,
    asymmetric,
    dynamic_int8,
    paper_activation,
    paper_weight,
    symmetric,
)
from edgegan.deployment.enlargement import is_doubling

Scheme = Literal["litert_dynamic", "litert_static", "onnxruntime", "paper"]
Convolution = nn.Conv2d | nn.ConvTranspose2d


class QuantizedConvolution(nn.Module):
    """A convolution whose weights, and inputs if `read` is given, are on the int8 grid.

    `norm` is the BatchNorm after it, folded with its running statistics; `before` the InstanceNorm in front of a 1x1
    convolution, whose scale and shift the exporter moves into the weights and bias; `cancelled` says that an
    InstanceNorm follows, for which the exporter drops the bias.
    """

    def __init__(
        self,
        layer: Convolution,
        scheme: Scheme,
        norm: nn.BatchNorm2d | None = None,
        before: nn.InstanceNorm2d | None = None,
        *,
        cancelled: bool = False,
        learned: bool = True,
    ) -> None:
        super().__init__()
        self.layer, self.norm, self.before, self.scheme = layer, norm, before, scheme
        self.cancelled = cancelled
        self.phased = is_doubling(layer) and scheme.startswith("litert")
        quantizer = None
        if scheme != "paper" and learned:
            with torch.no_grad():
                rows = [WeightQuantizer(part) for part in self.rows(self.folded()[0])]
            quantizer = nn.ModuleList(rows)
        self.quantizer = quantizer

    def folded(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weights and bias with the neighbouring norm in them."""
        weight, bias = self.layer.weight, self.layer.bias
        if self.before is not None and self.before.weight is not None:
            assert self.before.bias is not None
            shift = weight.flatten(1) @ self.before.bias
            bias = shift if bias is None else bias + shift
            weight = weight * self.before.weight.reshape(1, -1, 1, 1)
        if self.norm is not None:
            assert self.norm.running_mean is not None and self.norm.running_var is not None
            factor = (self.norm.running_var + self.norm.eps).rsqrt() * self.norm.weight
            transposed = isinstance(self.layer, nn.ConvTranspose2d)
            weight = weight * factor.reshape((1, -1, 1, 1) if transposed else (-1, 1, 1, 1))
            centred = -self.norm.running_mean if bias is None else bias - self.norm.running_mean
            bias = centred * factor + self.norm.bias
        return weight, bias

    def rows(self, weight: torch.Tensor) -> list[torch.Tensor]:
        """Weights as (channels, weights): runs that share one step. A doubling transposed convolution is deployed as a
        2x2 convolution for each of four output phases, so each phase has its own steps."""
        if not isinstance(self.layer, nn.ConvTranspose2d):
            return [weight.flatten(1)]
        outputs = weight.transpose(0, 1)
        if not self.phased:
            return [outputs.flatten(1)]
        taps = (torch.tensor([1]), torch.tensor([0, 2]))
        return [outputs[:, :, a][..., b].flatten(1) for a in taps for b in taps]

    def unrow(self, parts: list[torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
        """The inverse of `rows`."""
        if not isinstance(self.layer, nn.ConvTranspose2d):
            return parts[0].reshape(weight.shape)
        outputs, inputs = weight.shape[1], weight.shape[0]
        if not self.phased:
            return parts[0].reshape(outputs, inputs, *weight.shape[2:]).transpose(0, 1)
        middle, column, row, corner = parts
        column, row = column.reshape(outputs, inputs, 2), row.reshape(outputs, inputs, 2)
        corner = corner.reshape(outputs, inputs, 2, 2)
        lines = [
            torch.stack([corner[..., 0, 0], row[..., 0], corner[..., 0, 1]], -1),
            torch.stack([column[..., 0], middle.reshape(outputs, inputs), column[..., 1]], -1),
            torch.stack([corner[..., 1, 0], row[..., 1], corner[..., 1, 1]], -1),
        ]
        return torch.stack(lines, 2).transpose(0, 1)

    def quantized(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weights on the grid, and the float bias."""
        weight, bias = self.folded()
        if self.scheme == "paper":
            return paper_weight(weight), bias
        parts = self.rows(weight)
        if self.quantizer is None:
            parts = [symmetric(part) for part in parts]
        else:
            parts = [own(part) for own, part in zip(self.quantizer, parts, strict=True)]
        return self.unrow(parts, weight), bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        if self.scheme == "litert_dynamic":
            x = dynamic_int8(x)
        weight, bias = self.quantized()
        return convolve(self.layer, x, weight, None if self.cancelled else bias)


def convolve(
    layer: Convolution, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """A layer's convolution with other weights."""
    if isinstance(layer, nn.ConvTranspose2d):
        geometry: dict[str, Any] = {
            "stride": layer.stride,
            "padding": layer.padding,
            "output_padding": layer.output_padding,
            "groups": layer.groups,
            "dilation": layer.dilation,
        }
        return F.conv_transpose2d(x, weight, bias, **geometry)
    plain: Any = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return F.conv2d(x, weight, bias, *plain)


class PlainNorm(nn.Module):
    """An InstanceNorm whose scale and shift were folded away.

    `centre` false: only divided by the deviation, the bias of the convolution before it left out as well.
    """

    def __init__(self, norm: nn.InstanceNorm2d, before: nn.Module | None, *, centre: bool) -> None:
        super().__init__()
        self.eps, self.centre = norm.eps, centre
        self.before = before if isinstance(before, (nn.Conv2d, nn.ConvTranspose2d)) else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
        if self.centre:
            x = x - mean
        elif self.before is not None and self.before.bias is not None:
            x = x - self.before.bias.reshape(1, -1, 1, 1)
        return x * torch.rsqrt(variance + self.eps)


class TanhOutput(nn.Module):
    """What LiteRT's int8 tanh gives: its output has the scale 1/128 in every file."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return asymmetric(x, x.new_tensor(-1.0), x.new_tensor(127 / 128))


class PaperActivation(nn.Module):
    """The published activation quantizer as a layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return paper_activation(x)


def unfold_batch_norm(each: QuantizedConvolution, weight: torch.Tensor) -> torch.Tensor:
    """The convolution's weights that fold to these."""
    assert each.norm is not None and each.norm.running_var is not None
    factor = (each.norm.running_var + each.norm.eps).rsqrt() * each.norm.weight
    factor = torch.where(factor == 0, torch.ones_like(factor), factor)
    transposed = isinstance(each.layer, nn.ConvTranspose2d)
    return weight / factor.reshape((1, -1, 1, 1) if transposed else (-1, 1, 1, 1))
