"""The user's own generator: any nn.Module made by a factory `package.module:factory`, sliced through its channel graph.

A package of this family names its factory. Importing a name that a file states would let a file run code, so it is
imported only when the user gave the same name in this session (`--generator`). The environment variable
EDGEGAN_GENERATOR holds it, since converters load the package in child processes; nothing else reads or sets it.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.slicing import extract
from edgegan.channels.space import Widths
from edgegan.contracts.artefact_parts import InputPart
from edgegan.contracts.quantities import MOST_WIDTH, Name, Side, Width
from edgegan.errors import ConfigError
from edgegan.models.blocks import scale_width
from edgegan.models.ends import Ends, ends_in, outputs_of
from edgegan.models.spec import Spec, image_io
from edgegan.package import ImageIO, InputIO
from edgegan.recipe.student_section import Block, Norm

CUSTOM = "custom"
ALLOWED = "EDGEGAN_GENERATOR"
MOST_DIFFERENCE = 1e-4  # between a generator and its trace, relative to the largest value
PICTURES = (1, 3)  # channels
SEVERAL = (tuple, list, Mapping)
PATTERN = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


class CustomSpec(Spec):
    """A factory, the shape it is traced at, and the widths of channel groups that differ from the factory's."""

    OWN_CODE = True

    factory: Name = Field(description="package.module:factory, called without arguments")
    input_shape: tuple[Side, Side, Side] = Field(description="channels, height, width of its input")
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    enlarges: tuple[Side, Side] = Field(
        (1, 1), description="sides of its output to those of its input: numerator, denominator"
    )
    widths: dict[Name, Width] = Field(
        default_factory=dict, description="channels of groups, by name"
    )
    ends: Ends = Field(Ends(), description="what its numbers mean")

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.input_shape[0]

    @property
    def takes(self) -> InputIO:
        """See Spec; of several inputs the channels of each."""
        inputs = self.ends.inputs
        if not inputs:
            return image_io(self.in_channels)
        parts = tuple(InputPart(name=each.name, channels=each.channels) for each in inputs)
        return ImageIO(channels=self.in_channels, colour="other", parts=parts)

    @property
    def norm(self) -> str:
        """The user's own."""
        return "own"

    @property
    def size(self) -> tuple[int, int]:
        """The only height and width it is known to take."""
        return self.input_shape[1:]

    @property
    def ratio(self) -> Fraction:
        """See Spec."""
        return Fraction(*self.enlarges)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> CustomSpec:
        """Every free channel group times `scale`; blocks and norms stay the user's own."""
        del block, norm
        graph = trace_channels(self.whole(), torch.zeros(1, *self.input_shape))
        widths = {group.name: scale_width(group.size, scale, round_to) for group in graph.free()}
        return self.model_copy(update={"widths": widths})

    def whole(self) -> nn.Module:
        """The user's generator at its own widths, taking and making RGB in [-1, 1]."""
        return self.ends.around(make_module(self.factory), self.input_shape[0]).eval()

    def build(self) -> nn.Module:
        """The user's generator with these widths."""
        module = self.whole()
        if not self.widths:
            return module
        graph = trace_channels(module, torch.zeros(1, *self.input_shape))
        return extract(module, graph, self.widths)

    def fields_of(self, widths: Mapping[str, Any]) -> Mapping[str, Any]:
        """Widths set by hand are named by channel group."""
        return {"widths": {**self.widths, **widths}}

    @classmethod
    def place_of(cls, group: str) -> tuple[str, int | None]:
        """Every group has a width of its own."""
        return group, None

    def plan(self, graph: ChannelGraph) -> Widths:
        """The widths that differ from the factory's, and those of the graph."""
        return {group.name: self.widths.get(group.name, group.size) for group in graph.free()}

    def narrowed(self, graph: ChannelGraph, plan: Mapping[str, int | torch.Tensor]) -> CustomSpec:
        """The widths of a plan in place of those of the same groups; raises ConfigError for unknown groups."""
        unknown = [name for name in plan if name not in graph.groups]
        if unknown:
            raise ConfigError(f"your generator has no channel group '{unknown[0]}'")
        chosen = {name: each if isinstance(each, int) else len(each) for name, each in plan.items()}
        return self.model_copy(update={"widths": {**self.widths, **chosen}})


def allow_generator(name: str, option: str = "--generator") -> None:
    """Notes that the user named this factory; children of this process may import it too."""
    if not PATTERN.match(name):
        raise ConfigError(f"{option} {name!r}: write it as package.module:factory")
    os.environ[ALLOWED] = name


def load_factory(name: str, option: str = "--generator") -> Callable[[], nn.Module]:
    """The factory of this name; the current folder is searched too. Raises ConfigError with the reason."""
    if os.environ.get(ALLOWED) != name:
        raise ConfigError(
            f"this package is made by your generator '{name}'; give --generator {name} so that it may be imported"
        )
    module_name, attribute = name.split(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        with plain_functions():
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"{option} {name}: cannot import '{module_name}' ({error}); run from its folder or set PYTHONPATH"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise ConfigError(f"{option} {name}: module '{module_name}' has no callable '{attribute}'")
    return factory  # type: ignore[no-any-return]


@contextmanager
def plain_functions() -> Iterator[None]:
    """Context in which functions marked for TorchScript stay Python, so that they can be traced."""
    script = torch.jit.script

    def plain(function: Any, *args: Any, **options: Any) -> Any:
        del args, options
        return function

    torch.jit.script = plain  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.jit.script = script


def make_module(name: str, option: str = "--generator") -> nn.Module:
    """What the factory makes, in evaluation mode; raises ConfigError when it is no nn.Module."""
    factory = load_factory(name, option)
    try:
        with plain_functions():
            module = factory()
    except TypeError as error:
        raise ConfigError(
            f"{option} {name}: the factory must be callable without arguments ({error})"
        ) from error
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f"{option} {name}: the factory made a {type(module).__name__}, not a torch.nn.Module"
        )
    return module.eval()


def describe_custom(
    name: str, input_shape: tuple[int, int, int], ends: Ends | None = None
) -> tuple[CustomSpec, nn.Module]:
    """Calls the factory, runs it once and traces its channels; returns its spec and the module, between its `ends`.

    Raises ConfigError when it does not map (1, C, H, W) to an image of a fixed multiple of that height and width, when
    it cannot be traced, naming the place, or when it makes pictures of which nothing says what their numbers mean.
    """
    module = (ends or Ends()).around(make_module(name), input_shape[0]).eval()
    chance = torch.Generator().manual_seed(0)
    example = torch.rand(1, *input_shape, generator=chance) * 2 - 1
    try:
        output = run_seeded(module, example)
    except (RuntimeError, TypeError, ValueError, AssertionError, IndexError) as error:
        raise ConfigError(
            f"--generator {name}: it does not run on an input of shape {tuple(example.shape)}: {error}"
        ) from error
    ratio = enlargement(output, input_shape[1:])
    if ratio is None:
        several = " (--result PLACE or KEY says which)" if isinstance(output, SEVERAL) else ""
        raise ConfigError(
            f"--generator {name}: it must make one image (1, C, H, W) whose sides are one multiple of "
            f"{input_shape[1]} and {input_shape[2]}, not {told(output)}{several}"
        )
    program = trace_channels(module, example).program
    check_trace(name, run_seeded(module, example), output, run_seeded(program, example))
    said = ends is not None and ends.say_numbers
    if not said and output.shape[1] in PICTURES and ends_in(program) != "tanh":
        raise ConfigError(
            f"--generator {name}: which numbers are black and white cannot be read off it (its last operation is "
            f"{ends_in(program)}, not tanh): add --range 0,1 (or -1,1, or 0,255; IN/OUT such as -1,1/0,1 where they "
            "differ)"
        )
    spec = CustomSpec(
        factory=name,
        input_shape=input_shape,
        out_channels=output.shape[1],
        enlarges=ratio,
        ends=ends or Ends(),
    )
    return spec, module


def run_seeded(module: nn.Module, example: torch.Tensor) -> Any:
    """What a network makes of a copy of the example, its random numbers the same every time."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return module(example.clone())


def enlargement(output: Any, size: tuple[int, int]) -> tuple[int, int] | None:
    """Sides of the output to those of the input, as a fraction; None where they are no image of one such ratio."""
    if not isinstance(output, torch.Tensor) or output.dim() != 4 or len(output) != 1:
        return None
    tall, wide = (
        Fraction(after, before) for after, before in zip(output.shape[2:], size, strict=True)
    )
    return (tall.numerator, tall.denominator) if tall == wide > 0 else None


def told(output: Any) -> str:
    """The shape or kind of what a generator made."""
    return str(tuple(output.shape)) if isinstance(output, torch.Tensor) else outputs_of(output)


def check_trace(
    name: str, again: torch.Tensor, expected: torch.Tensor, traced: torch.Tensor
) -> None:
    """Raises ConfigError where the trace of a generator that repeats itself computes something else."""
    largest = float(expected.abs().max().clamp_min(1e-12))
    repeats = float((again - expected).abs().max()) <= MOST_DIFFERENCE * largest
    difference = float((traced - expected).abs().max())
    if repeats and not difference <= MOST_DIFFERENCE * largest:
        raise ConfigError(
            f"--generator {name}: its trace computes something else (largest difference {difference:.1e} of "
            f"{largest:.1e}): its forward keeps values between calls or writes into tensors where the picture says so; "
            "write that with torch.where"
        )
