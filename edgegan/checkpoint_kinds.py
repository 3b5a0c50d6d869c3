"""What a file that is given as a checkpoint is, where it is none: said by its first bytes, with the way on."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from edgegan.archives import ArchiveError, check_zip, is_zip
from edgegan.errors import CheckpointError

AGAIN = "copy or download it again"
HOW_TO_CLEAN = (
    "where it was made, run: torch.save(model.state_dict(), 'weights.pth'), then import weights.pth"
)
MOST_RATIO, SPARE = 20, 1 << 20  # times the file, and bytes more, that a zip may unpack to
MOST_ZIPS = 3
OTHER_KINDS = (  # first bytes, where they stand, suffix, what it is
    (b"TFL3", 4, ".tflite", "a TFLite model"),
    (b"\x89HDF\r\n", 0, ".h5", "a Keras file (HDF5)"),
    (b"\x08", 0, ".onnx", "an ONNX model"),
)
PACKED = ((b"\x1f\x8b", "gzip"), (b"7z\xbc\xaf", "7z"), (b"Rar!", "RAR"), (b"\xfd7zXZ", "xz"))
TENSORFLOW = (".index", ".meta", ".data-00000-of-00001")
WEIGHTS = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".tar", ".zip", ".pkl")


def check_exists(path: Path) -> None:
    """Raises CheckpointError for the prefix of a TensorFlow checkpoint, which is no file itself."""
    if not path.exists() and path.with_name(f"{path.name}.index").is_file():
        raise tensorflow_checkpoint(path)


def check_kind(path: Path) -> None:
    """Raises CheckpointError for the usual files that are no checkpoint at all."""
    with path.open("rb") as file:
        raw = file.read(512)
    head = raw.lstrip()
    for mark, place, suffix, kind in OTHER_KINDS:
        certain = len(mark) > 1 or path.suffix == suffix
        if certain and raw[place:].startswith(mark):
            raise CheckpointError(
                f"{path} is {kind}, a finished network and not a checkpoint: edgegan lint and edgegan bench "
                "look at .onnx and .tflite; to compress, give the PyTorch weights it was made of"
            )
    for mark, kind in PACKED:
        if raw.startswith(mark):
            raise CheckpointError(f"{path} is a {kind} archive; unpack it and import what is in it")
    if path.name.endswith(TENSORFLOW) or head.startswith(b"model_checkpoint_path:"):
        raise tensorflow_checkpoint(path)
    if not head:
        raise CheckpointError(f"{path} is empty; {AGAIN}")
    if head[:1] == b"<":
        raise CheckpointError(f"{path} is a web page, not a checkpoint; download the file itself")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path} is a Git LFS pointer, not a checkpoint; fetch it with: git lfs pull"
        )


def tensorflow_checkpoint(path: Path) -> CheckpointError:
    """What to do with one."""
    return CheckpointError(
        f"{path} is of a TensorFlow checkpoint, and edgegan reads PyTorch's: look for a port of the weights to "
        "PyTorch, or convert them and import the result with --generator"
    )


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The checkpoint itself: of a zip file around one checkpoint, that one, unpacked for as long as the context; any
    other file as it is. Raises CheckpointError for a zip with several or none, ArchiveError for a bad one; errors of
    what is inside name the zip."""
    outer, found = path, [path]
    with contextlib.ExitStack() as stack:
        try:
            for _ in range(MOST_ZIPS):
                inner = checkpoint_inside(path) if is_zip(path) else None
                if inner is None:
                    break
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                with zipfile.ZipFile(path) as archive, archive.open(inner) as stream:
                    path = folder / Path(inner).name
                    found.append(path)
                    with path.open("wb") as file:
                        while block := stream.read(1 << 20):
                            file.write(block)
                check_kind(path)
            yield path
        except CheckpointError as error:
            said = str(error)
            for each in found[1:]:
                said = said.replace(str(each), f"{outer} ({each.name})")
            raise CheckpointError(said) from error


def checkpoint_inside(path: Path) -> str | None:
    """The name of the only checkpoint in a plain zip file; None for an archive that torch wrote."""
    members = check_zip(path, MOST_RATIO * path.stat().st_size + SPARE)
    names = [each.filename for each in members if not each.is_dir()]
    if any(name.endswith("data.pkl") for name in names):
        return None
    if any(name.endswith(("archive_format", "serialized_exported_program.json")) for name in names):
        raise CheckpointError(
            f"{path} is a program of torch.export (.pt2); run: torch.save(torch.export.load('{path.name}').state_dict, "
            "'weights.pth'), then import weights.pth"
        )
    found = [name for name in names if name.lower().endswith(WEIGHTS) and not hidden(name)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ArchiveError(f"it holds no checkpoint (members: {', '.join(names[:5]) or 'none'})")
    listed = ", ".join(sorted(found)[:8])
    raise CheckpointError(f"{path} holds several checkpoints: {listed}; unpack it and import one")


def hidden(name: str) -> bool:
    """Whether a member is what macOS puts beside files."""
    return name.startswith("__MACOSX/") or Path(name).name.startswith(".")
