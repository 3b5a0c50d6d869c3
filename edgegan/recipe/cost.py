"""What a kind of cost is: how it is limited on the command line and in a recipe, shown to people, and found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Widths = Mapping[str, int]
CostFunction = Callable[[Widths], float]


class Layers(Protocol):
    """A generator's layers at one image size, to count at any widths.

    Each function takes widths by channel group; a group that is not given has its full width, a branch of width 0 is
    not there.
    """

    @property
    def macs(self) -> CostFunction:
        """True MACs of one image."""

    @property
    def parameters(self) -> CostFunction:
        """Trained numbers."""

    @property
    def bytes(self) -> CostFunction:
        """Size of the int8 .tflite."""

    def summed(self, of_layer: Callable[[Any, int, int], float], fixed: float) -> CostFunction:
        """`fixed`, and the sum over layers of `of_layer(layer, outputs, inputs)`, linear in either number of channels.

        `layer.cost` is its row of `measure` with all channels, `layer.layer` the module.
        """


@dataclass(frozen=True)
class Place:
    """Where a cost is measured: one more field of the budget."""

    field: str
    default: str
    description: str
    emulated: bool = False  # an emulated core, which counts instructions, instead of a device


@dataclass(frozen=True)
class Cost:
    """One kind of cost of one image: counted from widths alone by `count`, or measured at a `place`."""

    description: str
    example: str  # of a budget on the command line
    unit: str  # in tables and plots
    scale: float  # one such unit, in what the budget is given in
    count: Callable[[Layers], CostFunction] | None = None
    place: Place | None = None

    @property
    def help(self) -> str:
        """The text of its option."""
        form = "" if self.place is None else f"{self.place.field.upper()}:NUMBER, "
        return f"{form}{self.description}, such as {self.example}"
