"""Pictures as arrays: any size and mode in, float32 RGB in [-1, 1] out. numpy and Pillow only, so boards can use it."""

from __future__ import annotations

import contextlib
import functools
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from edgegan.console import say
from edgegan.errors import InputError, MissingDependency
from edgegan.files import optional_import, sha256_file

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".webp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".heic", ".heif"),
)
FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "WEBP",
    "TIFF",
    "PPM",
    "GIF",
    "JPEG2000",
)  # EPS would start Ghostscript
FRAMED = ("GIF", "WEBP", "PNG", "TIFF")  # of which the first picture is taken
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
SCALED = ("PNG", "PPM")  # whose wide greys always are 16 bits
MOST_SIDE = 65_535
MAX_PIXELS = 120_000_000
FREE_PIXELS = 12_000_000  # of a file of any size; more must be paid for in bytes of the file
PIXELS_A_BYTE = 3
BAND_PIXELS = 1_000_000  # converted at once, so that wide modes cost no multiple of the picture
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Resize = int | tuple[int, int] | None  # of the shorter side, or height and width
DECODE_ERRORS = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def list_images(folder: Path) -> list[Path]:
    """Image files below a folder in sorted order, without hidden ones and macOS's; raises InputError when there is
    none."""
    if not folder.is_dir():
        raise InputError(f"image folder {folder} does not exist")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not is_hidden(path, folder) and path.is_file()
    )
    if not files:
        raise InputError(
            f"no images in {folder} (looked for {', '.join(SUFFIXES)} in it and its subfolders)"
        )
    return files


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file below a folder is what a system keeps there for itself (._a.jpg, .thumbs/a.png, __MACOSX)."""
    parts = path.relative_to(folder).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def read_image(path: Path) -> Pixels:
    """Decodes a picture to (H, W, 3) uint8 RGB; of several in one file the first, which is said.

    EXIF rotation is applied; transparency is laid on white; 16-bit greys are scaled to 8 bits by what 16 bits hold,
    wider and float ones by 65,535, 255 or 1, the least that their brightest pixel fits in; palettes and CMYK are
    converted. Raises InputError naming the file when it is missing, damaged or too large (`check_pixels`).
    """
    with opened(path, "image") as image:
        deep = image.format in SCALED
        image.load()
        return to_rgb(ImageOps.exif_transpose(image), deep=deep)


@contextlib.contextmanager
def opened(path: Path, what: str) -> Iterator[Image.Image]:
    """A picture of which the header was read; `what` it is, is said where it is missing.

    Raises InputError naming the file when it is missing, damaged (also if that shows while it is decoded) or too large.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{what} {path} is no plain file")
    try:
        with Image.open(path, formats=formats_of(path)) as image:
            check_pixels(image, path)
            if image.format in FRAMED and getattr(image, "is_animated", False):
                say_once(f"{path} holds several pictures: the first is taken")
            yield image
    except FileNotFoundError as error:
        raise InputError(f"{what} {path} does not exist") from error
    except DECODE_ERRORS as error:
        raise InputError(
            f"{path} is damaged or not an image ({error}); replace or remove it"
        ) from error


def formats_of(path: Path) -> tuple[str, ...]:
    """The formats that a file may be in; raises InputError for a HEIC picture without the package that reads it."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] != b"ftyp" or head[8:12] not in HEIF_BRANDS:
        return FORMATS
    try:
        heif = optional_import("pillow_heif", "heic")
    except MissingDependency as error:
        raise InputError(
            f"{path} is a HEIC picture, which needs pillow-heif: run pip install 'edgegan[heic]', or save it as JPEG"
        ) from error
    heif.register_heif_opener()
    return ("HEIF",)


@functools.cache
def say_once(message: str) -> None:
    """A word on stderr, the first time it is to be said."""
    say(message)


def check_pixels(image: Image.Image, path: Path) -> None:
    """Raises InputError when a picture, of which only the header was read, is too large to decode: longer than 65,535
    pixels, above 120 megapixels, or above 12 and far more than a file of its size holds."""
    if max(image.size) > MOST_SIDE:
        raise InputError(
            f"{path} is {image.width}x{image.height} pixels, and no side may be longer than {MOST_SIDE:,}; cut it first"
        )
    pixels = image.width * image.height
    most = min(MAX_PIXELS, FREE_PIXELS + PIXELS_A_BYTE * path.stat().st_size)
    if pixels > most:
        raise InputError(
            f"{path} has {image.width}x{image.height} pixels, more than {most // 10**6} million, which is the most for "
            f"a file of {path.stat().st_size:,} bytes; scale it down first"
        )


def to_rgb(image: Image.Image, *, deep: bool = False) -> Pixels:
    """Any Pillow mode to (H, W, 3) uint8 RGB, band by band; wide greys are 16 bits where that is known (`deep`)."""
    top = None
    if image.mode.startswith("I") or image.mode == "F":
        brightest = float(np.asarray(image).max(initial=0))
        deep = deep or image.mode.startswith("I;16") or brightest > 255
        top = 65535.0 if deep else 255.0 if image.mode != "F" or brightest > 1 else 1.0
    rows = max(1, BAND_PIXELS // max(1, image.width))
    if image.height <= rows:
        return band_to_rgb(image, top)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for first in range(0, image.height, rows):
        last = min(first + rows, image.height)
        pixels[first:last] = band_to_rgb(image.crop((0, first, image.width, last)), top)
    return pixels


def band_to_rgb(image: Image.Image, top: float | None) -> Pixels:
    """Some rows of a picture; `top` is what white is in modes of wide greys."""
    if top is not None:
        values = np.asarray(image, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            grey = np.clip(np.nan_to_num(np.round(values / top * 255)), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB")).copy()


def resize_image(pixels: Pixels, height: int, width: int, *, bilinear: bool = False) -> Pixels:
    """Scales (H, W, C) uint8 with Pillow's antialiased bicubic filter, or its bilinear one as devices do.

    Bilinear goes along the width first: Pillow itself chooses the order by size and version, and bits depend on it.
    """
    image = Image.fromarray(pixels)
    if bilinear:
        image = image.resize((width, image.height), Image.Resampling.BILINEAR)
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).copy()
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)).copy()


def resize_nearest(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Scales (H, W) numbers of any type by taking the nearest, pixel centres where `resize_image` has them."""
    rows = ((np.arange(height) + 0.5) * values.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * values.shape[1] / width).astype(np.int64)
    return values[rows[:, None], columns]


def to_float(pixels: Pixels, channels: int = 3) -> Floats:
    """(H, W, 3) uint8 -> (channels, H, W) float32 in [-1, 1]; one channel is Rec. 601 luma. Raises InputError for
    another number of channels."""
    if channels not in (1, 3):
        raise InputError(
            f"this generator takes {channels} channels, and pictures give 3 in colour or 1 in grey: it cannot be fed "
            "with pictures; give one whose input is a picture"
        )
    values = from_stored(pixels)
    if channels == 1:
        values = (values @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def from_stored(stored: NDArray[np.uint8]) -> Floats:
    """uint8 values of a run's cache, any shape, as float32 in [-1, 1]."""
    return stored.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_pixels(values: Floats) -> Pixels:
    """(C, H, W) float in [-1, 1] -> (H, W, 3) uint8, rounded and clipped; C is 1 or 3, else InputError."""
    if len(values) not in (1, 3):
        raise InputError(
            f"what is made has {len(values)} channels, and pictures have 3 in colour or 1 in grey: it cannot be "
            "written as a picture; take the artefact's numbers with a runtime of your own"
        )
    pixels = np.clip(np.round((values.transpose(1, 2, 0) + 1) * 127.5), 0, 255).astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def write_image(path: Path, pixels: Pixels, software: str | None = None) -> None:
    """Saves (H, W, 3) uint8 in the format of the suffix, atomically; a PNG may say what made it."""
    import io

    from PIL.PngImagePlugin import PngInfo

    from edgegan.files import write_atomic

    buffer = io.BytesIO()
    image_format = {".jpg": "JPEG", ".jpeg": "JPEG"}.get(path.suffix.lower(), "PNG")
    options: dict[str, Any] = {"quality": 92} if image_format == "JPEG" else {}
    if software is not None and image_format == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_text("Software", software)
    Image.fromarray(pixels).save(buffer, image_format, **options)
    write_atomic(path, buffer.getvalue())


@dataclass(frozen=True)
class Crop:
    """A rectangle of one picture: file index, then top and left as fractions of the free room."""

    index: int
    top: float
    left: float


def plan_crops(num_files: int, count: int, seed: int) -> list[Crop]:
    """`count` random crops; every file is used once before any is used again."""
    chance = random.Random(f"crops:{seed}")
    crops: list[Crop] = []
    while len(crops) < count:
        order = list(range(num_files))
        chance.shuffle(order)
        crops += [Crop(index, chance.random(), chance.random()) for index in order]
    return crops[:count]


def take_crop(
    pixels: NDArray[Any], crop: Crop, size: tuple[int, int], resize: Resize
) -> NDArray[Any]:
    """Cuts (H, W, 3) pictures or (H, W) label maps to `size`, after scaling the shorter side to `resize`, or both sides
    to two numbers, or up when too small. A picture and a map of one height and width lose the same borders."""
    height, width = pixels.shape[:2]
    if isinstance(resize, tuple):
        height, width = max(size[0], resize[0]), max(size[1], resize[1])
    else:
        scale = resize / min(height, width) if resize else 1.0
        scale = max(scale, size[0] / height, size[1] / width)
        if scale != 1.0:
            height, width = max(size[0], round(height * scale)), max(size[1], round(width * scale))
    if (height, width) != pixels.shape[:2]:
        scaled = resize_image if pixels.ndim == 3 else resize_nearest
        pixels = scaled(pixels, height, width)
    top, left = round(crop.top * (height - size[0])), round(crop.left * (width - size[1]))
    return pixels[top : top + size[0], left : left + size[1]]


def center_crop(pixels: Pixels, size: tuple[int, int], resize: Resize) -> Pixels:
    """The middle of the picture, scaled as in `take_crop`."""
    return take_crop(pixels, Crop(0, 0.5, 0.5), size, resize)


def split_files(files: list[Path], seed: int) -> tuple[list[Path], list[Path]]:
    """A seeded tenth for validation, the rest for training; raises InputError when there are fewer than two files."""
    if len(files) < 2:
        raise InputError(
            f"{files[0].parent} holds one image; give at least two, or a validation folder (--validation)"
        )
    order = files[:]
    random.Random(f"split:{seed}").shuffle(order)
    held = max(1, len(order) // 10)
    return sorted(order[held:]), sorted(order[:held])


def fingerprint(files: list[Path]) -> list[str]:
    """What the cache key holds of a list of images: name and sha256 of each."""
    return [f"{path.name}:{sha256_file(path)}" for path in files]
