"""The data section of a recipe: which pictures, how they belong together, how crops are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from edgegan.recipe.section import Section

Side = Annotated[int, Field(ge=1, le=4096)]
DataKind = Literal["images", "paired", "unpaired", "labels", "noise"]


def square(size: object) -> object:
    """One number, for a height and width that are the same, as (height, width)."""
    return (size, size) if isinstance(size, int) and not isinstance(size, bool) else size


class Data(Section):
    """Which images, and how crops are taken from them."""

    kind: DataKind = Field(
        "images",
        description="pictures alone, pairs, two domains, label maps with photos, or noise to pictures",
    )
    train: Path | None = Field(
        None,
        description="folder of training images, searched recursively: inputs, domain A, label maps, "
        "or for noise the pictures (a folder, .npy or .npz)",
    )
    target: Path | None = Field(
        None,
        description="folder of targets matched by name, or of domain B; null for paired: "
        "train holds aligned A|B pictures",
    )
    validation: Path | None = Field(
        None, description="folder of validation images; null: a seeded tenth of train"
    )
    validation_target: Path | None = Field(
        None, description="folder of validation targets, or of validation images of domain B"
    )
    direction: Literal["AtoB", "BtoA"] = Field(
        "AtoB", description="of aligned A|B pictures: which half is the input"
    )
    classes: int | None = Field(
        None, ge=2, le=65535, description="number of label classes, 0 to classes - 1 in the maps"
    )
    class_names: tuple[str, ...] = Field(
        (), description="a name for every class, used in messages and reports"
    )
    unlabelled: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="value in label maps that means no class; it gets a class of its own",
    )
    instances: Path | None = Field(
        None, description="folder of instance maps matched by name: adds a channel of their borders"
    )
    validation_instances: Path | None = Field(
        None, description="folder of the instance maps of the validation label maps"
    )
    beside: tuple[Path, ...] = Field(
        (),
        max_length=15,
        description="folders of the further inputs of a generator that takes several, such as masks, matched by name",
    )
    validation_beside: tuple[Path, ...] = Field(
        (), max_length=15, description="folders of the further inputs of the validation images"
    )
    size: Annotated[tuple[Side, Side], BeforeValidator(square)] = Field(
        (256, 256), description="height and width of crops, pixels"
    )
    resize: Annotated[int, Field(ge=16, le=8_192)] | tuple[Side, Side] | None = Field(
        None,
        description="scale the shorter side to this many pixels before cropping, or height and width to two numbers, "
        "ratio not kept; null: only when too small",
    )
    crops: int = Field(
        400, ge=1, le=200_000, description="training crops whose teacher outputs are cached"
    )
    flip: bool = Field(True, description="mirror crops left to right at random during training")
    validation_images: int = Field(
        100, ge=1, le=100_000, description="validation images used at most (centre crops)"
    )
    skip_bad: bool = Field(
        False, description="leave out pictures that cannot be read, named one by one, and go on"
    )

    @property
    def label_classes(self) -> int:
        """Classes that a generator sees: those of the maps, and one for unlabelled pixels."""
        return (self.classes or 0) + int(self.unlabelled is not None)

    @model_validator(mode="after")
    def check_kind(self) -> Data:
        """Keys that the kind needs are there, and keys that would mean nothing are not."""
        if self.kind == "labels" and self.classes is None:
            raise ValueError("classes is not set: how many label classes do the maps hold?")
        if self.class_names and len(self.class_names) != self.classes:
            raise ValueError(
                f"class_names has {len(self.class_names)} names for {self.classes} classes"
            )
        if self.unlabelled is not None and self.unlabelled < (self.classes or 0):
            raise ValueError(f"unlabelled is {self.unlabelled}, which is one of the classes")
        labels_only = ("classes", "class_names", "unlabelled", "instances", "validation_instances")
        self._refuse(labels_only, self.kind == "labels")
        self._refuse(("target", "validation_target"), self.kind in ("paired", "unpaired", "labels"))
        several = self.kind in ("images", "paired")
        self._refuse(("beside", "validation_beside"), several)
        if self.beside and self.kind == "paired" and self.target is None:
            raise ValueError("beside goes with pairs in two folders: set target")
        self._refuse(("direction",), self.kind == "paired" and self.target is None)
        if self.train is not None and self.kind in ("unpaired", "labels") and self.target is None:
            what = "folder of domain B" if self.kind == "unpaired" else "folder of photos"
            raise ValueError(f"target is not set: kind {self.kind} needs the {what} (--target)")
        self._check_validation()
        return self

    def _check_validation(self) -> None:
        """A validation folder needs the same companions as the training folder."""
        held = len(self.beside) if self.validation is not None else 0
        if len(self.validation_beside) != held:
            raise ValueError(f"validation_beside must name {held} folders, one for each of beside")
        for name, companion in (("target", self.target), ("instances", self.instances)):
            beside = self.validation_target if name == "target" else self.validation_instances
            if self.validation is not None and companion is not None and beside is None:
                raise ValueError(f"validation is set, and so is {name}: set validation_{name} too")
            if beside is not None and (self.validation is None or companion is None):
                raise ValueError(f"validation_{name} means nothing without validation and {name}")

    def _refuse(self, names: tuple[str, ...], allowed: bool) -> None:
        """Raises for a key set to something else than its default where it means nothing."""
        for name in names:
            if not allowed and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} means nothing for kind {self.kind}")
