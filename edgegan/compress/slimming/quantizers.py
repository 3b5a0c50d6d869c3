"""int8 in training: what LiteRT and ONNX Runtime compute, with gradients passed straight through the rounding.

Weights: symmetric per output channel, -127..127. Activations: asymmetric per tensor, -128..127, zero exactly
representable; ranges learned (LSQ, Esser et al. 2020) or taken from each picture at run time (dynamic). The quantizer
that GAN Slimming was published with is here too.
"""

from __future__ import annotations

import torch
from torch import nn

LEVELS = 127
STEPS = 255
PAPER_CLIP = 4.0
PAPER_LEVELS = 256
TINY = 1e-8


def round_through(x: torch.Tensor) -> torch.Tensor:
    """Rounds half to even; the gradient passes unchanged."""
    return x + (torch.round(x) - x).detach()


def dynamic_int8(x: torch.Tensor) -> torch.Tensor:
    """What LiteRT's dynamic int8 convolutions read: each picture (N, ...) by its own range, zero included."""
    flat = x.detach().flatten(1)
    shape = (-1, *[1] * (x.dim() - 1))
    low = flat.amin(1).clamp(max=0.0).reshape(shape)
    high = flat.amax(1).clamp(min=0.0).reshape(shape)
    return asymmetric(x, low, high)


def asymmetric(x: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Values on the int8 grid of the range low <= 0 <= high; gradients reach x, low and high."""
    scale = ((high - low) / STEPS).clamp_min(TINY)
    zero_point = round_through(-128 - low / scale)
    return (round_through((x / scale + zero_point).clamp(-128, 127)) - zero_point) * scale


class LearnedRange(nn.Module):
    """One activation's range, learned by the gradients that reach both ends (LSQ+, Bhalgat et al. 2020).

    Both ends are stored as what was observed times the exponential of a parameter, so that one learning rate fits
    ranges of any size. No range reaches beyond `limit`.
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, limit: float = float("inf")) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.factors = nn.Parameter(torch.zeros(2))
        self.watching = False

    def watch(self, watching: bool) -> None:
        """Starts (anew) or ends observing."""
        self.watching = watching
        if watching:
            for value in (self.low, self.high, self.factors.data):
                value.zero_()

    def ends(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The range as it is now, low <= 0 <= high."""
        factors = self.factors.exp()
        low, high = self.low * factors[0], self.high * factors[1]
        return low.clamp_min(-self.limit), high.clamp_max(self.limit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape; while watching, the range grows to what passes and nothing is quantised."""
        if self.watching:
            self.low.copy_(torch.minimum(self.low, x.detach().amin()))
            self.high.copy_(torch.maximum(self.high, x.detach().amax()))
            return x
        return asymmetric(x, *self.ends())


class WeightQuantizer(nn.Module):
    """Learned steps of a weight, one for each output channel, or for each channel and phase of a transposed one.

    A step never exceeds the channel's largest weight / 127: then some weight always sits on +-127, and a converter
    that takes its scales from the largest absolute weight finds exactly this grid again.
    """

    step: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("step", largest(weight) / LEVELS)
        self.factor = nn.Parameter(torch.zeros(len(weight)))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """(channels, weights) -> the same on the int8 grid."""
        step = torch.minimum(self.step * self.factor.exp(), largest(weight) / LEVELS)
        step = step.clamp_min(TINY)[:, None]
        return round_through((weight / step).clamp(-LEVELS, LEVELS)) * step


def largest(weight: torch.Tensor) -> torch.Tensor:
    """The largest absolute weight of every channel (channels,)."""
    return weight.detach().abs().amax(1)


def symmetric(weight: torch.Tensor) -> torch.Tensor:
    """(channels, weights) on the grid of each channel's largest weight / 127, as converters do it."""
    step = (largest(weight) / LEVELS).clamp_min(TINY)[:, None]
    return round_through((weight / step).clamp(-LEVELS, LEVELS)) * step


def paper_weight(weight: torch.Tensor) -> torch.Tensor:
    """GAN Slimming's weights: symmetric with one step for the whole tensor (GS-8 as released)."""
    step = (weight.detach().abs().max() / LEVELS).clamp_min(TINY)
    return round_through(weight / step) * step


def paper_activation(x: torch.Tensor) -> torch.Tensor:
    """GAN Slimming's activations: clipped to [0, 4] in 256 steps, so that what is negative is lost (as released;
    its 257 levels fit no 8-bit type)."""
    step = PAPER_CLIP / PAPER_LEVELS
    return round_through(x.clamp(0.0, PAPER_CLIP) / step) * step
