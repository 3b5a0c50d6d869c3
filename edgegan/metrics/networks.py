"""A judging network from a file: TorchScript or ONNX, with a JSON card beside it that says how pictures are fed."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgegan.errors import CheckpointError, InputError, first_problem
from edgegan.files import read_json, sha256_file
from edgegan.runtime.session import Session

TORCHSCRIPT = (".pt", ".ts", ".torchscript")
SUFFIXES = (*TORCHSCRIPT, ".onnx")
MOST_UNPACKED = 100  # times the file: code packs well, but not as a bomb does
FORBIDDEN = b"from_file"  # the one operator of TorchScript that touches files
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
    source: dict[str, str] = Field(
        default_factory=dict, description="where it came from: data, command, accuracy"
    )


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

    TorchScript is a closed language without Python; an archive that would touch files is refused all the same.
    ONNX runs in a process of its own.
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
    if path.suffix.lower() == ".onnx":
        with Session(path, threads=threads) as session:
            yield Network(name, digest, card, lambda x: from_session(session, prepare(x, card)))
        return
    module = load_torchscript(path)

    def call(x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            try:
                made = module(prepare(x, card))
            except RuntimeError as error:
                reason = str(error).strip().splitlines()[-1]
                raise InputError(
                    f"{path} does not take pictures of shape {tuple(x.shape)} ({reason}); "
                    f"state its size in {path.name}.json"
                ) from error
        if not isinstance(made, torch.Tensor):
            raise InputError(f"{path} gives a {type(made).__name__}; it must give one tensor")
        return made

    yield Network(name, digest, card, call)


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """A TorchScript module in evaluation mode; raises CheckpointError naming the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MOST_UNPACKED * path.stat().st_size:
                raise ValueError(f"it would unpack to {unpacked / 1e6:,.0f} MB")
            code = [name for name in archive.namelist() if name.endswith(".py")]
            suspicious = [name for name in code if FORBIDDEN in archive.read(name)]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path} is damaged or not TorchScript ({error}); export it again with torch.jit.trace"
        ) from error
    if suspicious:
        raise CheckpointError(f"{path}: {suspicious[0]} opens files by itself; it was not loaded")
    if not code:
        raise CheckpointError(
            f"{path} holds no TorchScript code, only weights; export the whole network with torch.jit.trace"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{path} is damaged or not TorchScript ({reason}); export it again with torch.jit.trace"
        ) from error


def prepare(x: torch.Tensor, card: NetworkCard) -> torch.Tensor:
    """RGB in [-1, 1] to the card's size and values."""
    if card.size is not None and tuple(x.shape[2:]) != card.size:
        x = F.interpolate(x, card.size, mode="bilinear", align_corners=False, antialias=True)
    mean = torch.tensor(card.mean, dtype=x.dtype)[:, None, None]
    std = torch.tensor(card.std, dtype=x.dtype)[:, None, None]
    return ((x + 1) / 2 - mean) / std


def from_session(session: Session, x: torch.Tensor) -> torch.Tensor:
    """Pictures through an ONNX session, one by one."""
    return torch.from_numpy(session.run(x.numpy()))
