"""GAN Slimming's networks, quantizer, files and training steps, as its released code gives them for the same values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from support.formulas import REFERENCE, digest, fill, picture
from torch import nn

from edgegan.compress.slimming.deployed import simulate, trace_with_taps
from edgegan.compress.slimming.learner import Learner
from edgegan.compress.slimming.narrow import begin
from edgegan.compress.slimming.published import published_weights
from edgegan.compress.slimming.quantizers import paper_activation, paper_weight
from edgegan.compress.slimming.slim import paper_step, scales_of, split_optimizers
from edgegan.errors import CheckpointError
from edgegan.metrics.perceptual import VGG16_BLOCKS, PerceptualNetwork
from edgegan.metrics.published_losses import style_loss
from edgegan.models.checkpoints import import_checkpoint, public_state
from edgegan.models.judges import JudgeSpec, build_judge
from edgegan.models.public_judges import import_discriminator
from edgegan.models.resnet.network import ResnetGenerator
from edgegan.recipe.loading import load_recipe
from edgegan.training.judge import Judge
from edgegan.training.lesson import Lesson
from edgegan.training.loop import Training
from edgegan.training.objective import Objective
from edgegan.training.schedule import Schedule
from edgegan.weights import read_state

EXPECTED = REFERENCE["gan_slimming"]
DENSE = (4, 8, 16, 16, 16, 8, 4)
JUDGE = (64, 128, 256, 512)
LONG = 10**6  # steps, in which the first two have the rates of the beginning


def with_norm(state: dict[str, torch.Tensor], key: str, wide: int) -> None:
    state[f"{key}.weight"], state[f"{key}.bias"] = torch.zeros(wide), torch.zeros(wide)


def with_conv(state: dict[str, torch.Tensor], key: str, out: int, into: int, side: int) -> None:
    state[f"{key}.weight"] = torch.zeros(out, into, side, side)
    state[f"{key}.bias"] = torch.zeros(out)


def generator_file(
    path: Path, widths: tuple[int, ...], start: int, trunk: int = 16, *, scaled: bool
) -> Path:
    """Their Generator with these widths, as its state dict; `scaled`: scales of norms are around one."""
    stem, down, *inner, up1, up2 = widths
    state: dict[str, torch.Tensor] = {}
    with_conv(state, "model.1", stem, 3, 7)
    with_norm(state, "model.2", stem)
    with_conv(state, "model.4", down, stem, 3)
    with_norm(state, "model.5", down)
    with_conv(state, "model.7", trunk, down, 3)
    for place, wide in enumerate(inner, 10):
        if wide:
            with_conv(state, f"model.{place}.conv_block.1", wide, trunk, 3)
            with_norm(state, f"model.{place}.conv_block.2", wide)
            with_conv(state, f"model.{place}.conv_block.5", trunk, wide, 3)
    behind = 10 + len(inner)
    for place, before, after in ((behind, trunk, up1), (behind + 3, up1, up2)):
        state[f"model.{place}.weight"] = torch.zeros(before, after, 3, 3)
        state[f"model.{place}.bias"] = torch.zeros(after)
        with_norm(state, f"model.{place + 1}", after)
    with_conv(state, f"model.{behind + 7}", 3, up2, 7)
    return save(state, path, start, scaled=scaled)


def judge_file(path: Path) -> Path:
    """Their Discriminator."""
    state: dict[str, torch.Tensor] = {}
    with_conv(state, "model.0", JUDGE[0], 3, 4)
    for place, before, after in zip((2, 5, 8), JUDGE, JUDGE[1:], strict=False):
        with_conv(state, f"model.{place}", after, before, 4)
        with_norm(state, f"model.{place + 1}", after)
    with_conv(state, "model.11", 1, JUDGE[-1], 4)
    return save(state, path, 2000, scaled=True)


def save(state: dict[str, torch.Tensor], path: Path, start: int, *, scaled: bool) -> Path:
    fill(state.values(), start)
    for name, value in state.items():
        if scaled and name.endswith(".weight") and value.dim() == 1:
            value += 1
    torch.save(state, path)
    return path


def generator(path: Path, widths: tuple[int, ...] = DENSE) -> ResnetGenerator:
    """Imported; norms of its trunk learn nothing."""
    imported = import_checkpoint(generator_file(path, widths, 0, scaled=True))
    module = imported.spec.build()
    assert isinstance(module, ResnetGenerator)
    module.load_state_dict(imported.state)
    return module


def discriminator(path: Path) -> tuple[JudgeSpec, nn.Module]:
    spec, state = import_discriminator(judge_file(path))
    module = build_judge(spec)
    module.load_state_dict(state)
    return spec, module


def test_networks_and_quantizer(tmp_path: Path) -> None:
    module, x = generator(tmp_path / "netG.pth"), picture((2, 3, 32, 32), 3)
    assert digest(module(x)) == pytest.approx(EXPECTED["forward_gs32"], rel=1e-6, abs=1e-3)
    quantised = simulate(module, x, "paper", [])
    # rounding of another CPU's float sums takes single values to the next of 256 steps
    assert digest(quantised(x)[0]) == pytest.approx(EXPECTED["forward_gs8"], rel=0.01)
    spec, judge = discriminator(tmp_path / "netD.pth")
    assert (spec.norm, spec.mean) == ("instance_affine", True)  # type: ignore[union-attr]
    assert judge(x).flatten().tolist() == pytest.approx(EXPECTED["d"], abs=1e-4)
    values = torch.linspace(-1.3, 5.2, 23)
    quantizer = EXPECTED["quantizer"]
    assert paper_activation(values).tolist() == pytest.approx(quantizer["activations"], abs=1e-6)
    assert paper_weight(values).tolist() == pytest.approx(quantizer["weights"], abs=1e-6)


def test_pruned_and_whole_files(tmp_path: Path) -> None:
    """Blocks without channels double the stream there: the same picture comes out without them."""
    pruned = (6, 10, 16, 0, 24, 0, 12, 5)
    imported = import_checkpoint(
        generator_file(tmp_path / "pruned.pth", pruned, 100, 256, scaled=False)
    )
    assert imported.spec.model_dump()["inner"] == (16, 24)
    theirs = read_state(tmp_path / "pruned.pth")
    back = public_state(imported)
    assert set(back) == set(theirs)
    assert all(torch.equal(back[key], value) for key, value in theirs.items())
    module = imported.spec.build()
    module.load_state_dict(imported.state)
    assert digest(module(picture((1, 3, 32, 32), 1))) == pytest.approx(
        EXPECTED["pruned"], rel=1e-6, abs=1e-3
    )
    parts = {
        "netG": torch.load(generator_file(tmp_path / "g.pth", DENSE, 0, scaled=True)),
        "netD": torch.load(judge_file(tmp_path / "d.pth")),
    }
    torch.save({"epoch": 3, **parts, "loss_G_lst": [0.1]}, tmp_path / "latest.pth")
    assert import_checkpoint(tmp_path / "latest.pth").spec.model_dump()["inner"] == (16, 16, 16)
    assert torch.equal(
        import_discriminator(tmp_path / "latest.pth")[1]["model.0.weight"],
        parts["netD"]["model.0.weight"],
    )


def style_network() -> PerceptualNetwork:
    weights, before, wide = {}, 3, (64, 128, 256, 512, 512)
    for block, after in zip(VGG16_BLOCKS, wide, strict=True):
        for layer in block:
            weights[f"features.{layer}.weight"] = torch.zeros(after, before, 3, 3)
            weights[f"features.{layer}.bias"] = torch.zeros(after)
            before = after
    fill(list(weights.values())[:20], 5000)
    return PerceptualNetwork("vgg16", None, lambda _: [], weights)


@pytest.mark.parametrize("form", ["gs32", "gs8"])
def test_two_steps(tmp_path: Path, form: str) -> None:
    """The published terms, then weights, scales and discriminator behind two steps."""
    recipe = load_recipe(
        "gan_slimming_paper",
        [
            "distill.perceptual_weight=1",
            "distill.perceptual=vgg16-style:FILE",
            "distill.l1_weight=0",
            "distill.gradient_weight=0",
            "distill.feature_weight=0",
        ],
    )
    settings, slimming = recipe.distill, recipe.slim
    module, example = generator(tmp_path / "netG.pth").train(), picture((1, 3, 32, 32), 0)
    student = begin(module, example)
    spec, judge_module = discriminator(tmp_path / "netD.pth")
    moved = torch.optim.Adam(
        judge_module.parameters(),
        settings.discriminator_learning_rate,
        betas=(settings.discriminator_beta1, settings.discriminator_beta2),
        weight_decay=settings.discriminator_weight_decay,
    )
    judge = Judge(spec, judge_module, moved, settings.gan_mode)
    objective = Objective(
        published_weights(settings, slimming),
        "teacher",
        None,
        judge,
        style_loss(style_network()),
        teacher_is_real=True,
    )
    trained = list(module.parameters())
    scales = scales_of(student, None)
    optimizer, scale_optimizer = split_optimizers(trained, scales, settings, slimming)
    runner = trace_with_taps(module, [], example)
    learner = Learner(
        student,
        [],
        objective,
        None,
        example,
        [],
        runner,
        optimizer,
        scale_optimizer=scale_optimizer,
    )
    learner.train()
    if form == "gs8":
        learner.quantize("paper")
        learner.train()
    training = Training(
        tmp_path, tmp_path / "m", "", torch.device("cpu"), Schedule(LONG, settings.learning_rate)
    )
    expected = EXPECTED[f"train_{form}"]
    for step, theirs in enumerate(expected["steps"]):
        teacher = picture((2, 3, 32, 32), 40 + step)
        lesson = Lesson(picture((2, 3, 32, 32), 30 + step), teacher, [])
        terms = paper_step(learner, lesson, settings, slimming, training, step)
        found = [float(terms[name].detach()) for name in ("perceptual", "gan", "discriminator")]
        assert found == pytest.approx([theirs["perceptual"], theirs["gan"], theirs["d"]], rel=1e-4)
    check(module.named_parameters(), expected["student"])
    check(judge_module.named_parameters(), expected["judge"])


def check(named: Iterable[tuple[str, torch.Tensor]], expected: list[list[float]]) -> None:
    """Equal to 1e-5 of the largest sum; gradients of biases in front of norms are rounding, which Adam enlarges."""
    for (name, tensor), sums in zip(named, expected, strict=True):
        if name.endswith("bias"):
            continue
        slack = 1e-6 * tensor.numel() ** 0.5 + 1e-5 * max(map(abs, sums))
        assert digest(tensor) == pytest.approx(sums, abs=slack, rel=0), name


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"model.11.conv_block.6.weight": (256,)}, r"is a block missing\?"),
        ({"model.11.conv_block.9.weight": (3,)}, r"unexpected 'model\.10\.conv_block\.9\.weight'"),
        ({"model.99999999.weight": (1, 1, 1, 1)}, r"is a block missing\?"),
        ({"model.11.conv_block.1.weight": None}, r"missing '?.*model\.10\.conv_block\.1\.weight"),
        ({"elsewhere.weight": (2,)}, r"unexpected 'elsewhere\.weight'"),
    ],
)
def test_spoilt_files_are_refused(
    tmp_path: Path, spoil: dict[str, tuple[int, ...] | None], words: str
) -> None:
    """Every key is accounted for, also of blocks that moved."""
    path = generator_file(tmp_path / "g.pth", (4, 6, 0, 3, 5, 4), 0, 256, scaled=True)
    state = torch.load(path)
    for key, shape in spoil.items():
        if shape is None:
            del state[key]
        else:
            state[key] = torch.ones(shape)
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(path)
