"""The parts of model.json: an artefact's tensors, files and parity, and what lint and int8 found in it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgegan.contracts.bounds import check_shape
from edgegan.contracts.quantities import Finite, Name, Number, Sha256, Text

MOST_ENTRIES = 10_000


class InputPart(BaseModel):
    """One of several inputs of a generator: they go in as channels of one tensor, one input after the other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="what the user calls it")
    channels: int = Field(ge=1, le=4096, description="its channels")


class TensorInfo(BaseModel):
    """One tensor of an artefact as a device sees it. A dimension of -1 takes any of the artefact's sizes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    kind: Literal["image", "label_map", "noise"] = "image"
    shape: list[int] = Field(max_length=4)
    layout: Literal["NHWC", "NCHW", "NC"]
    dtype: Literal["float32", "uint8", "int32"] = "float32"
    colour: Name = Field(description="meaning of the channels: rgb, bgr, grey or other")
    range: tuple[Finite, Finite] | None = Field(
        None, description="values of black and white; null for label maps and noise"
    )
    resize: Literal["bilinear-half-pixel", "nearest"] = "bilinear-half-pixel"
    encoding: Literal["values", "index", "one-hot"] = Field(
        "values", description="of a label map: class numbers in one channel, or a channel a class"
    )
    classes: int | None = Field(
        None, ge=1, le=65_536, description="of a label map: number of classes"
    )
    instance_edge: bool = Field(
        False, description="of a label map: a last channel is 1 on instance borders"
    )
    parts: tuple[InputPart, ...] = Field(
        (), max_length=16, description="of several inputs: the channels of each, in this order"
    )

    @model_validator(mode="after")
    def is_what_it_says(self) -> TensorInfo:
        """A shape of its layout and its kind, pictures with a range of values, label maps with their classes."""
        rank = len(self.layout)
        if len(self.shape) != rank:
            raise ValueError(f"shape {self.shape} has not the {rank} dimensions of {self.layout}")
        check_shape(self.shape)
        if (self.kind == "noise") != (self.layout == "NC"):
            raise ValueError(f"a {self.kind} cannot have layout {self.layout}")
        if self.kind == "image" and (self.range is None or not self.range[0] < self.range[1]):
            raise ValueError("range: a picture needs the values of black and white, in this order")
        if self.kind == "label_map":
            if self.classes is None:
                raise ValueError("classes: a label map needs their number")
            one_hot = self.encoding == "one-hot"
            planes = (self.classes if one_hot else 1) + int(self.instance_edge)
            found = self.channels
            if self.encoding != "values" and found not in (-1, planes):
                raise ValueError(f"shape {self.shape} has {found} channels, not {planes}")
        return self

    @property
    def channels(self) -> int:
        """Channels of the tensor; of noise its length."""
        return self.shape[1] if self.layout == "NCHW" else self.shape[-1]

    def sides(self) -> tuple[int, int] | None:
        """Height and width; None for noise. -1 where any size goes in."""
        first = {"NHWC": 1, "NCHW": 2}.get(self.layout)
        return None if first is None else (self.shape[first], self.shape[first + 1])

    def shape_at(self, size: tuple[int, int]) -> list[int]:
        """The shape with another height and width; noise has none."""
        if self.layout == "NC":
            return self.shape
        batch, channels = self.shape[0], self.channels
        return [batch, *size, channels] if self.layout == "NHWC" else [batch, channels, *size]


class Parity(BaseModel):
    """The artefact against PyTorch on the same inputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: Number = Field(description="how many inputs were compared")
    max_abs: Finite = Field(
        description="largest absolute difference, range [-1, 1]; of bytes, beyond their rounding"
    )
    psnr_db: Finite = Field(description="PSNR of the conversion, range [-1, 1]; 200 when equal")
    gate: Text = Field(description="the limit it passed, for people")
    metric: Literal["max_abs", "psnr_db"] | None = Field(
        None, description="the figure that the limit is for"
    )
    limit: Finite | None = Field(
        None, description="the largest max_abs, in [-1, 1], or the smallest psnr_db that passes"
    )
    runtimes: dict[Name, Finite] = Field(
        default_factory=dict, description="PSNR in every installed runtime that loads it"
    )


class FileInfo(BaseModel):
    """One file of an artefact."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Sha256
    bytes: Number


class LintFinding(BaseModel):
    """One finding of the mobile lint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Name
    count: Number
    where: Text
    reason: Text
    cost: Text


class LayerGain(BaseModel):
    """What leaving one layer float gains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: Text
    operations: tuple[Text, ...] = Field((), max_length=MOST_ENTRIES)
    kind: Name
    macs: Finite
    psnr_db: Finite
    gain_db: Finite
