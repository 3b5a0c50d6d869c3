"""Contract 1, the generator package: config.json, model.safetensors, golden.safetensors, README.md. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgegan import __version__
from edgegan.contracts.artefact_parts import InputPart
from edgegan.contracts.quantities import MOST_WIDTH, Finite, Name, Number, Size, Text
from edgegan.errors import InputError, first_problem
from edgegan.files import check_sha256, read_json, sha256_file, write_atomic, write_json

if TYPE_CHECKING:
    import torch

SCHEMA_VERSION: Final = 1
MOST_CHANNELS = 4096
FileName = Annotated[str, Field(pattern=r"^[\w][\w.-]{0,99}$")]
CONFIG_FILE = "config.json"
ORIGINS_FILE = "origins.json"


class ImageIO(BaseModel):
    """One image tensor of a generator: always RGB in [-1, 1], NCHW inside edgegan; checkpoints are folded to that."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["image"] = "image"
    channels: int = Field(3, ge=1, le=MOST_CHANNELS, description="channels of the image")
    colour: Literal["rgb", "grey", "other"] = Field("rgb", description="meaning of the channels")
    range: tuple[Finite, Finite] = Field((-1.0, 1.0), description="values of black and white")
    parts: tuple[InputPart, ...] = Field(
        (), max_length=16, description="of several inputs: the channels of each, in this order"
    )


class LabelMapIO(BaseModel):
    """A label map fed as one-hot channels, 0 or 1, NCHW: one a class, then the instance borders when there are any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["label_map"] = "label_map"
    classes: int = Field(35, ge=1, le=MOST_CHANNELS, description="number of label classes")
    instance_edge: bool = Field(False, description="one more channel: 1 on instance borders")

    @property
    def channels(self) -> int:
        """Channels of the tensor."""
        return self.classes + int(self.instance_edge)


class NoiseIO(BaseModel):
    """Standard normal noise (N, dimension)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["noise"] = "noise"
    dimension: int = Field(128, ge=1, le=MOST_WIDTH, description="noise values a picture")

    @property
    def channels(self) -> int:
        """Values a picture, under the name the other inputs use."""
        return self.dimension


InputIO = ImageIO | LabelMapIO | NoiseIO


def planes_of(spec: InputIO) -> tuple[int, ...]:
    """Channels of each picture that is read for one input."""
    if isinstance(spec, ImageIO) and spec.parts:
        return tuple(each.channels for each in spec.parts)
    return (spec.channels,)


def input_shape(spec: InputIO, size: tuple[int, int]) -> tuple[int, ...]:
    """Shape of one input of a generator at this height and width: (1, C, H, W), or (1, dimension) for noise."""
    return (1, spec.dimension) if isinstance(spec, NoiseIO) else (1, spec.channels, *size)


class FileEntry(BaseModel):
    """A file of the package with what proves it unchanged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Name
    size_bytes: Number


class LearnedEnds(BaseModel):
    """An activation's int8 range, low <= 0 <= high. The activation is the one whose smallest and largest values are
    `golden_low` and `golden_high` when the first golden input goes through in float."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: Finite
    high: Finite
    golden_low: Finite
    golden_high: Finite


class PackageConfig(BaseModel):
    """config.json: everything needed to rebuild the module and to feed it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    edgegan_version: Name = __version__
    family: Name = Field(description="a key of edgegan.models.zoo.FAMILIES")
    spec: dict[Name, Any] = Field(description="the family's spec: every width, the block, the norm")
    name: Text = Field("generator", description="short name, used in reports and on the phone")
    role: Literal["teacher", "student"] = "teacher"
    size: Size = Field((256, 256), description="default height and width in pixels")
    input: Annotated[InputIO, Field(discriminator="kind")] = ImageIO()
    output: ImageIO = ImageIO()
    parameters: Number = Field(description="number of weights")
    source: dict[str, Any] = Field(
        default_factory=dict, description="where it came from: file, sha256, changes made"
    )
    licence: Text = Field("unstated", description="licence of the weights as the user states it")
    discriminator: dict[str, Any] | None = Field(
        None, description="spec of discriminator.safetensors, when kept"
    )
    int8_ranges: list[LearnedEnds] = Field(
        default_factory=list,
        max_length=10_000,
        description="ranges of activations that int8 training learned",
    )
    files: dict[FileName, FileEntry] = Field(description="every other file with its sha256")


def write_package(
    folder: Path,
    config: dict[str, Any],
    state: Mapping[str, torch.Tensor],
    golden: Mapping[str, torch.Tensor],
    card: str,
    discriminator: Mapping[str, torch.Tensor] | None = None,
    origins: dict[str, Any] | None = None,
) -> PackageConfig:
    """Writes a package into an existing empty folder; `config` lacks only `files`. `golden` holds `input` and
    `output`, each (N, C, H, W) float32; `origins` says where its tensors came from."""
    from safetensors.torch import save

    contents = {
        "model.safetensors": save(apart(state)),
        "golden.safetensors": save(apart(golden)),
        "README.md": card.encode(),
    }
    if discriminator is not None:
        contents["discriminator.safetensors"] = save(apart(discriminator))
    if origins is not None:
        contents[ORIGINS_FILE] = json.dumps(origins, indent=1).encode()
    files = {}
    for name, data in contents.items():
        write_atomic(folder / name, data)
        files[name] = FileEntry(sha256=sha256_file(folder / name), size_bytes=len(data))
    package = PackageConfig(**config, files=files)
    write_json(folder / CONFIG_FILE, package.model_dump(mode="json"))
    return package


def apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors that share no memory, as a file of weights wants them: of a layer under two names, both have all."""
    held: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in held else tensor.contiguous()
        held.add(place)
    return found


def is_package(folder: Path) -> bool:
    """Whether a folder looks like a generator package."""
    return (folder / CONFIG_FILE).is_file()


def read_config(folder: Path) -> PackageConfig:
    """Reads and validates config.json; raises InputError naming the folder and the field."""
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not a generator package (no such folder); make one with: edgegan import CKPT -o PKG"
        )
    if not is_package(folder):
        raise InputError(
            f"{folder} is not a generator package (no {CONFIG_FILE}); make one with: edgegan import CKPT -o PKG"
        )
    try:
        return PackageConfig.model_validate(read_json(folder / CONFIG_FILE))
    except ValidationError as error:
        raise InputError(
            f"{folder / CONFIG_FILE}: {first_problem(error)}; import the checkpoint again"
        ) from error


def package_files(folder: Path) -> list[Path]:
    """The files of a package, sorted."""
    return sorted(folder / name for name in (CONFIG_FILE, *read_config(folder).files))


def read_tensors(folder: Path, config: PackageConfig, name: str) -> dict[str, torch.Tensor]:
    """Loads one safetensors file of a package after checking its hash against config.json."""
    from safetensors import SafetensorError

    from edgegan.weights import load_tensors

    if name not in config.files:
        raise InputError(f"{folder} has no {name}; import the checkpoint again")
    check_sha256(folder / name, config.files[name].sha256)
    try:
        return load_tensors(folder / name)
    except (SafetensorError, ValueError, OSError, RuntimeError) as error:
        raise InputError(
            f"{folder / name} is not a readable safetensors file ({error}); import the checkpoint again"
        ) from error


def package_hash(folder: Path) -> str:
    """What identifies a package to later stages: the sha256 of its config.json, which holds its files' hashes."""
    read_config(folder)
    return sha256_file(folder / CONFIG_FILE)
