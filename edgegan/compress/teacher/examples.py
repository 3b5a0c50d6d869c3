"""What a run learns from: its pictures, split, and where each example is cut."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from edgegan.console import say
from edgegan.data.batches import draw_noise
from edgegan.data.checking import check_dataset, listing_hash
from edgegan.data.datasets import Dataset, Split, first, open_dataset
from edgegan.data.images import Crop, Floats, plan_crops
from edgegan.errors import ConfigError
from edgegan.package import InputIO, NoiseIO, planes_of
from edgegan.recipe.data_section import Data
from edgegan.recipe.schema import Recipe

KINDS = {"image": ("images", "paired", "unpaired"), "label_map": ("labels",), "noise": ("noise",)}
SALT = {"train": "noise", "validation": "validation noise", "search": "search noise"}


@dataclass(frozen=True)
class Examples:
    """Splits of a run; None where noise needs no pictures. `search` are training pictures that only a search sees."""

    data: Data
    train: Split | None
    validation: Split | None
    search: Split | None
    held_out: int

    def count(self, name: str) -> int:
        """Examples of a split."""
        split: Split | None = getattr(self, name)
        if self.data.kind == "noise" or split is None:
            return {
                "train": self.data.crops,
                "validation": self.data.validation_images,
                "search": self.held_out,
            }[name]
        part = split.inputs if split.inputs is not None else split.targets
        assert part is not None
        return len(part)

    def crops(self, name: str, seed: int) -> list[Crop]:
        """Where examples are cut: at random for training, in the middle otherwise."""
        if name == "train" and self.data.kind != "noise":
            return plan_crops(self.count(name), self.data.crops, seed)
        return [Crop(index, 0.5, 0.5) for index in range(self.count(name))]

    def read(
        self, name: str, crop: Crop, spec: InputIO, output_channels: int, seed: int
    ) -> tuple[Floats, Floats | None]:
        """One example: the input, and the true picture where data are paired."""
        if isinstance(spec, NoiseIO):
            row = draw_noise(spec.dimension, range(crop.index, crop.index + 1), seed, SALT[name])
            return row[0].numpy(), None
        split: Split = getattr(self, name)
        x = split.read_input(crop.index, crop, planes_of(spec))
        if self.data.kind not in ("paired", "labels"):
            return x, None
        return x, split.read_target(crop.index, crop, output_channels)

    def read_real(self, position: int, output_channels: int, seed: int) -> Floats:
        """A picture of the target domain, which has no partner among the inputs."""
        assert self.train is not None and self.train.targets is not None
        chance = random.Random(f"real:{seed}:{position}")
        crop = Crop(0, chance.random(), chance.random())
        return self.train.read_target(position % len(self.train.targets), crop, output_channels)

    def few(self, train: int, validation: int) -> Examples:
        """The first examples of both splits."""
        if self.train is None or self.validation is None:
            return self
        return Examples(
            self.data, first(self.train, train), first(self.validation, validation), None, 0
        )

    @property
    def has_reals(self) -> bool:
        """Whether there are pictures of the target domain without partners."""
        return (
            self.data.kind in ("unpaired", "noise")
            and self.train is not None
            and self.train.targets is not None
        )

    def names(self, name: str) -> list[str]:
        """A short name of every example of a split."""
        split: Split | None = getattr(self, name)
        if split is None or split.inputs is None:
            return [f"noise {index}" for index in range(self.count(name))]
        return [Path(split.inputs.name(index)).name for index in range(len(split.inputs))]

    def fingerprint(self) -> str:
        """Changes when any file does."""
        if self.train is None or self.validation is None:
            return "noise"
        return listing_hash(Dataset(self.train, self.validation))


def open_examples(recipe: Recipe, held_out: int, note: Path | None) -> Examples:
    """Opens and checks every file of a recipe; `held_out` training pictures are kept for a search.

    Raises ConfigError or InputError naming what is missing or bad; `note` keeps the result of the check.
    """
    data = recipe.data
    if data.kind == "noise" and data.train is None:
        return Examples(data, None, None, None, held_out)
    dataset = check_dataset(open_dataset(data, recipe.seed), note)
    if held_out == 0 or data.kind == "noise":
        return Examples(data, dataset.train, dataset.validation, None, held_out)
    train, search = hold_out(dataset.train, held_out, recipe.seed)
    return Examples(data, train, dataset.validation, search, held_out)


def hold_out(train: Split, count: int, seed: int) -> tuple[Split, Split]:
    """The training split without `count` examples, and those."""
    assert train.inputs is not None
    total = len(train.inputs)
    if total < 2 * count:
        raise ConfigError(
            f"{train.data.train} has {total} training images, too few to hold out search.images {count} of them; "
            f"set it to at most {total // 2}"
        )
    order = list(range(total))
    random.Random(f"search:{seed}").shuffle(order)
    kept, held = sorted(order[count:]), sorted(order[:count])
    targets = train.targets
    if train.data.kind == "unpaired":
        return (
            Split(train.data, train.inputs.only(kept), targets),
            Split(train.data, train.inputs.only(held), targets),
        )
    return train.only(kept), train.only(held)


def check_kind(spec: InputIO, data: Data, teacher: Path) -> None:
    """Raises ConfigError when the teacher takes another kind of input than the data give."""
    if data.kind not in KINDS[spec.kind]:
        raise ConfigError(
            f"{teacher} takes a {spec.kind.replace('_', ' ')}; data.kind '{data.kind}' does not give that: set "
            f"data.kind to {' or '.join(KINDS[spec.kind])}"
        )
    if len(planes_of(spec)) != 1 + len(data.beside):
        names = ", ".join(each.name for each in getattr(spec, "parts", ())) or "one picture"
        raise ConfigError(
            f"{teacher} takes {names}: data.beside must name {len(planes_of(spec)) - 1} folders of further inputs, in "
            f"this order, and names {len(data.beside)}"
        )
    if spec.kind == "label_map" and data.label_classes != spec.classes:
        raise ConfigError(
            f"{teacher} knows {spec.classes} classes, data.classes gives {data.label_classes}; correct data.classes"
        )


def announce(examples: Examples) -> None:
    """Says what the run is about to use."""
    data = examples.data
    height, width = data.size
    if data.kind == "noise":
        say(f"{data.crops} training and {data.validation_images} validation noises")
        return
    searched = f", {examples.held_out} for the search" if examples.held_out else ""
    say(
        f"{examples.count('train')} training and {examples.count('validation')} validation images{searched}, crops of "
        f"{height}x{width}"
    )
