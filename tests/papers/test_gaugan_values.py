"""GauGAN's discriminator and the terms of its student, as GAN Compression's code gives them for the same values."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from support.formulas import REFERENCE, digest, fill, linear, picture

from edgegan.compress.inherited import inherit
from edgegan.errors import CheckpointError, ConfigError
from edgegan.metrics.perceptual import VGG19_BLOCKS, PerceptualNetwork, open_perceptual
from edgegan.metrics.published_losses import vgg19_loss
from edgegan.models.judges import build_judge, judged, verdicts
from edgegan.models.public_judges import import_discriminator
from edgegan.recipe.loading import load_recipe
from edgegan.training.judge import Judge

EXPECTED = REFERENCE["gaugan"]
WIDE = (4, 8, 16, 32)
X, FAKE, REAL = picture((2, 5, 64, 64), 1), picture((2, 3, 64, 64), 2), picture((2, 3, 64, 64), 3)


def public_file(path: Path) -> Path:
    """A discriminator of two scales as SPADE's code saves it: spectral norm of old torch between the ends."""
    state: dict[str, torch.Tensor] = {}
    for scale in range(2):
        rows = f"discriminator_{scale}.model"
        state[f"{rows}0.0.weight"] = torch.zeros(WIDE[0], 8, 4, 4)
        state[f"{rows}0.0.bias"] = torch.zeros(WIDE[0])
        for index, (before, after) in enumerate(pairwise(WIDE), 1):
            state[f"{rows}{index}.0.0.weight_orig"] = torch.zeros(after, before, 4, 4)
            state[f"{rows}{index}.0.0.weight_u"] = torch.zeros(after)
            state[f"{rows}{index}.0.0.weight_v"] = torch.zeros(before * 16)
        state[f"{rows}4.0.weight"] = torch.zeros(1, WIDE[-1], 4, 4)
        state[f"{rows}4.0.bias"] = torch.zeros(1)
    fill(state.values(), 6000)
    for name in state:
        if name.endswith(("_u", "_v")):
            state[name] /= state[name].norm()
    torch.save(state, path)
    return path


def test_a_discriminator_of_two_scales_judges_as_published(tmp_path: Path) -> None:
    spec, state = import_discriminator(public_file(tmp_path / "latest_net_D.pth"), (5, 3))
    assert (spec.kind, spec.in_channels) == ("multiscale", 8)
    module = build_judge(spec)
    module.load_state_dict(state)
    module.eval()
    judge = Judge(spec, module, torch.optim.Adam(module.parameters()), "hinge")
    for ours, theirs in zip(judge(X, FAKE), EXPECTED["scores"], strict=True):
        assert digest(ours) == pytest.approx(theirs, rel=1e-5, abs=1e-4)
    assert float(judge.fooled_by(X, FAKE)) == pytest.approx(EXPECTED["gan"], rel=1e-5)
    assert float(judge.unlike(X, FAKE, REAL)) == pytest.approx(EXPECTED["feature"], rel=1e-5)
    with torch.no_grad():
        losses = judge.on_real(X, REAL) + judge.on_fake(X, FAKE)
    assert float(losses) == pytest.approx(EXPECTED["d"], rel=1e-5)
    assert [each.shape[1] for each in verdicts(module(judged(spec, X, FAKE)))] == [1, 1]
    with pytest.raises(ConfigError, match="must see 6 when conditional"):
        import_discriminator(tmp_path / "latest_net_D.pth", (3, 3))


def test_the_loss_through_vgg19(tmp_path: Path) -> None:
    """Five layers, weighted; and a file of VGG19 is told from one of VGG16."""
    weights, before, number = {}, 3, 0
    for block, wide in zip(VGG19_BLOCKS, (64, 128, 256, 512, 512), strict=True):
        for layer in block:
            weights[f"features.{layer}.weight"] = linear(number, [wide, before, 3, 3])
            weights[f"features.{layer}.bias"] = linear(number + 1, [wide])
            before, number = wide, number + 2
    loss = vgg19_loss(PerceptualNetwork("vgg19", None, lambda _: [], weights))
    made = FAKE.clone().requires_grad_()
    found = loss(made, REAL)
    assert float(found.detach()) == pytest.approx(EXPECTED["vgg"], rel=1e-4)
    found.backward()
    assert made.grad is not None
    path = tmp_path / "vgg19.pth"
    narrow = {key: narrowed(key, value) for key, value in weights.items()}
    bare = {key.removeprefix("features."): value for key, value in narrow.items()}
    for state in (narrow, narrow | {"classifier.0.weight": torch.zeros(1, 1)}, bare):
        torch.save(state, path)
        assert open_perceptual(path).name == "vgg19"
    torch.save(narrow | {"features.5.weight": torch.zeros(1, 2, 3, 3)}, path)
    with pytest.raises(
        CheckpointError, match=r"'features\.5' has a weight of shape \(1, 2, 3, 3\)"
    ):
        open_perceptual(path)
    torch.save({key: value for key, value in narrow.items() if key != "features.16.weight"}, path)
    with pytest.raises(CheckpointError, match=r"lacks 'features\.16\.weight'"):
        open_perceptual(path)


def narrowed(key: str, value: torch.Tensor) -> torch.Tensor:
    """A VGG's tensor in one of a single channel a layer."""
    if value.dim() == 1:
        return value[:1].clone()
    return value[:1, : 3 if key == "features.0.weight" else 1].clone()


def test_forms_of_the_perceptual_term_are_named(tmp_path: Path) -> None:
    settings = ["distill.perceptual_weight=1", "distill.perceptual=vgg11:x.pth"]
    with pytest.raises(ConfigError, match=r"vgg19:FILE, squeezenet:FILE, vgg16-style:FILE"):
        inherit(tmp_path, load_recipe("resnet", settings), [], torch.device("cpu"))
    with pytest.raises(ConfigError, match="needs gan_weight above 0"):
        load_recipe("resnet", ["distill.discriminator_feature_weight=10"])
