"""import, zoo and inspect: generators come in and are looked at."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegan.commands.options import AsJson, Overwrite, OwnGenerator, allow, parse_size, show
from edgegan.errors import ConfigError
from edgegan.streams import printable

if TYPE_CHECKING:
    from edgegan.models.ends import Ends
    from edgegan.package import PackageConfig


def import_command(
    output: Annotated[Path, typer.Option("-o", "--output", help="generator package to write")],
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="weights: .pth or .safetensors state dict; may be left out with --generator"
        ),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="insist on a family (edgegan zoo lists them)")
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="GAN Compression config: cut a super net to 32_32_48_...")
    ] = None,
    legacy: Annotated[
        bool,
        typer.Option("--legacy", help="read --widths by the rule of the paper's edges2shoes net"),
    ] = False,
    upsampling: Annotated[str | None, typer.Option(help="of SPADE: more or normal")] = None,
    part: Annotated[
        str | None, typer.Option(help="generator to take of a file that holds several, by its name")
    ] = None,
    padding: Annotated[
        str | None, typer.Option(help="of residual blocks: reflect, replicate or zero")
    ] = None,
    statistics: Annotated[
        str | None,
        typer.Option(
            help="of norms: saved (in training) or picture (each picture's own, as in training mode)"
        ),
    ] = None,
    separable_norm: Annotated[
        str | None,
        typer.Option(help="of a mobile SPADE, between depthwise and pointwise: instance or none"),
    ] = None,
    last_channel: Annotated[
        str | None, typer.Option(help="of SPADE's labels: edge (between instances) or class")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="of StarGAN, the attributes of what is made: 1,0,0,1,1 or as many as it has"
        ),
    ] = None,
    residual: Annotated[
        bool,
        typer.Option(
            "--residual", help="of a ResNet whose output is added to its input (DeblurGAN)"
        ),
    ] = False,
    corners: Annotated[
        str | None,
        typer.Option(help="of bilinear doublings (AnimeGAN, white-box): aligned or centred"),
    ] = None,
    generator: Annotated[
        str | None, typer.Option(help="your own nn.Module: package.module:factory")
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(help="of your own generator: CHANNELSxHEIGHTxWIDTH, such as 3x256x256"),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="one of several inputs of your own generator: NAME:CHANNELS or NAME:CHANNELS:BLACK,WHITE; repeat",
        ),
    ] = None,
    result: Annotated[
        str | None,
        typer.Option(help="of your own generator with several outputs: place from 0, or key"),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(help="source nn.Module to compare the package with: package.module:factory"),
    ] = None,
    discriminator: Annotated[
        Path | None, typer.Option(help="PatchGAN checkpoint to keep beside the generator")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="default image size, 256 or HEIGHTxWIDTH")
    ] = None,
    value_range: Annotated[
        str | None,
        typer.Option(
            "--range",
            help="of your own generator: black,white such as 0,1; IN/OUT such as -1,1/0,1 where they differ",
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="of your own generator: taken from each channel of its input, after --range"
        ),
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="of your own generator: each channel is divided by it then")
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option(
            help="of your own generator, order of its channels: rgb or bgr; lab: a ResNet or U-Net from L to a, b"
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help="at the end: of your own generator, where its code has none, tanh, sigmoid or clamp (to [-1, 1]); of "
            "a ResNet or U-Net tanh or clamp; inside a compact net: relu or leaky_relu"
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="short name of the model")] = None,
    licence: Annotated[
        str, typer.Option(help="licence of the weights, as an SPDX name")
    ] = "unstated",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Read a public checkpoint, or your own generator, into a generator package."""
    from edgegan.models.packaging import Own, Stated, import_generator, import_to_package
    from edgegan.models.readings import Reading

    if generator is not None:
        refuse_with_generator(family=family, widths=widths, discriminator=discriminator, size=size)
        refuse_with_generator(part=part, padding=padding, statistics=statistics)
        refuse_with_generator(separable_norm=separable_norm, last_channel=last_channel)
        refuse_with_generator(label=label, residual=residual or None, corners=corners)
        config = import_generator(
            Own(
                generator,
                parse_input_shape(input_shape, inputs or ()),
                parse_ends(value_range, mean, std, colour, activation, inputs or (), result),
            ),
            output,
            checkpoint=checkpoint,
            check=check,
            name=name,
            licence=licence,
            overwrite=overwrite,
        )
    elif checkpoint is None:
        raise ConfigError(
            "give a checkpoint file, or your own generator with --generator package.module:factory"
        )
    else:
        refuse_without_generator(range=value_range, mean=mean, std=std)
        refuse_without_generator(input=inputs, result=result, input_shape=input_shape)
        config = import_to_package(
            checkpoint,
            output,
            Stated(
                family,
                widths,
                legacy,
                upsampling,
                name,
                licence,
                part,
                Reading(
                    padding,
                    statistics,
                    separable_norm,
                    last_channel,
                    label,
                    residual,
                    colour,
                    activation,
                    corners,
                ),
            ),
            discriminator=discriminator,
            check=check,
            size=parse_size(size) or (256, 256),
            overwrite=overwrite,
        )
    show_imported(config, output, generator, as_json=as_json)


def show_imported(
    config: PackageConfig, output: Path, generator: str | None, *, as_json: bool
) -> None:
    """What was imported, what was changed or assumed, and what comes next."""
    changes = config.source["changes"]
    shown, lines = printable(output), "".join(f"\n  {printable(change)}" for change in changes)
    pasted = shlex.quote(shown)
    own = f" --generator {shlex.quote(printable(generator))}" if generator else ""
    show(
        {
            "package": str(output),
            "family": config.family,
            "parameters": config.parameters,
            "changes": changes,
        },
        as_json,
        f"{shown}: family {config.family}, {config.parameters:,} parameters{lines}\n"
        f"next: edgegan inspect {pasted}{own}, or edgegan compress RECIPE --teacher {pasted}{own} --data IMAGES -o "
        "runs/NAME",
    )


def parse_input_shape(text: str | None, inputs: Sequence[str]) -> tuple[int, int, int]:
    """'3x256x256' to (channels, height, width); with `inputs` the channels are theirs, and '256x256' is enough."""
    from edgegan.models.ends import parse_inputs

    parts = (text or "").lower().split("x")
    if len(parts) == 2 and inputs:
        parts = [str(sum(each.channels for each in parse_inputs(inputs))), *parts]
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(
            "--generator needs --input-shape CHANNELSxHEIGHTxWIDTH, such as 3x256x256"
        )
    channels, height, width = map(int, parts)
    return channels, height, width


def refuse_with_generator(**options: object) -> None:
    """Options that mean nothing for a generator of one's own are refused, not ignored."""
    for option, value in options.items():
        if value is not None:
            raise ConfigError(f"--{option.replace('_', '-')} does not go with --generator")


def refuse_without_generator(**options: object) -> None:
    """Options of a generator of one's own are refused for a known family, which says itself what its numbers mean."""
    for option, value in options.items():
        if value is not None:
            raise ConfigError(f"--{option.replace('_', '-')} goes with --generator only")


def parse_ends(
    value_range: str | None,
    mean: str | None,
    std: str | None,
    colour: str | None,
    activation: str | None,
    inputs: Sequence[str],
    result: str | None,
) -> Ends | None:
    """What the user says of the numbers of a generator; None where nothing is said. Raises ConfigError."""
    from pydantic import ValidationError

    from edgegan.models.ends import Ends, parse_inputs, parse_numbers, parse_ranges

    fields: dict[str, object] = dict(parse_ranges(value_range))
    if mean is not None and value_range is None:
        fields |= {"takes": (0.0, 1.0)}
    for option, text in (("mean", mean), ("std", std)):
        if text is not None:
            fields[option] = parse_numbers(f"--{option}", text)
    fields |= {"colour": colour} if colour is not None else {}
    fields |= {"activation": activation} if activation is not None else {}
    fields |= {"inputs": parse_inputs(inputs)} if inputs else {}
    if result is not None:
        fields["result"] = int(result) if result.isdigit() else result
    try:
        return Ends.model_validate(fields) if fields else None
    except ValidationError as error:
        words = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ConfigError(
            f"--range, --mean, --std, --colour, --activation, --input, --result: {words}"
        ) from error


def zoo(as_json: AsJson = False) -> None:
    """List every published generator with its parameters and MACs."""
    from edgegan.models.listing import zoo_rows, zoo_table

    rows = zoo_rows()
    show(rows, as_json, zoo_table(rows))


def inspect(
    package: Annotated[Path, typer.Argument(help="generator package, or a run (its student)")],
    size: Annotated[str | None, typer.Option(help="image size, 256 or HEIGHTxWIDTH")] = None,
    origins: Annotated[
        bool, typer.Option("--origins", help="the checkpoint's key of every tensor too")
    ] = False,
    generator: OwnGenerator = None,
    as_json: AsJson = False,
) -> None:
    """Print a package's layers (shape, MACs, parameters, share) and its channel groups."""
    from edgegan.models.listing import inspect_package, inspect_table, origins_table
    from edgegan.run import package_of

    allow(generator)
    found = inspect_package(package_of(package) or package, parse_size(size))
    more = origins_table(found) if origins else ""
    show(found, as_json, inspect_table(found) + more)
