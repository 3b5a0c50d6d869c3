"""What files of plain data may ask for: a test for each cell of the table of protected entry points in docs/design.md
that is about JSON, YAML, pictures, arrays, safetensors, .onnx and .tflite parsing."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgegan.benchmarks.devices.book import read_book
from edgegan.benchmarks.subjects import golden_tensor
from edgegan.contracts.artefact_parts import TensorInfo
from edgegan.contracts.bounds import MOST_DEPTH, parse_json
from edgegan.data.arrays import open_array, read_npz
from edgegan.data.images import read_image
from edgegan.data.kept import open_inputs, open_outputs, read_kept
from edgegan.data.labels import one_hot, read_labels
from edgegan.data.pictures import open_rows
from edgegan.errors import CheckpointError, ConfigError, EdgeGANError, InputError
from edgegan.export.flatbuffer import read_operations
from edgegan.export.lint_onnx import lint_onnx
from edgegan.files import read_json, write_json
from edgegan.package import ImageIO, PackageConfig
from edgegan.recipe.loading import load_recipe
from edgegan.run import check_manifest
from edgegan.runtime.apply import open_generator, starts, tiled
from edgegan.weights import read_state

TEXTS = {
    "deep": "[" * 200_000,
    "deep and closed": "[" * 1000 + "]" * 1000,
    "deep in an object": '{"a":' * 1000 + "1" + "}" * 1000,
    "digits": "9" * 5000,
    "digits below Python's own limit": "9" * 400,
    "half a character": '"\\ud800"',
    "NUL": '"a\\u0000b"',
    "NaN": "NaN",
    "infinity": "[1e999]",
    "no text": "\udc80",
    "empty": "",
    "cut": '{"a": "',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_json_out_of_bounds_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"config\.json is not readable JSON"):
        read_json(path)


def test_json_within_bounds_is_read(tmp_path: Path) -> None:
    """Brackets in strings are no nesting; what is written can be read again."""
    value = {"text": '[[[{"\\' * 200, "deep": "x", "number": 2**62, "low": -0.5, "none": None}
    assert parse_json(json.dumps(value)) == value
    inside: object = 1
    for _ in range(MOST_DEPTH - 1):
        inside = [inside]
    assert parse_json(json.dumps(inside)) == inside
    write_json(tmp_path / "a.json", {"spearman": float("nan"), "rows": (1.5, float("inf"))})
    assert read_json(tmp_path / "a.json") == {"spearman": None, "rows": [1.5, None]}


def test_large_json_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match="larger than 32 MB"):
        read_json(tmp_path / "a.json")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
RECIPES = {
    "alias bomb": BOMB,
    "alias of itself": "name: &a [*a]",
    "digits": "name: x\nseed: " + "9" * 5000,
    "deep": "name: " + "[" * 5000,
    "a date of month 13": "name: 2001-13-45",
    "a tag with a wrong value": "name: !!timestamp x",
    "a tag that is code": "name: !!python/object/apply:os.getcwd []",
    "crops": "name: x\ndata: {crops: 1000000000000}",
    "batch": "name: x\ndistill: {batch: 1000000000}",
    "size": "name: x\ndata: {size: [1000000, 1000000]}",
    "steps": "name: x\ndistill: {steps: 1000000000000}",
    "NUL": 'name: "a\\0b"',
    "large": "# " + "x" * 1_100_000,
}


@pytest.mark.parametrize("text", RECIPES.values(), ids=RECIPES)
def test_recipe_out_of_bounds_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"r\.yaml") as caught:
        load_recipe(str(tmp_path / "r.yaml"), [])
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("value", ["9" * 5000, "!!timestamp x", "[" * 5000, "*a"])
def test_override_out_of_bounds_is_named(value: str) -> None:
    with pytest.raises(ConfigError, match=r"--set"):
        load_recipe("resnet", [f"seed={value}"])


def picture(path: Path, size: tuple[int, int], mode: str = "L") -> Path:
    """A picture of nothing."""
    Image.new(mode, size).save(path)
    return path


@pytest.mark.parametrize("size", [(2_000_000, 1), (1, 70_000), (6_000, 5_000)])
def test_pictures_out_of_bounds_are_named(tmp_path: Path, size: tuple[int, int]) -> None:
    """Long and thin, or of far more pixels than bytes."""
    path = picture(tmp_path / "x.png", size)
    with pytest.raises(InputError, match=r"x\.png (is|has) .* pixels"):
        read_image(path)


def test_labels_out_of_bounds_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.png has 5000x4000 pixels"):
        read_labels(picture(tmp_path / "x.png", (5000, 4000)))
    with pytest.raises(InputError, match="scale the map down"):
        one_hot(np.zeros((1000, 1000), np.uint8), 4000)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "I;16", "I", "F", "1", "CMYK"])
def test_bands_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """A picture converted in bands is the picture converted at once."""
    chance = np.random.default_rng(0)
    values = chance.integers(0, 255, (37, 23, 4), dtype=np.uint8)
    if mode in ("I;16", "I", "F"):
        image = Image.fromarray(
            values[..., 0].astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode]) * 200
        )
    else:
        image = Image.fromarray(values, "RGBA").convert(mode)
    path = tmp_path / "x.tif"
    image.save(path)
    whole = read_image(path)
    monkeypatch.setattr("edgegan.data.images.BAND_PIXELS", 50)
    assert np.array_equal(read_image(path), whole)


def test_thin_pictures_are_tiled_without_being_widened() -> None:
    """Tiles are padded one by one, never the picture: 20,000 x 1 takes no 20,000 x 768."""
    shapes = set()

    def call(x: np.ndarray) -> np.ndarray:
        shapes.add(x.shape)
        return x

    x = np.random.default_rng(0).standard_normal((3, 1, 20_000)).astype(np.float32)
    made = tiled(call, x, (64, 64))
    assert shapes == {(3, 64, 64)} and made.shape == x.shape
    assert np.allclose(made, x, atol=1e-6)
    assert starts(20_000, 64)[-1] == 20_000 - 64


def header(descr: str, shape: str, order: str = "False") -> bytes:
    """The beginning of a .npy file."""
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


HEADERS = {
    "objects": header("|O", "(1,)"),
    "more than the file": header("|u1", "(1000000000000,)"),
    "negative": header("|u1", "(-1, 4)"),
    "no shape": header("|u1", "(1, 2"),
    "text": header("<U4", "(1,)"),
    "Fortran": header("|u1", "(2, 2)", "True"),
    "long": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{" * 100,
    "version": b"\x93NUMPY\x09\x00" + b"\0" * 100,
    "empty": b"",
}


@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_out_of_bounds_are_named(tmp_path: Path, data: bytes, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    content = data + b"\0\0\0\0"
    if suffix == ".npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", content)
    with pytest.raises(InputError, match=r"rows\.np"):
        open_rows(path)


def test_array_bomb_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", header("|u1", "(200000000,)") + bytes(200_000_000))
    with pytest.raises(InputError, match=r"would unpack to 200,000,"):
        read_npz(path, "images")


def test_kept_arrays_must_fit(tmp_path: Path) -> None:
    """What a run keeps is of the kind that its cache.json says, and outputs are as many as inputs."""
    np.save(tmp_path / "in.npy", np.zeros((2, 3, 8, 8), np.uint8))
    np.save(tmp_path / "out.npy", np.zeros((2, 3, 8, 8), np.float16))
    inputs = open_inputs(tmp_path / "in.npy", ImageIO())
    assert open_outputs(tmp_path / "out.npy", inputs).shape == inputs.shape
    with pytest.raises(InputError, match=r"in\.npy holds uint8"):
        open_inputs(tmp_path / "in.npy", ImageIO(channels=1, colour="grey"))
    with pytest.raises(InputError, match=r"in\.npy holds uint8"):
        open_outputs(tmp_path / "in.npy", inputs)
    with pytest.raises(InputError, match=r"out\.npy holds float16"):
        open_outputs(tmp_path / "out.npy", inputs[:1])
    assert np.array_equal(open_array(tmp_path / "in.npy"), inputs)
    (tmp_path / "cache.json").write_text('{"input": {"kind": "label_map", "classes": 1000000000}}')
    with pytest.raises(InputError, match=r"cache\.json: input"):
        read_kept(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 2**40, 2**64 - 1])
def test_safetensors_headers_out_of_bounds_are_named(tmp_path: Path, length: int) -> None:
    path = tmp_path / "student" / "golden.safetensors"
    path.parent.mkdir()
    path.write_bytes(struct.pack("<Q", length) + b'{"input": 5}' + bytes(64))
    with pytest.raises(CheckpointError, match=r"golden\.safetensors is not a readable"):
        read_state(path)
    with pytest.raises(InputError, match=r"golden\.safetensors is not a readable"):
        golden_tensor(tmp_path / "export" / "a.onnx", "input")


def test_tensors_that_share_memory_are_counted(tmp_path: Path) -> None:
    """A thousand views of one tensor are a thousand times its memory once they are float32."""
    import torch

    one = torch.zeros(1000, dtype=torch.float16)
    torch.save({f"layer{index}": one for index in range(1000)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="share memory so often"):
        read_state(tmp_path / "x.pth")


def spoilt(data: bytes) -> list[bytes]:
    """A file cut and flipped in many ways."""
    chance = np.random.default_rng(0)
    found = [data[: len(data) * part // 7] for part in range(7)]
    for _ in range(60):
        changed = np.frombuffer(data, np.uint8).copy()
        places = chance.integers(0, len(data), chance.choice((1, 4, 32)))
        changed[places] ^= (1 << chance.integers(0, 8, len(places))).astype(np.uint8)
        found.append(changed.tobytes())
    return found


@pytest.mark.parametrize(
    ("name", "read"), [("student_int8.tflite", read_operations), ("student_fp32.onnx", lint_onnx)]
)
def test_parsers_of_graphs_name_the_file(
    finished_run: Path, tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    refused = 0
    for data in spoilt((finished_run / "export" / name).read_bytes()):
        (tmp_path / name).write_bytes(data)
        try:
            read(tmp_path / name)
        except EdgeGANError as error:
            refused += name in str(error)
    assert refused >= 5


TENSOR = {
    "name": "x",
    "shape": [1, 32, 32, 3],
    "layout": "NHWC",
    "colour": "rgb",
    "range": [-1.0, 1.0],
}
TENSORS = {
    "sides": {"shape": [1, 20_000, 20_000, 3]},
    "values": {"shape": [1, 16_000, 16_000, 3]},
    "rank": {"shape": []},
    "negative": {"shape": [1, -32, -32, 3]},
    "range": {"range": [0, 0]},
    "no range": {"range": None},
    "kind": {"kind": "noise"},
    "classes": {"kind": "label_map", "encoding": "index", "classes": None},
    "many classes": {"kind": "label_map", "encoding": "index", "classes": 10**9},
}


@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS)
def test_tensors_out_of_bounds_are_refused(change: dict[str, object]) -> None:
    TensorInfo.model_validate(TENSOR)
    with pytest.raises(ValueError, match=r"shape|range|classes|layout"):
        TensorInfo.model_validate({**TENSOR, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"input": {"kind": "label_map", "classes": 10**9}},
        {"input": {"kind": "noise", "dimension": 10**9}},
        {"size": [10**6, 10**6]},
        {"parameters": -1},
        {"files": {"../x": {"sha256": "0" * 64, "size_bytes": 1}}},
    ],
)
def test_packages_out_of_bounds_are_refused(change: dict[str, object]) -> None:
    good = {"family": "resnet", "spec": {}, "parameters": 1, "files": {}}
    PackageConfig.model_validate(good)
    with pytest.raises(ValueError, match=next(iter(change))):
        PackageConfig.model_validate({**good, **change})


STAGE = {"inputs": "0", "outputs": {}, "figures": {}, "duration_s": 1.0}
MACHINE = {
    "processor": "x",
    "cores": 1,
    "system": "x",
    "python": "3",
    "edgegan": "0",
    "versions": {},
}


@pytest.mark.parametrize(
    "change",
    [
        {"figures": {"psnr_to_teacher_db": "high"}},
        {"figures": {"validation_images": -1}},
        {"outputs": {"../../x": "0" * 64}},
        {"outputs": {"x": 5}},
        {"duration_s": "long"},
    ],
)
def test_runs_out_of_bounds_are_refused(change: dict[str, object]) -> None:
    run = {"recipe": {}, "command": "", "environment": MACHINE, "stages": {"student": STAGE}}
    check_manifest(run, Path("run.json"))
    with pytest.raises(InputError, match=r"run\.json is damaged.*stages"):
        check_manifest({**run, "stages": {"student": {**STAGE, **change}}}, Path("run.json"))


@pytest.mark.parametrize("name", ["../../x", "host", "a__b", "A", "", "x" * 60])
def test_names_in_the_book_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As they are when a device is added: records are files that are named by them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    book = tmp_path / "edgegan" / "devices.json"
    book.parent.mkdir()
    book.write_text(json.dumps({"devices": {name: "ssh://pi@board"}}))
    with pytest.raises(InputError, match=r"devices\.json: device name"):
        read_book()


def test_a_spec_wider_than_its_weights_is_refused(tmp_path: Path) -> None:
    """Before any weight is in memory."""
    import torch

    from edgegan.models.resnet.network import ResnetSpec
    from edgegan.models.zoo import refuse_unweighed

    wide = ResnetSpec(stem=16_384, down=16_384, trunk=16_384, inner=(16_384,) * 9)
    with pytest.raises(CheckpointError, match="weights do not fit"):
        refuse_unweighed(wide.build, {"stem.weight": torch.ones(1000)}, tmp_path)
    small = ResnetSpec.from_ngf(1, 1)
    refuse_unweighed(small.build, small.build().state_dict(), tmp_path)


def test_memory_is_taken_by_the_artefact_not_by_its_manifest(
    finished_run: Path, tmp_path: Path
) -> None:
    """A model.json that says larger tensors than the artefact has is refused by run and by bench."""
    name = "student_fp32.onnx"
    for path in (finished_run / "export").glob(f"{name}*"):
        shutil.copy(path, tmp_path)
    about = tmp_path / f"{name}.model.json"
    model = json.loads(about.read_text())
    model["inputs"][0]["shape"] = model["outputs"][0]["shape"] = [1, 3, 4096, 4096]
    model |= {"sizes": [], "signatures": []}
    about.write_text(json.dumps(model))
    with (
        pytest.raises(InputError, match=r"model\.json says that .* \[1, 3, 4096, 4096\]"),
        open_generator(tmp_path / name, 1),
    ):
        pass


READERS: dict[str, Callable[[Path], object]] = {
    "json": read_json,
    "yaml": lambda path: load_recipe(str(path), []),
    "png": read_image,
    "npy": open_rows,
    "npz": open_rows,
    "safetensors": read_state,
}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_no_plain_file_is_refused(tmp_path: Path, suffix: str, kind: str) -> None:
    """None of them is waited for, and none is read without end."""
    path = tmp_path / f"x.{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(EdgeGANError, match=rf"x\.{suffix}"):
        READERS[suffix](path)


def test_files_are_read_through_links(tmp_path: Path) -> None:
    """A link to a plain file is that file; nothing is written through it."""
    (tmp_path / "real").write_text('{"a": 1}')
    (tmp_path / "x.json").symlink_to("real")
    assert read_json(tmp_path / "x.json") == {"a": 1}
    write_json(tmp_path / "x.json", {"a": 2})
    assert (tmp_path / "real").read_text() == '{"a": 1}'
