"""U-GAT-IT, StarGAN, white-box cartoonisation and residual ResNets: layers written out here, and their options."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.written_out import State, assert_back, conv, ours, random_like
from torch.nn import functional as F

from edgegan.errors import CheckpointError, ConfigError
from edgegan.models.checkpoints import Imported, import_checkpoint, public_state
from edgegan.models.readings import Reading
from edgegan.models.resnet import ResnetSpec


def layer(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.zeros(shape)


def ugatit_state(side: int) -> State:
    """Keys and shapes of the public file with 4 channels and 2 blocks; `side` 0 is the light form."""
    entries = 16 * (side // 4) ** 2 if side else 16
    shapes = {
        "DownBlock.1": (4, 3, 7, 7),
        "DownBlock.5": (8, 4, 3, 3),
        "DownBlock.9": (16, 8, 3, 3),
        "gap_fc": (1, 16),
        "gmp_fc": (1, 16),
        "conv1x1": (16, 32, 1, 1),
        "FC.0": (16, entries),
        "FC.2": (16, 16),
        "gamma": (16, 16),
        "beta": (16, 16),
        "UpBlock2.2": (8, 16, 3, 3),
        "UpBlock2.7": (4, 8, 3, 3),
        "UpBlock2.11": (3, 4, 7, 7),
    }
    for block in (1, 2):
        inside = [f"DownBlock.{11 + block}.conv_block.{place}" for place in (1, 5)]
        inside += [f"UpBlock1_{block}.conv{number}" for number in (1, 2)]
        shapes |= dict.fromkeys(inside, (16, 16, 3, 3))
    state = random_like({f"{key}.weight": layer(shape) for key, shape in shapes.items()})
    state["conv1x1.bias"] = torch.randn(16)
    for block in (1, 2):
        for number in (1, 2):
            state[f"UpBlock1_{block}.norm{number}.rho"] = torch.rand(1, 16, 1, 1)
    for place, width in ((3, 8), (8, 4)):
        for leaf in ("rho", "gamma", "beta"):
            state[f"UpBlock2.{place}.{leaf}"] = torch.rand(1, width, 1, 1)
    return state


def evaluate_ugatit(state: State, x: torch.Tensor, light: bool) -> torch.Tensor:
    """Encoder, attention, adaptive decoder (equations 1 to 3 of the paper), two doublings."""

    def mixed(
        x: torch.Tensor, rho: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        own, whole = (
            (x - x.mean(dims, keepdim=True)) / (x.var(dims, keepdim=True) + 1e-5).sqrt()
            for dims in ((2, 3), (1, 2, 3))
        )
        return (rho * own + (1 - rho) * whole) * scale + shift

    for place, pad, stride in ((1, 3, 1), (5, 1, 2), (9, 1, 2)):
        x = F.relu(F.instance_norm(conv(state, f"DownBlock.{place}", x, pad, stride=stride)))
    for block in (12, 13):
        y = F.relu(F.instance_norm(conv(state, f"DownBlock.{block}.conv_block.1", x, 1)))
        x = x + F.instance_norm(conv(state, f"DownBlock.{block}.conv_block.5", y, 1))
    seen = [x * state[f"{key}_fc.weight"][..., None, None] for key in ("gap", "gmp")]
    x = F.relu(conv(state, "conv1x1", torch.cat(seen, 1)))
    y = x.mean((2, 3)) if light else x.flatten(1)
    for key in ("FC.0", "FC.2"):
        y = F.relu(y @ state[f"{key}.weight"].T)
    scale, shift = ((y @ state[f"{key}.weight"].T)[..., None, None] for key in ("gamma", "beta"))
    for block in ("UpBlock1_1", "UpBlock1_2"):
        y = F.relu(
            mixed(conv(state, f"{block}.conv1", x, 1), state[f"{block}.norm1.rho"], scale, shift)
        )
        x = x + mixed(
            conv(state, f"{block}.conv2", y, 1), state[f"{block}.norm2.rho"], scale, shift
        )
    for place in (2, 7):
        norm = [state[f"UpBlock2.{place + 1}.{leaf}"] for leaf in ("rho", "gamma", "beta")]
        x = F.relu(
            mixed(conv(state, f"UpBlock2.{place}", F.interpolate(x, scale_factor=2), 1), *norm)
        )
    return torch.tanh(conv(state, "UpBlock2.11", x, 3))


@pytest.mark.parametrize("side", [0, 24])
def test_ugatit(side: int, tmp_path: Path) -> None:
    state = ugatit_state(side)
    torch.save({"genA2B": state}, tmp_path / "u.pt")
    x = torch.rand(1, 3, side or 32, side or 20) * 2 - 1
    output, back = ours(tmp_path / "u.pt", x)
    torch.testing.assert_close(output, evaluate_ugatit(state, x, not side), atol=1e-5, rtol=0)
    assert_back(back, state)
    assert import_checkpoint(tmp_path / "u.pt").spec.size == ((side, side) if side else None)


def test_a_changed_ugatit_goes_out_with_plain_attention(tmp_path: Path) -> None:
    torch.save(ugatit_state(0), tmp_path / "u.pt")
    imported = import_checkpoint(tmp_path / "u.pt")
    imported.state["attention.weight"] *= 0.5
    torch.save(public_state(imported), tmp_path / "again.pt")
    again = import_checkpoint(tmp_path / "again.pt").state
    torch.testing.assert_close(again["attention.weight"], imported.state["attention.weight"])


@pytest.mark.parametrize(
    ("key", "shape", "said"),
    [
        ("FC.0.weight", (16, 17), "neither the 16 channels"),
        ("conv1x1.weight", (16, 31, 1, 1), "does not join two attentions of 16 channels"),
        ("gmp_fc.weight", (1, 15), "must have 16 numbers"),
        ("UpBlock1_1.norm1.rho", (1, 15, 1, 1), r"has shape \(15, 1, 1\)"),
    ],
)
def test_a_wrong_ugatit_is_refused(
    key: str, shape: tuple[int, ...], said: str, tmp_path: Path
) -> None:
    torch.save({**ugatit_state(0), key: torch.ones(shape)}, tmp_path / "u.pt")
    with pytest.raises(CheckpointError, match=said):
        import_checkpoint(tmp_path / "u.pt")


def stargan_state() -> State:
    """Keys and shapes of the public file with 3 attributes, 4 channels and 2 blocks."""
    convs = {
        0: (4, 6, 7, 7),
        3: (8, 4, 4, 4),
        6: (16, 8, 4, 4),
        11: (16, 8, 4, 4),
        14: (8, 4, 4, 4),
    }
    state = {f"main.{place}.weight": layer(shape) for place, shape in convs.items()}
    state["main.17.weight"] = layer((3, 4, 7, 7))
    norms = {"main.1": 4, "main.4": 8, "main.7": 16, "main.12": 8, "main.15": 4}
    for block in (9, 10):
        state |= {f"main.{block}.main.{place}.weight": layer((16, 16, 3, 3)) for place in (0, 3)}
        norms |= {f"main.{block}.main.{place}": 16 for place in (1, 4)}
    for key, width in norms.items():
        leaves = ("weight", "bias", "running_mean", "running_var")
        state |= {f"{key}.{leaf}": layer((width,)) for leaf in leaves}
        state[f"{key}.num_batches_tracked"] = torch.tensor(7)
    return random_like(state)


def evaluate_stargan(state: State, x: torch.Tensor, label: list[float]) -> torch.Tensor:
    """Zero-padded convolutions, InstanceNorm of the picture, label planes beside the picture."""

    def norm(key: str, x: torch.Tensor) -> torch.Tensor:
        return F.instance_norm(x, weight=state[f"{key}.weight"], bias=state[f"{key}.bias"])

    planes = torch.tensor(label).reshape(1, -1, 1, 1).expand(-1, -1, *x.shape[2:])
    x = F.relu(norm("main.1", conv(state, "main.0", torch.cat([x, planes], 1), padding=3)))
    for place in (3, 6):
        x = F.relu(norm(f"main.{place + 1}", conv(state, f"main.{place}", x, stride=2, padding=1)))
    for block in ("main.9.main", "main.10.main"):
        y = F.relu(norm(f"{block}.1", conv(state, f"{block}.0", x, padding=1)))
        x = x + norm(f"{block}.4", conv(state, f"{block}.3", y, padding=1))
    for place in (11, 14):
        x = F.conv_transpose2d(x, state[f"main.{place}.weight"], stride=2, padding=1)
        x = F.relu(norm(f"main.{place + 1}", x))
    return torch.tanh(conv(state, "main.17", x, padding=3))


def test_stargan(tmp_path: Path) -> None:
    state = stargan_state()
    torch.save(state, tmp_path / "200000-G.ckpt")
    x, reading = torch.rand(1, 3, 32, 20) * 2 - 1, Reading(label="1,0,0.5")
    output, back = ours(tmp_path / "200000-G.ckpt", x, reading)
    torch.testing.assert_close(output, evaluate_stargan(state, x, [1, 0, 0.5]), atol=1e-5, rtol=0)
    assert_back(back, {key: value for key, value in state.items() if "_" not in key})
    imported = import_checkpoint(tmp_path / "200000-G.ckpt", reading=reading)
    student = imported.spec.scaled(0.5, 4, "separable", "instance_affine")
    assert student.build()(x).shape == x.shape and student.model_dump()["label"] == (1.0,)


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Reading(), "3 attributes, and the weights do not tell which: add --label .*--label 1,0,0"),
        (Reading(label="1,0"), "was trained with 3 attributes, not 2"),
        (Reading(label="1,b,0"), "--label 1,b,0: write numbers with commas"),
        (Reading(label="1,0,0", statistics="saved"), "no saved statistics to choose"),
        (Reading(label="1,0,0", residual=True), "only resnet with as many in as out has it"),
    ],
)
def test_what_stargan_does_not_tell_is_asked_for(
    reading: Reading, said: str, tmp_path: Path
) -> None:
    torch.save(stargan_state(), tmp_path / "200000-G.ckpt")
    with pytest.raises(ConfigError, match=said):
        import_checkpoint(tmp_path / "200000-G.ckpt", reading=reading)


def whitebox_state() -> State:
    """Keys and shapes of the public file with 4 features and 2 blocks."""
    shapes = {
        "initial_down.0": (4, 3, 7, 7),
        "down1.0": (4, 4, 3, 3),
        "down1.2": (8, 4, 3, 3),
        "down2.0": (8, 8, 3, 3),
        "down2.2": (16, 8, 3, 3),
        "up1.0": (8, 16, 3, 3),
        "up2.0": (8, 8, 3, 3),
        "up2.2": (4, 8, 3, 3),
        "last.0": (4, 4, 3, 3),
        "last.2": (3, 4, 7, 7),
    }
    inside = [f"res_blocks.{block}.block.{place}" for block in (0, 1) for place in (0, 2)]
    shapes |= dict.fromkeys(inside, (16, 16, 3, 3))
    state = {f"{key}.weight": layer(shape) for key, shape in shapes.items()}
    state |= {f"{key}.bias": layer(shape[:1]) for key, shape in shapes.items()}
    return random_like(state)


def evaluate_whitebox(state: State, x: torch.Tensor, padding: str) -> torch.Tensor:
    """Leaky ReLUs of slope 0.2, two sums across, bilinear doublings at pixel centres."""

    def plain(key: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        side = state[f"{key}.weight"].shape[2] // 2
        mode = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}[padding]
        return conv(state, key, F.pad(x, (side,) * 4, mode), stride=stride)

    def leaky(key: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        return F.leaky_relu(plain(key, x, stride), 0.2)

    def double(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    whole = leaky("initial_down.0", x)
    half = leaky("down1.2", leaky("down1.0", whole, 2))
    x = leaky("down2.2", leaky("down2.0", half, 2))
    for block in ("res_blocks.0.block", "res_blocks.1.block"):
        x = x + plain(f"{block}.2", leaky(f"{block}.0", x))
    x = double(leaky("up1.0", x)) + half
    x = double(leaky("up2.2", leaky("up2.0", x))) + whole
    return torch.tanh(plain("last.2", leaky("last.0", x)))


@pytest.mark.parametrize("padding", ["zero", "reflect", "replicate"])
def test_whitebox(padding: str, tmp_path: Path) -> None:
    state = whitebox_state()
    torch.save({"state_dict": state, "optimizer": {}}, tmp_path / "gen.pth.tar")
    reading = Reading(padding=None if padding == "zero" else padding)
    x = torch.rand(1, 3, 32, 20) * 2 - 1
    output, back = ours(tmp_path / "gen.pth.tar", x, reading)
    torch.testing.assert_close(output, evaluate_whitebox(state, x, padding), atol=1e-5, rtol=0)
    assert_back(back, state)
    changes = import_checkpoint(tmp_path / "gen.pth.tar", reading=reading).changes
    assert f"{padding} padding" in changes[-1 if reading.padding else 0]


def test_a_residual_resnet(tmp_path: Path) -> None:
    """DeblurGAN's and DeblurGANv2's: the picture and what is made of it, cut to [-1, 1]."""
    spec = ResnetSpec.from_ngf(4, blocks=1)
    module = spec.build().eval()
    state = public_state(Imported("resnet", spec, module.state_dict()))
    torch.save(
        {"model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "d.h5"
    )
    imported = import_checkpoint(tmp_path / "d.h5", reading=Reading(residual=True))
    residual = imported.spec.build().eval()
    residual.load_state_dict(imported.state)
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(residual(x), (x + module(x)).clamp(-1, 1))
    student = imported.spec.scaled(0.5, 4, "dense", "batch")
    assert student.model_dump()["residual"]
