"""Searches that go by what a network sees: the journal holds those figures, and the best of them is chosen."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commands import edgegan
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.compress.search.widths import published_space
from edgegan.compress.teacher.cache import Cache
from edgegan.errors import ConfigError
from edgegan.files import read_json
from edgegan.metrics.frechet import frechet_distance, kid
from edgegan.models.packaging import store
from edgegan.models.resnet.network import ResnetSpec
from edgegan.package import LabelMapIO
from edgegan.recipe.loading import load_recipe
from edgegan.run import Run
from edgegan.weights import load_tensors

CHOICES = [[4, 2], *[[4]] * 6, [4, 2]]
SPEC = ResnetSpec.from_ngf(4, block="separable")
SETTINGS = {
    "method": "gan-compression",
    "data.size": [32, 32],
    "data.crops": 2,
    "data.validation_images": 1,
    "student.scale": 1.0,
    "student.round_to": 1,
    "student.norm": "instance",
    "distill.steps": 2,
    "supernet.steps": 1,
    "supernet.sampling": "uniform",
    "supernet.networks": 1,
    "supernet.tied": "published",
    "supernet.choices": CHOICES,
    "search.images": 3,
    "search.check_networks": 2,
    "search.check_steps": 1,
    "search.finetune_steps": 0,
    "budget.macs": 1e9,
}


def teacher_in(folder: Path, **about: object) -> Path:
    """A mobile ResNet of nine blocks, four channels wide, with random weights."""
    folder.mkdir()
    torch.manual_seed(0)
    about = {"name": "teacher", "source": {"changes": []}, "licence": "", **about}
    store(folder, "resnet", SPEC, SPEC.build(), (32, 32), about, None)
    return folder


def network_in(path: Path, *layers: nn.Module) -> Path:
    """A TorchScript network of pictures."""
    torch.manual_seed(2)
    module = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), *layers).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, torch.zeros(1, 3, 32, 32)).save(str(path))
    return path


def compress(run: Path, teacher: Path, data: Path, **more: object) -> str:
    """What a run prints; it is gone through twice, and the second time finds everything done."""
    values = {**SETTINGS, "data.train": str(data), **more}
    given = [f"--set={key}={json.dumps(value)}" for key, value in values.items()]
    for _ in range(2):
        done = edgegan("compress", "resnet", *given, "--teacher", teacher, "-o", run)
        said = done.stderr
    assert "student is up to date" in said
    return said


def pictures_of(run: Path, genome: list[int]) -> np.ndarray:
    """What a sub-network makes of the search images with the shared weights: (N, 3, 32, 32) in [-1, 1], in 8 bits."""
    module = SPEC.build()
    weights = load_tensors(run / "stages/supernet/supernet.safetensors")
    prefix = "student/"
    module.load_state_dict(
        {
            key.removeprefix(prefix): value
            for key, value in weights.items()
            if key.startswith(prefix)
        }
    )
    graph = trace_channels(module, torch.zeros(1, 3, 32, 32))
    space = published_space(graph, ResnetSpec, 0.5, 1, CHOICES)
    student = extract(module, graph, space.plan(tuple(genome))).eval()
    cache = Cache(run / "stages/teacher_cache")
    with torch.inference_mode():
        made = student(cache.load(cache.search_inputs, torch.device("cpu"))).numpy()
    return in_8_bits(made)


def in_8_bits(made: np.ndarray) -> np.ndarray:
    return np.clip(np.round((made + 1) * 127.5), 0, 255) / 127.5 - 1


def journal_of(run: Path) -> list[dict[str, object]]:
    lines = (run / "stages/search/search.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


@pytest.mark.parametrize("metric", ["fid", "kid"])
def test_search_by_a_distance(tmp_path: Path, pictures: Path, metric: str) -> None:
    """To the teacher's pictures, through the network that is given; the smallest is the best."""
    eyes = network_in(tmp_path / "eyes.pt", nn.ReLU(), nn.AvgPool2d(8))
    teacher, run = teacher_in(tmp_path / "teacher"), tmp_path / "run"
    more = {"search.fitness": metric, "search.network": str(eyes)}
    compress(run, teacher, pictures, **more)
    network = torch.jit.load(str(eyes))

    def features(made: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(made).float()).mean((2, 3)).double().numpy()

    theirs = features(
        in_8_bits(np.load(run / "stages/teacher_cache/search_output.npy").astype(np.float32))
    )
    entries = journal_of(run)
    assert len(entries) == 4
    for entry in entries:
        ours = features(pictures_of(run, entry["genome"]))  # type: ignore[arg-type]
        expected = (
            kid(ours, theirs) if metric == "kid" else frechet_distance(ours, theirs, epsilon=1e-6)
        )
        assert entry["fitness"] == pytest.approx(-expected, rel=1e-3, abs=1e-6)
    best = max(entries, key=lambda entry: entry["fitness"])  # type: ignore[arg-type,return-value]
    front = read_json(run / "stages/search/front.json")
    assert front["chosen"]["genome"] == best["genome"]
    assert (front["fitness"], front["lower_is_better"]) == (metric, True)
    figures = Run.open(run).figures("search")
    assert "of 3 pictures to 3 of the teacher's, lower is better" in figures["by"]
    assert "eyes.pt" in figures["by"]


def test_search_by_mean_iou(tmp_path: Path) -> None:
    """The network sees in every pixel the class that is brightest there."""
    chance = np.random.default_rng(0)
    for folder in ("labels", "photos"):
        (tmp_path / folder).mkdir()
    for index in range(8):
        labels = chance.integers(0, 3, (4, 4), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(labels).save(tmp_path / f"labels/{index}.png")
        photo = chance.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(photo).save(tmp_path / f"photos/{index}.png")
    eyes = network_in(tmp_path / "eyes.pt")
    teacher, run = teacher_in(tmp_path / "teacher", input=LabelMapIO(classes=3)), tmp_path / "run"
    more = {
        "search.fitness": "miou",
        "search.network": str(eyes),
        "data.kind": "labels",
        "data.classes": 3,
        "data.target": str(tmp_path / "photos"),
    }
    compress(run, teacher, tmp_path / "labels", **more)
    network = torch.jit.load(str(eyes))
    truth = np.load(run / "stages/teacher_cache/search_input.npy")[:, 0]
    entries = journal_of(run)
    for entry in entries:
        made = torch.from_numpy(pictures_of(run, entry["genome"])).float()  # type: ignore[arg-type]
        with torch.inference_mode():
            seen = network(made).argmax(1).numpy()
        unions = [
            ((seen == each) & (truth == each)).sum() / ((seen == each) | (truth == each)).sum()
            for each in range(3)
        ]
        assert entry["fitness"] == pytest.approx(float(np.mean(unions)), abs=1e-3)
    front = read_json(run / "stages/search/front.json")
    best = max(entries, key=lambda entry: entry["fitness"])  # type: ignore[arg-type,return-value]
    assert front["chosen"]["genome"] == best["genome"]
    assert "lower_is_better" not in front


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"search.fitness": "fid"}, "needs Inception weights or a network of features"),
        ({"search.fitness": "miou"}, "needs a segmentation network"),
        ({"search.fitness": "kid", "search.network": "nowhere.pt"}, "nowhere.pt does not exist"),
        ({"search.fitness": "miou", "search.network": "README.md"}, "data.kind is images"),
    ],
)
def test_what_would_stop_a_search_is_said_at_once(
    tmp_path: Path, pictures: Path, more: dict[str, str], message: str
) -> None:
    values = {**SETTINGS, "data.train": str(pictures), **more}
    given = [f"--set={key}={json.dumps(value)}" for key, value in values.items()]
    teacher = teacher_in(tmp_path / "teacher")
    where = ("--teacher", teacher, "-o", tmp_path / "run")
    done = edgegan("compress", "resnet", *given, *where, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["search.network=x.pt"], "network means nothing for fitness psnr: set fid, kid, miou"),
        (["search.fitness=miou", "search.reference=x"], "reference means nothing for fitness miou"),
    ],
)
def test_keys_that_no_search_uses_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("resnet", settings)
