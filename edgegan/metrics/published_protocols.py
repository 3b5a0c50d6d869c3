"""How those whose figures are published scale, round and pair the pictures they measure: what `--protocol` sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgegan.errors import ConfigError, nearest

Part = Literal["test", "train", "all when unpaired"]
PARTS = {
    "test": "test pictures",
    "train": "training pictures",
    "all when unpaired": "test pictures, of unpaired sets training pictures too,",
}


@dataclass(frozen=True)
class PublishedProtocol:
    """One of them. `squash`: inputs are scaled to the generator's size, ratio not kept; without, they are cropped.

    `truncate`, `truncate_reals`: 8-bit values are cut off and not rounded, of made pictures and of references. `clean`:
    Inception sees antialiased bicubic pictures (Parmar et al. 2022). `reference`: which part of the target domain.
    `whole_labels`: segmentations are enlarged to whole label maps. Pictures are taken as they are otherwise.
    """

    name: str
    source: str
    reference: Part = "test"
    squash: bool = True
    truncate: bool = False
    truncate_reals: bool = False
    clean: bool = False
    whole_labels: bool = False

    def lines(self) -> list[str]:
        """What it sets, for people."""
        scaled = (
            "scaled to the generator's size whole, ratio not kept (bicubic; label maps nearest)"
        )
        rounded = "rounded to 8 bits"
        cut = "cut off to 8 bits, not rounded"
        reals = f", and {cut} after [-1, 1]" if self.truncate_reals else ""
        square = (
            "bicubic, antialiased, in floating point"
            if self.clean
            else "bilinear, not antialiased, of 8-bit pictures"
        )
        labels = ["label maps: whole; scores are enlarged to them"] if self.whole_labels else []
        return [
            f"as {self.source}",
            f"inputs: all test pictures, {scaled if self.squash else 'cropped as without a protocol'}",
            f"made pictures: {cut if self.truncate else rounded}",
            f"reference: {PARTS[self.reference]} of the target domain, at their own size{reals}",
            f"Inception: 299x299 {square}",
            *labels,
        ]


PROTOCOLS = {
    each.name: each
    for each in (
        PublishedProtocol(
            "cyclegan",
            "the public CycleGAN and pix2pix code tests, with pytorch-fid on its folders",
            truncate=True,
        ),
        PublishedProtocol(
            "gan-compression",
            "GAN Compression's released code tests (Li et al. 2020)",
            reference="all when unpaired",
            truncate=True,
            truncate_reals=True,
            whole_labels=True,
        ),
        PublishedProtocol(
            "gan-slimming",
            "GAN Slimming's released code tests (Wang et al. 2020)",
            reference="train",
        ),
        PublishedProtocol(
            "clean", "clean-fid (Parmar et al. 2022), mode clean", squash=False, clean=True
        ),
    )
}


def published_protocol(name: str | None) -> PublishedProtocol | None:
    """The protocol of this name; raises ConfigError for another."""
    if name is None or name in PROTOCOLS:
        return PROTOCOLS[name] if name else None
    raise ConfigError(
        f"unknown protocol '{name}'{nearest(name, PROTOCOLS)}; choose from {', '.join(PROTOCOLS)}"
    )


def cut_off(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[-1, 1] to 8 bits as public code does it, in single precision: (x + 1) / 2 * 255 without its fraction."""
    levels = (values.astype(np.float32) + np.float32(1)) / np.float32(2) * np.float32(255)
    return np.clip(levels, 0, 255).astype(np.uint8)


def cut_off_again(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Real pictures that went to [-1, 1] and back: 63 of the 256 levels lose one, for 2 (v / 255) - 1 is not exact."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    return cut_off((levels - np.float32(0.5)) / np.float32(0.5))[pixels]
