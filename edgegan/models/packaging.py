"""A checkpoint to a generator package: weights, card, and golden tensors from drawings that need no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edgegan.data.procedural import draw_pair
from edgegan.files import atomic_folder, sha256_file
from edgegan.models.checkpoints import import_checkpoint, import_discriminator
from edgegan.models.zoo import build, check_size, count_parameters, make_golden
from edgegan.package import CONFIG_FILE, ImageIO, PackageConfig, write_package

GOLDEN_COUNT = 2


def image_io(channels: int) -> ImageIO:
    """The usual meaning of this many channels."""
    return ImageIO(
        channels=channels, colour="rgb" if channels == 3 else "grey" if channels == 1 else "other"
    )


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
        check_size(imported.family, size)
        judge = import_discriminator(discriminator) if discriminator else None
        module = build(imported.family, imported.spec)
        module.load_state_dict(imported.state)
        module.eval()
        in_channels, out_channels = imported.spec.in_channels, imported.spec.out_channels  # type: ignore[attr-defined]
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
            "input": image_io(in_channels),
            "output": image_io(out_channels),
            "parameters": count_parameters(module),
            "source": source,
            "licence": licence,
            "discriminator": judge[0].model_dump(mode="json") if judge else None,
        }
        return write_package(
            temporary,
            config,
            module.state_dict(),
            make_golden(module, golden_images(GOLDEN_COUNT, size, in_channels)),
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
