"""A checkpoint to a generator package: weights, card, and golden tensors from drawings that need no data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from edgegan.data.images import to_float
from edgegan.data.labels import find_edges, one_hot
from edgegan.data.procedural import draw_pair
from edgegan.files import sha256_file
from edgegan.models.checkpoints import import_checkpoint
from edgegan.models.contract import check_family
from edgegan.models.custom import (
    CUSTOM,
    PICTURES,
    CustomSpec,
    allow_generator,
    describe_custom,
)
from edgegan.models.ends import Between, Ends
from edgegan.models.judges import JudgeSpec
from edgegan.models.matching import rename
from edgegan.models.origins import check_against, find_origins, source_module
from edgegan.models.public_judges import import_discriminator
from edgegan.models.readings import USUAL, Reading
from edgegan.models.spec import Spec
from edgegan.models.zoo import (
    FAMILIES,
    check_size,
    count_parameters,
    make_golden,
)
from edgegan.ownership.replacement import atomic_folder
from edgegan.package import (
    ImageIO,
    InputIO,
    LabelMapIO,
    NoiseIO,
    PackageConfig,
    write_package,
)
from edgegan.streams import printable
from edgegan.weights import State, read_state

GOLDEN_COUNT = 1


def golden_inputs(count: int, size: tuple[int, int], kind: InputIO) -> torch.Tensor:
    """Inputs of a package whose user gave no pictures: drawings, label maps or noise, the same on every machine."""
    if isinstance(kind, NoiseIO):
        chance = np.random.default_rng(1_000_000)
        return torch.from_numpy(chance.standard_normal((count, kind.dimension), dtype=np.float32))
    if isinstance(kind, LabelMapIO):
        return torch.cat([golden_labels(index, size, kind) for index in range(count)])
    return golden_images(count, size, kind.channels)


def golden_labels(seed: int, size: tuple[int, int], kind: LabelMapIO) -> torch.Tensor:
    """A made-up label map (1, C, H, W): rectangles of random classes on one background, edges where they meet."""
    chance = np.random.default_rng(1_000_000 + seed)
    labels = np.zeros(size, dtype=np.int64)
    for instance in range(12):
        top, left = (int(chance.integers(0, side)) for side in size)
        tall, wide = (max(1, int(side * chance.uniform(0.1, 0.5))) for side in size)
        labels[top : top + tall, left : left + wide] = 1 + instance
    classes = chance.integers(0, kind.classes, 13)[labels]
    channels = one_hot(classes, kind.classes)
    if kind.instance_edge:
        channels = np.concatenate([channels, find_edges(labels)[None]])
    return torch.from_numpy(channels[None])


def golden_images(count: int, size: tuple[int, int], channels: int) -> torch.Tensor:
    """Embedded drawings (count, channels, H, W) in [-1, 1] for packages whose user gave no pictures."""
    pictures = []
    for index in range(count):
        drawing = draw_pair(max(size), seed=1_000_000 + index)[1][: size[0], : size[1]]
        pictures.append(np.resize(to_float(drawing), (channels, *size)))
    return torch.from_numpy(np.stack(pictures))


def check_example(kind: InputIO, size: tuple[int, int]) -> torch.Tensor:
    """The seeded input that a package and its source are compared on: values from all of [-1, 1], a label map or
    noise."""
    if not isinstance(kind, ImageIO):
        return golden_inputs(1, size, kind)
    chance = torch.Generator().manual_seed(0)
    return torch.rand(1, kind.channels, *size, generator=chance) * 2 - 1


class Own(NamedTuple):
    """A generator of the user's: `package.module:factory`, (C, H, W) that it takes, and what its numbers mean where
    that is said."""

    factory: str
    input_shape: tuple[int, int, int]
    ends: Ends | None = None


@dataclass(frozen=True)
class Stated:
    """What the user says of a checkpoint: how it is read where its keys do not tell, its name and its licence.

    `family`, `widths`, `legacy`, `upsampling`, `part` and `reading` are those of `import_checkpoint`.
    """

    family: str | None = None
    widths: str | None = None
    legacy: bool = False
    upsampling: str | None = None
    name: str | None = None
    licence: str = "unstated"
    part: str | None = None
    reading: Reading = USUAL


def import_to_package(
    checkpoint: Path,
    folder: Path,
    stated: Stated = Stated(),
    *,
    discriminator: Path | None = None,
    check: str | None = None,
    size: tuple[int, int] = (256, 256),
    overwrite: bool = False,
) -> PackageConfig:
    """Reads a public checkpoint, and a discriminator's, and writes a package for images of a height and width; `check`
    is the factory of the module it is compared with.

    Raises CheckpointError, InputError, OutputError, ParityError where the source computes something else, or
    ConfigError, also for a family that forgot something.
    """
    inputs = [path for path in (checkpoint, discriminator) if path is not None]
    with atomic_folder(folder, "package", overwrite=overwrite, inputs=inputs) as temporary:
        imported = import_checkpoint(
            checkpoint,
            stated.family,
            widths=stated.widths,
            legacy=stated.legacy,
            upsampling=stated.upsampling,
            part=stated.part,
            reading=stated.reading,
        )
        check_family(FAMILIES[imported.family])
        size = imported.spec.size or size
        check_size(imported.family, size, imported.spec)
        ends = imported.spec.in_channels, imported.spec.out_channels
        judge = import_discriminator(discriminator, ends) if discriminator else None
        module = imported.spec.build()
        module.load_state_dict(imported.state)
        module.eval()
        changes = list(imported.changes)
        if check is not None:
            example = check_example(imported.spec.takes, size)
            wanted = source_module(check, imported.source, checkpoint)
            changes.append(check_against(check, module, wanted, example, None))
        source = {
            "file": checkpoint.name,
            "sha256": sha256_file(checkpoint),
            "changes": changes,
        }
        about = {
            "name": stated.name or checkpoint.stem,
            "source": source,
            "licence": stated.licence,
            "origins": find_origins(
                imported.state, imported.source, imported.layout.get("names", {})
            ),
        }
        return store(temporary, imported.family, imported.spec, module, size, about, judge)


def import_generator(
    own: Own,
    folder: Path,
    *,
    checkpoint: Path | None = None,
    check: str | None = None,
    name: str | None = None,
    licence: str = "unstated",
    overwrite: bool = False,
) -> PackageConfig:
    """A package of the user's own generator, with a checkpoint's weights if any.

    Raises ConfigError when the factory cannot be used or what it makes cannot be traced (named with its place),
    CheckpointError when the weights do not fit.
    """
    inputs = [checkpoint] if checkpoint is not None else []
    with atomic_folder(folder, "package", overwrite=overwrite, inputs=inputs) as temporary:
        allow_generator(own.factory)
        spec, module = describe_custom(*own)
        source: dict[str, Any] = {"generator": own.factory, "changes": told(spec, own.ends)}
        origins: dict[str, Any] | None = None
        given: State = {}
        if checkpoint is not None:
            net = module.net if isinstance(module, Between) else module
            expected = net.state_dict()
            names = {key: key for key in expected}
            given = read_state(checkpoint)
            net.load_state_dict(rename(given, names, expected, checkpoint, lambda _: False))
            source |= {"file": checkpoint.name, "sha256": sha256_file(checkpoint)}
            ours = {key: key.removeprefix("net.") for key in module.state_dict()}
            origins = find_origins(module.state_dict(), given, ours if net is not module else {})
        if check is not None:
            example = check_example(spec.takes, own.input_shape[1:])
            wanted = source_module(check, given, checkpoint)
            source["changes"] += [check_against(check, module, wanted, example, spec.ends)]
        title = name or own.factory.replace(":", ".").rsplit(".", 1)[-1]
        about = {"name": title, "source": source, "licence": licence, "origins": origins}
        return store(temporary, CUSTOM, spec, module, own.input_shape[1:], about, None)


def told(spec: CustomSpec, ends: Ends | None) -> list[str]:
    """What is taken for granted of a generator of one's own, for people."""
    lines = [] if spec.ratio == 1 else [f"sides of its pictures are {spec.ratio} of those it takes"]
    if ends is not None and ends.inputs:
        names = " and ".join(f"{each.name} ({each.channels})" for each in ends.inputs)
        lines.append(f"its inputs {names} are channels of one, in this order")
    if ends is not None and ends.result is not None:
        lines.append(f"of its outputs {ends.result} is the picture")
    if ends is None or not ends.say_numbers:
        ranged = ends is None or all(each.range is None for each in ends.inputs)
        if ranged and spec.out_channels in PICTURES:
            lines.append("assumed: it takes and makes values in [-1, 1] (--range says otherwise)")
        return lines
    (low, high), (bottom, top) = ends.takes, ends.gives
    lines.append(f"its {low:g}..{high:g} in and {bottom:g}..{top:g} out are [-1, 1] outside")
    if ends.mean:
        lines.append("mean and deviation of its input are taken care of")
    return [*lines, "its BGR is RGB outside"] if ends.colour == "bgr" else lines


def store(
    folder: Path,
    family: str,
    spec: Spec,
    module: nn.Module,
    size: tuple[int, int],
    about: dict[str, Any],
    judge: tuple[JudgeSpec, State] | None,
) -> PackageConfig:
    """Writes a teacher's package with golden tensors; `about` holds name, source and licence, the input where the spec
    does not tell, and origins; `judge` the spec and the weights of its discriminator."""
    takes: InputIO = about.get("input", spec.takes)
    origins = about.get("origins")
    parameters = count_parameters(module)
    config = {
        "family": family,
        "spec": spec.model_dump(mode="json"),
        "size": size,
        "input": takes,
        "output": spec.gives,
        "parameters": parameters,
        "discriminator": judge[0].model_dump(mode="json") if judge else None,
        **{key: value for key, value in about.items() if key != "origins"},
    }
    return write_package(
        folder,
        config,
        module.state_dict(),
        make_golden(module, golden_inputs(GOLDEN_COUNT, size, takes)),
        card(about["name"], family, parameters, about["licence"], about["source"]["changes"]),
        judge[1] if judge else None,
        origins,
    )


def card(name: str, family: str, parameters: int, licence: str, lines: list[str]) -> str:
    """README.md of a package: model card with the front matter model hubs read."""
    name, licence = printable(name), printable(licence)
    notes = "\n".join(f"- {printable(line)}" for line in lines) or "- none"
    return (
        f"---\nlibrary_name: edgegan\npipeline_tag: image-to-image\nlicense: {licence}\n---\n\n# {name}\n\n"
        f"Generator of family `{family}`, {parameters:,} parameters. Images are RGB in [-1, 1], NCHW.\n\n"
        f"Notes:\n\n{notes}\n\nApply it with `edgegan run FOLDER IMAGES -o OUT`.\n"
    )
