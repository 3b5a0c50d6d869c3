"""The dataset of a recipe: lists of files matched and split, examples decoded on demand, bad files found beforehand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.console import say
from edgegan.data.beside import check_beside, join_inputs
from edgegan.data.images import Crop, Floats, list_images, take_crop, to_float
from edgegan.data.labels import find_edges, one_hot
from edgegan.data.pictures import Files, LabelFiles, Pictures, open_pictures
from edgegan.data.results import made_alone, pairs_inside, without_ending
from edgegan.errors import ConfigError, InputError, nearest
from edgegan.recipe.data_section import Data

SHOWN = 5
SHOWN_BAD = 20
ENDINGS = ("_leftImg8bit", "_gtFine_labelIds", "_gtFine_instanceIds", "_gtFine_labelTrainIds")
INSTANCES = "_gtFine_instanceIds"
OTHER_MAPS = ("_gtFine_color", INSTANCES)


@dataclass(frozen=True)
class Split:
    """Training or validation examples. `inputs` is what the generator is fed (label maps for kind labels, nothing for
    noise); `targets` what it should make: partner `i` of input `i`, or for kind unpaired domain B in its own order;
    `beside` are the further inputs of one that takes several."""

    data: Data
    inputs: Pictures | None
    targets: Pictures | None = None
    instances: Pictures | None = None
    beside: tuple[Pictures, ...] = ()

    def __len__(self) -> int:
        """Examples of an epoch: of the larger domain when unpaired."""
        return max(len(part) for part in (self.inputs, self.targets) if part is not None)

    def parts(self) -> list[Pictures]:
        """All that there is of an example."""
        found = (self.inputs, self.targets, self.instances, *self.beside)
        return [part for part in found if part is not None]

    def read_input(self, index: int, crop: Crop, channels: int | Sequence[int] = 3) -> Floats:
        """Input `index`, cropped: (channels, h, w) in [-1, 1], or one-hot classes with the instance borders. Several
        `channels` are those of the input and of what is beside it, which follow each other.

        `crop.index` is not used. Raises InputError naming the file, or that the number of inputs is another.
        """
        assert self.inputs is not None
        data = self.data
        values = take_crop(self.inputs.read(index), crop, data.size, data.resize)
        if data.kind != "labels":
            each = (channels,) if isinstance(channels, int) else tuple(channels)
            check_beside(len(each), len(self.beside))
            others = (
                take_crop(part.read(index), crop, data.size, data.resize) for part in self.beside
            )
            return join_inputs([values, *others], each)
        planes = one_hot(values, data.label_classes)
        if self.instances is None:
            return planes
        borders = find_edges(take_crop(self.instances.read(index), crop, data.size, data.resize))
        return np.concatenate([planes, borders[None]])

    def read_target(self, index: int, crop: Crop, channels: int = 3) -> Floats:
        """Target `index`, cropped: (channels, h, w) in [-1, 1]. Raises InputError naming the file."""
        assert self.targets is not None
        pixels = take_crop(self.targets.read(index), crop, self.data.size, self.data.resize)
        return to_float(pixels, channels)

    def read_example(
        self, index: int, crop: Crop, channels: tuple[int, int] = (3, 3)
    ) -> tuple[Floats | None, Floats | None]:
        """Input and target `index` of one crop; either is None where the kind has none."""
        made = self.read_input(index, crop, channels[0]) if self.inputs else None
        wanted = self.read_target(index, crop, channels[1]) if self.targets else None
        return made, wanted

    def only(self, indices: Sequence[int]) -> Split:
        """Some of the examples; not for kind unpaired."""
        parts = (self.inputs, self.targets, self.instances)
        kept = [part.only(indices) if part is not None else None for part in parts]
        beside = tuple(each.only(indices) for each in self.beside)
        return Split(self.data, kept[0], kept[1], kept[2], beside)


@dataclass(frozen=True)
class Dataset:
    """A recipe's examples, split; `findings` is what a check of the files found, None before."""

    train: Split
    validation: Split
    findings: dict[str, Any] | None = None


def open_dataset(data: Data, seed: int) -> Dataset:
    """Lists, matches and splits the files of a recipe; nothing is decoded.

    Raises ConfigError when a folder is not set, InputError when one is missing or empty or names do not match.
    """
    if data.train is None:
        raise ConfigError("data.train is not set; give --data FOLDER with training images")
    whole = add_beside(
        open_split(data, data.train, data.target, data.instances), data.train, data.beside
    )
    if data.validation is not None:
        held = open_split(data, data.validation, data.validation_target, data.validation_instances)
        held = add_beside(held, data.validation, data.validation_beside)
        return Dataset(whole, first(held, data.validation_images))
    if data.kind != "unpaired":
        assert whole.inputs is not None or whole.targets is not None
        train, kept = split_indices(len(whole), data.validation_images, seed, data.train)
        return Dataset(whole.only(train), whole.only(kept))
    assert whole.inputs is not None and whole.targets is not None and data.target is not None
    train_a, kept_a = split_indices(len(whole.inputs), data.validation_images, seed, data.train)
    train_b, kept_b = split_indices(len(whole.targets), data.validation_images, seed, data.target)
    return Dataset(
        replace(whole, inputs=whole.inputs.only(train_a), targets=whole.targets.only(train_b)),
        replace(whole, inputs=whole.inputs.only(kept_a), targets=whole.targets.only(kept_b)),
    )


def open_split(data: Data, folder: Path, target: Path | None, instances: Path | None) -> Split:
    """One folder's examples with their partners."""
    if data.kind == "images":
        return Split(data, open_pictures(folder))
    if data.kind == "noise":
        return Split(data, None, open_pictures(folder))
    if data.kind == "unpaired":
        assert target is not None
        return Split(data, open_pictures(folder), open_pictures(target))
    if target is None:
        a, b = inside(folder)
        return Split(data, a, b) if data.direction == "AtoB" else Split(data, b, a)
    targets = list_images(target)
    if data.kind == "paired":
        inputs, found = match(list_images(folder), folder, targets, target)
        return Split(data, Files(inputs), Files(found))
    maps = [path for path in list_images(folder) if not path.stem.endswith(OTHER_MAPS)]
    inputs, found = match(maps, folder, targets, target)
    labels = LabelFiles(inputs, data.classes, data.unlabelled, data.class_names)
    if instances is None:
        return Split(data, labels, Files(found))
    files = list_images(instances)
    ours = [path for path in files if path.stem.endswith(INSTANCES)]
    _, borders = match(inputs, folder, ours or files, instances)
    return Split(data, labels, Files(found), LabelFiles(borders))


def inside(folder: Path) -> tuple[Files, Files]:
    """Inputs and targets of one folder: results of a public test script, or both halves of aligned A|B pictures."""
    files = list_images(folder)
    pairs = pairs_inside(files, folder)
    if pairs is None:
        return Files(files, "left"), Files(files, "right")
    inputs, targets = match(pairs[0], folder, pairs[1], folder)
    return Files(inputs), Files(targets)


def add_beside(split: Split, folder: Path, beside: Sequence[Path]) -> Split:
    """The split with the pictures of further folders beside its inputs, which are files of `folder`."""
    if not beside:
        return split
    if not isinstance(split.inputs, Files):
        raise InputError(f"{folder} is an array: pictures with others beside them lie in folders")
    paths = split.inputs.paths
    return replace(
        split,
        beside=tuple(Files(match(paths, folder, list_images(each), each)[1]) for each in beside),
    )


def match(
    inputs: list[Path], input_folder: Path, targets: list[Path], target_folder: Path
) -> tuple[list[Path], list[Path]]:
    """Files with the same name in both folders, apart from suffix, Cityscapes endings and, where no names are the same,
    those of public test scripts (_fake_B, _real_B), in the order of the first. Of targets that are results of several
    kinds, those that were made are taken.

    Subfolders count. More targets than inputs are passed over with a word; an input without a target raises InputError.
    """
    if input_folder != target_folder:
        targets = made_alone(targets, target_folder)
    names, theirs = common_names(inputs, input_folder, targets, target_folder)
    by_name = dict(zip(theirs, targets, strict=True))
    lacking = [index for index, name in enumerate(names) if name not in by_name]
    if lacking:
        shown = ", ".join(inputs[index].name for index in lacking[:SHOWN])
        hint = nearest(names[lacking[0]], by_name)
        raise InputError(
            f"{len(lacking)} of {len(inputs)} files in {input_folder} have no partner of the same name in "
            f"{target_folder}: {shown}{hint}; add or remove them"
        )
    chosen = [by_name[name] for name in names]
    if len(chosen) < len(targets):
        say(
            f"{len(targets) - len(chosen)} files in {target_folder} have no partner and are not used"
        )
    return inputs, chosen


def common_names(
    inputs: list[Path], input_folder: Path, targets: list[Path], target_folder: Path
) -> tuple[list[str], list[str]]:
    """What the files of two folders are matched by: without the endings of results where only that tells them apart
    and leaves every file of a folder its own name."""
    names = [key(path, input_folder) for path in inputs]
    theirs = [key(path, target_folder) for path in targets]
    if set(names).isdisjoint(theirs):
        short, others = [[without_ending(name) for name in each] for each in (names, theirs)]
        if len(set(short)) == len(short) and len(set(others)) == len(others):
            return short, others
    return names, theirs


def key(path: Path, folder: Path) -> str:
    """What two partners have in common: the path inside the folder without suffix and Cityscapes ending."""
    name = path.relative_to(folder).with_suffix("").as_posix()
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def split_indices(count: int, most: int, seed: int, folder: Path) -> tuple[list[int], list[int]]:
    """A seeded tenth for validation, at most `most`; the rest for training. Raises InputError below two."""
    if count < 2:
        raise InputError(
            f"{folder} holds one example; give at least two, or a validation folder (--validation)"
        )
    order = list(range(count))
    random.Random(f"split:{seed}").shuffle(order)
    held = max(1, min(most, count // 10))
    return sorted(order[held:]), sorted(order[:held])


def first(split: Split, most: int) -> Split:
    """At most the first `most` examples."""
    if split.data.kind != "unpaired":
        return split.only(range(min(most, len(split))))
    assert split.inputs is not None and split.targets is not None
    return replace(
        split,
        inputs=split.inputs.only(range(min(most, len(split.inputs)))),
        targets=split.targets.only(range(min(most, len(split.targets)))),
    )
