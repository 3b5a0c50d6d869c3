"""The outside of an artefact: layout, colour order, value range, number type, and their conversion in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from edgegan.artefact import TensorInfo
from edgegan.errors import ConfigError
from edgegan.package import ImageIO, InputIO, LabelMapIO, NoiseIO

Layout = Literal["NHWC", "NCHW"]
INDEX_LIMIT = 256


class Signature(BaseModel):
    """What the user wants outside; inside it is always RGB in [-1, 1], one-hot labels, NCHW."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layout: Layout | None = Field(None, description="null: the target's own")
    colour: Literal["rgb", "bgr"] = "rgb"
    range: tuple[float, float] = (-1.0, 1.0)
    io: Literal["float32", "uint8"] = "float32"
    labels: Literal["index", "one-hot"] = "index"

    def resolved(self, layout: Layout) -> Signature:
        """With the target's layout and the range uint8 means; raises ConfigError when two options disagree."""
        low, high = self.range
        if not high > low:
            raise ConfigError(f"--range {low:g},{high:g}: the first number must be the smaller one")
        if self.io == "uint8" and self.range not in ((-1.0, 1.0), (0.0, 255.0)):
            raise ConfigError("--io uint8 holds 0 to 255; leave --range out")
        return self.model_copy(
            update={
                "layout": self.layout or layout,
                "range": (0.0, 255.0) if self.io == "uint8" else self.range,
            }
        )

    def input_info(self, kind: InputIO, size: tuple[int, int]) -> TensorInfo:
        """The artefact's input tensor; a side of -1 is free."""
        if isinstance(kind, NoiseIO):
            return TensorInfo(
                name="input", kind="noise", shape=[1, kind.dimension], layout="NC", colour="other"
            )
        if isinstance(kind, LabelMapIO):
            index = self.labels == "index"
            channels = 1 + int(kind.instance_edge) if index else kind.channels
            return TensorInfo(
                name="input",
                kind="label_map",
                shape=self.shape(channels, size),
                layout=self.layout or "NCHW",
                dtype=index_type(kind) if index else "float32",
                colour="other",
                resize="nearest",
                encoding=self.labels,
                classes=kind.classes,
                instance_edge=kind.instance_edge,
            )
        return self.image_info("input", kind, size)

    def image_info(self, name: str, kind: ImageIO, size: tuple[int, int]) -> TensorInfo:
        """A picture as the artefact's input or output."""
        return TensorInfo(
            name=name,
            shape=self.shape(kind.channels, size),
            layout=self.layout or "NCHW",
            dtype=self.io,
            colour=self.colour if kind.colour == "rgb" else kind.colour,
            range=self.range,
            parts=kind.parts,
        )

    def shape(self, channels: int, size: tuple[int, int]) -> list[int]:
        """Of one item in this layout."""
        return [1, *size, channels] if self.layout == "NHWC" else [1, channels, *size]


@dataclass(frozen=True)
class Example:
    """An input a converter traces with, in the artefact's own form, and the height and width it stands for."""

    tensor: torch.Tensor
    size: tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """The heights and widths one graph takes: those of its example, or any multiples of `multiple`."""

    dynamic: bool = False
    multiple: int = 1


def index_type(kind: LabelMapIO) -> Literal["uint8", "int32"]:
    """The smallest number type that holds every class."""
    return "uint8" if kind.classes <= INDEX_LIMIT else "int32"


class Boundary(nn.Module):
    """The artefact's graph: its input tensor -> {"output": its output tensor}, conversions inside."""

    def __init__(self, module: nn.Module, takes: TensorInfo, gives: TensorInfo) -> None:
        super().__init__()
        self.module, self.takes, self.gives = module, takes, gives
        self.classes: torch.Tensor
        classes = torch.arange(takes.classes or 0, dtype=torch.float32)
        self.register_buffer("classes", classes.reshape(1, 1, 1, -1), persistent=False)

    def forward(self, input: torch.Tensor) -> dict[str, torch.Tensor]:
        """See `TensorInfo`."""
        return {"output": self.leave(self.module(self.enter(input)))}

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """The input tensor -> edgegan's own form."""
        info = self.takes
        if info.kind == "noise":
            return x
        if x.dtype != torch.float32:
            x = x.to(torch.float32)
        if info.encoding == "index":
            return self.one_hot(x)
        if info.layout == "NHWC":
            x = x.permute(0, 3, 1, 2)
        if info.range is not None and info.range != (-1.0, 1.0):
            low, high = info.range
            x = x * (2 / (high - low)) - (high + low) / (high - low)
        return swap_colours(x) if info.colour == "bgr" else x

    def one_hot(self, x: torch.Tensor) -> torch.Tensor:
        """Class numbers (and edges) -> channels, as relu(1 - |number - class|): unlike a comparison, float operations
        that mobile runtimes vectorise."""
        y = x if self.takes.layout == "NHWC" else x.permute(0, 2, 3, 1)
        channels = torch.relu(1 - (y[..., :1] - self.classes).abs())
        if self.takes.instance_edge:
            channels = torch.cat([channels, y[..., 1:]], 3)
        return channels.permute(0, 3, 1, 2)

    def leave(self, y: torch.Tensor) -> torch.Tensor:
        """edgegan's own form -> the output tensor."""
        info = self.gives
        if info.colour == "bgr":
            y = swap_colours(y)
        assert info.range is not None
        low, high = info.range
        rounding = 0.5 if info.dtype == "uint8" else 0.0
        if info.layout == "NHWC":
            y = y.permute(0, 2, 3, 1)
        if info.range != (-1.0, 1.0):
            y = y * ((high - low) / 2) + ((high + low) / 2 + rounding)
        if info.dtype == "uint8":
            y = torch.clamp(y, low, high + rounding).to(torch.uint8)
        return y


def swap_colours(x: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) with its channels in the opposite order."""
    return torch.cat([x[:, 2:3], x[:, 1:2], x[:, 0:1]], 1)
