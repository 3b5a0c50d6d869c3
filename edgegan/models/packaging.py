"""A checkpoint to a generator package: weights, card, and golden tensors from drawings that need no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edgegan.data.labels import find_edges, one_hot
from edgegan.data.procedural import draw_pair
from edgegan.files import atomic_folder, sha256_file
from edgegan.models.checkpoints import import_checkpoint, import_discriminator
from edgegan.models.zoo import build, check_size, count_parameters, describe_io, make_golden
from edgegan.package import (
    CONFIG_FILE,
    InputIO,
    LabelMapIO,
    NoiseIO,
    PackageConfig,
    write_package,
)

GOLDEN_COUNT = 2


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
        values = drawing.astype(np.float32).transpose(2, 0, 1) / np.float32(127.5) - np.float32(1)
        pictures.append(np.resize(values, (channels, *size)))
    return torch.from_numpy(np.stack(pictures))


def import_to_package(
    checkpoint: Path,
    folder: Path,
    *,
    family: str | None = None,
    discriminator: Path | None = None,
    size: tuple[int, int] = (256, 256),
    name: str | None = None,
    licence: str = "unstated",
    overwrite: bool = False,
) -> PackageConfig:
    """Reads a public checkpoint and writes a package; raises CheckpointError, InputError or OutputError."""
    with atomic_folder(folder, CONFIG_FILE, overwrite=overwrite) as temporary:
        imported = import_checkpoint(checkpoint, family)
        size = tuple(getattr(imported.spec, "size", size))
        check_size(imported.family, size, imported.spec)
        judge = import_discriminator(discriminator) if discriminator else None
        module = build(imported.family, imported.spec)
        module.load_state_dict(imported.state)
        module.eval()
        takes, gives = describe_io(imported.spec)
        title = name or checkpoint.stem
        source = {
            "file": checkpoint.name,
            "sha256": sha256_file(checkpoint),
            "changes": imported.changes,
        }
        config = {
            "family": imported.family,
            "spec": imported.spec.model_dump(mode="json"),
            "name": title,
            "size": size,
            "input": takes,
            "output": gives,
            "parameters": count_parameters(module),
            "source": source,
            "licence": licence,
            "discriminator": judge[0].model_dump(mode="json") if judge else None,
        }
        return write_package(
            temporary,
            config,
            module.state_dict(),
            make_golden(module, golden_inputs(GOLDEN_COUNT, size, takes)),
            card(title, imported.family, count_parameters(module), licence, imported.changes),
            judge[1] if judge else None,
        )


def card(name: str, family: str, parameters: int, licence: str, lines: list[str]) -> str:
    """README.md of a package: model card with the front matter model hubs read."""
    notes = "\n".join(f"- {line}" for line in lines) or "- none"
    return (
        f"---\nlibrary_name: edgegan\npipeline_tag: image-to-image\nlicense: {licence}\n---\n\n# {name}\n\n"
        f"Generator of family `{family}`, {parameters:,} parameters. Images are RGB in [-1, 1], NCHW.\n\n"
        f"Notes:\n\n{notes}\n\nApply it with `edgegan run FOLDER IMAGES -o OUT`.\n"
    )
