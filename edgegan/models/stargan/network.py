"""The StarGAN generator (Choi et al., CVPR 2018): a ResNet padded with zeros, fed with a picture and a plane for each
attribute of the face that it should make. The attributes are kept with the generator, so that it takes pictures."""

from __future__ import annotations

from typing import Final

import torch
from pydantic import Field
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Finite, Layers, Width
from edgegan.models.blocks import FamilyNorm, ResidualBlock, global_branch, make_norm, scaled_widths
from edgegan.models.residual_blocks import INNER, tap_names
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm

MOST_ATTRIBUTES: Final = 256


class StarganSpec(Spec):
    """Every width. Heights and widths of images must be multiples of 4 and at least 16."""

    WIDTHS = (
        WidthField("stem", "stem"),
        WidthField("down1", "down"),
        WidthField("down2", "trunk"),
        INNER,
        WidthField(r"up(\d)", "up", -1),
    )
    STRIDE = 4
    MIN_SIZE = 16

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    label: tuple[Finite, ...] = Field(
        (1.0, 0.0, 0.0, 1.0, 1.0),
        max_length=MOST_ATTRIBUTES,
        description="the attributes of what is made, a plane of the input each; () for none",
    )
    stem: int = Field(
        64, ge=1, le=MOST_WIDTH, description="channels after the first 7x7 convolution"
    )
    down: int = Field(128, ge=1, le=MOST_WIDTH, description="channels after the first halving")
    trunk: int = Field(256, ge=1, le=MOST_WIDTH, description="channels of the residual trunk")
    inner: Layers = Field((256,) * 6, description="inner channels of each residual block")
    up: tuple[Width, Width] = Field((128, 64), description="channels after each doubling")
    block: Block = Field("dense", description="residual convolutions: dense or separable")
    norm: FamilyNorm = "instance_affine"

    def build(self) -> StarganGenerator:
        """A generator of these widths with fresh weights."""
        return StarganGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> StarganSpec:
        """A uniformly narrower generator of the same depth. It makes one look only, so one plane of ones says where the
        picture ends."""
        widths = scaled_widths(self, scale, round_to)
        return self.model_copy(update={**widths, "block": block, "norm": norm, "label": (1.0,)})


class StarganGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) in [-1, 1]; H and W multiples of 4."""

    def __init__(self, spec: StarganSpec) -> None:
        super().__init__()
        norm = spec.norm
        self.label = spec.label
        self.stem = nn.Conv2d(spec.in_channels + len(spec.label), spec.stem, 7, padding=3)
        self.stem_norm = make_norm(norm, spec.stem)
        self.down1 = nn.Conv2d(spec.stem, spec.down, 4, stride=2, padding=1)
        self.down1_norm = make_norm(norm, spec.down)
        self.down2 = nn.Conv2d(spec.down, spec.trunk, 4, stride=2, padding=1)
        self.down2_norm = make_norm(norm, spec.trunk)
        self.down2_relu, self.relu, self.tanh = nn.ReLU(), nn.ReLU(), nn.Tanh()
        self.global_branch = global_branch(norm, spec.in_channels, spec.trunk)
        self.blocks = nn.ModuleList(
            ResidualBlock(spec.trunk, inner, spec.block, norm).set_padding("zero")
            for inner in spec.inner
        )
        self.up1 = nn.ConvTranspose2d(spec.trunk, spec.up[0], 4, stride=2, padding=1)
        self.up1_norm = make_norm(norm, spec.up[0])
        self.up2 = nn.ConvTranspose2d(*spec.up, 4, stride=2, padding=1)
        self.up2_norm = make_norm(norm, spec.up[1])
        self.head = nn.Conv2d(spec.up[1], spec.out_channels, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        image = x
        if self.label:
            one = torch.zeros_like(x.mean(1, keepdim=True)) + 1
            x = torch.cat([x, *(one * value for value in self.label)], dim=1)
        x = self.relu(self.stem_norm(self.stem(x)))
        x = self.relu(self.down1_norm(self.down1(x)))
        x = self.down2_relu(self.down2_norm(self.down2(x)))
        if self.global_branch is not None:
            x = self.global_branch(image, x)
        for block in self.blocks:
            x = block(x)
        x = self.relu(self.up1_norm(self.up1(x)))
        x = self.relu(self.up2_norm(self.up2(x)))
        return self.tanh(self.head(x))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled."""
        return tap_names(len(self.blocks))
