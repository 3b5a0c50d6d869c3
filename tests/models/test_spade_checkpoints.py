"""SPADE checkpoints: the equations of the paper written out here, spectral normalisation, sub nets of a super net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from edgegan.errors import CheckpointError, ConfigError
from edgegan.models.checkpoints import import_checkpoint, public_state
from edgegan.models.zoo import build

State = dict[str, torch.Tensor]
NAMES = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")
FACTORS = (16, 16, 16, 8, 4, 2, 1)
SHARED = {"conv_0": 3, "conv_1": 3, "conv_s": 1}


def spade_state(
    units: list[int], labels: int, *, separable: bool, full: int = 0, seed: int = 0
) -> State:
    """Random public state for a config c0 ... c7 (all equal: a full net); statistics of width `full` times the factor,
    or of the width in use."""
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
                add(f"{key}.{name}.conv.0", hidden, 1, 3, 3)
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


def evaluate(state: State, labels: torch.Tensor, *, more: bool) -> torch.Tensor:
    """Labels to picture by the public names."""

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
        return conv(f"{key}.conv.2", F.instance_norm(conv(f"{key}.conv.0", x, x.shape[1])))

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


def check(state: State, path: Path, labels: torch.Tensor, **options: str) -> list[str]:
    """Outputs equal to the equations, and the way back evaluates the same with the same keys and shapes."""
    torch.save(state, path)
    imported = import_checkpoint(path, **options)
    more = imported.spec.upsampling == "more"
    module = build("spade", imported.spec)
    module.load_state_dict(imported.state)
    back = public_state(imported)
    with torch.no_grad():
        direct = evaluate(state, labels, more=more)
        assert direct.std() > 0.01
        torch.testing.assert_close(module.eval()(labels), direct, atol=1e-5, rtol=0)
        torch.testing.assert_close(evaluate(back, labels, more=more), direct, atol=1e-5, rtol=0)
    assert {key: value.shape for key, value in back.items()} == {
        key: value.shape for key, value in state.items()
    }
    return imported.changes


@pytest.mark.parametrize("separable", [False, True])
def test_full_and_mobile(separable: bool, tmp_path: Path) -> None:
    state = spade_state([2] * 8, 36, separable=separable)
    changes = check(state, tmp_path / "net_G.pth", label_map(36, 64, 128))
    assert "upsampling 'more'" in changes[-1]


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
    assert "36 statistics of the super net's width cut" in changes[1]


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
