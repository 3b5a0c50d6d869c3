"""The app's core on a desktop JVM against edgegan run: tensors equal, pictures within one level."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import build as android
import numpy as np
import pytest
from PIL import Image
from support.commands import edgegan, make_pictures
from support.resizing import RATIOS
from toolchain import JARS, compile_java, litert_library, missing_packages, sources

from edgegan.artefact import exported_models
from edgegan.data.images import from_stored, resize_image, to_float, to_pixels
from edgegan.export.bundle import write_index, write_model
from edgegan.export.exporter import export
from edgegan.export.request import ExportOptions
from edgegan.files import make_folder
from edgegan.runtime.apply import apply_generator, open_generator
from edgegan.runtime.session import Session

SIZE = 32
NUM_SIZES = 50


@dataclass(frozen=True)
class Model:
    """An artefact and its id in the bundle."""

    identity: str
    path: Path


@dataclass(frozen=True)
class Jvm:
    """Compiled classes and the assets with every model."""

    classes: list[Path]
    assets: Path
    models: list[Model]

    def apply(self, identity: str, jobs: list[tuple[str, Path, Path]]) -> None:
        """Runs jobs (mode, in, out) through one model in one JVM."""
        paths = ":".join(str(p) for p in [*self.classes, JARS / "jna.jar"])
        command = ["java", f"-Dlitert.library={litert_library()}", "-cp", paths]
        command += ["org.edgegan.host.Main", "apply", str(self.assets), identity]
        lines = "".join(f"{mode}\t{source}\t{target}\n" for mode, source, target in jobs)
        done = subprocess.run(
            command, input=lines, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The core and the desktop's runner, compiled."""
    if missing_packages():
        pytest.skip(f"needs: apt-get install {' '.join(missing_packages())}")
    folder = tmp_path_factory.mktemp("classes")
    compile_java(sources(android.ROOT / "core/src/main"), folder / "core", 7, [])
    android.compile_host(folder / "core", folder / "host")
    return [folder / "core", folder / "host"]


@pytest.fixture(scope="module")
def jvm(
    classes: list[Path],
    finished_run: Path,
    cartoon_checkpoint: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Jvm]:
    """Three families in fp32 and int8 inside: resnet, cartoon and transformer_net."""
    folder = tmp_path_factory.mktemp("jvm")
    exports = [(finished_run / "export", "resnet")]
    pictures = make_pictures(folder / "pictures", 4)
    for family, package in (
        ("cartoon", import_package(cartoon_checkpoint, folder / "cartoon")),
        ("transformer_net", transformer_package(folder / "transformer_net")),
    ):
        export(
            package, folder / f"{family}_export", ["tflite"], ["fp32", "int8"],
            ExportOptions(sizes=((SIZE, SIZE),), calibration=pictures),
        )  # fmt: skip
        exports.append((folder / f"{family}_export", family))
    chance = np.random.default_rng(0)
    assets = folder / "assets"
    models = []
    for exported, family in exports:
        for path, model in exported_models(exported):
            if model.target != "tflite" or model.precision == "fp16" or (
                family == "resnet" and model.role == "teacher"
            ):  # fmt: skip
                continue
            identity = f"{family}_{model.precision}"
            golden = from_stored(chance.integers(0, 256, (1, 3, SIZE, SIZE), dtype=np.uint8))
            write_model(
                make_folder(assets / "models" / identity), identity, family, path, model, golden
            )
            models.append(Model(identity, path))
    write_index(assets, [model.identity for model in models], [])
    yield Jvm(classes, assets, models)


def import_package(checkpoint: Path, folder: Path) -> Path:
    """`edgegan import`."""
    edgegan("import", checkpoint, "-o", folder)
    return folder


def transformer_package(folder: Path) -> Path:
    """A narrow fast neural style net with random weights, through `edgegan import`."""
    import torch

    from edgegan.models.matching import Imported
    from edgegan.models.transformer_net.keymap import write
    from edgegan.models.transformer_net.network import TransformerGenerator, TransformerSpec

    torch.manual_seed(1)
    spec = TransformerSpec(stem=8, down=16, trunk=16, inner=(16, 16), up=(16, 8))
    state = TransformerGenerator(spec).state_dict()
    torch.save(write(Imported("transformer_net", spec, state, [])), folder.with_suffix(".pth"))
    return import_package(folder.with_suffix(".pth"), folder)


def picture(chance: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A smooth picture with noise, (H, W, 3) uint8."""
    coarse = chance.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    noisy = resize_image(coarse, height, width).astype(int) + chance.integers(
        -9, 10, (height, width, 3)
    )
    return np.clip(noisy, 0, 255).astype(np.uint8)


def test_self_test_of_three_families(jvm: Jvm) -> None:
    assert len(jvm.models) == 6
    assert android.run_host(jvm.classes, "selftest", jvm.assets).count("PASS ") == 6


def test_tensors_are_equal(jvm: Jvm, tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    x = chance.uniform(-1, 1, (1, SIZE, SIZE, 3)).astype("<f4")
    (tmp_path / "in.f32").write_bytes(x.tobytes())
    for model in jvm.models:
        jvm.apply(model.identity, [("tensor", tmp_path / "in.f32", tmp_path / "out.f32")])
        with Session(model.path, threads=1) as session:
            wanted = session.run(x)
        made = np.frombuffer((tmp_path / "out.f32").read_bytes(), "<f4").reshape(wanted.shape)
        assert np.abs(made - wanted).max() == 0.0, model.identity


def test_preprocessing_is_equal_at_odd_sizes(jvm: Jvm, tmp_path: Path) -> None:
    """Fifty sizes from 1x1 to 200 pixels a side: cut to a square, scaled, as a tensor."""
    chance = np.random.default_rng(2)
    sizes = [(1, 1), (1, 97), (131, 1), (33, 31)]
    sizes += [
        tuple(int(v) for v in chance.integers(2, 200, 2)) for _ in range(NUM_SIZES - len(sizes))
    ]  # type: ignore[misc]
    jobs, wanted = [], []
    for index, (height, width) in enumerate(sizes):
        pixels = picture(chance, height, width)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        jobs.append(("input", tmp_path / f"{index}.png", tmp_path / f"{index}.f32"))
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[top : top + side, left : left + side]
        small = resize_image(square, SIZE, SIZE, bilinear=True)
        wanted.append(to_float(small).transpose(1, 2, 0))
    jvm.apply("resnet_fp32", jobs)
    for (_, _, path), values, size in zip(jobs, wanted, sizes, strict=True):
        made = np.frombuffer(path.read_bytes(), "<f4").reshape(values.shape)
        assert np.abs(made - values).max() == 0.0, size


def test_pictures_are_equal_to_a_level(jvm: Jvm, tmp_path: Path) -> None:
    """Tiled and scaled pictures of odd sizes, every model: at most 1/255 from `edgegan run`."""
    chance = np.random.default_rng(4)
    shapes = [(32, 32), (20, 50), (45, 71), (1, 40)]
    for model in jvm.models:
        jobs = []
        for height, width in shapes:
            source = tmp_path / f"{height}x{width}.png"
            if not source.exists():
                Image.fromarray(picture(chance, height, width)).save(source)
            jobs += [
                (mode, source, tmp_path / f"{model.identity}_{mode}_{source.name}")
                for mode in ("tiled", "resized")
            ]
        jvm.apply(model.identity, jobs)
        with open_generator(model.path, 1) as generator:
            for mode, source, target in jobs:
                fit = "tile" if mode == "tiled" else "resize"
                x = to_float(np.asarray(Image.open(source)))
                wanted = to_pixels(apply_generator(generator, x, fit)).astype(int)
                made = np.asarray(Image.open(target))
                assert np.abs(made - wanted).max() <= 1, (model.identity, mode, source.name)


def test_pictures_of_another_size_are_equal_to_a_level(
    classes: list[Path], resizing_runs: Path, tmp_path: Path
) -> None:
    """Models that double or halve the sides, bundled: golden outputs of their shape, pictures as of `edgegan run`."""
    for name in RATIOS:
        kinds = ("--precision", "fp32", "--precision", "int8")
        edgegan("bundle", resizing_runs / name, "--target", "android", "--into", tmp_path, *kinds)
    jvm = Jvm(classes, tmp_path / "app/src/main/assets", [])
    assert android.run_host(classes, "selftest", jvm.assets).count("PASS ") == 4
    chance = np.random.default_rng(7)
    shapes = [(SIZE, SIZE), (20, 50), (45, 71), (1, 40), (90, 33)]
    for height, width in shapes:
        pixels = picture(chance, height, width)
        Image.fromarray(pixels).save(tmp_path / f"{height}x{width}.png")
    for name, precision in [(name, each) for name in RATIOS for each in ("fp32", "int8")]:
        jobs = [
            (mode, tmp_path / f"{height}x{width}.png", tmp_path / f"{mode}_{height}x{width}.png")
            for height, width in shapes
            for mode in ("tiled", "resized", "padded", "cropped")
        ]
        jvm.apply(f"{name}_{precision}", jobs)
        up, down = RATIOS[name]
        path = resizing_runs / name / "export" / f"student_{precision}.tflite"
        with open_generator(path, 1) as generator:
            for mode, source, target in jobs:
                x = to_float(np.asarray(Image.open(source)))
                made = np.asarray(Image.open(target)).astype(int)
                if mode == "cropped":
                    assert made.shape == (SIZE * up // down, SIZE * up // down, 3)
                    continue
                assert made.shape[:2] == tuple(-(-side * up // down) for side in x.shape[1:])
                if mode != "padded":
                    fit = "tile" if mode == "tiled" else "resize"
                    wanted = to_pixels(apply_generator(generator, x, fit))
                    assert np.abs(made - wanted).max() <= 1, (name, precision, mode, source.name)


def test_a_result_beyond_memory_is_refused(
    classes: list[Path], resizing_runs: Path, tmp_path: Path
) -> None:
    edgegan("bundle", resizing_runs / "double", "--target", "android", "--into", tmp_path)
    Image.new("RGB", (4001, 1000)).save(tmp_path / "large.png")
    jvm = Jvm(classes, tmp_path / "app/src/main/assets", [])
    with pytest.raises(AssertionError, match="becomes one of 8002x2000, more than 16,000,000"):
        jvm.apply("double_int8", [("tiled", tmp_path / "large.png", tmp_path / "out.png")])


def test_errors_are_one_message(jvm: Jvm, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    with pytest.raises(AssertionError, match="is empty or not a picture"):
        jvm.apply("resnet_fp32", [("tiled", empty, tmp_path / "out.png")])
    with pytest.raises(android.BuildError, match="cannot be read"):
        android.run_host(jvm.classes, "record", jvm.assets, "nothing", 3)


def test_report_reads_a_phone_record(jvm: Jvm, tmp_path: Path) -> None:
    from edgegan.benchmarks.record import BenchRecord, read_records

    said = android.run_host(jvm.classes, "record", jvm.assets, "resnet_int8", 30)
    (tmp_path / "phone__student_int8.tflite.json").write_text(said)
    record = read_records(tmp_path)[0]
    assert isinstance(record, BenchRecord)
    assert record.artefact == "student_int8.tflite"
    assert len(record.samples_ms) == 30
    assert record.latency["median_ms"] == pytest.approx(np.median(record.samples_ms), abs=1e-3)
    assert record.latency["p90_ms"] == pytest.approx(np.percentile(record.samples_ms, 90), abs=1e-3)
