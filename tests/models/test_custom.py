"""A generator of one's own: through import, inspect, compress, export, bench and run like a built-in family."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.commands import SIZE, edgegan

from edgegan.artefact import read_model
from edgegan.data.images import read_image, write_image

SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 24, 3, padding=1)
        self.down = nn.Conv2d(24, 48, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(48)
        self.left = nn.Conv2d(48, 48, 3, padding=1)
        self.right = nn.Conv2d(48, 48, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.join = nn.Conv2d(72, 16, 3, padding=1)
        self.last = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x):
        a = torch.relu(self.first(x))
        b = torch.relu(self.norm(self.down(a)))
        b = b + self.right(torch.relu(self.left(b)))
        return torch.tanh(self.last(torch.relu(self.join(torch.cat([self.up(b), a], 1)))))


class Sorted(Net):
    def forward(self, x):
        a = torch.sort(self.first(x), dim=1).values
        return torch.tanh(self.last(self.join(torch.cat([a, a, a], 1))))


class Half(Net):
    def forward(self, x):
        return super().forward(x)[:, :, ::2, ::2]


class Flat(Net):
    def forward(self, x):
        return super().forward(x)[:, :, ::2]


@torch.jit.script
def doubled(x):
    return x + x


class Shared(Net):
    def __init__(self):
        super().__init__()
        self.again = nn.Sequential(self.left, self.right)

    def forward(self, x):
        a = torch.relu(self.first(x))
        b = torch.relu(self.norm(self.down(a)))
        b = doubled(self.again(nn.ReLU()(b)))
        return torch.tanh(self.last(self.join(torch.cat([self.up(b), a], 1))))


class Data(Net):
    def forward(self, x):
        return super().forward(x) * (2 if x.mean() > 0 else 1)


def make():
    torch.manual_seed(5)
    return Net()


def without_rule():
    return Sorted()


def half():
    torch.manual_seed(5)
    return Half()


def flat():
    return Flat()


def shared():
    return Shared()


def data():
    return Data()


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x):
        y = torch.relu(self.first(x))
        return torch.tanh(self.last(y * self.norm(y.mean((2, 3), keepdim=True))))


def pooled():
    return Pooled()


class Unit(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x):
        return torch.sigmoid(self.last(torch.relu(self.first(x))))


def unit():
    torch.manual_seed(5)
    return Unit()


class Colours(nn.Module):
    def __init__(self):
        super().__init__()
        self.only = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x):
        return torch.tanh(self.only(x))


def colours():
    return Colours()


def number():
    return 3


def needs(argument):
    return Net()
"""
OWN = ("--generator", "ownnet:make")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ownnet.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def test_whole_path(folder: Path, pictures: Path) -> None:
    shape = f"3x{SIZE}x{SIZE}"
    edgegan("import", *OWN, "--input-shape", shape, "-o", "teacher", cwd=folder)
    found = json.loads(edgegan("inspect", "teacher", *OWN, "--json", cwd=folder).stdout)
    assert {group["name"] for group in found["groups"] if not group["fixed"]} == {
        "first",
        "down",
        "left",
        "join",
    }
    settings = [
        f"data.size=[{SIZE},{SIZE}]",
        "data.crops=8",
        "distill.steps=10",
        "student.scale=0.5",
    ]
    arguments = [part for setting in settings for part in ("--set", setting)]
    edgegan(
        "compress",
        "resnet",
        "--teacher",
        "teacher",
        "--data",
        pictures,
        "-o",
        "run",
        *OWN,
        *arguments,
        cwd=folder,
    )
    config = json.loads((folder / "run/student/config.json").read_text())
    assert config["spec"]["widths"] == {"first": 16, "down": 24, "left": 24, "join": 8}
    assert json.loads((folder / "run/stages/teacher_cache/cache.json").read_text())["taps"]
    edgegan("export", "run", *OWN, "--which", "student", cwd=folder)
    for name in ("student_int8.tflite", "student_int8.onnx"):
        model = read_model(folder / "run/export" / name)
        assert model.parity.psnr_db > 30
        assert model.family == "custom"
    edgegan("bench", "run", "--seconds", "0.1", cwd=folder)
    edgegan("run", "run", pictures, "-o", "out", *OWN, cwd=folder)
    assert read_image(folder / "out/picture0.png").shape == (40, 48, 3)


def test_a_layer_under_two_names_and_one_made_in_the_forward(folder: Path) -> None:
    edgegan(
        "import", "--generator", "ownnet:shared", "--input-shape", "3x16x16", "-o", "p", cwd=folder
    )
    found = json.loads(
        edgegan("inspect", "p", "--generator", "ownnet:shared", "--json", cwd=folder).stdout
    )
    assert found["free_share"] > 0.9
    edgegan(
        *("export", "p", "-o", "e", "--target", "onnx", "--precision", "fp32"),
        *("--generator", "ownnet:shared"),
        cwd=folder,
    )
    assert read_model(folder / "e/teacher_fp32.onnx").parity.psnr_db > 80


def test_an_operation_without_a_rule_keeps_its_channels(folder: Path) -> None:
    own = ("--generator", "ownnet:without_rule")
    done = edgegan("import", *own, "--input-shape", "3x16x16", "-o", "p", cwd=folder)
    assert "edgegan inspect p --generator ownnet:without_rule" in done.stdout
    found = json.loads(edgegan("inspect", "p", *own, "--json", cwd=folder).stdout)
    assert found["free_share"] < 0.5
    (held,) = (each for each in found["held"] if "sort" in each["operation"])
    assert held["groups"] == ["first"] and "no rule" in held["reason"]
    assert "kept by" in edgegan("inspect", "p", *own, cwd=folder).stdout
    edgegan("export", "p", "-o", "e", "--target", "onnx", "--precision", "fp32", *own, cwd=folder)
    assert read_model(folder / "e/teacher_fp32.onnx").parity.psnr_db > 80


def test_pictures_of_another_size_go_all_the_way(folder: Path, pictures: Path) -> None:
    own = ("--generator", "ownnet:half")
    edgegan("import", *own, "--input-shape", f"3x{SIZE}x{SIZE}", "-o", "teacher", cwd=folder)
    settings = (f"data.size=[{SIZE},{SIZE}]", "data.crops=8", "distill.steps=10")
    arguments = [part for setting in settings for part in ("--set", setting)]
    edgegan(
        *("compress", "resnet", "--teacher", "teacher", "--data", pictures, "-o", "run", *own),
        *arguments,
        cwd=folder,
    )
    edgegan(
        "export", "run", *own, "--which", "student", "--target", "tflite", "--force", cwd=folder
    )
    model = read_model(folder / "run/export/student_int8.tflite")
    assert model.enlarges == (1, 2)
    assert model.outputs[0].shape == [1, SIZE // 2, SIZE // 2, 3]
    for source, name in (("run", "one"), ("run/export/student_fp32.tflite", "other")):
        edgegan("run", source, pictures, "-o", name, *own, cwd=folder)
    one, other = (read_image(folder / name / "picture0.png") for name in ("one", "other"))
    assert one.shape == (20, 24, 3)
    assert np.abs(one.astype(int) - other).max() <= 1


def test_what_numbers_mean_is_said_and_kept(folder: Path, pictures: Path) -> None:
    net = own_module(folder).unit()
    own = ("--generator", "ownnet:unit", "--input-shape", f"3x{SIZE}x{SIZE}")
    torch.save(net.state_dict(), folder / "w.pth")
    said = ("--range", "0,1", "--mean", "0.5,0.4,0.3", "--std", "0.2,0.25,0.5", "--colour", "bgr")
    done = edgegan("import", "w.pth", *own, *said, "-o", "p", cwd=folder)
    assert "0..1" in done.stdout and "BGR" in done.stdout
    small = folder / "small.png"
    picture = read_image(sorted(pictures.iterdir())[0])[:SIZE, :SIZE]
    write_image(small, picture)
    edgegan("run", "p", small, "-o", "out", "--generator", "ownnet:unit", cwd=folder)
    x = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    mean, std = (
        torch.tensor(each).view(1, 3, 1, 1) for each in ((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))
    )
    with torch.no_grad():
        made = net((x - mean) / std)[0].permute(1, 2, 0).numpy()[..., ::-1] * 255
    assert np.abs(made - read_image(folder / "out/small.png")).max() < 0.51
    wrong = edgegan(
        "import", *own, "--mean", "0.5,0.5", "--std", "1,1", "-o", "q", check=False, cwd=folder
    )
    assert wrong.returncode == 2 and "--mean has 2 numbers" in wrong.stderr
    wrong = edgegan("import", *own, "--range", "1,0", "-o", "q", check=False, cwd=folder)
    assert wrong.returncode == 2 and "must be the smaller one" in wrong.stderr


def test_channels_that_are_no_picture_are_not_written_as_one(folder: Path, pictures: Path) -> None:
    own = ("--generator", "ownnet:colours")
    edgegan("import", *own, "--input-shape", f"1x{SIZE}x{SIZE}", "-o", "p", cwd=folder)
    done = edgegan("run", "p", pictures, "-o", "out", *own, check=False, cwd=folder)
    assert done.returncode == 2 and "2 channels" in done.stderr
    assert not list(folder.glob("out/*.png"))


def own_module(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("ownnet_copy", folder / "ownnet.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_norm_over_one_value_wants_a_larger_batch(folder: Path, pictures: Path) -> None:
    own = ("--generator", "ownnet:pooled")
    edgegan("import", *own, "--input-shape", f"3x{SIZE}x{SIZE}", "-o", "teacher", cwd=folder)
    settings = (f"data.size=[{SIZE},{SIZE}]", "data.crops=4", "distill.steps=2", "distill.batch=1")
    arguments = [part for setting in settings for part in ("--set", setting)]
    done = edgegan(
        *("compress", "resnet", "--teacher", "teacher", "--data", pictures, "-o", "run", *own),
        *arguments,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 2
    assert "layer 'norm'" in done.stderr and "distill.batch to 2" in done.stderr


def test_weights_come_from_a_checkpoint(folder: Path) -> None:
    net = own_module(folder).Net()
    torch.save(net.state_dict(), folder / "w.pth")
    edgegan("import", "w.pth", *OWN, "--input-shape", "3x16x16", "-o", "p", cwd=folder)
    from safetensors.numpy import load_file

    stored = load_file(folder / "p/model.safetensors")
    assert np.array_equal(stored["join.weight"], net.join.weight.detach().numpy())
    state = {key: value for key, value in net.state_dict().items() if key != "last.bias"}
    torch.save(state, folder / "short.pth")
    done = edgegan(
        "import", "short.pth", *OWN, "--input-shape", "3x16x16", "-o", "q", check=False, cwd=folder
    )
    assert done.returncode == 2
    assert "last.bias" in done.stderr


def test_a_package_cannot_import_code_by_itself(folder: Path) -> None:
    edgegan("import", *OWN, "--input-shape", "3x16x16", "-o", "p", cwd=folder)
    (folder / "ownnet.py").write_text("open('ran', 'w').close()\n" + SOURCE, encoding="utf-8")
    done = edgegan("inspect", "p", check=False, cwd=folder)
    assert done.returncode == 2
    assert "give --generator ownnet:make" in done.stderr
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("generator", "shape", "words"),
    [
        ("ownnet:make", None, "--input-shape"),
        ("ownnet", "3x16x16", "package.module:factory"),
        ("nothere:make", "3x16x16", "cannot import 'nothere'"),
        ("ownnet:nothing", "3x16x16", "no callable 'nothing'"),
        ("ownnet:number", "3x16x16", "made a int"),
        ("ownnet:needs", "3x16x16", "without arguments"),
        ("ownnet:make", "5x16x16", "does not run on an input"),
        ("ownnet:flat", "3x16x16", "whose sides are one multiple"),
        ("ownnet:unit", "3x16x16", "add --range 0,1"),
        ("ownnet:data", "3x16x16", "branches on values that depend on the picture"),
    ],
)
def test_what_cannot_be_used_is_named(
    folder: Path, generator: str, shape: str | None, words: str
) -> None:
    arguments = ["import", "--generator", generator, "-o", "p"]
    if shape:
        arguments += ["--input-shape", shape]
    done = edgegan(*arguments, check=False, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "p").exists()
