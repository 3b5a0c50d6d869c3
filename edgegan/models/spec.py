"""What every family answers of a generator: widths by channel group, inputs and outputs, how students narrow."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from edgegan.channels.groups import ChannelGraph
from edgegan.channels.space import Widths
from edgegan.errors import ConfigError
from edgegan.package import ImageIO, InputIO
from edgegan.recipe.student_section import Block, Norm

if TYPE_CHECKING:
    from typing_extensions import Self


class WidthField(NamedTuple):
    """The field of a spec that holds the widths of some channel groups.

    `groups` is a regular expression of their names. `first` says where in a tuple the number that it captures starts
    counting, without such a number the place itself; None for a field that is a plain number. `removable` means that a
    width of 0 leaves out the residual block around the group (`edgegan.models.residual_blocks`), and its entry
    of the tuple.
    """

    groups: str
    field: str
    first: int | None = None
    removable: bool = False


class Spec(BaseModel):
    """What every family answers of its generators. A subclass has its widths as fields, and `in_channels`,
    `out_channels` and `norm` as fields or properties."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    WIDTHS: ClassVar[tuple[WidthField, ...]] = ()
    STRIDE: ClassVar[int] = 1
    MIN_SIZE: ClassVar[int] = 1
    OWN_CODE: ClassVar[bool] = False  # made by code of the user, whose blocks and norms stay

    if TYPE_CHECKING:  # at run time pydantic would take a property here for one that a field hides

        @property
        def in_channels(self) -> int:
            """Channels of the input; 0 for noise."""

        @property
        def out_channels(self) -> int:
            """Channels of the image made."""

        @property
        def norm(self) -> str:
            """The norm of its layers."""

    @abstractmethod
    def build(self) -> nn.Module:
        """A generator of these widths with fresh weights."""

    @abstractmethod
    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> Self:
        """A uniformly narrower generator of the same depth: every width times `scale`, a multiple of `round_to`.

        Raises ConfigError for a block or norm that the family does not have.
        """

    @property
    def takes(self) -> InputIO:
        """What the generator is fed: an image, a label map or noise."""
        return image_io(self.in_channels)

    @property
    def gives(self) -> ImageIO:
        """What the generator makes."""
        return image_io(self.out_channels)

    @property
    def stride(self) -> int:
        """What heights and widths must be multiples of."""
        return self.STRIDE

    @property
    def min_size(self) -> int:
        """The smallest height and width."""
        return self.MIN_SIZE

    @property
    def size(self) -> tuple[int, int] | None:
        """The only height and width there are; None where the input decides."""
        return None

    @property
    def ratio(self) -> Fraction:
        """Sides of the output to those of the input: 4 for a super-resolution by four."""
        return Fraction(1)

    def fields_of(self, widths: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields that a student's widths, set by hand, stand for: their names are those of fields."""
        return widths

    @classmethod
    def config_place(cls, group: str) -> tuple[int, int]:
        """The number of a published width config (GAN Compression's "32_32_48_...") that a channel group goes by, from
        0, and what it is multiplied by; raises ConfigError where the family has none."""
        raise ConfigError(
            f"{cls.__name__} has no published width configs, so nothing ties group '{group}'"
        )

    def with_config(self, config: str) -> Self:
        """The same generator with the widths of a published config; raises ConfigError where the family has none."""
        raise ConfigError(
            f"{type(self).__name__} has no published width configs such as '{config}'"
        )

    def to_config(self) -> str:
        """The published config of its widths, the inverse of `with_config`; raises ConfigError where there is none."""
        raise ConfigError(f"{type(self).__name__} has no published width configs")

    @classmethod
    def place_of(cls, group: str) -> tuple[str, int | None]:
        """The field that holds the width of a channel group, and the place in it; raises ConfigError."""
        for groups, field, first, _ in cls.WIDTHS:
            match = re.fullmatch(groups, group)
            if match:
                return field, None if first is None else first + int((*match.groups(), 0)[0])
        raise ConfigError(f"{cls.__name__} has no width for channel group '{group}'")

    def width_values(self) -> dict[str, Any]:
        """The fields that hold widths."""
        values = self.model_dump()
        return {each.field: values[each.field] for each in self.WIDTHS}

    def plan(self, graph: ChannelGraph) -> Widths:
        """The plan that slices a graph of the same family to this spec's widths; raises ConfigError where shapes
        differ."""
        values, plan = self.model_dump(), {}
        for group in graph.free():
            field, index = self.place_of(group.name)
            value = values[field]
            try:
                plan[group.name] = value if index is None else value[index]
            except IndexError as error:
                raise ConfigError(f"the spec has no width for group '{group.name}'") from error
        return plan

    def narrowed(self, graph: ChannelGraph, plan: Mapping[str, int | torch.Tensor]) -> Self:
        """The spec of the sub-network that a plan makes of a generator of this spec.

        What `extract` makes then loads into what it builds. A residual block of inner width 0 is left out, which is
        right where the block is worth nothing (`renumber_blocks` gives the names then). Raises ConfigError where the
        spec has one number for groups that the plan gives different widths (SPADE's `hidden`), and for unknown groups.
        """
        for name in plan:
            self.place_of(name)
        values = self.model_dump()
        chosen: dict[tuple[str, int | None], int] = {}
        for group in graph.free():
            choice = plan.get(group.name, group.size)
            width = choice if isinstance(choice, int) else len(choice)
            place = field, index = self.place_of(group.name)
            if chosen.setdefault(place, width) != width:
                raise ConfigError(
                    f"group '{group.name}' has {width} channels, but {type(self).__name__}.{field} holds one number "
                    f"for it and a group of {chosen[place]}; give them one width"
                )
            row = list(values[field]) if index is not None else []
            values[field] = width if index is None else (*row[:index], width, *row[index + 1 :])
        for each in self.WIDTHS:
            if each.removable:
                values[each.field] = tuple(width for width in values[each.field] if width)
        return type(self).model_validate(values)


def image_io(channels: int) -> ImageIO:
    """The usual meaning of this many channels."""
    return ImageIO(
        channels=channels, colour="rgb" if channels == 3 else "grey" if channels == 1 else "other"
    )
