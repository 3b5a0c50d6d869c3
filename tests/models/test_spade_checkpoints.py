"""SPADE checkpoints: the equations of the paper written out here, spectral normalisation, sub nets of a super net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from edgegan.errors import CheckpointError, ConfigError
from edgegan.models.checkpoints import import_checkpoint, public_state
from edgegan.models.packaging import Stated, import_to_package
from edgegan.models.readings import Reading
from edgegan.models.zoo import build
from edgegan.package import LabelMapIO, read_tensors

State = dict[str, torch.Tensor]
NAMES = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")
FACTORS = (16, 16, 16, 8, 4, 2, 1)
SHARED = {"conv_0": 3, "conv_1": 3, "conv_s": 1}


def spade_state(
    units: list[int],
    labels: int,
    *,
    separable: bool,
    full: int = 0,
    seed: int = 0,
    inside: str = "instance",
) -> State:
    """Random public state for a config c0 ... c7 (all equal: a full net); statistics of width `full` times the factor,
    or of the width in use; `inside` is the norm of separable convolutions, "biasless" none and no bias either."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}

    def add(key: str, *shape: int, bias: bool = True) -> None:
        scale = torch.Size(shape[1:]).numel() ** 0.5
        state[f"{key}.weight"] = torch.randn(shape, generator=generator) / scale
        if bias:
            state[f"{key}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)

    def add_norm(key: str, channels: int, wide: int, hidden: int) -> None:
        width = wide if full else channels
        state[f"{key}.param_free_norm.running_mean"] = 0.1 * torch.randn(width, generator=generator)
        state[f"{key}.param_free_norm.running_var"] = 0.5 + torch.rand(width, generator=generator)
        state[f"{key}.param_free_norm.num_batches_tracked"] = torch.tensor(5)
        add(f"{key}.mlp_shared.0", hidden, labels, 3, 3)
        for name in ("mlp_gamma", "mlp_beta"):
            if separable:
                add(f"{key}.{name}.conv.0", hidden, 1, 3, 3, bias=inside != "biasless")
                if inside == "batch":
                    for leaf in ("weight", "bias", "running_mean", "running_var"):
                        values = 0.5 + torch.rand(hidden, generator=generator)
                        state[f"{key}.{name}.conv.1.{leaf}"] = values
                    state[f"{key}.{name}.conv.1.num_batches_tracked"] = torch.tensor(5)
                add(f"{key}.{name}.conv.2", channels, hidden, 1, 1)
            else:
                add(f"{key}.{name}", channels, hidden, 3, 3)

    before, wide_before = 16 * units[0], 16 * full
    add("fc", before, labels, 3, 3)
    for index, (name, factor) in enumerate(zip(NAMES, FACTORS, strict=True)):
        inner, hidden = factor * units[index + 1], 2 * units[index + 1]
        after = inner if index > 2 else before
        add_norm(f"{name}.norm_0", before, wide_before, hidden)
        add(f"{name}.conv_0", inner, before, 3, 3)
        add_norm(f"{name}.norm_1", inner, factor * full, hidden)
        add(f"{name}.conv_1", after, inner, 3, 3)
        if index > 2:
            add_norm(f"{name}.norm_s", before, wide_before, hidden)
            add(f"{name}.conv_s", after, before, 1, 1, bias=False)
        before, wide_before = after, factor * full
    add("conv_img", 3, before, 3, 3)
    return state


def evaluate(
    state: State, labels: torch.Tensor, *, more: bool, inside: str = "instance"
) -> torch.Tensor:
    """Labels to picture by the public names, with this norm inside separable convolutions."""

    def weight(key: str) -> torch.Tensor:
        if f"{key}.weight" in state:
            return state[f"{key}.weight"]
        original = state[f"{key}.weight_orig"]
        sigma = state[f"{key}.weight_u"] @ original.flatten(1) @ state[f"{key}.weight_v"]
        return original / sigma

    def conv(key: str, x: torch.Tensor, groups: int = 1) -> torch.Tensor:
        values = weight(key)
        pad = values.shape[2] // 2
        return F.conv2d(x, values, state.get(f"{key}.bias"), padding=pad, groups=groups)

    def modulate(key: str, x: torch.Tensor) -> torch.Tensor:
        if f"{key}.conv.0.weight" not in state:
            return conv(key, x)
        y = conv(f"{key}.conv.0", x, x.shape[1])
        if inside == "instance":
            y = F.instance_norm(y)
        if inside == "batch":
            leaves = ("running_mean", "running_var", "weight", "bias")
            y = F.batch_norm(y, *(state[f"{key}.conv.1.{leaf}"] for leaf in leaves))
        return conv(f"{key}.conv.2", y)

    def spade(key: str, x: torch.Tensor) -> torch.Tensor:
        small = F.interpolate(labels, size=x.shape[2:], mode="nearest")
        hidden = F.relu(conv(f"{key}.mlp_shared.0", small))
        free = f"{key}.param_free_norm"
        mean, variance = state[f"{free}.running_mean"], state[f"{free}.running_var"]
        widened = F.pad(x, (0, 0, 0, 0, 0, len(mean) - x.shape[1]))
        normed = F.batch_norm(widened, mean, variance)[:, : x.shape[1]]
        gamma, beta = modulate(f"{key}.mlp_gamma", hidden), modulate(f"{key}.mlp_beta", hidden)
        return normed * (1 + gamma) + beta

    def block(key: str, x: torch.Tensor) -> torch.Tensor:
        y = conv(f"{key}.conv_0", F.leaky_relu(spade(f"{key}.norm_0", x), 0.2))
        y = conv(f"{key}.conv_1", F.leaky_relu(spade(f"{key}.norm_1", y), 0.2))
        learned = f"{key}.norm_s.mlp_shared.0.weight" in state
        return y + (conv(f"{key}.conv_s", spade(f"{key}.norm_s", x)) if learned else x)

    shrink = 64 if more else 32
    height, width = labels.shape[2] // shrink, labels.shape[3] // shrink
    x = conv("fc", F.interpolate(labels, size=(height, width), mode="nearest"))
    for name in NAMES:
        if name not in ("head_0", "G_middle_1") or (name == "G_middle_1" and more):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = block(name, x)
    return torch.tanh(conv("conv_img", F.leaky_relu(x, 0.2)))


def label_map(channels: int, height: int, width: int) -> torch.Tensor:
    """One-hot labels in stripes and a random edge channel."""
    columns = torch.arange(width) * 7 // width + torch.arange(height)[:, None] * 5 // height
    one_hot = F.one_hot(columns % (channels - 1), channels - 1).permute(2, 0, 1)[None].float()
    edge = (torch.rand(1, 1, height, width) < 0.1).float()
    return torch.cat([one_hot, edge], dim=1)


def add_spectral(state: State) -> State:
    """The convolutions of the blocks as spectral normalisation saves them, after a few power iterations."""
    result = dict(state)
    for key in list(state):
        parts = key.split(".")
        if parts[-2] in SHARED and parts[-1] == "weight":
            weight = result.pop(key)
            u = torch.randn(weight.shape[0])
            for _ in range(3):
                v = F.normalize(weight.flatten(1).T @ u, dim=0)
                u = F.normalize(weight.flatten(1) @ v, dim=0)
            result |= {f"{key}_orig": 3 * weight, f"{key}_u": u, f"{key}_v": v}
    return result


def check(
    state: State, path: Path, labels: torch.Tensor, inside: str = "instance", **options: Any
) -> list[str]:
    """Outputs equal to the equations, and the way back evaluates the same with the same keys and shapes."""
    torch.save(state, path)
    imported = import_checkpoint(path, **options)
    more = imported.spec.upsampling == "more"
    module = build("spade", imported.spec)
    module.load_state_dict(imported.state)
    back = public_state(imported)
    with torch.no_grad():
        direct = evaluate(state, labels, more=more, inside=inside)
        assert direct.std() > 0.01
        torch.testing.assert_close(module.eval()(labels), direct, atol=1e-5, rtol=0)
        again = evaluate(back, labels, more=more, inside=inside)
        torch.testing.assert_close(again, direct, atol=1e-5, rtol=0)
    assert {key: value.shape for key, value in back.items()} == {
        key: value.shape for key, value in state.items()
    }
    return imported.changes


@pytest.mark.parametrize("separable", [False, True])
def test_full_and_mobile(separable: bool, tmp_path: Path) -> None:
    state = spade_state([2] * 8, 36, separable=separable)
    changes = check(state, tmp_path / "net_G.pth", label_map(36, 64, 128))
    assert "upsampling 'more'" in changes[-1]


def test_separable_convolutions_without_norm_are_stated(tmp_path: Path) -> None:
    """Their keys are those of convolutions with InstanceNorm: that is assumed aloud, and wrong here."""
    state, labels = spade_state([2] * 8, 36, separable=True, inside="none"), label_map(36, 64, 128)
    stated = Reading(separable_norm="none")
    changes = check(state, tmp_path / "net_G.pth", labels, "none", reading=stated)
    assert "norm 'none' between depthwise and pointwise convolutions as given" in changes
    assumed = import_checkpoint(tmp_path / "net_G.pth")
    assert [line for line in assumed.changes if "(--separable-norm none)" in line]
    module = build("spade", assumed.spec).eval()
    module.load_state_dict(assumed.state)
    with torch.no_grad():
        difference = module(labels) - evaluate(state, labels, more=True, inside="none")
    assert difference.abs().max() > 0.1
    assert import_checkpoint(tmp_path / "net_G.pth", reading=stated).spec.min_size == 64


@pytest.mark.parametrize("inside", ["batch", "biasless"])
def test_norms_of_separable_convolutions_that_the_keys_tell(inside: str, tmp_path: Path) -> None:
    state = spade_state([2] * 8, 9, separable=True, inside=inside)
    changes = check(state, tmp_path / "net_G.pth", label_map(9, 32, 64), inside)
    assert not [line for line in changes if "--separable-norm" in line]


def test_sub_network_without_norm_inside(tmp_path: Path) -> None:
    state = spade_state([2] * 8, 36, separable=True, inside="none")
    stated = Reading(separable_norm="none")
    torch.save(state, tmp_path / "net_G.pth")
    cut = import_checkpoint(tmp_path / "net_G.pth", widths="2_1_2_1_2_1_2_1", reading=stated)
    assert cut.spec.separable_norm == "none"
    assert cut.spec.inner == (16, 32, 16, 16, 4, 4, 1)


@pytest.mark.parametrize(("channels", "classes"), [(151, 151), (182, 182), (36, 35), (184, 183)])
def test_last_channel_is_assumed_aloud(channels: int, classes: int, tmp_path: Path) -> None:
    """ADE20K and COCO-Stuff have no instance maps."""
    torch.save(spade_state([1] * 8, channels, separable=False), tmp_path / "net_G.pth")
    imported = import_checkpoint(tmp_path / "net_G.pth")
    assert (imported.spec.classes, imported.spec.in_channels) == (classes, channels)
    other = "edge" if classes == channels else "class"
    assert [line for line in imported.changes if f"(--last-channel {other})" in line]


def test_last_channel_as_stated(tmp_path: Path) -> None:
    """The class channels are one-hot, so the last one is fed labels where it is a class."""
    state = spade_state([2] * 8, 9, separable=False)
    reading = Reading(last_channel="class")
    changes = check(state, tmp_path / "net_G.pth", label_map(9, 32, 64), reading=reading)
    assert "the last of 9 channels is a class, as given" in changes
    package = tmp_path / "pkg"
    config = import_to_package(
        tmp_path / "net_G.pth", package, Stated(reading=reading), size=(32, 64)
    )
    assert config.input == LabelMapIO(classes=9, instance_edge=False)
    golden = read_tensors(package, config, "golden.safetensors")["input"]
    assert golden.shape[1] == 9 and golden.sum(1).eq(1).all()
    edge = import_checkpoint(tmp_path / "net_G.pth", reading=Reading(last_channel="edge"))
    assert (edge.spec.classes, edge.spec.instance_edge) == (8, True)


def test_options_of_spade_for_other_nets_are_refused(
    tmp_path: Path, resnet_checkpoint: Path
) -> None:
    torch.save(spade_state([1] * 8, 9, separable=False), tmp_path / "net_G.pth")
    for path in (tmp_path / "net_G.pth", resnet_checkpoint):
        with pytest.raises(ConfigError, match="is no mobile SPADE"):
            import_checkpoint(path, reading=Reading(separable_norm="none"))
    with pytest.raises(ConfigError, match="is of family resnet"):
        import_checkpoint(resnet_checkpoint, reading=Reading(last_channel="class"))
    with pytest.raises(ConfigError, match="choose from edge, class"):
        import_checkpoint(resnet_checkpoint, reading=Reading(last_channel="label"))


def test_normal_upsampling(tmp_path: Path) -> None:
    state = spade_state([2] * 8, 9, separable=False)
    check(state, tmp_path / "a.pth", label_map(9, 32, 64))
    changes = check(state, tmp_path / "b.pth", label_map(9, 64, 64), upsampling="more")
    assert changes[-1] == "upsampling 'more' as given"
    with pytest.raises(ConfigError, match="more or normal"):
        import_checkpoint(tmp_path / "a.pth", upsampling="most")


def test_spectral_normalisation_is_folded(tmp_path: Path) -> None:
    state = add_spectral(spade_state([2] * 8, 9, separable=False))
    assert "head_0.conv_0.weight_orig" in state
    changes = check(state, tmp_path / "net_G.pth", label_map(9, 32, 32))
    assert changes[0] == "spectral normalisation of 18 layers folded (exact)"
    old = {key: value for key, value in state.items() if not key.endswith("weight_v")}
    torch.save(old, tmp_path / "old.pth")
    new = import_checkpoint(tmp_path / "net_G.pth").state["head.conv1.weight"]
    torch.testing.assert_close(
        import_checkpoint(tmp_path / "old.pth").state["head.conv1.weight"], new, rtol=0.1, atol=0.1
    )
    del old["up_0.conv_1.weight_u"]
    torch.save(old, tmp_path / "old.pth")
    with pytest.raises(CheckpointError, match=r"missing 'up_0\.conv_1\.weight_u'"):
        import_checkpoint(tmp_path / "old.pth")


def test_sub_net_with_statistics_of_the_super_net(tmp_path: Path) -> None:
    state = spade_state([2, 3, 1, 2, 3, 2, 1, 3], 9, separable=True, full=4)
    changes = check(state, tmp_path / "net_G.pth", label_map(9, 32, 64), widths="2_3_1_2_3_2_1_3")
    assert "36 statistics of the super net's width cut" in changes[-1]


def test_super_net_cut_to_config(tmp_path: Path) -> None:
    """The leading channels of the super net are the sub net that its own tool exports, statistics at full length."""
    whole = spade_state([4] * 8, 9, separable=True, full=4)
    sub = spade_state([2, 3, 1, 2, 3, 2, 1, 3], 9, separable=True, full=4, seed=1)
    leading = {
        key: whole[key][tuple(slice(side) for side in value.shape)] for key, value in sub.items()
    }
    torch.save(whole, tmp_path / "super.pth")
    imported = import_checkpoint(tmp_path / "super.pth", widths="2_3_1_2_3_2_1_3")
    labels = label_map(9, 32, 64)
    module = build("spade", imported.spec)
    module.load_state_dict(imported.state)
    with torch.no_grad():
        direct = evaluate(leading, labels, more=False)
        torch.testing.assert_close(module.eval()(labels), direct, atol=1e-5, rtol=0)
    back = public_state(imported)
    assert {key: value.shape for key, value in back.items()} == {
        key: value.shape for key, value in leading.items()
    }
