"""Layers shared by the generator families."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import torch
from torch import nn

from edgegan.errors import ConfigError
from edgegan.models.spec import Spec
from edgegan.recipe.student_section import Block

AnyNorm = Literal["instance", "instance_affine", "batch", "batch-global", "layer", "none"]
FamilyNorm = Literal["instance", "instance_affine", "batch", "batch-global", "none"]
Padding = Literal["reflect", "replicate", "zero"]
PADS = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d, "zero": nn.ZeroPad2d}
PROBE = 8
GLOBAL_WIDTH = 32


def make_norm(kind: AnyNorm, channels: int, eps: float = 1e-5) -> nn.Module:
    """The normalisation layer of a family: InstanceNorm without or with scale and shift, BatchNorm, or one norm over
    all channels and pixels with scale and shift a channel ("layer"); nothing for "none"."""
    if kind == "none":
        return nn.Identity()
    if kind in ("batch", "batch-global"):
        return nn.BatchNorm2d(channels, eps=eps)
    if kind == "layer":
        return nn.GroupNorm(1, channels, eps=eps)
    return nn.InstanceNorm2d(channels, eps=eps, affine=kind == "instance_affine")


class GlobalBranch(nn.Module):
    """What InstanceNorm sees and BatchNorm does not: the whole picture, as a scale and a shift of every trunk channel.

    An 8x8 convolution of stride 8 without norm (BatchNorm at batch 1 would take away what it should see), ReLU, the
    mean over the picture, two small dense layers written as 1x1 convolutions. All of it quantises statically.
    """

    def __init__(self, in_channels: int, trunk: int) -> None:
        super().__init__()
        self.probe = nn.Conv2d(in_channels, GLOBAL_WIDTH, PROBE, stride=PROBE)
        self.hidden = nn.Conv2d(GLOBAL_WIDTH, GLOBAL_WIDTH, 1)
        self.scale = nn.Conv2d(GLOBAL_WIDTH, trunk, 1)
        self.shift = nn.Conv2d(GLOBAL_WIDTH, trunk, 1)
        self.relu = nn.ReLU()

    def forward(self, image: torch.Tensor, trunk: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) and (N, trunk, h, w) -> (N, trunk, h, w)."""
        seen = self.relu(self.probe(image)).mean((2, 3), keepdim=True)
        seen = self.relu(self.hidden(seen))
        return trunk + trunk * self.scale(seen) + self.shift(seen)


def global_branch(norm: AnyNorm, in_channels: int, trunk: int) -> GlobalBranch | None:
    """The branch that "batch-global" adds to BatchNorm; None for other norms."""
    return GlobalBranch(in_channels, trunk) if norm == "batch-global" else None


class SeparableConv(nn.Module):
    """Depthwise 3x3, norm, pointwise 1x1, no activation between (GAN Compression, Li et al. 2020, section 3.2)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: AnyNorm,
        eps: float = 1e-5,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=padding, groups=in_channels)
        self.norm = make_norm(norm, in_channels, eps)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H + 2, W + 2) -> (N, out, H, W), or the same height and width with padding 1."""
        return self.pointwise(self.norm(self.depthwise(x)))


def block_conv(
    block: Block, in_channels: int, out_channels: int, norm: AnyNorm, eps: float
) -> nn.Module:
    """The unpadded 3x3 convolution of a residual block, dense or separable."""
    if block == "separable":
        return SeparableConv(in_channels, out_channels, norm, eps)
    return nn.Conv2d(in_channels, out_channels, 3)


class ResidualBlock(nn.Module):
    """x + norm(conv(pad(dropout(relu(norm(conv(pad(x)))))))) with reflection padding and no activation after the sum.

    `trunk` is the width outside, `inner` the width between the two convolutions; `separable_norm` stands between
    depthwise and pointwise where it is not `norm`.
    """

    def __init__(
        self,
        trunk: int,
        inner: int,
        block: Block,
        norm: AnyNorm,
        eps: float = 1e-5,
        dropout: float = 0.0,
        separable_norm: AnyNorm | None = None,
    ) -> None:
        super().__init__()
        inside = separable_norm or norm
        self.trunk, self.eps = trunk, eps
        self.pad1: nn.Module = nn.ReflectionPad2d(1)
        self.conv1 = block_conv(block, trunk, inner, inside, eps)
        self.norm1 = make_norm(norm, inner, eps)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.pad2: nn.Module = nn.ReflectionPad2d(1)
        self.conv2 = block_conv(block, inner, trunk, inside, eps)
        self.norm2 = make_norm(norm, trunk, eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, trunk, H, W) -> the same shape."""
        y = self.dropout(self.relu(self.norm1(self.conv1(self.pad1(x)))))
        return x + self.norm2(self.conv2(self.pad2(y)))

    def set_padding(self, padding: Padding) -> ResidualBlock:
        """The block itself, padded in this way."""
        self.pad1, self.pad2 = PADS[padding](1), PADS[padding](1)
        return self

    def set_outer_norm(self, norm: AnyNorm) -> ResidualBlock:
        """The block itself, with this norm of what it adds to the trunk."""
        self.norm2 = make_norm(norm, self.trunk, self.eps)
        return self


def scale_width(width: int, scale: float, round_to: int) -> int:
    """A width times `scale`, rounded to a multiple of `round_to` (at least one multiple), never above `width`."""
    return min(width, max(round_to, round(width * scale / round_to) * round_to))


def scaled_widths(spec: Spec, scale: float, round_to: int) -> dict[str, object]:
    """The fields of a spec that hold widths, every one times `scale` as `scale_width` does it."""
    return {
        name: tuple(scale_width(width, scale, round_to) for width in value)
        if isinstance(value, tuple)
        else scale_width(value, scale, round_to)
        for name, value in spec.width_values().items()
    }


def refuse_separable(family: str, block: Block) -> None:
    """Raises ConfigError: this family's student keeps its own convolutions."""
    if block == "separable":
        raise ConfigError(f"family {family} has no separable form; set student.block to dense")


def refuse_global(family: str, norm: AnyNorm) -> None:
    """Raises ConfigError: this family's student has no branch for the whole picture."""
    if norm == "batch-global":
        raise ConfigError(f"family {family} has no global branch; set student.norm to batch")


def parse_widths(config: str, lengths: Collection[int]) -> list[int]:
    """The integers of a GAN Compression width config such as 32_32_48_32_48_48_16_16; raises ConfigError."""
    parts = config.split("_")
    if len(parts) not in lengths or not all(part.isdecimal() and int(part) for part in parts):
        counts = " or ".join(map(str, sorted(lengths)))
        raise ConfigError(
            f"width config '{config}' is not {counts} positive integers joined by underscores, "
            "such as 32_32_48_32_48_48_16_16"
        )
    return [int(part) for part in parts]


def check_written(spec: Spec, again: Spec) -> None:
    """Raises ConfigError where the widths that a config means are not those of the spec it was made of."""
    if again.width_values() != spec.width_values():
        raise ConfigError("these widths cannot be written as eight numbers; write the spec")


def initialise(module: nn.Module) -> None:
    """He initialisation of convolutions (their norms make the scale immaterial), zero biases."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer in module.modules():
        if isinstance(layer, GlobalBranch):  # starts as no change
            nn.init.zeros_(layer.scale.weight)
            nn.init.zeros_(layer.shift.weight)
