"""The keys that published trainings set: each changes the weights, together they give arithmetic written out here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.training import small_training
from torch import nn

from edgegan.compress.distill import Trainer, distill, make_trainer, train_step
from edgegan.compress.inherited import Inherited
from edgegan.compress.job import training_settings
from edgegan.compress.teacher.cache import Cache, sample
from edgegan.files import write_json
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec
from edgegan.models.recording import hooked
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import build
from edgegan.package import ImageIO
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.loading import load_recipe
from edgegan.training.optimizers import betas_of
from edgegan.training.schedule import Schedule, schedule_of

CPU = torch.device("cpu")
TAP = "blocks.0"
PUBLISHED = {
    "beta1": 0.5,
    "beta2": 0.999,
    "discriminator_beta1": 0.5,
    "discriminator_beta2": 0.999,
    "discriminator_decay": True,
    "discriminator_learning_rate": 2e-4,
    "learning_rate": 2e-4,
    "warmup": 0,
    "constant_share": 0.5,
    "l1_weight": 100.0,
    "gradient_weight": 0.0,
    "feature_weight": 1.0,
    "feature_error": "raw",
    "tap_pool": 1,
    "gan_weight": 1.0,
    "gan_mode": "lsgan",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Four crops, what a teacher may have made of them, and eight channels of features whose mean square is not 1."""
    folder = tmp_path_factory.mktemp("cache")
    chance = np.random.default_rng(0)
    for split, count in (("train", 4), ("validation", 1)):
        pixels = chance.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)
        np.save(folder / f"{split}_input.npy", pixels)
        np.save(folder / f"{split}_output.npy", (pixels / 255 - 0.5).astype(np.float16))
    features = (3 * chance.standard_normal((4, 8, 4, 4))).astype(np.float16)
    np.save(folder / "tap0.npy", features)
    about = {"input": ImageIO().model_dump(mode="json"), "taps": [TAP], "tap_mean_squares": [9.0]}
    write_json(folder / "cache.json", about)
    return Cache(folder)


def student() -> nn.Module:
    """Without norms: the gradient of a bias in front of one is rounding, which Adam makes steps of."""
    torch.manual_seed(0)
    return build("resnet", ResnetSpec.from_ngf(4, 1, norm="none"))


def judge() -> tuple[PatchSpec, nn.Module]:
    torch.manual_seed(1)
    spec = PatchSpec(ndf=4, layers=1, norm="batch")
    return spec, PatchDiscriminator(spec)


def trained(folder: Path, cache: Cache, **keys: Any) -> Trainer:
    """What ten steps leave with these keys; batches are not mirrored."""
    settings = Distill(**{"warmup": 0, "tap_pool": 1, "gan_weight": 1.0, **keys})
    folder.mkdir()
    training = small_training(folder, flip=False, schedule=schedule_of(settings, steps=10))
    return distill(student(), cache, settings, Inherited(judge()), training)


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    assert trainer.objective.judge is not None
    discriminator = trainer.objective.judge.module.state_dict()
    return {
        **trainer.student.state_dict(),
        **{f"judge.{name}": value for name, value in discriminator.items()},
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beta1", 0.5),
        ("beta2", 0.999),
        ("constant_share", 0.5),
        ("feature_error", "raw"),
        ("discriminator_beta1", 0.0),
        ("discriminator_beta2", 0.9),
        ("discriminator_decay", True),
    ],
)
def test_two_recipes_that_differ_in_one_key(
    key: str, value: Any, cache: Cache, tmp_path: Path
) -> None:
    """Their weights differ, and so does the hash that a finished training is known by."""
    usual, other = (
        load_recipe("resnet", [f"distill.{each}" for each in settings]).distill
        for settings in (["steps=10"], ["steps=10", f"{key}={value}"])
    )
    assert getattr(other, key) == value != getattr(usual, key)
    assert training_settings(other) != training_settings(usual)
    a = weights_of(trained(tmp_path / "usual", cache))
    again = weights_of(trained(tmp_path / "again", cache))
    b = weights_of(trained(tmp_path / "other", cache, **{key: value}))
    assert all(torch.equal(a[name], again[name]) for name in a)
    assert not all(torch.equal(a[name], b[name]) for name in a)


def test_earlier_trainings_are_known_by_the_same_hash() -> None:
    """Keys at their defaults are no part of it."""
    found = training_settings(Distill())
    assert not set(found) & {"beta1", "beta2", "constant_share", "feature_error", "terms"}
    assert not [key for key in found if key.startswith("discriminator_") and "rate" not in key]


def test_usual_betas_stay() -> None:
    assert betas_of(Distill()) == (0.9, 0.99)
    assert betas_of(Distill(), (0.5, 0.999)) == (0.5, 0.999)
    assert betas_of(Distill(beta1=0.0), (0.5, 0.999)) == (0.0, 0.999)


def test_constant_then_linear_by_hand() -> None:
    """Half of ten steps at the full rate, then 5/5, 4/5, ... of it; zero in the step after the last."""
    schedule = schedule_of(Distill(steps=10, warmup=0, learning_rate=1.0, constant_share=0.5))
    assert schedule == Schedule(10, 1.0, 0, 5)
    rates = [schedule.rate(step) for step in range(11)]
    assert rates == pytest.approx([1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0])
    assert schedule_of(Distill(constant_share=0.25), steps=8).constant == 2
    flat = schedule_of(Distill(steps=4, warmup=0, learning_rate=1.0, constant_share=1.0))
    assert [flat.rate(step) for step in range(4)] == [1, 1, 1, 1]


def test_discriminators_rate_falls_with_the_students(cache: Cache) -> None:
    settings = Distill(**{**PUBLISHED, "discriminator_learning_rate": 0.3, "steps": 10})
    for decays, expected in ((True, 0.3 * 0.2), (False, 0.3)):
        own = settings.model_copy(update={"discriminator_decay": decays})
        trainer = make_trainer(student(), cache, own, Inherited(judge()), CPU)
        trainer.set_rates(schedule_of(own), 9)
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(2e-4 * 0.2)
        assert trainer.objective.judge is not None
        assert trainer.objective.judge.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


class Adam:
    """Adam as its paper has it (Kingma & Ba 2015, algorithm 1)."""

    def __init__(self, parameters: list[torch.Tensor], beta1: float, beta2: float) -> None:
        self.parameters, self.betas, self.steps = parameters, (beta1, beta2), 0
        self.means = [torch.zeros_like(each) for each in parameters]
        self.squares = [torch.zeros_like(each) for each in parameters]

    def step(self, gradients: tuple[torch.Tensor, ...], rate: float) -> None:
        self.steps += 1
        one, two = self.betas
        with torch.no_grad():
            for index, (parameter, gradient) in enumerate(
                zip(self.parameters, gradients, strict=True)
            ):
                self.means[index] = one * self.means[index] + (1 - one) * gradient
                self.squares[index] = two * self.squares[index] + (1 - two) * gradient**2
                mean = self.means[index] / (1 - one**self.steps)
                square = self.squares[index] / (1 - two**self.steps)
                parameter -= rate * mean / (square.sqrt() + 1e-8)


def test_three_published_steps_by_hand(cache: Cache, tmp_path: Path) -> None:
    """L1, squared error of features through a 1x1 map, least squares; student, then discriminator; constant, then
    linear rates; Adam (0.5, 0.999) on both sides."""
    settings = Distill(**PUBLISHED, steps=3)
    schedule = Schedule(3, 2e-4, 0, 1)
    training = small_training(tmp_path, flip=False, schedule=schedule)
    trainer = make_trainer(student(), cache, settings, Inherited(judge()), CPU)
    assert trainer.objective.maps is not None
    net, (_, critic) = student(), judge()
    adapt = nn.Conv2d(16, 8, 1)
    adapt.load_state_dict(trainer.objective.maps.maps[0].state_dict())
    own = [*net.parameters(), *adapt.parameters()]
    adam, critics_adam = Adam(own, 0.5, 0.999), Adam(list(critic.parameters()), 0.5, 0.999)
    for step, rate in enumerate((2e-4, 2e-4, 1e-4)):
        lesson = sample(cache, settings, training, step)
        with hooked(trainer.student, cache.taps) as recorded:
            trainer.set_rates(schedule, step)
            train_step(trainer, recorded, lesson)
        with hooked(net, [TAP]) as seen:
            made = net(lesson.x)
            features = F.mse_loss(adapt(seen[TAP]), lesson.features[0])
        loss = 100 * (made - lesson.teacher).abs().mean() + features
        loss = loss + (critic(made) - 1).square().mean()
        adam.step(torch.autograd.grad(loss, own), rate)
        wrong = (critic(lesson.teacher) - 1).square().mean() + critic(made.detach()).square().mean()
        critics_adam.step(torch.autograd.grad(wrong / 2, list(critic.parameters())), rate)
    ours = weights_of(trainer)
    theirs = {**net.state_dict(), **{f"judge.{k}": v for k, v in critic.state_dict().items()}}
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, atol=1e-6, rtol=0, msg=name)
    torch.testing.assert_close(
        trainer.objective.maps.maps[0].weight, adapt.weight, atol=1e-6, rtol=0
    )
