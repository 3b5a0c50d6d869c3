"""`edgegan run`: a package or an artefact applied to pictures of any size, so that people see what they got."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgegan.artefact import read_model
from edgegan.console import progress
from edgegan.data.images import (
    Floats,
    list_images,
    read_image,
    resize_image,
    to_float,
    to_pixels,
    write_image,
)
from edgegan.errors import InputError, OutputError
from edgegan.files import check_sha256, make_folder
from edgegan.package import is_package
from edgegan.run import MANIFEST
from edgegan.runtime import Session

OVERLAP = 0.25
WHOLE_PIXELS = 1_500_000  # larger pictures go through a package in tiles, to bound memory
PACKAGE_TILE = (768, 768)


@dataclass(frozen=True)
class Generator:
    """Something that turns (C, H, W) in [-1, 1] into the same size: `size` when only that size, else multiples."""

    call: Callable[[Floats], Floats]
    channels: int
    size: tuple[int, int] | None
    stride: int = 1
    min_size: int = 1


@contextlib.contextmanager
def open_generator(source: Path, threads: int) -> Iterator[Generator]:
    """A run's student, a package, or an .onnx or .tflite artefact, ready to be called."""
    if (source / MANIFEST).is_file():
        source = source / "student"
    if source.is_dir():
        if not is_package(source):
            raise InputError(f"{source} is neither a run, a package nor an artefact")
        with open_package(source, threads) as generator:
            yield generator
        return
    model = read_model(source)
    check_sha256(source, model.sha256)
    tensor = model.inputs[0]
    nhwc = tensor.layout == "NHWC"
    height, width, channels = tensor.shape[1:] if nhwc else (*tensor.shape[2:], tensor.shape[1])
    with Session(source, threads=threads) as session:

        def call(x: Floats) -> Floats:
            if nhwc:
                return session.run(np.ascontiguousarray(x.transpose(1, 2, 0))[None])[0].transpose(
                    2, 0, 1
                )
            return session.run(x[None])[0]

        yield Generator(call, channels, (height, width))


@contextlib.contextmanager
def open_package(folder: Path, threads: int) -> Iterator[Generator]:
    """A package in PyTorch."""
    import torch

    from edgegan.models.zoo import image_sides, load_generator, parse_spec

    config, module = load_generator(folder)
    if config.input.kind != "image":
        raise InputError(f"{folder} takes a {config.input.kind.replace('_', ' ')}, not pictures")
    spec = parse_spec(config.family, config.spec)
    stride, smallest = image_sides(config.family, spec)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)

    def call(x: Floats) -> Floats:
        with torch.inference_mode():
            return module(torch.from_numpy(x)[None])[0].numpy()

    try:
        fixed = getattr(spec, "size", None)
        yield Generator(call, config.input.channels, fixed, stride, smallest)
    finally:
        torch.set_num_threads(before)


def apply_generator(generator: Generator, x: Floats, fit: str) -> Floats:
    """One picture (C, H, W) -> (C', H, W), tiled, padded or scaled as the generator needs."""
    height, width = x.shape[1:]
    if generator.size is not None:
        if fit == "resize" and (height, width) != generator.size:
            small = resize_image(to_pixels(x), *generator.size, bilinear=True)
            made = generator.call(to_float(small, x.shape[0]))
            large = resize_image(to_pixels(made), height, width, bilinear=True)
            return to_float(large, made.shape[0])
        return tiled(generator.call, x, generator.size)
    if height * width > WHOLE_PIXELS:
        return tiled(generator.call, x, PACKAGE_TILE)
    tall = max(generator.min_size, -(-height // generator.stride) * generator.stride)
    wide = max(generator.min_size, -(-width // generator.stride) * generator.stride)
    return generator.call(reflect_to(x, tall, wide))[:, :height, :width]


def reflect_to(x: Floats, height: int, width: int) -> Floats:
    """Extends (C, H, W) at the bottom and right by reflection to at least this size."""
    down, right = max(0, height - x.shape[1]), max(0, width - x.shape[2])
    return np.ascontiguousarray(np.pad(x, ((0, 0), (0, down), (0, right)), mode="reflect"))


def starts(length: int, tile: int) -> list[int]:
    """Where tiles begin so that they cover `length` and overlap by at least a quarter."""
    if length <= tile:
        return [0]
    count = -(-(length - tile) // int(tile * (1 - OVERLAP))) + 1
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]


def ramp(length: int) -> Floats:
    """Blending weights along a tile's side: low at the ends, one in the middle, never zero."""
    edge = max(1, int(length * OVERLAP))
    position = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(1, position / edge).astype(np.float32)


def tiled(call: Callable[[Floats], Floats], x: Floats, tile: tuple[int, int]) -> Floats:
    """Covers the picture with overlapping tiles and blends what comes out."""
    height, width = x.shape[1:]
    padded = reflect_to(x, *tile)
    weight = np.outer(ramp(tile[0]), ramp(tile[1]))
    total: Floats | None = None
    weights = np.zeros(padded.shape[1:], np.float32)
    for top in starts(padded.shape[1], tile[0]):
        for left in starts(padded.shape[2], tile[1]):
            made = call(np.ascontiguousarray(padded[:, top : top + tile[0], left : left + tile[1]]))
            if total is None:
                total = np.zeros((made.shape[0], *padded.shape[1:]), np.float32)
            total[:, top : top + tile[0], left : left + tile[1]] += made * weight
            weights[top : top + tile[0], left : left + tile[1]] += weight
    assert total is not None
    return (total / weights)[:, :height, :width]


def collect_inputs(inputs: list[Path]) -> list[tuple[Path, Path]]:
    """(picture, name of its output) for files and folders; raises InputError when one is missing or empty."""
    found = []
    for path in inputs:
        if path.is_dir():
            found += [
                (file, file.relative_to(path).with_suffix(".png")) for file in list_images(path)
            ]
        elif path.is_file():
            found.append((path, Path(path.name).with_suffix(".png")))
        else:
            raise InputError(f"image {path} does not exist")
    return found


def run_on_images(
    source: Path, inputs: list[Path], output: Path, *, fit: str, threads: int, overwrite: bool
) -> list[Path]:
    """Applies `source` to every picture and writes PNGs into `output`; nothing is replaced without `overwrite`."""
    pairs = collect_inputs(inputs)
    targets = [output / name for _, name in pairs]
    doubles = {path for path in targets if targets.count(path) > 1}
    if doubles:
        raise InputError(
            f"two inputs would both be written as {sorted(doubles)[0]}; rename one or run them apart"
        )
    existing = [path for path in targets if path.exists()]
    if existing and not overwrite:
        raise OutputError(
            f"{existing[0]} exists; add --overwrite to replace it or choose another folder with -o"
        )
    make_folder(output)
    with open_generator(source, threads) as generator, progress("pictures", len(pairs)) as bar:
        for index, ((path, _), target) in enumerate(zip(pairs, targets, strict=True)):
            x = to_float(read_image(path), generator.channels)
            write_image(target, to_pixels(apply_generator(generator, x, fit)))
            bar.step(index + 1, path.name)
    return targets
