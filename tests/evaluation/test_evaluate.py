"""evaluate: generators against teachers, folders against folders, figures kept with their protocol."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commands import make_pictures
from torch import nn

from edgegan.data.images import list_images, read_image, to_float
from edgegan.errors import ConfigError, InputError
from edgegan.evaluation.evaluate import (
    Settings,
    evaluate_folders,
    evaluate_generator,
)
from edgegan.files import read_json
from edgegan.metrics.evaluations import read_evaluations
from edgegan.metrics.frechet import frechet_distance, kid
from edgegan.metrics.quality import psnr
from edgegan.models.packaging import card, golden_inputs, import_to_package
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec
from edgegan.models.spade.network import SpadeGenerator, SpadeSpec
from edgegan.models.zoo import describe_io, load_generator, make_golden
from edgegan.package import write_package
from edgegan.recipe.loading import parse_recipe
from edgegan.run import Run

Figures = dict[str, dict]


def figures(result: dict) -> Figures:
    return {each["name"]: each for each in result["figures"]}


def pack(folder: Path, family: str, spec: object, module: nn.Module, size: tuple[int, int]) -> Path:
    """A package of a module with the weights it has."""
    folder.mkdir()
    taken, made = describe_io(spec)  # type: ignore[arg-type]
    config = {
        "family": family,
        "spec": spec.model_dump(mode="json"),  # type: ignore[attr-defined]
        "name": folder.name,
        "size": size,
        "input": taken,
        "output": made,
        "parameters": 1,
    }
    golden = make_golden(module.eval(), golden_inputs(1, size, taken))
    write_package(folder, config, module.state_dict(), golden, card(folder.name, family, 1, "", []))
    return folder


@pytest.fixture(scope="module")
def run_folder(
    tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path, pictures: Path
) -> Path:
    """A run with a teacher and another net as student; nothing was trained."""
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    teacher = folder.parent / "teacher"
    import_to_package(resnet_checkpoint, teacher, size=(32, 32))
    data = {"train": str(pictures), "size": [32, 32]}
    recipe = parse_recipe({"name": "tiny", "teacher": str(teacher), "data": data}, "test")
    Run.start(folder, recipe, overwrite=False)
    torch.manual_seed(1)
    spec = ResnetSpec.from_ngf(8, 2)
    pack(folder / "student", "resnet", spec, ResnetGenerator(spec), (32, 32))
    return folder


@pytest.fixture(scope="module")
def feature_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small TorchScript network to look through."""
    torch.manual_seed(2)
    module = nn.Sequential(nn.Conv2d(3, 5, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return save(module, tmp_path_factory.mktemp("networks") / "eyes.pt")


def save(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module.eval(), torch.zeros(1, 3, 32, 32)).save(str(path))
    return path


def test_student_against_its_teacher(
    run_folder: Path, pictures: Path, feature_network: Path
) -> None:
    """PSNR equals the mean of what both packages make of the crops, in 8 bits; the run keeps the figures."""
    settings = Settings(feature_weights=feature_network, repeats=20, most=6)
    result = evaluate_generator(run_folder, None, pictures, settings)
    found = figures(result)
    assert set(found) == {"psnr", "ssim", "perceptual_teacher", "frechet", "kid"}
    modules = [
        load_generator(folder)[1]
        for folder in (run_folder / "student", run_folder.parent / "teacher")
    ]
    made: list[list[np.ndarray]] = [[], []]
    for path in list_images(pictures)[:6]:
        x = to_float(read_image(path)[4:36, 8:40])  # the middle 32x32 of 40x48
        for module, list_ in zip(modules, made, strict=True):
            with torch.inference_mode():
                y = module(torch.from_numpy(x)[None])[0].numpy()
            list_.append(np.clip(np.round((y + 1) * 127.5), 0, 255) / 127.5 - 1)
    expected = float(np.mean([psnr(a, b) for a, b in zip(*made, strict=True)]))
    assert found["psnr"]["value"] == pytest.approx(expected, abs=1e-4)
    assert found["psnr"]["low"] < expected < found["psnr"]["high"]
    network = torch.jit.load(str(feature_network))
    sets = [
        network(torch.from_numpy(np.stack(each)).float()).detach().double().numpy() for each in made
    ]
    assert found["frechet"]["value"] == pytest.approx(
        frechet_distance(*sets, epsilon=1e-6), rel=1e-3, abs=1e-7
    )
    assert found["kid"]["value"] == pytest.approx(kid(*sets), rel=1e-3, abs=1e-7)
    protocol = found["frechet"]["protocol"]
    assert protocol["count"] == 6 and protocol["network"] == "eyes.pt"
    assert "centre crop 32x32" in protocol["resize"]
    kept = read_evaluations(run_folder)
    assert [each["subject"] for each in kept] == ["student"]
    assert figures(kept[0]) == found
    again = evaluate_generator(run_folder, None, None, Settings(repeats=0))
    assert figures(again)["psnr"]["count"] == 1
    assert figures(again)["psnr"]["low"] is None
    assert "held-out tenth" in figures(again)["psnr"]["protocol"]["split"]
    assert len(read_evaluations(run_folder)) == 1


def test_equal_generators(run_folder: Path, pictures: Path) -> None:
    student = run_folder / "student"
    found = figures(evaluate_generator(student, student, pictures, Settings(size=(64, 32))))
    assert found["psnr"]["value"] == 200 and found["ssim"]["value"] == pytest.approx(1)
    assert "64x32" in found["psnr"]["protocol"]["resize"]


def test_reference_of_the_target_domain(
    run_folder: Path, pictures: Path, feature_network: Path, tmp_path: Path
) -> None:
    """Student and teacher are both compared with real pictures."""
    real = make_pictures(tmp_path / "real", 5)
    settings = Settings(
        feature_weights=feature_network, reference=real, classifier=feature_network, repeats=0
    )
    found = figures(evaluate_generator(run_folder / "student", None, pictures, settings))
    names = {"frechet", "frechet_reference", "frechet_teacher_reference", "inception_score"}
    assert names <= set(found)
    assert found["frechet_teacher_reference"]["protocol"]["images"] == "teacher"
    assert found["frechet_reference"]["protocol"]["reference_count"] == 5
    assert 1 <= found["inception_score"]["value"] <= 5
    statistics = statistics_of(real, feature_network, tmp_path / "real.npz")
    to_them = figures(
        evaluate_generator(
            run_folder / "student",
            None,
            pictures,
            Settings(feature_weights=feature_network, reference=statistics, repeats=0),
        )
    )
    for name in ("frechet_reference", "frechet_teacher_reference"):
        assert to_them[name]["value"] == pytest.approx(found[name]["value"], rel=1e-2)
        assert to_them[name]["protocol"]["reference_count"] == 0
    assert "inception_score_teacher" in found


def test_two_folders(tmp_path: Path, feature_network: Path) -> None:
    first = make_pictures(tmp_path / "a", 4, (40, 40))
    second = tmp_path / "b"
    second.mkdir()
    for path in list_images(first):
        pixels = np.asarray(Image.open(path)).astype(int)
        Image.fromarray(np.clip(pixels + 10, 0, 255).astype(np.uint8)).save(second / path.name)
    settings = Settings(feature_weights=feature_network, repeats=20)
    found = figures(evaluate_folders(first, second, settings))
    assert 25 < found["psnr"]["value"] < 32
    statistics = statistics_of(second, feature_network, tmp_path / "b.npz")
    to_them = figures(evaluate_folders(first, statistics, settings))["frechet"]
    assert to_them["value"] == pytest.approx(found["frechet"]["value"], rel=1e-2)
    assert to_them["low"] < to_them["value"] < to_them["high"]
    assert "not known" in to_them["protocol"]["settings"]
    with pytest.raises(ConfigError, match="give their network with --feature-weights"):
        evaluate_folders(first, statistics, Settings())
    (second / "picture0.png").rename(second / "other.png")
    assert set(figures(evaluate_folders(first, second, settings))) == {"frechet", "kid"}
    with pytest.raises(ConfigError, match="nothing to measure"):
        evaluate_folders(first, second, Settings())


def statistics_of(folder: Path, network: Path, path: Path) -> Path:
    """The statistics of a folder's pictures, as others write them."""
    pixels = np.stack([read_image(each) for each in list_images(folder)])
    with torch.inference_mode():
        eyes = torch.jit.load(str(network))
        seen = eyes(torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float() / 127.5 - 1)
    features = seen.double().numpy()
    np.savez(path, mu=features.mean(0), sigma=np.cov(features, rowvar=False))
    return path


def colour_segmenter(path: Path, classes: int) -> Path:
    """Tells classes apart by brightness: class k wants a mean of -1 + 2 k / (classes - 1)."""
    centres = torch.linspace(-1, 1, classes)

    class Segmenter(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -50 * (x.mean(1, keepdim=True) - centres[:, None, None]) ** 2

    save(Segmenter(), path)
    card_values = {"classes": [f"class{k}" for k in range(classes)], "ignore": 3}
    path.with_name(path.name + ".json").write_text(json.dumps(card_values))
    return path


def test_segmentation_of_a_folder(tmp_path: Path) -> None:
    """Pictures painted by their label maps are all right; one with a quarter painted wrong is not."""
    network = colour_segmenter(tmp_path / "net.pt", 3)
    for name in ("photo", "label"):
        (tmp_path / name).mkdir()
    labels = np.zeros((32, 32), np.uint8)
    labels[:, 16:] = 1
    labels[24:] = 2
    labels[0, 0] = 3
    Image.fromarray(labels).save(tmp_path / "label" / "a.png")
    grey = np.array([0, 127, 255, 0], np.uint8)[labels]
    painted = np.repeat(grey[..., None], 3, axis=2)
    Image.fromarray(painted).save(tmp_path / "photo" / "a.png")
    settings = Settings(segmentation=network, labels=tmp_path / "label")
    found = figures(evaluate_folders(tmp_path / "photo", tmp_path / "photo", settings))
    assert found["miou"]["value"] == 1 == found["pixel_accuracy"]["value"]
    assert found["average_precision"]["value"] == pytest.approx(1, abs=1e-3)
    assert "label 3 ignored" in found["miou"]["protocol"]["settings"]
    painted[24:] = 127
    Image.fromarray(painted).save(tmp_path / "photo" / "a.png")
    found = figures(evaluate_folders(tmp_path / "photo", tmp_path / "photo", settings))
    counts = {0: (383, 383), 1: (384, 384 + 256), 2: (0, 256)}
    expected = np.mean([right / union for right, union in counts.values()])
    assert found["miou"]["value"] == pytest.approx(expected)
    wrong = Settings(segmentation=network, labels=tmp_path / "label", classes=4, ignore=9)
    with pytest.raises(InputError, match="gives 3 classes, not 4"):
        evaluate_folders(tmp_path / "photo", tmp_path / "photo", wrong)


def test_label_map_generator(tmp_path: Path, feature_network: Path) -> None:
    """A SPADE package is fed label maps and judged by them, without a folder of labels being named."""
    torch.manual_seed(3)
    widths = {"trunk": 8, "up": (8, 8, 8, 8), "inner": (8,) * 7, "hidden": (8,) * 7}
    spec = SpadeSpec(classes=3, instance_edge=True, **widths)  # type: ignore[arg-type]
    student = pack(tmp_path / "spade", "spade", spec, SpadeGenerator(spec), (64, 64))
    maps = tmp_path / "maps"
    maps.mkdir()
    for index in range(3):
        labels = np.random.default_rng(index).integers(0, 3, (4, 4), dtype=np.uint8)
        Image.fromarray(np.kron(labels, np.ones((16, 16), np.uint8))).save(maps / f"{index}.png")
    network = colour_segmenter(tmp_path / "net.pt", 3)
    settings = Settings(segmentation=network, feature_weights=feature_network, repeats=10)
    found = figures(evaluate_generator(student, student, maps, settings))
    assert found["psnr"]["value"] == 200
    assert 0 <= found["miou"]["value"] == found["miou_teacher"]["value"] <= 1
    assert found["miou"]["protocol"]["reference"] == "their label maps"


def no_pictures(run: Path, folder: Path) -> None:
    evaluate_generator(run / "student", None, folder / "none", Settings())


def no_teacher_to_look_through(_: Path, folder: Path) -> None:
    a = make_pictures(folder / "a", 2)
    evaluate_folders(a, a, Settings(perceptual=["teacher"]))


def conditional_discriminator(run: Path, folder: Path) -> None:
    evaluate_generator(
        run, None, make_pictures(folder / "a", 2), Settings(perceptual=["discriminator"])
    )


def no_labels(_: Path, folder: Path) -> None:
    a = make_pictures(folder / "a", 2)
    evaluate_folders(a, a, Settings(segmentation=colour_segmenter(folder / "n.pt", 3)))


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (no_pictures, "none does not exist"),
        (no_teacher_to_look_through, "there is no teacher"),
        (conditional_discriminator, "keeps no discriminator"),
        (no_labels, "give their folder with --labels"),
    ],
)
def test_what_cannot_be_measured(
    attempt: Callable[[Path, Path], None], words: str, run_folder: Path, tmp_path: Path
) -> None:
    before = sorted(run_folder.rglob("*"))
    with pytest.raises((ConfigError, InputError), match=words):
        attempt(run_folder, tmp_path)
    assert sorted(run_folder.rglob("*")) == before


def test_another_schema_is_refused(tmp_path: Path) -> None:
    assert read_evaluations(tmp_path) == []
    (tmp_path / "evaluate.json").write_text('{"schema_version": 9}')
    with pytest.raises(InputError, match="evaluate again"):
        read_evaluations(tmp_path)
    assert read_json(tmp_path / "evaluate.json")["schema_version"] == 9
