"""`edgegan run`: a package or an artefact applied to pictures of any size, so that people see what they got."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgegan.artefact import ModelManifest, check_artefact, is_artefact, read_model
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
from edgegan.data.labels import Labels, find_edges, one_hot, read_labels
from edgegan.errors import InputError, OutputError
from edgegan.files import make_folder
from edgegan.package import LabelMapIO, is_package
from edgegan.run import MANIFEST
from edgegan.runtime.session import Session
from edgegan.tensors import from_artefact, to_artefact

OVERLAP = 0.25
WHOLE_PIXELS = 1_500_000  # larger pictures go through a package in tiles, to bound memory
PACKAGE_TILE = (768, 768)


@dataclass(frozen=True)
class Generator:
    """Something that turns (C, H, W) into a picture in [-1, 1] of the same size: `size` when only that size, else
    multiples. `kind` is what it takes; `classes` and `instance_edge` are those of label maps, `channels` the length of
    noise."""

    call: Callable[[Floats], Floats]
    channels: int
    size: tuple[int, int] | None
    stride: int = 1
    min_size: int = 1
    kind: str = "image"
    classes: int = 0
    instance_edge: bool = False


@contextlib.contextmanager
def open_generator(
    source: Path, threads: int, picture: tuple[int, int] | None = None
) -> Iterator[Generator]:
    """A run's student, a package, or an .onnx or .tflite artefact, ready to be called. Of an artefact's several sizes,
    the smallest that holds `picture` (height, width) is taken, or the largest."""
    if (source / MANIFEST).is_file():
        source = source / "student"
    if source.is_dir() and not is_artefact(source):
        if not is_package(source):
            raise InputError(f"{source} is neither a run, a package nor an artefact")
        with open_package(source, threads) as generator:
            yield generator
        return
    model = read_model(source)
    check_artefact(source, model)
    takes, gives = model.inputs[0], model.outputs[0]
    free = -1 in takes.shape
    size, signature = choose_size(model, picture)
    channels = takes.shape[-1] if takes.layout in ("NHWC", "NC") else takes.shape[1]
    if takes.encoding == "index":
        channels = (takes.classes or 0) + int(takes.instance_edge)
    with Session(source, threads=threads, signature=signature) as session:

        def call(x: Floats) -> Floats:
            return from_artefact(session.run(to_artefact(x[None], takes)), gives)[0]

        yield Generator(
            call,
            channels,
            None if free else size,
            model.size_multiple,
            model.size_smallest,
            takes.kind,
            takes.classes or 0,
            takes.instance_edge,
        )


def choose_size(
    model: ModelManifest, picture: tuple[int, int] | None
) -> tuple[tuple[int, int] | None, str | None]:
    """The size of an artefact to use for a picture, and its signature where there are several."""
    if len(model.signatures) < 2:
        return (model.size if model.sizes or len(model.inputs[0].shape) == 4 else None), None
    ordered = sorted(zip(model.sizes, model.signatures, strict=True), key=lambda each: each[0])
    if picture is None:
        return model.size, model.signatures[0]
    fitting = [each for each in ordered if each[0][0] >= picture[0] and each[0][1] >= picture[1]]
    return fitting[0] if fitting else ordered[-1]


@contextlib.contextmanager
def open_package(folder: Path, threads: int) -> Iterator[Generator]:
    """A package in PyTorch."""
    import torch

    from edgegan.models.zoo import load_generator, parse_spec

    config, module = load_generator(folder)
    spec = parse_spec(config.family, config.spec)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)

    def call(x: Floats) -> Floats:
        with torch.inference_mode():
            return module(torch.from_numpy(x)[None])[0].numpy()

    try:
        takes = config.input
        labels = takes if isinstance(takes, LabelMapIO) else None
        yield Generator(
            call,
            takes.channels,
            spec.size,
            spec.stride,
            spec.min_size,
            takes.kind,
            labels.classes if labels else 0,
            labels.instance_edge if labels else False,
        )
    finally:
        torch.set_num_threads(before)


def apply_generator(generator: Generator, x: Floats, fit: str) -> Floats:
    """One picture (C, H, W) -> (C', H, W), tiled, padded or scaled as the generator needs."""
    height, width = x.shape[1:]
    if generator.size is not None:
        if fit == "resize" and (height, width) != generator.size:
            small = scale_input(generator, x, generator.size)
            made = generator.call(small)
            large = resize_image(to_pixels(made), height, width, bilinear=True)
            return to_float(large, made.shape[0])
        return tiled(generator.call, x, generator.size)
    if height * width > WHOLE_PIXELS:
        return tiled(generator.call, x, PACKAGE_TILE)
    tall = max(generator.min_size, -(-height // generator.stride) * generator.stride)
    wide = max(generator.min_size, -(-width // generator.stride) * generator.stride)
    return generator.call(reflect_to(x, tall, wide))[:, :height, :width]


def scale_input(generator: Generator, x: Floats, size: tuple[int, int]) -> Floats:
    """(C, H, W) at another size: pictures bilinear, labels by nearest pixels, their borders drawn anew."""
    if generator.kind == "image":
        return to_float(resize_image(to_pixels(x), *size, bilinear=True), x.shape[0])
    rows, columns = (
        (np.arange(after) * before // after)
        for after, before in zip(size, x.shape[1:], strict=True)
    )
    labels = x[: generator.classes].argmax(0)[rows][:, columns]
    return label_channels(generator, labels)


def label_channels(generator: Generator, labels: Labels) -> Floats:
    """(H, W) class numbers -> the channels a label-map generator takes; borders of classes stand for instances."""
    channels = one_hot(labels, generator.classes)
    if generator.instance_edge:
        channels = np.concatenate([channels, find_edges(labels)[None]])
    return channels


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


def read_input(generator: Generator, path: Path) -> Floats:
    """One file as (C, H, W) for this generator; raises InputError naming a file it cannot take."""
    if generator.kind == "label_map":
        try:
            return label_channels(generator, read_labels(path))
        except InputError as error:
            raise InputError(
                f"{path}: {error}" if str(path) not in str(error) else str(error)
            ) from error
    return to_float(read_image(path), generator.channels)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture file, as stored."""
    pixels = read_image(path)
    return pixels.shape[0], pixels.shape[1]


def run_on_noise(
    source: Path, count: int, seed: int, output: Path, *, threads: int, overwrite: bool
) -> list[Path]:
    """Draws `count` pictures from seeded noise and writes them as PNGs named by seed and number."""
    targets = [output / f"seed{seed}_{number:03d}.png" for number in range(count)]
    refuse_existing(targets, overwrite=overwrite)
    with open_generator(source, threads) as generator, progress("pictures", count) as bar:
        if generator.kind != "noise":
            raise InputError(
                f"{source} takes a {generator.kind.replace('_', ' ')}: give files instead of --count"
            )
        make_folder(output)
        chance = np.random.default_rng(seed)
        for number, target in enumerate(targets):
            z = chance.standard_normal(generator.channels).astype(np.float32)
            write_image(target, to_pixels(generator.call(z)))
            bar.step(number + 1, target.name)
    return targets


def refuse_existing(targets: list[Path], *, overwrite: bool) -> None:
    """Raises OutputError when a result would replace a file and `overwrite` is not given."""
    existing = [path for path in targets if path.exists()]
    if existing and not overwrite:
        raise OutputError(
            f"{existing[0]} exists; add --overwrite to replace it or choose another folder with -o"
        )


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
    refuse_existing(targets, overwrite=overwrite)
    first = image_size(pairs[0][0])
    with (
        open_generator(source, threads, first) as generator,
        progress("pictures", len(pairs)) as bar,
    ):
        if generator.kind == "noise":
            raise InputError(f"{source} makes pictures from noise: give --count, not pictures")
        for index, ((path, _), target) in enumerate(zip(pairs, targets, strict=True)):
            x = read_input(generator, path)
            write_image(target, to_pixels(apply_generator(generator, x, fit)))
            bar.step(index + 1, path.name)
    return targets
