"""A judging network from a file: TorchScript or ONNX, with a JSON card beside it that says how pictures are fed."""

from __future__ import annotations

import contextlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgegan.archives import ArchiveError, check_zip
from edgegan.artefact import Loading, is_artefact
from edgegan.deployment.runtimes import LOADERS, TORCHSCRIPT
from edgegan.errors import CheckpointError, InputError, first_problem
from edgegan.files import read_json, sha256_file
from edgegan.runtime.failures import RuntimeFailed
from edgegan.runtime.session import Session

SUFFIXES = (*TORCHSCRIPT, ".onnx")
MOST_UNPACKED = 100  # times the file: code packs well, but not as a bomb does
# Operators that open files: refused before anything is loaded. What this does not see, the worker's confinement does.
TOUCHES_FILES = re.compile(rb"from_file|\b(torch|aten)\s*\.\s*save\s*\(")
HALVES = (0.5, 0.5, 0.5)


class NetworkCard(BaseModel):
    """PATH.json beside a network PATH: how to feed it. Without a card, RGB in [-1, 1] at their own size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", description="what to call it; default its file name")
    mean: tuple[float, float, float] = Field(
        HALVES, description="subtracted from RGB values in [0, 1]"
    )
    std: tuple[float, float, float] = Field(HALVES, description="then divided by this")
    size: tuple[int, int] | None = Field(
        None, description="height and width it takes; null: that of the picture"
    )
    classes: list[str] = Field(
        default_factory=list, description="names of its output channels, in order"
    )
    ignore: int | None = Field(None, description="label of pixels that do not count")
    of_labels: tuple[int, ...] = Field(
        (), description="its class, or ignore, for each number of label maps that know more classes"
    )
    source: dict[str, str] = Field(
        default_factory=dict, description="where it came from: data, command, accuracy"
    )

    def translates(self, classes: int) -> bool:
        """Whether label maps of so many classes, with or without one for the rest, become its own by `of_labels`."""
        return bool(self.of_labels) and classes in (len(self.of_labels) - 1, len(self.of_labels))

    def feed(self, x: torch.Tensor) -> torch.Tensor:
        """RGB in [-1, 1], (N, 3, H, W), to the size and values that the network takes."""
        if self.size is not None and tuple(x.shape[2:]) != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        mean = torch.tensor(self.mean, dtype=x.dtype)[:, None, None]
        std = torch.tensor(self.std, dtype=x.dtype)[:, None, None]
        return ((x + 1) / 2 - mean) / std


@dataclass(frozen=True)
class Network:
    """A network ready to be called: (N, 3, H, W) RGB in [-1, 1] to whatever it makes of pictures."""

    name: str
    sha256: str
    card: NetworkCard
    call: Callable[[torch.Tensor], torch.Tensor]


def read_card(path: Path) -> NetworkCard:
    """The card beside a network file, or the default one; raises InputError naming a wrong field."""
    card = path.with_name(path.name + ".json")
    if not card.is_file():
        return NetworkCard()
    try:
        return NetworkCard.model_validate(read_json(card))
    except ValidationError as error:
        raise InputError(f"{card}: {first_problem(error)}; mend the file") from error


@contextlib.contextmanager
def open_network(path: Path, *, threads: int = 1) -> Iterator[Network]:
    """A TorchScript or ONNX network, fed as its card says; raises InputError or CheckpointError naming the file.

    Either runs in a confined process of its own, within limits of memory and time. TorchScript sees a batch at once,
    ONNX one picture after the other.
    """
    if not path.is_file():
        raise InputError(f"network {path} does not exist; give a TorchScript or ONNX file")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path} is not a network that can be loaded (one of {', '.join(SUFFIXES)}); "
            "export it with torch.jit.trace or torch.onnx"
        )
    card = read_card(path)
    name, digest = card.name or path.name, sha256_file(path)
    with open_session(path, threads) as session:
        yield Network(name, digest, card, lambda x: from_session(session, card.feed(x)))


def open_session(path: Path, threads: int) -> Session:
    """The network in a worker; raises CheckpointError for an archive that is damaged, or that would touch files."""
    if path.suffix.lower() not in TORCHSCRIPT:
        how = Loading("onnx", path, LOADERS[".onnx"].runtimes, foreign=not is_artefact(path))
        return Session(path, threads=threads, how=how)
    check_torchscript(path)
    try:
        return Session(path, runtime="torchscript", threads=max(threads, torch.get_num_threads()))
    except RuntimeFailed as error:
        reason = error.lines[0]
        raise CheckpointError(
            f"{path} is damaged or not TorchScript ({reason}); export it again with torch.jit.trace"
        ) from error


def check_torchscript(path: Path) -> None:
    """Raises CheckpointError unless a file is an archive that all programs read alike, with code that opens none."""
    try:
        members = check_zip(path, MOST_UNPACKED * path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            code = [each.filename for each in members if each.filename.endswith(".py")]
            suspicious = [name for name in code if TOUCHES_FILES.search(archive.read(name))]
    except (ArchiveError, zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise CheckpointError(
            f"{path} is damaged or not TorchScript ({error}); export it again with torch.jit.trace"
        ) from error
    if suspicious:
        raise CheckpointError(f"{path}: {suspicious[0]} opens files by itself; it was not loaded")
    if not code:
        raise CheckpointError(
            f"{path} holds no TorchScript code, only weights; export the whole network with torch.jit.trace"
        )


def from_session(session: Session, x: torch.Tensor) -> torch.Tensor:
    """Pictures through a session; raises InputError for a network that does not take or give what it should."""
    try:
        return torch.from_numpy(session.run(x.numpy()))
    except RuntimeFailed as error:
        reason = error.lines[-1]
        if "it must give one tensor" in reason:
            raise InputError(f"{session.model}: {reason}") from error
        raise InputError(
            f"{session.model} does not take pictures of shape {tuple(x.shape)} ({reason}); "
            f"state its size in {session.model.name}.json"
        ) from error
