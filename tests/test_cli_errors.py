"""Bad input: one clear message, the documented exit code, no traceback, nothing half written."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SIZE, compress_arguments, edgegan, make_pictures
from PIL import Image


class Attack:
    """A pickle that creates a file when it is loaded carelessly."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch {self.target}",)


def fails(code: int, *arguments: object, words: str) -> None:
    """Asserts one message with these words, this exit code and no traceback."""
    done = edgegan(*arguments, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    messages = [line for line in done.stderr.splitlines() if line.startswith("edgegan: ")]
    assert len(messages) == 1, done.stderr


def test_missing_checkpoint(tmp_path: Path) -> None:
    fails(2, "import", tmp_path / "none.pth", "-o", tmp_path / "p", words="none.pth does not exist")
    assert not (tmp_path / "p").exists()


def test_unknown_recipe_key(tmp_path: Path) -> None:
    arguments = compress_arguments(
        tmp_path / "t", tmp_path, tmp_path / "run", "distill.learnig_rate=1"
    )
    fails(2, *arguments, words="did you mean 'distill.learning_rate'?")


def test_wrong_family(resnet_checkpoint: Path, tmp_path: Path) -> None:
    arguments = ["import", resnet_checkpoint, "-o", tmp_path / "p"]
    fails(2, *arguments, "--family", "cartoon", words="is a 'resnet' generator")
    fails(2, *arguments, "--family", "cartoons", words="did you mean 'cartoon'?")
    assert list(tmp_path.iterdir()) == []


def test_folder_without_images(resnet_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fails(
        2,
        *compress_arguments(resnet_checkpoint, tmp_path / "empty", tmp_path / "run"),
        words="no images in",
    )
    fails(
        2,
        *compress_arguments(resnet_checkpoint, tmp_path / "none", tmp_path / "run"),
        words="does not exist",
    )
    assert not (tmp_path / "run").exists()


def test_corrupt_image_is_named_before_any_work(resnet_checkpoint: Path, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures", 4)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    fails(
        2,
        *compress_arguments(resnet_checkpoint, folder, tmp_path / "run"),
        words="broken.png is damaged",
    )
    assert not (tmp_path / "run").exists()


def test_half_a_jpeg_is_named(resnet_checkpoint: Path, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures", 4)
    Image.effect_noise((200, 200), 90).save(folder / "half.jpg")
    data = (folder / "half.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(data[: len(data) // 2])
    fails(
        2,
        *compress_arguments(resnet_checkpoint, folder, tmp_path / "run"),
        words="half.jpg is damaged",
    )


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--target", "tflit", "did you mean 'tflite'?"),
        ("--precision", "int4", "choose from fp32, fp16, int8"),
        ("--which", "all", "student, teacher, both"),
        ("--size", "12by12", "HEIGHTxWIDTH"),
    ],
)
def test_unknown_export_choice(option: str, value: str, words: str, tmp_path: Path) -> None:
    fails(2, "export", tmp_path, option, value, words=words)


def test_read_only_output(resnet_checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    fails(2, "import", resnet_checkpoint, "-o", blocked / "p", words=str(blocked))
    fails(
        2,
        *compress_arguments(resnet_checkpoint, pictures, blocked / "run"),
        words="cannot create folder",
    )
    if Path("/proc/version").exists():  # a file system that refuses even root
        fails(
            2,
            "import",
            resnet_checkpoint,
            "-o",
            "/proc/edgegan/p",
            words="cannot create folder /proc/edgegan",
        )


def test_pickle_with_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    torch.save({"weights": Attack(target)}, tmp_path / "zip.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps({"weights": Attack(target)}))
    for name in ("zip.pth", "raw.pth"):
        fails(2, "import", tmp_path / name, "-o", tmp_path / "p", words="nothing in it ran")
    assert not target.exists()
    assert not (tmp_path / "p").exists()


def test_size_below_the_padding(resnet_checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    arguments = compress_arguments(resnet_checkpoint, pictures, tmp_path / "run", "data.size=[8,8]")
    fails(2, *arguments, words="multiples of 4 and at least 16, not 8x8")


def test_existing_output_needs_overwrite(
    resnet_checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    edgegan("import", resnet_checkpoint, "-o", tmp_path / "p", "--size", SIZE)
    fails(2, "import", resnet_checkpoint, "-o", tmp_path / "p", words="add --overwrite")
    edgegan("import", resnet_checkpoint, "-o", tmp_path / "p", "--size", SIZE, "--overwrite")
    edgegan("run", tmp_path / "p", pictures, "-o", tmp_path / "out")
    fails(2, "run", tmp_path / "p", pictures, "-o", tmp_path / "out", words="add --overwrite")


def test_run_of_another_recipe_is_kept(
    finished_run: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    arguments = compress_arguments(resnet_checkpoint, pictures, finished_run, "distill.steps=41")
    fails(2, *arguments, words="distill.steps differ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compress", "nosuch", "-o", "x"], "no recipe 'nosuch'"),
        (["compress", "resnet", "-o", "x"], "give --data"),
        (["bench", "nothing"], "holds no export.json"),
        (["bench", "nothing", "--device", "toaster"], "choose from host"),
        (["run", "nothing.tflite", "a.png", "-o", "x"], "does not exist"),
        (["export", "nothing"], "is not a generator package"),
        (["bundle", "nothing"], "is not a run"),
    ],
)
def test_other_mistakes(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = edgegan(*arguments, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_usage_error_is_two() -> None:
    assert edgegan("compress", check=False).returncode == 2
    assert edgegan("--no-such-option", check=False).returncode == 2
    assert edgegan("--version").stdout.startswith("edgegan ")
