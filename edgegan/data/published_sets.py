"""The public data sets of image translation: their form, where they are, and how many pictures each part has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgegan.errors import ConfigError, nearest

Form = Literal["unpaired", "aligned", "cityscapes", "pairs"]
CYCLEGAN = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/{}.zip"
PIX2PIX = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{}.tar.gz"
REDISTRIBUTED = "https://huggingface.co/mit-han-lab/gan-compression/resolve/main/datasets/{}.tar.gz"


@dataclass(frozen=True)
class PublishedSet:
    """One data set. `direction` is the published one of side-by-side pictures, `recipe` what trains and compresses on
    it, `counts` the pictures of its parts as published, `largest` bytes of a download."""

    form: Form
    url: str = ""
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    recipe: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    largest: int = 4_000_000_000


SETS = {
    "horse2zebra": PublishedSet(
        "unpaired",
        CYCLEGAN,
        recipe="gan_compression_horse2zebra",
        counts={"trainA": 1067, "trainB": 1334, "testA": 120, "testB": 140},
    ),
    **{
        name: PublishedSet("unpaired", CYCLEGAN)
        for name in (
            *("apple2orange", "summer2winter_yosemite", "monet2photo", "cezanne2photo"),
            *("ukiyoe2photo", "vangogh2photo", "iphone2dslr_flower", "ae_photos"),
        )
    },
    "edges2shoes": PublishedSet(
        "aligned",
        PIX2PIX,
        recipe="gan_compression_edges2shoes",
        counts={"train": 49_825, "val": 200},
    ),
    "edges2shoes-r": PublishedSet(
        "aligned", REDISTRIBUTED, recipe="gan_compression_edges2shoes", counts={"train": 47_977}
    ),
    "maps": PublishedSet(
        "aligned",
        PIX2PIX,
        direction="BtoA",
        recipe="gan_compression_map2aerial",
        counts={"train": 1096},
    ),
    "facades": PublishedSet(
        "aligned", PIX2PIX, direction="BtoA", counts={"train": 400, "val": 100, "test": 106}
    ),
    "edges2handbags": PublishedSet("aligned", PIX2PIX, largest=12_000_000_000),
    "night2day": PublishedSet("aligned", PIX2PIX),
    "cityscapes": PublishedSet(
        "cityscapes",
        recipe="gan_compression_cityscapes",
        counts={"photos/train": 2975, "photos/val": 500},
    ),
    "unpaired": PublishedSet("unpaired"),
    "aligned": PublishedSet("aligned"),
    "pairs": PublishedSet("pairs"),
}


def published_set(name: str) -> PublishedSet:
    """The data set of this name; raises ConfigError for another."""
    if name not in SETS:
        raise ConfigError(
            f"unknown data set '{name}'{nearest(name, SETS)}; choose from {', '.join(SETS)}"
        )
    return SETS[name]
