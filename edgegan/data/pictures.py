"""Collections of pictures that are decoded one at a time: files, halves of aligned A|B files, rows of an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgegan.console import say
from edgegan.data.arrays import open_array, read_npz
from edgegan.data.images import Pixels, list_images, read_image
from edgegan.data.labels import Labels, check_labels, read_labels
from edgegan.errors import InputError

Half = Literal["left", "right"]


class Pictures(Protocol):
    """What a dataset reads from; nothing decoded is kept."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> NDArray: ...

    def name(self, index: int) -> str: ...

    def stamp(self, index: int) -> str: ...

    def only(self, indices: Sequence[int]) -> Pictures: ...


@dataclass(frozen=True)
class Files:
    """Picture files; `half` takes one side of an aligned A|B picture."""

    paths: list[Path]
    half: Half | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Pixels:
        """(H, W, 3) uint8; raises InputError naming the file."""
        pixels = read_image(self.paths[index])
        if self.half is None:
            return pixels
        width = pixels.shape[1]
        if width % 2:
            raise InputError(
                f"{self.paths[index]} is {width} pixels wide: an aligned A|B picture has two halves of "
                "one width; for pictures in two folders set data.target"
            )
        return pixels[:, : width // 2] if self.half == "left" else pixels[:, width // 2 :]

    def name(self, index: int) -> str:
        """The file."""
        return str(self.paths[index])

    def stamp(self, index: int) -> str:
        """Changes when the file does: name, size and time of its last change."""
        found = self.paths[index].stat()
        return f"{self.paths[index]}:{self.half}:{found.st_size}:{found.st_mtime_ns}"

    def only(self, indices: Sequence[int]) -> Files:
        """Some of them, in this order."""
        return Files([self.paths[index] for index in indices], self.half)


@dataclass(frozen=True)
class LabelFiles:
    """Label maps with their number of classes, or instance maps when `classes` is None."""

    paths: list[Path]
    classes: int | None = None
    unlabelled: int | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Labels:
        """(H, W) numbers; raises InputError naming the file, also for a class that does not exist."""
        labels = read_labels(self.paths[index])
        if self.classes is None:
            return labels
        return check_labels(labels, self.classes, self.unlabelled, self.names, self.paths[index])

    name, stamp = Files.name, Files.stamp
    half = None

    def only(self, indices: Sequence[int]) -> LabelFiles:
        """Some of them, in this order."""
        chosen = [self.paths[index] for index in indices]
        return LabelFiles(chosen, self.classes, self.unlabelled, self.names)


@dataclass(frozen=True)
class Rows:
    """Rows of an array (N, H, W, 3) or (N, H, W) uint8, for sets of very small pictures such as CIFAR."""

    path: Path
    array: NDArray[np.uint8]
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> Pixels:
        """(H, W, 3) uint8."""
        pixels = np.asarray(self.array[self.indices[index]])
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)

    def name(self, index: int) -> str:
        """The file and the row."""
        return f"{self.path}[{self.indices[index]}]"

    def stamp(self, index: int) -> str:
        """Changes when the file does."""
        return f"{self.name(index)}:{self.path.stat().st_size}:{self.path.stat().st_mtime_ns}"

    def only(self, indices: Sequence[int]) -> Rows:
        """Some of them, in this order."""
        return Rows(self.path, self.array, self.indices[np.asarray(indices, np.int64)])


def together(first: Pictures, second: Pictures) -> Files:
    """The files of two sets; raises InputError for pictures in arrays."""
    if not (isinstance(first, Files) and isinstance(second, Files)):
        raise InputError(f"{first.name(0)} is of an array; give its pictures as files in a folder")
    return Files([*first.paths, *second.paths], first.half)


def readable(files: list[Path], *, skip_bad: bool, labels: bool = False) -> list[Path]:
    """The files themselves; with `skip_bad` those that can be decoded whole, the others named. Raises InputError when
    none is left."""
    if not skip_bad:
        return files
    kept = []
    for path in files:
        try:
            read_labels(path) if labels else read_image(path)
        except InputError as error:
            say(f"left out: {error}", always=True)
        else:
            kept.append(path)
    if not kept:
        raise InputError(f"none of {len(files)} files can be read, the first {files[0]}")
    return kept


def open_pictures(path: Path) -> Files | Rows:
    """The pictures of a folder, or of a .npy or .npz file; raises InputError."""
    if path.suffix.lower() in (".npy", ".npz") and not path.is_dir():
        return open_rows(path)
    return Files(list_images(path))


def open_rows(path: Path) -> Rows:
    """A .npy file, mapped and not read, or the array `images` (or the only one) of a .npz file, held in memory.

    Raises InputError when it is missing, damaged, above 1 GB unpacked as .npz, or not uint8 (N, H, W, 3) or (N, H, W).
    """
    if not path.is_file():
        raise InputError(f"picture array {path} does not exist")
    loaded = open_array(path) if path.suffix.lower() == ".npy" else read_npz(path, "images")
    if loaded.dtype != np.uint8 or not (loaded.ndim == 3 or loaded.shape[3:] == (3,)):
        raise InputError(
            f"{path} holds {loaded.dtype} {tuple(loaded.shape)}; pictures are uint8 (N, H, W, 3)"
        )
    return Rows(path, loaded, np.arange(len(loaded)))
