"""`edgegan run`: a package or an artefact applied to pictures of any size, so that people see what they got."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from edgegan.artefact import ModelManifest, check_artefact, check_takes, is_artefact, read_model
from edgegan.console import progress, say
from edgegan.data.images import (
    MAX_PIXELS,
    Floats,
    Pixels,
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
from edgegan.ownership.marks import SOFTWARE, check_replaceable, is_result
from edgegan.package import LabelMapIO, is_package
from edgegan.run import MANIFEST
from edgegan.runtime.session import Session
from edgegan.runtime.tiling import SAME, enlarged, reflect_to, tiled, tiled_bands
from edgegan.runtime.tiling import ramp as ramp
from edgegan.runtime.tiling import starts as starts
from edgegan.tensors import from_artefact, to_artefact

WHOLE_PIXELS = 1_500_000  # larger pictures go through a package in tiles, to bound memory
MOST_PADDED = 2  # times as many pixels, padded to what the generator takes
MOST_BAND = 8192  # pixels of a row; longer ones are taken as columns
PACKAGE_TILE = (768, 768)


@dataclass(frozen=True)
class Generator:
    """Something that turns (C, H, W) into a picture in [-1, 1] whose sides are `ratio` times as long: `size` when only
    that size, else multiples. `kind` is what it takes; `classes` and `instance_edge` are those of label maps,
    `channels` the length of noise."""

    call: Callable[[Floats], Floats]
    channels: int
    size: tuple[int, int] | None
    stride: int = 1
    min_size: int = 1
    kind: str = "image"
    classes: int = 0
    instance_edge: bool = False
    ratio: Fraction = SAME

    def makes(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what it makes of a picture of these; raises InputError where that is too large."""
        tall, wide = (enlarged(side, self.ratio) for side in size)
        if self.ratio > 1 and tall * wide > MAX_PIXELS:
            raise InputError(
                f"a picture of {size[0]}x{size[1]} becomes one of {tall}x{wide}, more than {MAX_PIXELS:,} pixels: "
                "give a smaller one"
            )
        return tall, wide


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
        check_takes(source, model, session.inputs, None if free else size)

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
            Fraction(*model.enlarges),
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
            spec.ratio,
        )
    finally:
        torch.set_num_threads(before)


def apply_generator(generator: Generator, x: Floats, fit: str) -> Floats:
    """One picture (C, H, W) -> (C', H ratio, W ratio), tiled, padded or scaled as the generator needs."""
    height, width = x.shape[1:]
    if generator.size is not None:
        if fit == "resize" and (height, width) != generator.size:
            small = scale_input(generator, x, generator.size)
            made = generator.call(small)
            large = resize_image(to_pixels(made), *generator.makes((height, width)), bilinear=True)
            return to_float(large, made.shape[0])
        return tiled(generator.call, x, generator.size, generator.ratio)
    tall, wide = padded(generator, height, width)
    if is_tiled(height, width, tall * wide):
        return tiled(generator.call, x, package_tile(tall, wide), generator.ratio)
    out_tall, out_wide = generator.makes((height, width))
    return generator.call(reflect_to(x, tall, wide))[:, :out_tall, :out_wide]


def padded(generator: Generator, height: int, width: int) -> tuple[int, int]:
    """The smallest height and width that a generator of any size takes and that hold this one."""
    stride, least = generator.stride, generator.min_size
    return max(least, -(-height // stride) * stride), max(least, -(-width // stride) * stride)


def is_tiled(height: int, width: int, padded_pixels: int) -> bool:
    """Whether a picture is too large to go through a generator of any size at once."""
    return height * width > WHOLE_PIXELS or padded_pixels > MOST_PADDED * WHOLE_PIXELS


def package_tile(tall: int, wide: int) -> tuple[int, int]:
    """The tile of a generator of any size: never larger than the padded picture."""
    return min(tall, PACKAGE_TILE[0]), min(wide, PACKAGE_TILE[1])


def apply_to_pixels(generator: Generator, pixels: Pixels, fit: str) -> Pixels:
    """A colour picture (H, W, 3) through a generator of three channels, as `apply_generator` takes it; of a large one
    only a band is in memory as floating point."""
    height, width = pixels.shape[:2]
    tall, wide = padded(generator, height, width)
    out_tall, out_wide = generator.makes((height, width))
    if generator.size is None and not is_tiled(height, width, tall * wide):
        return to_pixels(apply_generator(generator, to_float(pixels, 3), fit))
    if generator.size is not None and fit == "resize" and (height, width) != generator.size:
        small = to_float(resize_image(pixels, *generator.size, bilinear=True), 3)
        made = to_pixels(generator.call(small))
        return resize_image(made, out_tall, out_wide, bilinear=True)
    tile = generator.size or package_tile(tall, wide)
    if width > MOST_BAND:  # bands along the shorter side
        turned = replace(generator, call=lambda x: turn(generator.call(turn(x))))
        made = np.empty((out_wide, out_tall, 3), np.uint8)
        fill_bands(turned, pixels.transpose(1, 0, 2), tile[::-1], made)
        return np.ascontiguousarray(made.transpose(1, 0, 2))
    made = np.empty((out_tall, out_wide, 3), np.uint8)
    fill_bands(generator, pixels, tile, made)
    return made


def turn(x: Floats) -> Floats:
    """(C, H, W) -> (C, W, H)."""
    return np.ascontiguousarray(x.transpose(0, 2, 1))


def fill_bands(generator: Generator, pixels: Pixels, tile: tuple[int, int], made: Pixels) -> None:
    """What a generator makes of a picture in tiles, written into `made`."""

    def read(rows: slice, columns: slice) -> Floats:
        return to_float(np.ascontiguousarray(pixels[rows, columns]), 3)

    bands = tiled_bands(generator.call, read, pixels.shape[:2], tile, generator.ratio)
    for top, band in bands:
        made[top : top + band.shape[1]] = to_pixels(band)


def apply_to_file(generator: Generator, path: Path, fit: str) -> Pixels:
    """A picture or label map in a file through a generator, as a picture."""
    if generator.kind == "image" and generator.channels == 3:
        return apply_to_pixels(generator, read_image(path), fit)
    return to_pixels(apply_generator(generator, read_input(generator, path), fit))


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


def is_readable(path: Path) -> bool:
    """Whether a picture can be decoded whole; says so of one that cannot."""
    try:
        read_image(path)
    except InputError as error:
        say(f"left out: {error}", always=True)
        return False
    return True


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
    refuse_foreign(targets, [])
    with open_generator(source, threads) as generator, progress("pictures", count) as bar:
        if generator.kind != "noise":
            raise InputError(
                f"{source} takes a {generator.kind.replace('_', ' ')}: give files instead of --count"
            )
        make_folder(output)
        chance = np.random.default_rng(seed)
        for number, target in enumerate(targets):
            z = chance.standard_normal(generator.channels).astype(np.float32)
            write_image(target, to_pixels(generator.call(z)), SOFTWARE)
            bar.step(number + 1, target.name)
    return targets


def refuse_existing(targets: list[Path], *, overwrite: bool) -> None:
    """Raises OutputError when a result would replace a file and `overwrite` is not given. Each folder is listed once,
    which takes less than asking for every file."""
    if overwrite:
        return
    held = {folder: names_in(folder) for folder in {target.parent for target in targets}}
    existing = next((path for path in targets if path.name in held[path.parent]), None)
    if existing is not None:
        raise OutputError(
            f"{existing} exists; add --overwrite to replace it or choose another folder with -o"
        )


def names_in(folder: Path) -> set[str]:
    """The names in a folder; none where there is no such folder yet."""
    try:
        return {path.name for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def first_double(paths: list[Path]) -> Path | None:
    """The first in order of those that stand there twice."""
    return min((path for path, count in Counter(paths).items() if count > 1), default=None)


def refuse_foreign(targets: list[Path], inputs: list[Path]) -> None:
    """Raises OutputError when a result would replace an input, or a file that is no result of `edgegan run`."""
    existing = [path for path in targets if path.is_symlink() or path.exists()]
    read = {path.resolve() for path in inputs} if existing else set()
    for path in existing:
        check_replaceable(path, is_result)
        if path.resolve() in read:
            raise OutputError(
                f"{path} is read and would be replaced; choose another folder with -o"
            )


def run_on_images(
    source: Path,
    inputs: list[Path],
    output: Path,
    *,
    fit: str,
    threads: int,
    overwrite: bool,
    skip_bad: bool = False,
) -> list[Path]:
    """Applies `source` to every picture and writes PNGs into `output`; nothing is replaced without `overwrite`. Those
    that cannot be read are named and left out with `skip_bad`, else InputError."""
    pairs = collect_inputs(inputs)
    targets = [output / name for _, name in pairs]
    double = first_double(targets)
    if double is not None:
        raise InputError(
            f"two inputs would both be written as {double}; rename one or run them apart"
        )
    refuse_existing(targets, overwrite=overwrite)
    refuse_foreign(targets, [path for path, _ in pairs])
    if skip_bad:
        pairs = [pair for pair in pairs if is_readable(pair[0])]
        if not pairs:
            raise InputError("no picture can be read: give others")
        targets = [output / name for _, name in pairs]
    first = image_size(pairs[0][0])
    with (
        open_generator(source, threads, first) as generator,
        progress("pictures", len(pairs)) as bar,
    ):
        if generator.kind == "noise":
            raise InputError(f"{source} makes pictures from noise: give --count, not pictures")
        for index, ((path, _), target) in enumerate(zip(pairs, targets, strict=True)):
            write_image(target, apply_to_file(generator, path, fit), SOFTWARE)
            bar.step(index + 1, path.name)
    return targets
