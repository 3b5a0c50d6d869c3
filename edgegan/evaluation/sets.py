"""Sets of pictures to judge: a folder's, or those that a generator makes of the same inputs as another one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

from edgegan.artefact import read_model
from edgegan.console import progress
from edgegan.data.datasets import Split, match, open_dataset
from edgegan.data.images import (
    Crop,
    Floats,
    Pixels,
    Resize,
    from_stored,
    list_images,
    take_crop,
    to_pixels,
)
from edgegan.data.pictures import Files, LabelFiles, Pictures, Rows, readable
from edgegan.errors import ConfigError, InputError
from edgegan.metrics.published_protocols import PublishedProtocol, cut_off, cut_off_again
from edgegan.models.zoo import check_package_size, load_generator
from edgegan.package import (
    InputIO,
    LabelMapIO,
    NoiseIO,
    PackageConfig,
    is_package,
    planes_of,
    read_config,
)
from edgegan.recipe.data_section import Data
from edgegan.recipe.loading import parse_recipe
from edgegan.run import MANIFEST, Run
from edgegan.runtime.opening import open_generator

MOST_PIXELS = 3_000_000  # of a picture that is judged in floating point
MOST_PICTURES = 100_000
MIDDLE = Crop(0, 0.5, 0.5)


@dataclass(frozen=True)
class PictureSet:
    """Pictures with a name for the protocol; `size` and `resize` as in a recipe when they are cropped, else None.

    `made_from` says how the inputs of generated pictures were cropped; `cut`: values lose what public code cuts off.
    """

    name: str
    pictures: Pictures
    size: tuple[int, int] | None = None
    resize: Resize = None
    made_from: str | None = None
    cut: bool = False

    def __len__(self) -> int:
        return len(self.pictures)

    def pixels(self, index: int) -> Pixels:
        """(H, W, 3) uint8 of picture `index`."""
        read = self.pictures.read(index)
        if self.cut:
            read = cut_off_again(read)
        return read if self.size is None else take_crop(read, MIDDLE, self.size, self.resize)

    def tensor(self, index: int) -> torch.Tensor:
        """(3, H, W) in [-1, 1]; raises InputError naming a picture that is too large to be judged."""
        pixels = self.pixels(index)
        height, width = pixels.shape[:2]
        if height * width > MOST_PIXELS:
            raise InputError(
                f"{self.pictures.name(index)} has {width}x{height} pixels; more than {MOST_PIXELS:,} are "
                "not judged at once: give --size to crop, or scale it down"
            )
        values = from_stored(pixels)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))

    def tensors(self) -> Iterator[torch.Tensor]:
        """Every picture in order."""
        return (self.tensor(index) for index in range(len(self)))

    def describe_resize(self) -> str:
        """How pictures were cropped, for the protocol."""
        if self.made_from is not None:
            return self.made_from
        return "none" if self.size is None else describe_crop(self.size, self.resize)


def describe_crop(size: tuple[int, int], resize: Resize) -> str:
    """A centre crop in words."""
    if isinstance(resize, tuple):
        return f"whole, scaled to {resize[0]}x{resize[1]}, centre crop {size[0]}x{size[1]}"
    scaled = f"shorter side {resize}, " if resize else ""
    return f"{scaled}centre crop {size[0]}x{size[1]}"


@dataclass(frozen=True)
class Inputs:
    """What generators are fed: a split's inputs, or `count` noise vectors. `where` names them for the protocol.

    `training` is the other split of a recipe; `published` what `--protocol` sets.
    """

    where: str
    split_name: str
    size: tuple[int, int]
    resize: Resize
    split: Split | None
    io: InputIO
    count: int
    training: Split | None = None
    published: PublishedProtocol | None = None

    def read(self, index: int) -> Floats:
        """Input `index` of a generator, without the batch axis."""
        if isinstance(self.io, NoiseIO):
            chance = np.random.default_rng([7, index])
            return chance.standard_normal(self.io.dimension, dtype=np.float32)
        assert self.split is not None
        planes = self.split.read_input(index, MIDDLE, planes_of(self.io))
        if planes.shape[0] != self.io.channels:
            raise InputError(
                f"the generator takes {self.io.channels} channels, {self.where} gives {planes.shape[0]}; "
                "check the number of classes and whether instance maps are wanted (--instances)"
            )
        return planes

    def describe(self) -> str:
        """How they were cropped, for the protocol."""
        if isinstance(self.io, NoiseIO):
            return "none"
        cut = ", made ones cut off to 8 bits" if self.cuts else ""
        return f"inputs {describe_crop(self.size, self.resize)}{cut}"

    @property
    def cuts(self) -> bool:
        """Whether made pictures are cut off to 8 bits, not rounded."""
        return self.published is not None and self.published.truncate

    def labels(self, index: int) -> np.ndarray:
        """Label map `index`, cropped, or whole where the protocol says so: (H, W) class numbers."""
        assert self.split is not None and self.split.inputs is not None
        return self.fitted(self.split.inputs.read(index))

    def fitted(self, labels: np.ndarray) -> np.ndarray:
        """A label map (H, W) of an input as made pictures are compared with it."""
        if self.published is not None and self.published.whole_labels:
            return labels
        return take_crop(labels, MIDDLE, self.size, self.resize)


def run_of(source: Path) -> Run | None:
    """The run that a run folder, its student, or an artefact in its export folder belongs to."""
    for folder in (source, source.parent, source.parent.parent):
        if (folder / MANIFEST).is_file():
            return Run.open(folder)
    return None


def teacher_of(run: Run) -> Path | None:
    """A run's teacher package, when it is still there."""
    imported = run.folder / "teacher"
    stated = run.manifest["recipe"].get("teacher")
    for folder in (imported, Path(stated) if stated else None):
        if folder is not None and is_package(folder):
            return folder
    return None


def run_inputs(
    run: Run,
    io: InputIO,
    size: tuple[int, int] | None,
    published: PublishedProtocol | None = None,
) -> Inputs:
    """The validation inputs of a run's recipe, cropped as there or to `size`; all of them by a published protocol."""
    recipe = parse_recipe(run.manifest["recipe"], str(run.folder / MANIFEST))
    changes: dict[str, object] = {"size": size} if size else {}
    if published is not None:
        changes["validation_images"] = MOST_PICTURES
        if published.squash:
            changes["resize"] = size or recipe.data.size
    data = recipe.data.model_copy(update=changes)
    dataset = open_dataset(data, recipe.seed)
    split = dataset.validation
    given = data.validation is not None
    name = "validation folder" if given else f"held-out tenth of training, seed {recipe.seed}"
    where = str(data.validation or data.train)
    resize, training = data.resize, dataset.train
    count = len(split if split.inputs is None else split.inputs)  # domain B may be larger
    return Inputs(where, name, data.size, resize, split, io, count, training, published)


def folder_inputs(
    folder: Path,
    config: PackageConfig,
    size: tuple[int, int] | None,
    instances: Path | None,
    published: PublishedProtocol | None = None,
    *,
    skip_bad: bool = False,
) -> Inputs:
    """The pictures or label maps of a folder, with `skip_bad` those that can be read, centre-cropped to the package's
    size or `size`, or as a protocol says."""
    size = size or config.size
    resize = size if published is not None and published.squash else None
    io = config.input
    labels = isinstance(io, LabelMapIO)
    files = readable(list_images(folder), skip_bad=skip_bad, labels=labels)
    if isinstance(io, LabelMapIO):
        data = Data(kind="labels", classes=max(2, io.classes), size=size, resize=resize)
        maps = LabelFiles(files, io.classes)
        borders = None
        if io.instance_edge:
            borders = LabelFiles(match_files(files, folder, instances) if instances else files)
        split = Split(data, maps, None, borders)
    else:
        split = Split(Data(size=size, resize=resize), Files(files))
    where = str(folder)
    return Inputs(where, "as given", size, resize, split, io, len(files), None, published)


def noise_inputs(config: PackageConfig, count: int) -> Inputs:
    """Seeded noise for a generator that takes noise."""
    return Inputs(
        "standard normal noise, seed 7", "none", config.size, None, None, config.input, count
    )


def match_files(files: list[Path], folder: Path, others: Path) -> list[Path]:
    """The files of `others` of the same names as `files`, in their order; raises InputError for one that lacks."""
    return match(files, folder, list_images(others), others)[1]


def artefact_size(source: Path) -> tuple[int, int] | None:
    """Height and width that an artefact takes; None for a package."""
    if is_package(source):
        return None
    tensor = read_model(source).inputs[0]
    height, width = tensor.shape[1:3] if tensor.layout == "NHWC" else tensor.shape[2:4]
    return height, width


def limited(inputs: Inputs, most: int | None) -> Inputs:
    """At most the first `most` inputs."""
    if most is None or most >= inputs.count:
        return inputs
    split = inputs.split
    if split is not None and split.data.kind == "unpaired" and split.inputs is not None:
        split = replace(split, inputs=split.inputs.only(range(most)))
    elif split is not None:
        split = split.only(range(most))
    return replace(inputs, split=split, count=most)


@contextlib.contextmanager
def open_call(source: Path, threads: int) -> Iterator[Callable[[Floats], Floats]]:
    """A package (any kind of input) or artefact as a function of one input without its batch axis."""
    if not is_package(source):
        with open_generator(source, threads) as generator:
            yield generator.call
        return
    _, module = load_generator(source)

    def call(x: Floats) -> Floats:
        with torch.inference_mode():
            return module(torch.from_numpy(x)[None])[0].numpy()

    yield call


def generate(source: Path, name: str, inputs: Inputs, folder: Path, threads: int) -> PictureSet:
    """What a package or artefact makes of every input, as 8-bit pictures kept in `folder`."""
    if is_package(source):
        check_package_size(read_config(source), inputs.size)
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    array: np.memmap | None = None
    with open_call(source, threads) as call, progress(f"pictures of {name}", inputs.count) as bar:
        for index in range(inputs.count):
            made = call(inputs.read(index))
            pixels = to_pixels(made)
            if inputs.cuts:
                pixels[:] = cut_off(made).transpose(1, 2, 0)
            if pixels.shape[2] != 3:
                raise ConfigError(
                    f"{source} makes {pixels.shape[2]} channels, not pictures; they cannot be judged"
                )
            if array is None:
                array = open_memmap(path, "w+", np.uint8, (inputs.count, *pixels.shape))
            array[index] = pixels
            bar.step(index + 1)
    assert array is not None
    return PictureSet(name, Rows(path, array, np.arange(inputs.count)), made_from=inputs.describe())
