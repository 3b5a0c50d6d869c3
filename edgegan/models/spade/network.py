"""The SPADE generator of GauGAN (Park et al., CVPR 2019, section 3 and appendix A), full and with separable modulation
(GAN Compression, Li et al. 2020). Written from the papers."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers, Width
from edgegan.models.blocks import (
    SeparableConv,
    check_written,
    parse_widths,
    refuse_global,
    scaled_widths,
)
from edgegan.models.spec import Spec, WidthField
from edgegan.package import LabelMapIO
from edgegan.recipe.student_section import Block, Norm

SeparableNorm = Literal["instance", "batch", "none"]
BLOCK_NAMES = ("head", "middle0", "middle1", "up0", "up1", "up2", "up3")
PUBLISHED = (16, 16, 16, 8, 4, 2, 1)  # output widths of the blocks in units of ngf


class SpadeSpec(Spec):
    """Every width. `inner` and `hidden` hold one width for each of the seven blocks: head, two middle ones, four up."""

    WIDTHS = (
        WidthField("stem", "trunk"),
        WidthField(r"head\.conv1", "inner", 0),
        WidthField(r"middle(\d)\.conv1", "inner", 1),
        WidthField(r"up(\d)\.conv1", "inner", 3),
        WidthField(r"up(\d)\.conv2", "up", 0),
        WidthField(r"head\.\w+\.shared", "hidden", 0),
        WidthField(r"middle(\d)\.\w+\.shared", "hidden", 1),
        WidthField(r"up(\d)\.\w+\.shared", "hidden", 3),
    )

    classes: int = Field(35, ge=1, le=MOST_WIDTH, description="label classes, one channel each")
    instance_edge: bool = Field(True, description="one more channel, 1 on instance borders")
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    trunk: int = Field(
        1024, ge=1, le=MOST_WIDTH, description="channels of the head and the middle blocks"
    )
    up: tuple[Width, Width, Width, Width] = Field(
        (512, 256, 128, 64), description="channels after each of the last four blocks"
    )
    inner: Layers = Field(
        (1024, 1024, 1024, 512, 256, 128, 64),
        min_length=7,
        max_length=7,
        description="channels between a block's convolutions",
    )
    hidden: Layers = Field(
        (128,) * 7,
        min_length=7,
        max_length=7,
        description="channels from which a block's scale and shift are computed",
    )
    upsampling: Literal["normal", "more"] = Field(
        "more", description="five doublings, or six with one more between the middle blocks"
    )
    block: Block = Field("dense", description="convolutions of scale and shift")
    norm: Norm = Field("batch", description="parameter-free norm: batch, or instance")
    separable_norm: SeparableNorm = Field(
        "instance", description="norm between depthwise and pointwise of separable convolutions"
    )

    @staticmethod
    def from_ngf(ngf: int, **other: object) -> SpadeSpec:
        """The published shape: 16, 8, 4, 2, 1 times ngf, and 2 ngf hidden channels."""
        widths = tuple(ngf * factor for factor in PUBLISHED)
        return SpadeSpec.model_validate(
            {
                "trunk": widths[0],
                "up": widths[3:],
                "inner": widths,
                "hidden": (2 * ngf,) * 7,
                **other,
            }
        )

    @staticmethod
    def from_config(config: str, **other: object) -> SpadeSpec:
        """A sub-network of GAN Compression's mobile SPADE: c0 sets the trunk, c1 to c7 the blocks.

        Raises ConfigError.
        """
        c = parse_widths(config, (8,))
        widths = tuple(factor * unit for factor, unit in zip(PUBLISHED, c[1:], strict=True))
        return SpadeSpec.model_validate(
            {
                "trunk": 16 * c[0],
                "up": widths[3:],
                "inner": widths,
                "hidden": tuple(2 * unit for unit in c[1:]),
                "block": "separable",
                **other,
            }
        )

    @property
    def in_channels(self) -> int:
        """Channels of the input: one for each class, one for the edges."""
        return self.classes + int(self.instance_edge)

    @property
    def takes(self) -> LabelMapIO:
        """A label map, with or without the edges of its instances."""
        return LabelMapIO(classes=self.classes, instance_edge=self.instance_edge)

    @property
    def stride(self) -> int:
        """What heights and widths must be multiples of."""
        return 64 if self.upsampling == "more" else 32

    @property
    def min_size(self) -> int:
        """The smallest height and width: an InstanceNorm needs more than one pixel."""
        modulated = self.block == "separable" and self.separable_norm == "instance"
        one_pixel = self.norm == "batch" and not modulated
        return self.stride if one_pixel else 2 * self.stride

    @classmethod
    def config_place(cls, group: str) -> tuple[int, int]:
        """One number for the trunk, one for every block with its hidden channels."""
        field, index = cls.place_of(group)
        if field == "trunk":
            return 0, 16
        block = (index or 0) + (3 if field == "up" else 0)
        return 1 + block, 2 if field == "hidden" else PUBLISHED[block]

    def with_config(self, config: str) -> SpadeSpec:
        """The same generator with the widths of `from_config`; raises ConfigError."""
        return self.model_copy(update=SpadeSpec.from_config(config).width_values())

    def to_config(self) -> str:
        """The eight numbers "c0_..._c7" (Li et al. 2020), the inverse of `from_config`.

        Raises ConfigError when the widths are not of that form.
        """
        numbers = [width // unit for width, unit in zip(self.inner, PUBLISHED, strict=True)]
        config = "_".join(map(str, [self.trunk // 16, *numbers]))
        check_written(self, SpadeSpec.from_config(config))
        return config

    def build(self) -> SpadeGenerator:
        """A generator of these widths with fresh weights."""
        return SpadeGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> SpadeSpec:
        """A uniformly narrower generator of the same depth. Scale and shift come from the labels, so an affine norm
        means a plain one."""
        refuse_global("spade", norm)
        return self.model_copy(
            update={
                **scaled_widths(self, scale, round_to),
                "block": block,
                "norm": "batch" if norm == "batch" else "instance",
            }
        )


class Spade(nn.Module):
    """norm(x) (1 + scale(labels)) + shift(labels), both of every pixel (equation 1, with scale as 1 + a residual)."""

    def __init__(self, channels: int, labels: int, hidden: int, spec: SpadeSpec) -> None:
        super().__init__()
        self.norm = (
            nn.BatchNorm2d(channels, affine=False)
            if spec.norm == "batch"
            else nn.InstanceNorm2d(channels)
        )
        self.shared = nn.Conv2d(labels, hidden, 3, padding=1)
        self.relu = nn.ReLU()
        self.scale = modulation(hidden, channels, spec)
        self.shift = modulation(hidden, channels, spec)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(N, channels, h, w) and (N, labels, h, w) -> (N, channels, h, w)."""
        hidden = self.relu(self.shared(labels))
        return self.norm(x) * (1 + self.scale(hidden)) + self.shift(hidden)


def modulation(hidden: int, channels: int, spec: SpadeSpec) -> nn.Module:
    """The 3x3 convolution to a scale or a shift, dense or separable."""
    if spec.block == "separable":
        return SeparableConv(hidden, channels, spec.separable_norm, padding=1)
    return nn.Conv2d(hidden, channels, 3, padding=1)


class SpadeBlock(nn.Module):
    """conv(leaky(spade(conv(leaky(spade(x)))))) + x, the latter through a spade and a 1x1 convolution if `learned`."""

    def __init__(
        self,
        channels: tuple[int, int, int],
        hidden: int,
        shrink: int,
        spec: SpadeSpec,
        *,
        learned: bool,
    ) -> None:
        super().__init__()
        before, inner, after = channels
        labels = spec.in_channels
        self.resize = (
            nn.Upsample(scale_factor=1 / shrink, mode="nearest") if shrink > 1 else nn.Identity()
        )
        self.spade1 = Spade(before, labels, hidden, spec)
        self.conv1 = nn.Conv2d(before, inner, 3, padding=1)
        self.spade2 = Spade(inner, labels, hidden, spec)
        self.conv2 = nn.Conv2d(inner, after, 3, padding=1)
        self.leaky = nn.LeakyReLU(0.2)
        self.learned = learned
        if learned:
            self.spade_shortcut = Spade(before, labels, hidden, spec)
            self.shortcut = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(N, before, h, w) and the labels at full size -> (N, after, h, w)."""
        labels = self.resize(labels)
        y = self.conv1(self.leaky(self.spade1(x, labels)))
        y = self.conv2(self.leaky(self.spade2(y, labels)))
        return y + (self.shortcut(self.spade_shortcut(x, labels)) if self.learned else x)


class SpadeGenerator(nn.Module):
    """(N, classes + edge, H, W), one-hot labels and a 0/1 edge channel -> (N, out, H, W) in [-1, 1].

    H and W multiples of `spec.stride`, at least `spec.min_size`."""

    def __init__(self, spec: SpadeSpec) -> None:
        super().__init__()
        more = spec.upsampling == "more"
        self.resize = nn.Upsample(scale_factor=1 / spec.stride, mode="nearest")
        self.stem = nn.Conv2d(spec.in_channels, spec.trunk, 3, padding=1)
        after = (spec.trunk,) * 3 + spec.up
        before = (spec.trunk, *after[:-1])
        shrinks = (64 if more else 32, 32 if more else 16, 16, 8, 4, 2, 1)

        def block(index: int) -> SpadeBlock:
            widths = (before[index], spec.inner[index], after[index])
            return SpadeBlock(widths, spec.hidden[index], shrinks[index], spec, learned=index >= 3)

        self.head = block(0)
        self.middle0 = block(1)
        self.middle1 = block(2)
        self.up0 = block(3)
        self.up1 = block(4)
        self.up2 = block(5)
        self.up3 = block(6)
        self.head_conv = nn.Conv2d(spec.up[-1], spec.out_channels, 3, padding=1)
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.leaky = nn.LeakyReLU(0.2)
        self.tanh = nn.Tanh()
        self.more = more

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = self.head(self.stem(self.resize(labels)), labels)
        x = self.middle0(self.enlarge(x), labels)
        x = self.middle1(self.enlarge(x) if self.more else x, labels)
        x = self.up0(self.enlarge(x), labels)
        x = self.up1(self.enlarge(x), labels)
        x = self.up2(self.enlarge(x), labels)
        x = self.up3(self.enlarge(x), labels)
        return self.tanh(self.head_conv(self.leaky(x)))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled (GAN Compression): head, second middle block, second block up."""
        return ["head", "middle1", "up1"]
