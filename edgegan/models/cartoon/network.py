"""The CartoonGAN generator (Chen, Lai, Liu, CVPR 2018), dense or separable."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers
from edgegan.models.blocks import ResidualBlock, global_branch, make_norm, scale_width
from edgegan.models.residual_blocks import INNER, tap_names
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm


class CartoonSpec(Spec):
    """Every width. The published net puts two convolutions with nothing between them in each scaling stage;
    a stage written with one width has the first of them only. Image sides must be multiples of 4, at least 16."""

    WIDTHS = (
        WidthField("stem", "stem"),
        INNER,
        WidthField(r"down1\.(\d)", "down1", 0),
        WidthField(r"down2\.(\d)", "down2", 0),
        WidthField(r"up1\.(\d)", "up1", 0),
        WidthField(r"up2\.(\d)", "up2", 0),
    )
    STRIDE = 4
    MIN_SIZE = 16

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    stem: int = Field(
        64, ge=1, le=MOST_WIDTH, description="channels after the first 7x7 convolution"
    )
    down1: Layers = Field(
        (128, 128), min_length=1, max_length=2, description="widths of the first halving"
    )
    down2: Layers = Field(
        (256, 256),
        min_length=1,
        max_length=2,
        description="widths of the second halving; the last is the trunk",
    )
    inner: Layers = Field((256,) * 8, description="inner channels of each residual block")
    up1: Layers = Field(
        (128, 128), min_length=1, max_length=2, description="widths of the first doubling"
    )
    up2: Layers = Field(
        (64, 64), min_length=1, max_length=2, description="widths of the second doubling"
    )
    block: Block = Field("dense", description="residual convolutions: dense or separable")
    norm: Norm = "instance_affine"
    norm_eps: float = Field(1e-9, gt=0, description="added to the variance in every norm")

    def build(self) -> CartoonGenerator:
        """A generator of these widths with fresh weights."""
        return CartoonGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> CartoonSpec:
        """A uniformly narrower student: every width times `scale`, one convolution a scaling stage (two in a row with
        nothing between are one linear map), the usual epsilon."""

        def last(widths: tuple[int, ...]) -> tuple[int, ...]:
            return (scale_width(widths[-1], scale, round_to),)

        return self.model_copy(
            update={
                "stem": scale_width(self.stem, scale, round_to),
                "down1": last(self.down1),
                "down2": last(self.down2),
                "inner": tuple(scale_width(width, scale, round_to) for width in self.inner),
                "up1": last(self.up1),
                "up2": last(self.up2),
                "block": block,
                "norm": norm,
                "norm_eps": 1e-5,
            }
        )


class CartoonGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) in [-1, 1]; H and W multiples of 4."""

    def __init__(self, spec: CartoonSpec) -> None:
        super().__init__()
        norm, eps, trunk = spec.norm, spec.norm_eps, spec.down2[-1]
        self.stem_pad = nn.ReflectionPad2d(3)
        self.stem = nn.Conv2d(spec.in_channels, spec.stem, 7)
        self.stem_norm = make_norm(norm, spec.stem, eps)
        self.down1 = linear_stage(
            nn.Conv2d(spec.stem, spec.down1[0], 3, stride=2, padding=1), spec.down1
        )
        self.down1_norm = make_norm(norm, spec.down1[-1], eps)
        self.down2 = linear_stage(
            nn.Conv2d(spec.down1[-1], spec.down2[0], 3, stride=2, padding=1), spec.down2
        )
        self.down2_norm = make_norm(norm, trunk, eps)
        self.down2_relu = nn.ReLU()
        self.global_branch = global_branch(norm, spec.in_channels, trunk)
        self.blocks = nn.ModuleList(
            ResidualBlock(trunk, inner, spec.block, norm, eps) for inner in spec.inner
        )
        self.up1 = linear_stage(doubling(trunk, spec.up1[0]), spec.up1)
        self.up1_norm = make_norm(norm, spec.up1[-1], eps)
        self.up2 = linear_stage(doubling(spec.up1[-1], spec.up2[0]), spec.up2)
        self.up2_norm = make_norm(norm, spec.up2[-1], eps)
        self.head_pad = nn.ReflectionPad2d(3)
        self.head = nn.Conv2d(spec.up2[-1], spec.out_channels, 7)
        self.relu = nn.ReLU()
        self.tanh = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        image = x
        x = self.relu(self.stem_norm(self.stem(self.stem_pad(x))))
        x = self.relu(self.down1_norm(self.down1(x)))
        x = self.down2_relu(self.down2_norm(self.down2(x)))
        if self.global_branch is not None:
            x = self.global_branch(image, x)
        for block in self.blocks:
            x = block(x)
        x = self.relu(self.up1_norm(self.up1(x)))
        x = self.relu(self.up2_norm(self.up2(x)))
        return self.tanh(self.head(self.head_pad(x)))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled."""
        return tap_names(len(self.blocks))


def doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """The 3x3 transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)


def linear_stage(first: nn.Module, widths: tuple[int, ...]) -> nn.Sequential:
    """The scaling convolution and, when two widths are given, the zero-padded 3x3 that follows it directly."""
    layers = [first]
    if len(widths) == 2:
        layers.append(nn.Conv2d(widths[0], widths[1], 3, padding=1))
    return nn.Sequential(*layers)
