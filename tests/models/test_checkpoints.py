"""Every public checkpoint form: imported, evaluated, compared with its layers written out here, and written back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from edgegan.errors import CheckpointError, ConfigError
from edgegan.models.checkpoints import (
    Imported,
    import_checkpoint,
    public_state,
)
from edgegan.models.public_judges import import_discriminator
from edgegan.models.zoo import build

State = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]


def random_state(shapes: Shapes, seed: int = 0) -> State:
    """Values of about the size that keeps activations near one."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        fan_in = max(1, values[0].numel()) if len(shape) > 1 else 1
        if key.endswith("running_var") or (len(shape) == 1 and key.endswith(("weight", "scale"))):
            values = 1 + 0.3 * values.clamp(-2, 2)
        else:
            values = values / fan_in**0.5 if len(shape) > 1 else 0.1 * values
        state[key] = values
    return state


def add_conv(shapes: Shapes, key: str, *weight: int, bias: int = 0) -> None:
    """A convolution's weight, and its bias when `bias` channels are given."""
    shapes[f"{key}.weight"] = weight
    if bias:
        shapes[f"{key}.bias"] = (bias,)


def add_norm(shapes: Shapes, key: str, channels: int, norm: str) -> None:
    """What a norm saves: nothing, scale and shift, or these and statistics."""
    if norm != "instance":
        shapes[f"{key}.weight"] = shapes[f"{key}.bias"] = (channels,)
    if norm == "batch":
        shapes[f"{key}.running_mean"] = shapes[f"{key}.running_var"] = (channels,)


def conv(state: State, key: str, x: torch.Tensor, pad: int = 0, **other: int) -> torch.Tensor:
    """A convolution after `pad` pixels of reflection."""
    x = F.pad(x, (pad,) * 4, "reflect") if pad else x
    return F.conv2d(x, state[f"{key}.weight"], state.get(f"{key}.bias"), **other)


def up_conv(state: State, key: str, x: torch.Tensor) -> torch.Tensor:
    """The 3x3 transposed convolution that doubles."""
    weight, bias = state[f"{key}.weight"], state.get(f"{key}.bias")
    return F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)


def norm(state: State, key: str, x: torch.Tensor) -> torch.Tensor:
    """BatchNorm in evaluation when statistics are there, else InstanceNorm with or without scale and shift."""
    weight, bias = state.get(f"{key}.weight"), state.get(f"{key}.bias")
    if f"{key}.running_mean" in state:
        mean, variance = state[f"{key}.running_mean"], state[f"{key}.running_var"]
        return F.batch_norm(x, mean, variance, weight, bias)
    return F.instance_norm(x, weight=weight, bias=bias)


def round_trip(
    state: State,
    evaluate: Callable[[State, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    folder: Path,
    **options: str,
) -> Imported:
    """Import gives the same outputs, and the way back the same file."""
    path = folder / "net.pth"
    torch.save(state, path)
    imported = import_checkpoint(path, **options)
    module = build(imported.family, imported.spec)
    module.load_state_dict(imported.state)
    with torch.no_grad():
        ours, direct = module.eval()(x), evaluate(state, x)
    assert direct.std() > 0.01
    torch.testing.assert_close(ours, direct, atol=1e-5, rtol=0)
    assert_same(public_state(imported), state)
    return imported


def assert_same(back: State, state: State) -> None:
    """The same keys with the same values, but for counters that some files have."""
    counters = {key for key in back if key.endswith("num_batches_tracked")}
    assert set(back) - counters == set(state) - counters
    for key in set(state) - counters:
        torch.testing.assert_close(back[key], state[key], atol=1e-6, rtol=1e-5, msg=key)


def resnet_shapes(
    ngf: int, blocks: int, second: int, kind: str, *, separable: bool = False
) -> Shapes:
    """Keys of the public ResNet generators; a convolution before BatchNorm has no bias, unless separable."""
    shapes: Shapes = {}
    trunk, tail = 4 * ngf, 10 + blocks

    def both(place: int, *weight: int, out: int) -> None:
        add_conv(shapes, f"model.{place}", *weight, bias=0 if kind == "batch" else out)
        add_norm(shapes, f"model.{place + 1}", out, kind)

    both(1, ngf, 3, 7, 7, out=ngf)
    both(4, 2 * ngf, ngf, 3, 3, out=2 * ngf)
    both(7, trunk, 2 * ngf, 3, 3, out=trunk)
    for block in range(10, tail):
        for place in (1, second):
            key = f"model.{block}.conv_block.{place}"
            if separable:
                add_conv(shapes, f"{key}.conv.0", trunk, 1, 3, 3, bias=trunk)
                add_conv(shapes, f"{key}.conv.2", trunk, trunk, 1, 1, bias=trunk)
            else:
                bias = 0 if kind == "batch" else trunk
                add_conv(shapes, key, trunk, trunk, 3, 3, bias=bias)
            add_norm(shapes, f"model.{block}.conv_block.{place + 1}", trunk, kind)
    both(tail, trunk, 2 * ngf, 3, 3, out=2 * ngf)
    both(tail + 3, 2 * ngf, ngf, 3, 3, out=ngf)
    add_conv(shapes, f"model.{tail + 7}", 3, ngf, 7, 7, bias=3)
    return shapes


def evaluate_resnet(state: State, x: torch.Tensor) -> torch.Tensor:
    """The published layers, by index."""

    def block_conv(key: str, x: torch.Tensor) -> torch.Tensor:
        if f"{key}.conv.0.weight" not in state:
            return conv(state, key, x, pad=1)
        x = conv(state, f"{key}.conv.0", x, pad=1, groups=x.shape[1])
        return conv(state, f"{key}.conv.2", F.instance_norm(x))

    x = F.relu(norm(state, "model.2", conv(state, "model.1", x, pad=3)))
    x = F.relu(norm(state, "model.5", conv(state, "model.4", x, stride=2, padding=1)))
    x = F.relu(norm(state, "model.8", conv(state, "model.7", x, stride=2, padding=1)))
    place = 10
    while any(key.startswith(f"model.{place}.conv_block.") for key in state):
        key = f"model.{place}.conv_block"
        fifth = f"{key}.5.weight" in state or f"{key}.5.conv.0.weight" in state
        second = 5 if fifth else 6
        y = F.relu(norm(state, f"{key}.2", block_conv(f"{key}.1", x)))
        x = x + norm(state, f"{key}.{second + 1}", block_conv(f"{key}.{second}", y))
        place += 1
    x = F.relu(norm(state, f"model.{place + 1}", up_conv(state, f"model.{place}", x)))
    x = F.relu(norm(state, f"model.{place + 4}", up_conv(state, f"model.{place + 3}", x)))
    return torch.tanh(conv(state, f"model.{place + 7}", x, pad=3))


@pytest.mark.parametrize("kind", ["instance", "instance_affine", "batch"])
@pytest.mark.parametrize(("second", "blocks"), [(5, 9), (6, 6)])
def test_cyclegan_resnet(kind: str, second: int, blocks: int, tmp_path: Path) -> None:
    state = random_state(resnet_shapes(4, blocks, second, kind))
    imported = round_trip(state, evaluate_resnet, torch.rand(1, 3, 24, 32) * 2 - 1, tmp_path)
    assert imported.spec.norm == kind
    assert imported.spec.dropout == (0.5 if second == 6 else 0)


def test_old_statistics_and_prefixes_are_dropped(tmp_path: Path) -> None:
    state = random_state(resnet_shapes(4, 6, 5, "instance"))
    old = {f"module.{key}": value for key, value in state.items()}
    old["module.model.2.running_mean"] = torch.zeros(4)
    old["module.model.2.running_var"] = torch.ones(4)
    torch.save({"state_dict": old, "epoch": 3}, tmp_path / "old.pth")
    imported = import_checkpoint(tmp_path / "old.pth")
    assert_same(public_state(imported), state)
    assert "2 running statistics" in imported.changes[0]


@pytest.mark.parametrize("kind", ["instance", "batch"])
def test_gan_compression_mobile(kind: str, tmp_path: Path) -> None:
    state = random_state(resnet_shapes(4, 9, 6, kind, separable=True))
    round_trip(state, evaluate_resnet, torch.rand(1, 3, 16, 20) * 2 - 1, tmp_path)


def test_gan_compression_super_cut_to_config(tmp_path: Path) -> None:
    """A width config takes the leading channels of every tensor."""
    config = "4_3_4_2_3_1_2_3"
    super_state = random_state(resnet_shapes(4, 9, 6, "instance", separable=True))
    widths = {1: 4, 4: 6, 7: 16, 19: 4, 22: 3}  # by layer index, from the rule of the config
    sub = {}
    for key, value in super_state.items():
        place = int(key.split(".")[1])
        if place < 10:
            before = {1: 3, 4: 4, 7: 6}[place]
            sub[key] = (
                value[: widths[place], :before] if value.dim() == 4 else value[: widths[place]]
            )
        elif place < 19:
            inner = 4 * (2, 3, 1)[(place - 10) // 3]
            first, depthwise = ".conv_block.1." in key, ".conv.0." in key
            before, after = (16, inner) if first else (inner, 16)
            if depthwise:
                sub[key] = value[:before]
            else:
                sub[key] = value[:after, :before] if value.dim() == 4 else value[:after]
        elif place < 26:
            before = {19: 16, 22: 4}[place]
            sub[key] = (
                value[:before, : widths[place]] if value.dim() == 4 else value[: widths[place]]
            )
        else:
            sub[key] = value[:, :3] if value.dim() == 4 else value
    torch.save(super_state, tmp_path / "super.pth")
    from_super = import_checkpoint(tmp_path / "super.pth", widths=config)
    assert_same(public_state(from_super), sub)
    from_sub = round_trip(
        sub, evaluate_resnet, torch.rand(1, 3, 16, 16) * 2 - 1, tmp_path, widths=config
    )
    assert from_sub.spec == from_super.spec
    with pytest.raises(CheckpointError, match=r"4_3_4_2_3_1_2_4.*has"):
        import_checkpoint(tmp_path / "net.pth", widths="4_3_4_2_3_1_2_4")


def test_width_config_needs_a_mobile_net(tmp_path: Path) -> None:
    torch.save(random_state(resnet_shapes(4, 9, 5, "instance")), tmp_path / "full.pth")
    with pytest.raises(ConfigError, match=r"width config .1_1_1_1_1_1_1_1.: .*full.pth has none"):
        import_checkpoint(tmp_path / "full.pth", widths="1_1_1_1_1_1_1_1")


def unet_prefix(level: int) -> str:
    """Where a level's layers stand."""
    return "model.model." + ("1.model." + "3.model." * (level - 1) if level else "")


def unet_shapes(ngf: int, depth: int, kind: str) -> Shapes:
    """Keys of the public U-Nets: a skip doubles the input of every transposed convolution but the deepest."""
    widths = [ngf * min(2**level, 8) for level in range(depth)]
    shapes: Shapes = {}
    for level, width in enumerate(widths):
        before = widths[level - 1] if level else 3
        deepest = level == depth - 1
        key, bias = unet_prefix(level), kind != "batch"
        add_conv(shapes, f"{key}{min(level, 1)}", width, before, 4, 4, bias=width * bias)
        up = f"{key}{3 if deepest or not level else 5}"
        inside = width if deepest else 2 * width
        up_bias = before if bias or not level else 0
        add_conv(shapes, up, inside, before, 4, 4, bias=up_bias)
        if 0 < level < depth - 1:
            add_norm(shapes, f"{key}2", width, kind)
        if level:
            add_norm(shapes, f"{key}{4 if deepest else 6}", before, kind)
    return shapes


def evaluate_unet(state: State, x: torch.Tensor) -> torch.Tensor:
    """The published recursion: every level returns its input beside what it makes of it."""

    def level_output(level: int, x: torch.Tensor) -> torch.Tensor:
        key = unet_prefix(level)
        if level == 0:
            y = level_output(1, conv(state, f"{key}0", x, stride=2, padding=1))
            return torch.tanh(unet_up(state, f"{key}3", y))
        y = conv(state, f"{key}1", F.leaky_relu(x, 0.2), stride=2, padding=1)
        if f"{unet_prefix(level + 1)}1.weight" in state:
            y = level_output(level + 1, norm(state, f"{key}2", y))
            y = norm(state, f"{key}6", unet_up(state, f"{key}5", y))
        else:
            y = norm(state, f"{key}4", unet_up(state, f"{key}3", y))
        return torch.cat([x, y], dim=1)

    return level_output(0, x)


def unet_up(state: State, key: str, x: torch.Tensor) -> torch.Tensor:
    """ReLU and the 4x4 transposed convolution."""
    weight, bias = state[f"{key}.weight"], state.get(f"{key}.bias")
    return F.conv_transpose2d(F.relu(x), weight, bias, stride=2, padding=1)


@pytest.mark.parametrize("kind", ["instance", "batch"])
@pytest.mark.parametrize("depth", [5, 7, 8])
def test_pix2pix_unet(kind: str, depth: int, tmp_path: Path) -> None:
    state = random_state(unet_shapes(2, depth, kind))
    x = torch.rand(1, 3, 2**depth, 2**depth) * 2 - 1
    imported = round_trip(state, evaluate_unet, x, tmp_path)
    assert imported.spec.norm == kind


def patch_state(seen: int) -> State:
    """A PatchGAN of three strided convolutions that sees this many channels."""
    shapes: Shapes = {}
    for place, before, after in ((0, seen, 4), (2, 4, 8), (5, 8, 16), (8, 16, 32), (11, 32, 1)):
        add_conv(shapes, f"model.{place}", after, before, 4, 4, bias=after)
    return random_state(shapes)


@pytest.mark.parametrize(
    ("ends", "seen", "conditional"),
    [
        ((3, 3), 6, True),
        ((3, 3), 3, False),
        ((1, 1), 2, True),
        ((1, 1), 1, False),
        ((1, 2), 3, True),
        ((1, 2), 2, False),
        ((4, 8), 8, False),
    ],
)
def test_discriminator(ends: tuple[int, int], seen: int, conditional: bool, tmp_path: Path) -> None:
    """It is conditional exactly when it sees what goes into its generator and what comes out."""
    state = patch_state(seen)
    torch.save(state, tmp_path / "net_D.pth")
    spec, ours = import_discriminator(tmp_path / "net_D.pth", ends)
    assert (spec.in_channels, spec.ndf, spec.layers) == (seen, 4, 3)
    assert spec.conditional == conditional
    assert_same(ours, state)


def test_discriminator_of_another_generator_is_named(tmp_path: Path) -> None:
    torch.save(patch_state(6), tmp_path / "net_D.pth")
    words = r"net_D\.pth: its discriminator sees 6 channels.*1 to 2 channels.*see 2, or 3.*--discriminator"
    with pytest.raises(ConfigError, match=words):
        import_discriminator(tmp_path / "net_D.pth", (1, 2))
