"""What the numbers of a generator of one's own mean: range, mean and deviation, order of colours, a last activation
outside of it. Inside edgegan pictures are RGB in [-1, 1], so the generator is put between two affine maps, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import fx, nn

from edgegan.channels.calls import MOVES, RESHAPES, name_of
from edgegan.contracts.quantities import MOST_WIDTH, Finite, Name
from edgegan.errors import ConfigError, first_problem

Range = tuple[Finite, Finite]
USUAL: Range = (-1.0, 1.0)
COLOURS = 3
SHOWN = 8
NONE = torch.zeros(1, dtype=torch.float64)
PASSING = {"getitem", "contiguous", "clone", "float", "to", *RESHAPES, *MOVES}
ACTIVATIONS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "clamp": nn.Hardtanh, "none": nn.Identity}


class Given(BaseModel):
    """One of several inputs of a generator, in the order of its forward."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    channels: int = Field(ge=1, le=MOST_WIDTH)
    range: Range | None = Field(None, description="black and white of it; null: as of the others")


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

    inputs: tuple[Given, ...] = Field(
        (),
        max_length=16,
        description="its inputs where it has several; mean and std are the first's",
    )
    result: Annotated[int, Field(ge=0, le=1000)] | Name | None = Field(
        None, description="which of several outputs is the picture: place from 0, or key"
    )

    @model_validator(mode="after")
    def check(self) -> Ends:
        """Ranges go up, deviations are positive, there are as many as means, and several inputs have several names."""
        if len(self.inputs) == 1 or len({each.name for each in self.inputs}) < len(self.inputs):
            raise ValueError("give each of several inputs a name of its own; one input needs none")
        for low, high in (self.takes, self.gives, *(each.range or USUAL for each in self.inputs)):
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

    @property
    def say_numbers(self) -> bool:
        """Whether the user said what its numbers mean, and not only what goes in and out."""
        return bool(self.model_fields_set - {"inputs", "result"})

    def constants(self, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift (1, C or 1, 1, 1) of [-1, 1] to what it takes; raises ConfigError for a number of means that
        is not that of the channels."""
        first = self.inputs[0].channels if self.inputs else channels
        if self.mean is not None and len(self.mean) != first:
            raise ConfigError(
                f"--mean has {len(self.mean)} numbers, and the generator takes {first} channels"
            )
        mean = torch.tensor(self.mean or (0.0,), dtype=torch.float64)
        std = torch.tensor(self.std or (1.0,), dtype=torch.float64)
        rows = []
        for place, each in enumerate(self.inputs or (Given(name="input", channels=1),)):
            low, high = each.range or self.takes
            less, by = (mean, std) if place == 0 else (NONE, NONE + 1)
            scale, shift = (high - low) / 2 / by, ((high + low) / 2 - less) / by
            if self.inputs:
                scale, shift = scale.expand(each.channels), shift.expand(each.channels)
            if self.inputs and self.colour == "bgr" and each.channels == COLOURS:
                scale, shift = scale.flip(0), shift.flip(0)
            rows.append((scale, shift))
        scale, shift = (
            torch.cat(each).float().reshape(1, -1, 1, 1) for each in zip(*rows, strict=True)
        )
        return scale, shift


class Between(nn.Module):
    """A generator between its affine maps; it has one input and one output, whatever the generator has."""

    def __init__(self, net: nn.Module, ends: Ends, channels: int) -> None:
        super().__init__()
        self.net, self.activation = net, ACTIVATIONS[ends.activation]()
        self.swaps, self.result = ends.colour == "bgr", ends.result
        self.parts = [each.channels for each in ends.inputs]
        if self.parts and sum(self.parts) != channels:
            raise ConfigError(
                f"the inputs have {' + '.join(map(str, self.parts))} channels, and --input-shape says {channels}"
            )
        self.scale: torch.Tensor
        self.shift: torch.Tensor
        scale, shift = ends.constants(channels)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        bottom, top = ends.gives
        self.gain, self.offset = 2 / (top - bottom), -(top + bottom) / (top - bottom)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """RGB in [-1, 1] (N, C, H, W), of several inputs one after the other -> RGB in [-1, 1]."""
        y = self.activation(chosen(self.net(*self.enter(x)), self.result))
        y = torch.flip(y, (1,)) if self.swaps else y
        return y * self.gain + self.offset  # type: ignore[no-any-return]

    def enter(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the generator itself takes."""
        if not self.parts:
            return ((torch.flip(x, (1,)) if self.swaps else x) * self.scale + self.shift,)
        given = torch.split(x * self.scale + self.shift, self.parts, 1)
        return tuple(
            torch.flip(each, (1,)) if self.swaps and channels == COLOURS else each
            for each, channels in zip(given, self.parts, strict=True)
        )


def chosen(made: Any, result: int | str | None) -> Any:
    """The output that is meant of a tuple, a list, a mapping or an object with names; raises ConfigError."""
    if result is None and isinstance(made, Mapping | tuple | list):
        raise ConfigError(
            f"your generator makes {outputs_of(made)}: say which is the picture with --result PLACE or KEY"
        )
    if result is None:
        return made
    if isinstance(result, str) and not isinstance(made, Mapping) and hasattr(made, result):
        return getattr(made, result)
    try:
        if isinstance(made, Mapping):
            return made[result]
        return (made if isinstance(made, tuple | list) else ())[result]  # type: ignore[index]
    except (KeyError, IndexError, TypeError) as error:
        raise ConfigError(
            f"--result {result}: the generator makes {outputs_of(made)}; choose one of these"
        ) from error


def outputs_of(made: Any) -> str:
    """What a generator made, for people: shapes by place or key."""
    if isinstance(made, torch.Tensor):
        return f"one tensor {tuple(made.shape)}, of which none is to be chosen"
    if not isinstance(made, Mapping | tuple | list):
        return f"a {type(made).__name__}"
    pairs = made.items() if isinstance(made, Mapping) else enumerate(made)
    shapes = [
        f"{name}: {tuple(each.shape) if isinstance(each, torch.Tensor) else type(each).__name__}"
        for name, each in pairs
    ]
    more = f" and {len(shapes) - SHOWN} more" if len(shapes) > SHOWN else ""
    return f"{len(shapes)} outputs ({'; '.join(shapes[:SHOWN])}{more})"


def parse_inputs(texts: Sequence[str]) -> tuple[Given, ...]:
    """'image:3' and 'mask:1:0,1' to inputs; raises ConfigError."""
    found = []
    for text in texts:
        name, _, rest = text.partition(":")
        channels, _, numbers = rest.partition(":")
        pair = parse_numbers("--input", numbers) if numbers else None
        if not name or not channels.isdigit() or (pair is not None and len(pair) != 2):
            raise ConfigError(
                f"--input {text}: write NAME:CHANNELS such as image:3, or NAME:CHANNELS:BLACK,WHITE such as mask:1:0,1"
            )
        try:
            found.append(
                Given(
                    name=name,
                    channels=int(channels),
                    range=None if pair is None else (pair[0], pair[1]),
                )
            )
        except ValidationError as error:
            raise ConfigError(f"--input {text}: {first_problem(error)}") from error
    return tuple(found)


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
