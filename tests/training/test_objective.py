"""Terms in one table: a further one with weights of its own is trained, saved and resumed; judges and checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.training import small_training
from torch import nn

from edgegan.compress.distill import distill, make_trainer
from edgegan.compress.inherited import Inherited
from edgegan.compress.teacher.cache import Cache
from edgegan.errors import ConfigError, TrainingError
from edgegan.files import write_json
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import build
from edgegan.package import ImageIO
from edgegan.recipe.distill_section import Distill
from edgegan.training import checkpoint, loop
from edgegan.training.judge import Judge
from edgegan.training.objective import LOSSES, needs_taps, weights_of
from edgegan.training.terms import Given, Loss, Seen, Term

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """A term with a weight of its own: the difference of mean values after a learnt shift."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, seen: Seen) -> torch.Tensor:
        return (seen.output.mean() - seen.target.mean() + self.shift - 0.5).square()


def make_brightness(given: Given) -> Term | None:
    return Brightness() if given.weights["brightness"] > 0 else None


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES, "brightness", Loss(make_brightness))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Four crops and what a teacher may have made of them, no features."""
    chance = np.random.default_rng(0)
    for split, count in (("train", 4), ("validation", 1)):
        pixels = chance.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)
        np.save(tmp_path / f"{split}_input.npy", pixels)
        np.save(tmp_path / f"{split}_output.npy", (pixels / 127.5 - 1).astype(np.float16))
    about = {"input": ImageIO().model_dump(mode="json"), "taps": [], "tap_mean_squares": []}
    write_json(tmp_path / "cache.json", about)
    return Cache(tmp_path)


def student() -> nn.Module:
    torch.manual_seed(0)
    return build("resnet", ResnetSpec.from_ngf(4, 1))


def test_terms_are_added_up_in_the_order_of_their_weights() -> None:
    assert list(LOSSES) == [
        "l1",
        "gradient",
        "feature",
        "relation",
        "perceptual",
        "gan",
        "discriminator_feature",
    ]
    found = weights_of(Distill(l1_weight=2, gan_weight=0.5))
    assert found["l1"] == 2
    assert found["gan"] == 0.5


def test_teacher_features_are_kept_for_terms_that_compare_them() -> None:
    assert needs_taps(Distill(feature_weight=0.1))
    assert needs_taps(Distill(feature_weight=0, relation_weight=0.1))
    assert not needs_taps(Distill(feature_weight=0, gan_weight=1))


def test_unknown_term_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no term 'gradeint'; did you mean 'gradient'"):
        weights_of(Distill(terms={"gradeint": 1.0}))


@pytest.mark.usefixtures("brightness")
def test_further_term_is_trained_and_resumed_exactly(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Distill(terms={"brightness": 2.0})

    def train(folder: Path) -> dict[str, torch.Tensor]:
        folder.mkdir(exist_ok=True)
        training = small_training(folder, checkpoint_seconds=1e-9)
        trainer = distill(student(), cache, settings, Inherited(), training)
        return {**trainer.student.state_dict(), **trainer.objective.learnt.state_dict()}

    whole = train(tmp_path / "whole")
    assert float(whole["brightness.shift"]) > 0
    assert '"brightness"' in (tmp_path / "whole/metrics.jsonl").read_text()
    save = loop.save_checkpoint

    def interrupted(path: Path, trainer: checkpoint.Trainable, step: int, inputs: str) -> None:
        save(path, trainer, step, inputs)
        if step == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts")
    monkeypatch.setattr(loop, "save_checkpoint", save)
    parts = train(tmp_path / "parts")
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


@pytest.mark.parametrize(("key", "value"), [("format", 1), ("inputs", "y")])
def test_checkpoint_of_something_else_is_not_resumed(
    tmp_path: Path, cache: Cache, key: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(student(), cache, Distill(), Inherited(), CPU)
    path = tmp_path / "checkpoint.pt"
    checkpoint.save_checkpoint(path, trainer, 3, "x")
    assert checkpoint.resume(trainer, path, "x", CPU) == 3
    if key == "format":
        monkeypatch.setattr(checkpoint, "FORMAT", value)
    wanted = value if key == "inputs" else "x"
    assert checkpoint.resume(trainer, path, str(wanted), CPU) == 0


def test_bad_weight_is_named_before_a_checkpoint(tmp_path: Path, cache: Cache) -> None:
    trainer = make_trainer(student(), cache, Distill(), Inherited(), CPU)
    next(iter(trainer.student.parameters())).data.fill_(float("inf"))
    training = small_training(tmp_path)
    loop.check_finite({"l1": 1.0}, 4, training)
    with pytest.raises(TrainingError, match=r"step 4: the weight 'student\.\S+' is not finite"):
        loop.check_finite({"l1": 1.0}, 4, training, trainer.parts())


@pytest.mark.parametrize("conditional", [False, True])
def test_judge_switches_its_gradients(conditional: bool) -> None:
    """The generator's term gives the discriminator none; the discriminator's give the generator none."""
    torch.manual_seed(0)
    spec = PatchSpec(in_channels=6 if conditional else 3, ndf=4, layers=1, conditional=conditional)
    module = PatchDiscriminator(spec)
    judge = Judge(spec, module, torch.optim.SGD(module.parameters(), 0.1), "lsgan")
    x, image = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16, requires_grad=True)
    judge.fooled_by(x, image).backward()
    assert image.grad is not None
    assert all(each.grad is None for each in module.parameters())
    image.grad = None
    (judge.on_real(x, x) + judge.on_fake(x, image)).backward()
    assert image.grad is None
    assert all(each.grad is not None for each in module.parameters())
