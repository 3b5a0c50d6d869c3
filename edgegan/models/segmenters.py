"""Networks that see classes in pictures, from a file or a package."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgegan.errors import ConfigError
from edgegan.files import sha256_file
from edgegan.metrics.drn import open_drn
from edgegan.metrics.networks import SUFFIXES, Network, NetworkCard, open_network
from edgegan.models.zoo import load_generator
from edgegan.package import PackageConfig, is_package


def takes_rgb(config: PackageConfig) -> bool:
    """Whether a generator takes pictures of three channels."""
    return config.input.kind == "image" and config.input.channels == 3


@contextlib.contextmanager
def open_segmenter(path: Path, threads: int = 1) -> Iterator[Network]:
    """A segmentation network: TorchScript, ONNX, the weights of a DRN-D, or a package whose channels are classes."""
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        yield open_drn(path)
        return
    if not is_package(path):
        with open_network(path, threads=threads) as network:
            yield network
        return
    config, module = load_generator(path)
    if not takes_rgb(config):
        raise ConfigError(f"{path} does not take RGB pictures; it cannot segment them")
    yield Network(config.name, sha256_file(path / "config.json"), NetworkCard(), module)
