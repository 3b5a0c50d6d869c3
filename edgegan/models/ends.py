"""What the numbers of a generator of one's own mean: range, mean and deviation, order of colours, a last activation
outside of it. Inside edgegan pictures are RGB in [-1, 1], so the generator is put between two affine maps, exactly."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import fx, nn

from edgegan.channels.calls import MOVES, RESHAPES, name_of
from edgegan.contracts.quantities import Finite
from edgegan.errors import ConfigError

Range = tuple[Finite, Finite]
USUAL: Range = (-1.0, 1.0)
PASSING = {"getitem", "contiguous", "clone", "float", "to", *RESHAPES, *MOVES}
ACTIVATIONS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "clamp": nn.Hardtanh, "none": nn.Identity}


class Ends(BaseModel):
    """How pictures go into a generator and come out of it, by what its own numbers mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    takes: Range = Field(USUAL, description="black and white of its input")
    gives: Range = Field(USUAL, description="black and white of its output")
    mean: tuple[Finite, ...] | None = Field(
        None,
        max_length=4,
        description="taken from each channel of the input, in the range it takes",
    )
    std: tuple[Finite, ...] | None = Field(
        None, max_length=4, description="each channel of the input is divided by it after that"
    )
    colour: Literal["rgb", "bgr"] = Field("rgb", description="its order of colours, in and out")
    activation: Literal["tanh", "sigmoid", "clamp", "none"] = Field(
        "none", description="after its last layer, where its code has none; clamp is to [-1, 1]"
    )

    @model_validator(mode="after")
    def check(self) -> Ends:
        """Ranges go up, deviations are positive, and there are as many as means."""
        for low, high in (self.takes, self.gives):
            if not high > low:
                raise ValueError(
                    f"range {low:g},{high:g}: the first number must be the smaller one"
                )
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise ValueError("mean and std must have one number a channel, both")
        if any(not each > 0 for each in self.std or ()):
            raise ValueError("every number of std must be larger than 0")
        return self

    def around(self, net: nn.Module, channels: int) -> nn.Module:
        """A generator of RGB in [-1, 1] (N, C, H, W) made of one of these numbers; itself where they are the same."""
        if self == Ends():
            return net
        return Between(net, self, channels)


class Between(nn.Module):
    """A generator between its affine maps."""

    def __init__(self, net: nn.Module, ends: Ends, channels: int) -> None:
        super().__init__()
        if ends.mean is not None and len(ends.mean) != channels:
            raise ConfigError(
                f"--mean has {len(ends.mean)} numbers, and the generator takes {channels} channels"
            )
        mean = torch.tensor(ends.mean or (0.0,), dtype=torch.float64)
        std = torch.tensor(ends.std or (1.0,), dtype=torch.float64)
        (low, high), (bottom, top) = ends.takes, ends.gives
        self.net, self.activation = net, ACTIVATIONS[ends.activation]()
        self.swaps = ends.colour == "bgr"
        scale, shift = (high - low) / 2 / std, ((high + low) / 2 - mean) / std
        self.scale: torch.Tensor
        self.shift: torch.Tensor
        self.register_buffer("scale", scale.float().reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.float().reshape(1, -1, 1, 1), persistent=False)
        self.gain, self.offset = 2 / (top - bottom), -(top + bottom) / (top - bottom)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """RGB in [-1, 1] (N, C, H, W) -> RGB in [-1, 1]."""
        x = (torch.flip(x, (1,)) if self.swaps else x) * self.scale + self.shift
        y = self.activation(self.net(x))
        y = torch.flip(y, (1,)) if self.swaps else y
        return y * self.gain + self.offset  # type: ignore[no-any-return]


def ends_in(program: fx.GraphModule) -> str | None:
    """The last operation of a generator that changes values: "tanh" and "sigmoid" say what its numbers mean."""
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    nodes = output.all_input_nodes
    while nodes:
        node = nodes[0]
        if node.op == "call_module":
            kind = type(program.get_submodule(str(node.target)))
            if kind is not nn.Identity:
                return kind.__name__.lower()
        elif node.op not in ("call_function", "call_method"):
            return None
        elif name_of(node) not in PASSING:
            return name_of(node).rstrip("_")
        nodes = node.all_input_nodes
    return None


def parse_ranges(text: str | None) -> dict[str, Range]:
    """'0,1' or '-1,1/0,1' to what goes in and what comes out; nothing for None. Raises ConfigError."""
    if text is None:
        return {}
    pairs = [parse_numbers("--range", part) for part in text.split("/")]
    if len(pairs) > 2 or any(len(pair) != 2 for pair in pairs):
        raise ConfigError(
            f"--range {text}: write LOW,HIGH such as 0,1, or IN/OUT such as -1,1/0,1 where they differ"
        )
    takes, gives = pairs[0], pairs[-1]
    return {"takes": (takes[0], takes[1]), "gives": (gives[0], gives[1])}


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    """'0.5,0.5,0.5' to numbers; raises ConfigError."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} {text}: write numbers with commas, such as 0,1") from error
