"""Teachers from scratch: losses by hand, the pool, exact resume of every method, packages with their discriminator."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
import torch
from support.commands import edgegan, forked, make_maps, make_pictures

from edgegan.errors import ConfigError, OutputError, TrainingError
from edgegan.files import folder_lock, read_json, sha256_file
from edgegan.models.judges import is_conditional, load_judge, parse_judge, verdicts
from edgegan.models.spade.network import SpadeGenerator, SpadeSpec
from edgegan.models.zoo import build, count_parameters, load_generator
from edgegan.package import LabelMapIO, read_tensors
from edgegan.recipe.loading import load_recipe, parse_recipe
from edgegan.recipe.schema import Recipe
from edgegan.recipe.train_section import Train
from edgegan.training.losses import fake_loss, feature_matching, fool_loss, real_loss
from edgegan.training.schedule import Schedule
from edgegan.training.teachers.feed import count_steps, teacher_schedule
from edgegan.training.teachers.parts import add_spectral, generator_spec, judge_spec, plain_copy
from edgegan.training.teachers.pool import ImagePool
from edgegan.training.teachers.train import train

METHODS = ["pix2pix", "cyclegan", "gaugan", "sngan"]


def test_adversarial_losses_by_hand() -> None:
    score = [torch.tensor([[0.5, -2.0]])]
    assert float(fool_loss("hinge", score)) == pytest.approx(0.75)
    assert float(real_loss("hinge", score)) == pytest.approx((0.5 + 3) / 2)
    assert float(fake_loss("hinge", score)) == pytest.approx((1.5 + 0) / 2)
    assert float(fool_loss("lsgan", score)) == pytest.approx((0.25 + 9) / 2)
    assert float(fake_loss("lsgan", score)) == pytest.approx((0.25 + 4) / 2)
    sure = math.log1p(math.exp(-0.5)), math.log1p(math.exp(2.0))
    assert float(real_loss("vanilla", score)) == pytest.approx(sum(sure) / 2)
    assert float(fake_loss("vanilla", score)) == pytest.approx(
        (math.log1p(math.exp(0.5)) + math.log1p(math.exp(-2.0))) / 2
    )
    scales = [torch.tensor([1.0]), torch.tensor([3.0])]
    assert float(fool_loss("hinge", scales)) == pytest.approx(-2.0)


def test_feature_matching_by_hand() -> None:
    fake = [[torch.tensor([1.0, 2.0]), torch.tensor([4.0])], [torch.tensor([0.0]), torch.zeros(1)]]
    real = [[torch.tensor([0.0, 0.0]), torch.tensor([1.0])], [torch.tensor([1.0]), torch.zeros(1)]]
    real[0][0].requires_grad_(True)
    loss = feature_matching(fake, real)
    assert float(loss) == pytest.approx(((1.5 + 3) + (1 + 0)) / 2)
    assert not loss.requires_grad


def test_pool_fills_then_gives_older_pictures_half_of_the_time() -> None:
    pool, chance = ImagePool(3), random.Random(0)
    for value in range(3):
        image = torch.full((1, 1, 2, 2), float(value))
        assert torch.equal(pool.query(image, chance), image)
    older = 0
    for value in range(3, 203):
        image = torch.full((1, 1, 2, 2), float(value))
        given = pool.query(image, chance)
        if not torch.equal(given, image):
            older += 1
            assert float(given.max()) < value
            assert any(torch.equal(kept, image[0]) for kept in pool.images)
    assert 70 < older < 130
    assert len(pool.images) == 3
    none = ImagePool(0)
    assert torch.equal(none.query(image, chance), image)
    assert none.images == []


def test_pool_keeps_no_gradient_and_no_view() -> None:
    pool = ImagePool(2)
    image = torch.ones(1, 1, 2, 2, requires_grad=True) * 1
    assert not pool.query(image, random.Random(0)).requires_grad
    image.data.fill_(5)
    assert float(pool.images[0].max()) == 1


def test_steps_and_rates() -> None:
    published = Train(method="cyclegan", cycle_weight=10)
    assert count_steps(published, 1334) == (266_800, 133_400)
    assert count_steps(Train(batch=4), 10) == (600, 300)
    assert count_steps(Train(batch=4), 10, world=2) == (400, 200)
    assert count_steps(Train(steps=90, epochs=1, decay_epochs=2), 10) == (90, 30)
    assert [Schedule(6, 1, constant=2).rate(step) for step in range(6)] == [
        1, 1, 1, 0.75, 0.5, 0.25
    ]  # fmt: skip
    assert [Schedule(6, 1, warmup=4, constant=2).rate(step) for step in range(6)] == [
        0.25, 0.5, 0.75, 1, 1, 0.5
    ]  # fmt: skip
    assert teacher_schedule(published, 1334) == Schedule(266_800, 2e-4, constant=133_400)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    """Every method trained undisturbed (METHOD_whole) and killed three times (METHOD), tiny."""
    folder = tmp_path_factory.mktemp("training")
    make_pictures(folder / "data/a", 8, (36, 40))
    make_pictures(folder / "data/b", 8, (36, 40))
    make_maps(folder / "data/l", 8, size=(36, 40))
    done = forked("support.kill_training", "kill_training", [str(folder)], timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return folder, {line["method"]: line["killed_at"] for line in lines}


@pytest.mark.parametrize("method", METHODS)
def test_killed_run_ends_with_the_same_bytes(
    method: str, trained: tuple[Path, dict[str, list[int]]]
) -> None:
    folder, killed_at = trained
    assert len(killed_at[method]) == 3
    assert any(0 < step < 14 for step in killed_at[method]), "every kill came after the last step"
    whole, killed = folder / f"{method}_whole", folder / method
    names = ["teacher"] + (["teacher_BtoA"] if method == "cyclegan" else [])
    for name in names:
        for file in ("model.safetensors", "discriminator.safetensors", "golden.safetensors"):
            assert sha256_file(killed / name / file) == sha256_file(whole / name / file), file
    assert (killed / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    samples = sorted(path.name for path in (whole / "samples").iterdir())
    assert samples == ["step00000006.png", "step00000012.png", "step00000014.png"]
    for name in samples:
        assert sha256_file(killed / "samples" / name) == sha256_file(whole / "samples" / name)


def test_two_processes_equal_the_doubled_batch(
    trained: tuple[Path, dict[str, list[int]]],
) -> None:
    curves = []
    for name in ("two_processes", "one_process"):
        lines = (trained[0] / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        entries = [entry for entry in map(json.loads, lines) if "loss" in entry]
        curves.append([{k: v for k, v in entry.items() if k != "stage"} for entry in entries])
    assert [entry["step"] for entry in curves[0]] == list(range(1, 21))
    for ours, theirs in zip(*curves, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_package_keeps_generator_and_discriminator(
    method: str, trained: tuple[Path, dict[str, list[int]]]
) -> None:
    teacher = trained[0] / method / "teacher"
    config, generator = load_generator(teacher)
    golden = read_tensors(teacher, config, "golden.safetensors")
    with torch.no_grad():
        made = generator(golden["input"])
    assert torch.allclose(made, golden["output"], atol=1e-5)
    spec, judge = load_judge(teacher)
    assert is_conditional(spec) == (method in ("pix2pix", "gaugan"))
    shown = torch.cat([golden["input"], made], 1) if is_conditional(spec) else made
    with torch.no_grad():
        scores = verdicts(judge(shown))
    assert len(scores) == (2 if method == "gaugan" else 1)
    if method == "gaugan":
        assert config.input == LabelMapIO(classes=3)
    metrics = (trained[0] / method / "metrics.jsonl").read_text(encoding="utf-8")
    last = [json.loads(line) for line in metrics.splitlines()]
    assert all(
        math.isfinite(value) for line in last for value in line.values() if isinstance(value, float)
    )
    assert any("validation" in name for line in last for name in line)


def test_same_command_again_does_nothing(
    trained: tuple[Path, dict[str, list[int]]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained[0] / "sngan_whole"
    recipe = parse_recipe(read_json(folder / "run.json")["recipe"], "run.json")
    train(recipe, folder)
    told = capsys.readouterr().err
    assert "teacher is up to date" in told
    assert "checking" not in told


def small_recipe(folder: Path, **settings: object) -> Recipe:
    """An SNGAN of milliseconds on eight pictures."""
    make_pictures(folder / "pictures", 8, (16, 16))
    return parse_recipe(
        {
            "name": "small",
            "device": "cpu",
            "data": {"kind": "noise", "size": [16, 16], "train": str(folder / "pictures")},
            "train": {
                "method": "sngan",
                "ngf": 2,
                "ndf": 4,
                "steps": 6,
                "log_every": 2,
                **settings,
            },
        },
        "test",
    )


def test_nan_names_step_term_and_checkpoint(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, checkpoint_seconds=1e-3)
    assert recipe.train is not None
    diverging = recipe.train.model_copy(
        update={"learning_rate": 1e30}
    )  # more than a recipe may say
    recipe = recipe.model_copy(update={"train": diverging})
    with pytest.raises(TrainingError, match=r"step \d: the (term|weight) '\w+.*checkpoint"):
        train(recipe, tmp_path / "run")
    checkpoint = tmp_path / "run/stages/train/checkpoint.pt"
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)["generator"]
        assert all(torch.isfinite(value).all() for value in saved.values())
    assert not (tmp_path / "run/teacher").exists()


def test_locked_run_is_refused(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    train(recipe, tmp_path / "run")
    with (
        folder_lock(tmp_path / "run"),
        pytest.raises(OutputError, match="being written by another"),
    ):
        train(recipe, tmp_path / "run")


def test_bad_file_then_skip_bad(tmp_path: Path) -> None:
    """A run that failed on a bad file starts when the same command is given --skip-bad."""
    make_pictures(tmp_path / "a", 6, (16, 16))
    (tmp_path / "a/picture2.png").write_bytes(b"no")
    arguments = ["train", "sngan_quick", "--data", tmp_path / "a", "-o", tmp_path / "run"]
    for setting in ("train.steps=2", "train.ngf=2", "train.ndf=4", "device=cpu"):
        arguments += ["--set", setting]
    done = edgegan(*arguments, check=False)
    assert done.returncode == 2
    assert "picture2.png is damaged" in done.stderr
    assert "--skip-bad" in done.stderr
    done = edgegan(*arguments, "--skip-bad", "--json")
    assert "skipped:" in done.stderr
    assert json.loads(done.stdout)["steps"] == 2
    assert read_json(tmp_path / "run/run.json")["stages"]["train"]["figures"]["steps"] == 2


def test_spectral_norm_is_folded_exactly() -> None:
    torch.manual_seed(0)
    spec = SpadeSpec.from_ngf(2, classes=3, instance_edge=False, upsampling="normal")
    generator = SpadeGenerator(spec)
    add_spectral(generator)
    labels = torch.randn(2, 3, 32, 32)
    generator(labels)
    plain = plain_copy(generator, "spade", spec)
    with torch.no_grad():
        assert torch.allclose(plain(labels), generator.eval()(labels), atol=1e-6)
    assert not any("parametrizations" in key for key in plain.state_dict())


@pytest.mark.parametrize("name", METHODS)
def test_published_recipes_are_the_published_networks(name: str) -> None:
    """Parameters as in the published tables; the discriminators' channels by hand."""
    recipe = load_recipe(name, [])
    data = recipe.data
    if name == "gaugan":  # 34 classes, unlabelled, instance borders
        data = data.model_copy(update={"instances": Path("instances")})
    family, spec = generator_spec(recipe.train, data)
    with torch.device("meta"):
        parameters = count_parameters(build(family, spec))
    published = {"pix2pix": 54.4, "cyclegan": 11.378, "gaugan": 93.048, "sngan": 4.277}
    assert parameters / 1e6 == pytest.approx(published[name], rel=1e-3)
    judge = judge_spec(recipe.train, spec)
    channels = {"pix2pix": 6, "cyclegan": 3, "gaugan": 39, "sngan": 3}
    assert judge.in_channels == channels[name]
    assert parse_judge(judge.model_dump()) == judge


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["train.l1_weight=1", "train.method=cyclegan"], "cyclegan has no such term"),
        (["train.method=cyclegan"], "cyclegan needs data.kind unpaired, not images"),
        (["train.perceptual_weight=1"], "perceptual_weight is set without a network"),
        (["train.identity_weight=1"], "part of cycle_weight"),
        (
            ["train.method=pix2pix", "train.discriminator_steps=2"],
            "discriminator_steps is for sngan",
        ),
        (
            ["train.method=sngan", "train.depth=3"],
            "depth is for pix2pix and cyclegan, not for sngan",
        ),
        (["train.epochs=0", "train.decay_epochs=0"], "nothing to train"),
        (["train.method=dcgan"], "train.method"),
        (["train.learningrate=1"], "train.learning_rate"),
    ],
)
def test_train_keys_that_do_not_fit(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe("resnet", settings)


def test_recipes_that_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trains no teacher"):
        train(load_recipe("resnet", []), tmp_path / "run")
    with pytest.raises(ConfigError, match="family unet has no 'wdth'"):
        train(load_recipe("pix2pix", ["train.spec={wdth: 3}"]), tmp_path / "run")
    with pytest.raises(ConfigError, match="squares of 8, 16, 32"):
        train(load_recipe("sngan", ["data.size=[24, 24]"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
