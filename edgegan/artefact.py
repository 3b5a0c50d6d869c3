"""Contract 2: export.json lists artefacts, and beside each artefact a model.json tells a device all it must know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edgegan.contracts.artefact_parts import MOST_ENTRIES, LayerGain, LintFinding
from edgegan.contracts.artefact_parts import FileInfo as FileInfo
from edgegan.contracts.artefact_parts import Parity as Parity
from edgegan.contracts.artefact_parts import TensorInfo as TensorInfo
from edgegan.contracts.bounds import MOST_INTEGER, MOST_VALUES
from edgegan.contracts.quantities import Count, Finite, Name, Number, Sha256, Side, Size, Text
from edgegan.deployment.runtimes import LOADERS, RUNTIMES
from edgegan.errors import InputError, first_problem
from edgegan.files import check_sha256, read_json, sha256_file, sha256_json

SCHEMA_VERSION: Final = 1
EXPORT_MANIFEST = "export.json"
MODEL_SUFFIX = ".model.json"
PRECISIONS = ("fp32", "fp16", "int8")
Precision = Literal["fp32", "fp16", "int8"]


class ModelManifest(BaseModel):
    """model.json: the only file the app and the web page read besides the artefact and its golden tensors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Name
    title: Text
    task: Literal["image-to-image", "labels-to-image", "noise-to-image"] = "image-to-image"
    role: Literal["teacher", "student"]
    family: Name
    target: Name
    precision: Precision
    quantization: Name = Field(
        description="none, float16, dynamic-int8, static-int8, mixed-int8 or int16x8"
    )
    file: Name = Field(description="the artefact beside this manifest: a file or a folder")
    bytes: Number = Field(description="of all its files")
    sha256: Sha256 = Field(description="of its file; of several, of the list of their hashes")
    files: dict[str, FileInfo] = Field(
        {}, description="every file of the artefact, by its path from this manifest's folder"
    )
    entry: Text | None = Field(
        None, description="what a runtime is given, by its path from this folder; null: `file`"
    )
    runs_in: list[Name] = Field([], max_length=100, description="runtimes that load it, best first")
    inputs: list[TensorInfo] = Field(min_length=1, max_length=100)
    outputs: list[TensorInfo] = Field(min_length=1, max_length=100)
    sizes: list[Size] = Field(
        default_factory=list,
        max_length=100,
        description="heights and widths it was proved at; the first is the default signature's",
    )
    signatures: list[Name] = Field(
        default_factory=list,
        max_length=100,
        description=".tflite: signature of each size, in the order of sizes",
    )
    size_multiple: Side = Field(1, description="any height and width: what they are multiples of")
    size_smallest: Side = Field(1, description="any height and width: the smallest")
    enlarges: Size = Field(
        (1, 1), description="sides of its pictures to those it takes: numerator, denominator"
    )
    sees_whole_picture: bool | None = Field(
        None, description="whether pixels depend on the whole picture, so that tiles of it differ"
    )
    parameters: Number
    macs: Count = Field(
        description="true multiply-adds of convolutions and Linear layers, one image"
    )
    complexity: dict[Name, Any] = Field(
        description="MACs by the published conventions and by fvcore beside the true ones"
    )
    parent: Name | None = Field(
        None, description="id of the teacher's artefact of the same target in fp32"
    )
    parity: Parity
    drop_limit_db: Finite | None = Field(
        None,
        description="of a student in int8: how much further from the teacher than fp32 it may be",
    )
    psnr_to_teacher_db: Finite | None = Field(None, description="on the run's validation images")
    operations: dict[Name, Number]
    computed_in: dict[Name, Number]
    rewrites: list[dict[Name, Text]] = Field(max_length=MOST_ENTRIES)
    calibration: Text | None = None
    float_layers: list[Name] = Field(
        [], max_length=MOST_ENTRIES, description="layers that --max-drop kept float in int8"
    )
    sensitivity: list[LayerGain] = Field(
        [],
        max_length=MOST_ENTRIES,
        description="layers by what leaving each float gains, best first",
    )
    int8_forms: list[dict[Name, Any]] = Field(
        [],
        max_length=MOST_ENTRIES,
        description="forms that were measured before one was chosen (ONNX)",
    )
    lint: list[LintFinding] = Field(
        [], max_length=MOST_ENTRIES, description="findings of the mobile lint"
    )
    licence: Text
    converter: dict[Name, Text]
    package_sha256: Name = Field(description="sha256 of the package's config.json it was made from")

    @field_validator("entry")
    @classmethod
    def stays_inside(cls, path: str | None) -> str | None:
        """Raises ValueError for a path that leads out of the folder."""
        if path is not None:
            check_inside(path)
        return path

    @field_validator("files")
    @classmethod
    def all_stay_inside(cls, files: dict[str, FileInfo]) -> dict[str, FileInfo]:
        """Raises ValueError for a path that leads out of the folder."""
        for path in files:
            check_inside(path)
        return files

    @field_validator("complexity")
    @classmethod
    def counts_are_numbers(cls, found: dict[str, Any]) -> dict[str, Any]:
        """Raises ValueError where a count that records are made of is none."""
        for key in ("macs_published", "macs_fvcore", "macs_output_sized"):
            if key == "macs_fvcore" and found.get(key, 0) is None:  # it knows not every operator
                continue
            if type(found.get(key)) is not int or not 0 <= found[key] < MOST_INTEGER:
                raise ValueError(f"'{key}' is not a count")
        return found

    @field_validator("runs_in")
    @classmethod
    def runtimes_are_known(cls, names: list[str]) -> list[str]:
        """Raises ValueError for a runtime that this edgegan does not know."""
        for name in names:
            if name not in RUNTIMES:
                raise ValueError(f"'{name}' is not a runtime ({', '.join(RUNTIMES)})")
        return names

    @model_validator(mode="after")
    def sizes_agree(self) -> ModelManifest:
        """A signature for every size where there are any, and a size that can be told."""
        if self.signatures and len(self.signatures) != len(self.sizes):
            raise ValueError("signatures: there is not one for each of sizes")
        if not self.sizes and self.inputs[0].sides() is None:
            raise ValueError("sizes: an artefact that takes noise needs one")
        for height, width in self.sizes:
            if height * width > MOST_VALUES:
                raise ValueError(f"sizes: {height}x{width} is more than {MOST_VALUES:,} pixels")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the default signature; of a manifest without sizes those of its tensor."""
        sides = self.inputs[0].sides()
        return self.sizes[0] if self.sizes or sides is None else sides


class Golden(BaseModel):
    """What a bundled model made of one picture on the machine that bundled it; paths are below the model's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(description="little-endian float32 in the layout and range of the input")
    output: str = Field(description="the same of the output")
    picture: str = Field(description="PNG whose pixels are exactly the input")
    input_sha256: str
    output_sha256: str
    layout: Literal["NHWC"] = "NHWC"
    dtype: Literal["float32 little-endian"] = "float32 little-endian"
    max_mean_abs: float = Field(
        description="largest mean absolute difference to the golden output that passes the self-test"
    )


class BundledModel(ModelManifest):
    """model.json inside an app or web page: the artefact's, with the bundle's ids, file names and golden tensors."""

    golden: Golden


def check_inside(path: str) -> None:
    """Raises ValueError for a path that leads out of the folder it starts from."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError(f"'{path}' lies outside the folder")


def manifest_of(path: Path) -> Path:
    """Where the model.json of an artefact is."""
    return path.with_name(path.name + MODEL_SUFFIX)


def is_artefact(path: Path) -> bool:
    """Whether a path is an artefact that edgegan exported: a file or folder with its model.json beside it."""
    return path.exists() and manifest_of(path).is_file()


def files_of(path: Path) -> dict[str, FileInfo]:
    """Every file of an artefact, which is a file or a folder, by its path from the folder that holds the artefact."""
    found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {
        file.relative_to(path.parent).as_posix(): FileInfo(
            sha256=sha256_file(file), bytes=file.stat().st_size
        )
        for file in found
    }


def combined_hash(files: dict[str, FileInfo]) -> str:
    """The sha256 of an artefact: its file's, or that of the list of its files' hashes."""
    hashes = {name: info.sha256 for name, info in files.items()}
    return next(iter(hashes.values())) if len(hashes) == 1 else sha256_json(hashes)


def read_model(path: Path) -> ModelManifest:
    """Reads the model.json of an artefact; raises InputError naming what is wrong."""
    manifest = manifest_of(path)
    if not path.exists():
        raise InputError(f"artefact {path} does not exist; make it with: edgegan export")
    if not manifest.is_file():
        raise InputError(
            f"{path} has no {manifest.name} beside it; export it again with: edgegan export"
        )
    try:
        model = ModelManifest.model_validate(read_json(manifest))
    except ValidationError as error:
        raise InputError(
            f"{manifest}: {first_problem(error)}; export it again with --overwrite"
        ) from error
    if model.file != path.name:  # records and copies are named by it
        raise InputError(
            f"{manifest}: file is '{model.file}', not {path.name}; export it again with --overwrite"
        )
    return model


def check_artefact(path: Path, model: ModelManifest) -> None:
    """Raises IntegrityError unless every file of an artefact is there and the one its manifest describes."""
    if not model.files:
        check_sha256(path, model.sha256)
    for name, info in model.files.items():
        check_sha256(path.parent / name, info.sha256)


def check_takes(
    path: Path,
    model: ModelManifest,
    found: Sequence[Mapping[str, Any]],
    size: tuple[int, int] | None = None,
) -> None:
    """Raises InputError when a runtime finds inputs of another shape than model.json says, or than it has at `size`
    (height, width), one of its several: memory is taken by what the artefact is, not by what is said of it."""
    for info, tensor in zip(model.inputs, found, strict=False):
        said = info.shape if size is None else info.shape_at(size)
        sides = list(tensor["shape"])
        pairs = zip(said, sides, strict=False)
        differ = any(a != b for a, b in pairs if a != -1 and isinstance(b, int) and b > 0)
        if len(sides) != len(said) or differ:
            raise InputError(
                f"{manifest_of(path)} says that {info.name} has shape {said}, but {path.name} takes {sides}; "
                "export it again with --overwrite"
            )


@dataclass(frozen=True)
class Loading:
    """How an artefact is loaded: what a runtime is given, and the runtimes, best first. `foreign`: nobody vouches for
    it, so it runs confined only, in less memory and time."""

    target: str
    entry: Path
    runtimes: tuple[str, ...]
    foreign: bool = False


def loading(path: Path) -> Loading:
    """How an artefact is loaded: by its manifest, or by its suffix when edgegan did not export it.

    Raises InputError for what no runtime loads.
    """
    known = LOADERS.get(path.suffix)
    if is_artefact(path):
        model = read_model(path)
        entry = path.parent / (model.entry or model.file)
        if model.runs_in:
            return Loading(model.target, entry, tuple(model.runs_in))
        if known is None or known.target != model.target:
            raise InputError(
                f"{manifest_of(path)} names no runtime that loads a {model.target} artefact; export it again with "
                "--overwrite"
            )
    if known is None:
        raise InputError(f"{path} is not an artefact ({' or '.join(LOADERS)})")
    return Loading(known.target, path, known.runtimes, foreign=not is_artefact(path))


def read_export(folder: Path) -> dict[str, Any]:
    """Reads export.json; raises InputError when there is none, or when it is not what export writes."""
    path = folder / EXPORT_MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} holds no {EXPORT_MANIFEST}; make it with: edgegan export")
    found = read_json(path)
    listed = found.get("artefacts") if isinstance(found, dict) else None
    wrong = None
    if not isinstance(listed, dict) or found.get("schema_version") != SCHEMA_VERSION:
        wrong = "it is not a list of artefacts of this schema version"
    else:
        for name, entry in listed.items():
            if Path(name).name != name:
                wrong = f"'{name}' lies outside the folder"
            elif not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
                wrong = f"'{name}' has no sha256"
            elif not is_listing(entry.get("files") or {}):
                wrong = f"'{name}' has no list of files"
        if not isinstance(found.get("command", ""), str):
            wrong = "its command is no text"
    if wrong is not None:
        raise InputError(f"{path}: {wrong}; export again with --overwrite")
    return dict(found)


def is_listing(files: Any) -> bool:
    """Whether this is a list of files by name, each with something said of it."""
    return isinstance(files, dict) and all(isinstance(about, dict) for about in files.values())


def exported_models(folder: Path) -> list[tuple[Path, ModelManifest]]:
    """Every artefact of an export folder with its model.json, hashes checked."""
    models = []
    for name, entry in read_export(folder)["artefacts"].items():
        path = folder / name
        if path.is_dir():
            model = read_model(path)
            check_artefact(path, model)
        else:
            check_sha256(path, entry["sha256"])
            model = read_model(path)
        models.append((path, model))
    return models


def find_exported(
    folder: Path, *, role: str, precision: str, target: str
) -> tuple[Path, ModelManifest] | None:
    """The artefact of an export folder for a role, precision and target, or None; its files are not checked."""
    if not (folder / EXPORT_MANIFEST).is_file():
        return None
    for name, entry in read_export(folder)["artefacts"].items():
        path, said = folder / name, entry.get("target")
        if not is_artefact(path) or said not in (None, target):
            continue
        model = read_model(path)
        if (model.role, model.precision, model.target) == (role, precision, target):
            return path, model
    return None


def parent_of(
    model: ModelManifest, models: Iterable[tuple[Path, ModelManifest]]
) -> tuple[Path, ModelManifest] | None:
    """The teacher's artefact among `models` that a student's names, or None. Older manifests name its file."""
    for path, other in models:
        if model.parent == other.file or (
            model.parent == other.id and model.target == other.target
        ):
            return path, other
    return None
