"""`edgegan run`: a package or an artefact applied to pictures of any size, so that people see what they got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgegan.console import progress, say
from edgegan.data.beside import check_beside, find_beside, join_inputs
from edgegan.data.images import (
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
from edgegan.errors import InputError, OutputError, PartError
from edgegan.files import make_folder
from edgegan.ownership.marks import SOFTWARE, check_replaceable, is_result
from edgegan.runtime.opening import Generator as Generator
from edgegan.runtime.opening import open_generator as open_generator
from edgegan.runtime.spare_memory import spare_memory
from edgegan.runtime.tiling import ramp as ramp
from edgegan.runtime.tiling import reflect_to, tiled, tiled_bands
from edgegan.runtime.tiling import starts as starts

WHOLE_PIXELS = 1_500_000  # larger pictures go through a package in tiles, to bound memory
MOST_PADDED = 2  # times as many pixels, padded to what the generator takes
MOST_BAND = 8192  # pixels of a row; longer ones are taken as columns
PACKAGE_TILE = (768, 768)
MOST_MEMORY = 0.5  # of what is left, for a picture that has to go through at once
IN_TILES = (
    "each pixel of this generator depends on the whole picture (its norms or means), and a picture went through in "
    "tiles: they may differ in brightness and colour; scale the picture down, give an artefact --fit resize, or "
    "compress with student.norm=batch"
)


class Together(NamedTuple):
    """Pictures, files or folders, and the further inputs of a generator that takes several: folders with files of the
    same names, or one file each for all."""

    pictures: Sequence[Path]
    beside: Sequence[Path] = ()


def apply_generator(generator: Generator, x: Floats, fit: str) -> Floats:
    """One picture (C, H, W) -> (C', H ratio, W ratio), tiled, padded or scaled as the generator needs."""
    height, width = x.shape[1:]
    if generator.size is not None:
        if fit == "resize" and (height, width) != generator.size:
            small = scale_input(generator, x, generator.size)
            made = generator.call(small)
            large = resize_image(to_pixels(made), *generator.makes((height, width)), bilinear=True)
            return to_float(large, made.shape[0])
        note_tiles(generator, (height, width), generator.size)
        return tiled(generator.call, x, generator.size, generator.ratio)
    tall, wide = padded(generator, height, width)
    if is_tiled(generator, height, width):
        tile = package_tile(tall, wide)
        note_tiles(generator, (height, width), tile)
        return tiled(generator.call, x, tile, generator.ratio)
    out_tall, out_wide = generator.makes((height, width))
    return generator.call(reflect_to(x, tall, wide))[:, :out_tall, :out_wide]


def padded(generator: Generator, height: int, width: int) -> tuple[int, int]:
    """The smallest height and width that a generator of any size takes and that hold this one."""
    stride, least = generator.stride, generator.min_size
    return max(least, -(-height // stride) * stride), max(least, -(-width // stride) * stride)


def is_tiled(generator: Generator, height: int, width: int) -> bool:
    """Whether a picture is too large to go through a generator of any size at once. Where pixels depend on the whole
    picture, it goes at once as long as memory allows."""
    tall, wide = padded(generator, height, width)
    if height * width <= WHOLE_PIXELS and tall * wide <= MOST_PADDED * WHOLE_PIXELS:
        return False
    if tall * wide > MOST_PADDED * height * width or not generator.sees_whole():
        return True
    return generator.whole_bytes() * tall * wide > MOST_MEMORY * spare_memory()


def note_tiles(generator: Generator, size: tuple[int, int], tile: tuple[int, int]) -> None:
    """Notes that tiles of a picture are not what the whole would be."""
    if (size[0] > tile[0] or size[1] > tile[1]) and generator.sees_whole():
        generator.notes.add(IN_TILES)


def package_tile(tall: int, wide: int) -> tuple[int, int]:
    """The tile of a generator of any size: never larger than the padded picture."""
    return min(tall, PACKAGE_TILE[0]), min(wide, PACKAGE_TILE[1])


def apply_to_pixels(generator: Generator, pixels: Pixels, fit: str) -> Pixels:
    """A colour picture (H, W, 3) through a generator of three channels, as `apply_generator` takes it; of a large one
    only a band is in memory as floating point."""
    height, width = pixels.shape[:2]
    tall, wide = padded(generator, height, width)
    out_tall, out_wide = generator.makes((height, width))
    if generator.size is None and not is_tiled(generator, height, width):
        return to_pixels(apply_generator(generator, to_float(pixels, 3), fit))
    if generator.size is not None and fit == "resize" and (height, width) != generator.size:
        small = to_float(resize_image(pixels, *generator.size, bilinear=True), 3)
        made = to_pixels(generator.call(small))
        return resize_image(made, out_tall, out_wide, bilinear=True)
    tile = generator.size or package_tile(tall, wide)
    note_tiles(generator, (height, width), tile)
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


def apply_to_file(
    generator: Generator, path: Path, fit: str, beside: Sequence[Path] = ()
) -> Pixels | InputError:
    """A picture or label map in a file, and pictures `beside` it, through a generator, as a picture; of one that cannot
    be read, which is named, the reason."""
    try:
        images = generator.kind == "image"
        pictures = [read_image(each) for each in (path, *beside)] if images else []
        x = None if images else read_input(generator, path)
    except InputError as error:
        say(f"left out: {error}", always=True)
        return error
    if generator.channels == 3 and len(pictures) == 1:
        return apply_to_pixels(generator, pictures[0], fit)
    if pictures:
        x = join_inputs(pictures, generator.planes or (generator.channels,), path)
    assert x is not None
    return to_pixels(apply_generator(generator, x, fit))


def scale_input(generator: Generator, x: Floats, size: tuple[int, int]) -> Floats:
    """(C, H, W) at another size: pictures bilinear, labels by nearest pixels, their borders drawn anew."""
    if generator.kind == "image":
        ends = np.cumsum(generator.planes or (x.shape[0],))[:-1]
        parts = [
            to_float(resize_image(to_pixels(each), *size, bilinear=True), len(each))
            for each in np.split(x, ends)
        ]
        return np.concatenate(parts)
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


def collect_inputs(inputs: Sequence[Path]) -> list[tuple[Path, Path]]:
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
    """A label map in a file as (C, H, W) for this generator; raises InputError naming a file it cannot take."""
    try:
        return label_channels(generator, read_labels(path))
    except InputError as error:
        raise InputError(
            f"{path}: {error}" if str(path) not in str(error) else str(error)
        ) from error


def first_size(paths: list[Path]) -> tuple[int, int]:
    """Height and width of the first picture that can be read; raises InputError of the first where none can."""
    problem: InputError | None = None
    for path in paths:
        try:
            pixels = read_image(path)
        except InputError as error:
            problem = problem or error
            continue
        return pixels.shape[0], pixels.shape[1]
    raise InputError(f"no picture can be read: {problem}") from problem


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
    inputs: Sequence[Path] | Together,
    output: Path,
    *,
    fit: str,
    threads: int,
    overwrite: bool,
    skip_bad: bool = False,
) -> list[Path]:
    """Applies `source` to every picture and writes PNGs into `output`; nothing is replaced without `overwrite`. Those
    that cannot be read are named and left out; without `skip_bad` PartError says so in the end."""
    inputs, beside = inputs if isinstance(inputs, Together) else Together(inputs)
    pairs = collect_inputs(inputs)
    targets = [output / name for _, name in pairs]
    double = first_double(targets)
    if double is not None:
        raise InputError(
            f"two inputs would both be written as {double}; rename one or run them apart"
        )
    refuse_existing(targets, overwrite=overwrite)
    refuse_foreign(targets, [path for path, _ in pairs])
    others = [find_beside(path, name, beside) for path, name in pairs]
    first = first_size([path for path, _ in pairs])
    written: list[Path] = []
    bad: list[InputError] = []
    with (
        open_generator(source, threads, first) as generator,
        progress("pictures", len(pairs)) as bar,
    ):
        if generator.kind == "noise":
            raise InputError(f"{source} makes pictures from noise: give --count, not pictures")
        check_beside(len(generator.planes or (1,)), len(beside))
        for index, ((path, _), target) in enumerate(zip(pairs, targets, strict=True)):
            made = apply_to_file(generator, path, fit, others[index])
            if isinstance(made, InputError):
                bad.append(made)
            else:
                write_image(target, made, SOFTWARE)
                written.append(target)
            bar.step(index + 1, path.name)
    for note in sorted(generator.notes):
        say(note, always=True)
    if not written:
        raise InputError(f"none of {len(bad)} pictures can be read: {bad[0]}") from bad[0]
    if bad and not skip_bad:
        raise PartError(
            f"{len(bad)} of {len(pairs)} pictures cannot be read ({bad[0]}); the others are in {output} "
            "(--skip-bad: that is no error)"
        )
    return written
