"""Every rewrite leaves the function as it was, and is recorded."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgegan.errors import ConfigError
from edgegan.export.rewrite import rewrite
from edgegan.export.rewrites.linear_pairs import merge
from edgegan.export.rewrites.phases import enlarged_axis, transposed_axis
from edgegan.export.rewrites.resizing import equal_steps
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.packaging import golden_inputs
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build, describe_io


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def randomise(module: nn.Module) -> nn.Module:
    """Norms with statistics and scales that matter."""
    torch.manual_seed(3)
    for layer in module.modules():
        if isinstance(layer, (nn.BatchNorm2d, nn.InstanceNorm2d)) and layer.track_running_stats:
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
        norm = isinstance(layer, (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm))
        if norm and layer.weight is not None:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
    return module.eval()


def kinds_of(
    module: nn.Module, x: torch.Tensor, target: str = "tflite", tolerance: float = 2e-5
) -> set[str]:
    """Rewrites that were made; the rewritten module gives the same."""
    module = randomise(nn.Sequential(module))
    with torch.no_grad():
        graph, records = rewrite(module, x, target)
        expected = module(x[:1])
        made = graph(x[:1])
        assert made.shape == expected.shape
        assert torch.allclose(made, expected, atol=tolerance, rtol=1e-5)
    return {record.rewrite for record in records}


@pytest.mark.parametrize("kind", [nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d])
@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (3, 3, 3, 3), (0, 2, 1, 0)])
def test_padding(kind: type[nn.Module], padding: tuple[int, int, int, int]) -> None:
    assert kinds_of(kind(padding), image(1, 3, 9, 8), tolerance=0) == {"concat_pad"}


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_inside_a_convolution(mode: str) -> None:
    conv = nn.Conv2d(3, 5, (3, 5), padding=(1, 2), padding_mode=mode)
    assert kinds_of(conv, image(1, 3, 9, 8)) == {"split_padding", "concat_pad"}


def test_zero_padding_moves_into_the_convolution() -> None:
    net = nn.Sequential(nn.ZeroPad2d((2, 2, 1, 1)), nn.Conv2d(3, 5, 3, padding=1))
    assert kinds_of(net, image(1, 3, 9, 8)) == {"merge_zero_padding"}
    assert not kinds_of(
        nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 5, 3)), image(1, 3, 9, 8)
    )


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_padding_by_name() -> None:
    assert kinds_of(nn.Conv2d(3, 5, 4, padding="same"), image(1, 3, 9, 8)) == {"number_padding"}
    odd = nn.Conv2d(3, 5, (3, 5), padding="same")
    assert kinds_of(odd, image(1, 3, 9, 8)) == {"number_padding"}


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("offset", [0.5, 300.0])
def test_instance_norm(affine: bool, offset: float) -> None:
    """Also where the mean is three hundred deviations from zero, which E[x^2] - E[x]^2 alone would not survive."""
    norm, x = nn.InstanceNorm2d(5, affine=affine), image(2, 5, 12, 10) + offset
    tolerance = 2e-6 if offset < 1 else 2e-4  # float32 holds 300.x to 3e-5
    assert kinds_of(norm, x, tolerance=tolerance) == {"channel_last_norm"}


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(groups: int) -> None:
    assert kinds_of(nn.GroupNorm(groups, 6), image(1, 6, 12, 10)) == {"channel_last_norm"}


def test_norms_with_and_without_statistics() -> None:
    x = image(1, 4, 8, 8)
    frozen = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    assert "freeze_norm" in kinds_of(nn.Sequential(nn.Conv2d(4, 4, 1), frozen), x)
    own = nn.BatchNorm2d(4, track_running_stats=False)
    assert kinds_of(own, x) == {"freeze_norm", "channel_last_norm"}


TRANSPOSED = [
    (3, 2, 1, 1, 1),
    (4, 2, 1, 0, 1),
    (2, 2, 0, 0, 1),
    (5, 2, 2, 1, 1),
    (6, 2, 2, 0, 1),
    (3, 2, 1, 0, 1),
    (3, 1, 1, 0, 1),
    (4, 4, 0, 0, 1),
    (7, 3, 2, 1, 1),
    (2, 3, 0, 0, 1),
    (3, 2, 2, 1, 2),
    (1, 1, 0, 0, 1),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding", "extra", "dilation"), TRANSPOSED)
def test_transposed_convolution(
    kernel: int, stride: int, padding: int, extra: int, dilation: int, bias: bool
) -> None:
    torch.manual_seed(0)
    options = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation}
    layer = nn.ConvTranspose2d(4, 3, kernel, bias=bias, **options)
    assert kinds_of(layer, image(1, 4, 7, 6)) == {"split_transposed"}
    grouped = nn.ConvTranspose2d(4, 6, kernel, bias=bias, groups=2, **options)
    assert kinds_of(grouped, image(1, 4, 7, 6)) == {"insert_zeros"}


def test_uneven_transposed_convolution() -> None:
    layer = nn.ConvTranspose2d(4, 3, (4, 3), stride=(2, 1), padding=(1, 0))
    assert kinds_of(layer, image(1, 4, 5, 6)) == {"split_transposed"}


def test_phases_read_the_fewest_inputs() -> None:
    """Four taps of stride 2 are two inputs a phase once an output is cropped; three taps two, none cropped."""
    unet, resnet = transposed_axis(4, 2, 1), transposed_axis(3, 2, 1)
    assert (unet.reach, unet.crop, unet.low) == (2, 1, -1)
    assert unet.taps == (((2,), (0,)), ((3,), (1,)))
    assert (resnet.reach, resnet.crop, resnet.low) == (2, 0, 0)
    assert resnet.taps == (((1,), ()), ((2,), (0,)))
    assert enlarged_axis(3, 2, 1).taps == (((0, 1), (2,)), ((0,), (1, 2)))


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("pad", [None, nn.ReflectionPad2d(1), nn.ReplicationPad2d(1)])
def test_nearest_enlargement_merges_with_the_convolution(scale: int, pad: nn.Module | None) -> None:
    net = [nn.Upsample(scale_factor=scale), nn.Conv2d(4, 5, 3, padding=0 if pad else 1)]
    net[1:1] = [pad] if pad else []
    assert kinds_of(nn.Sequential(*net), image(1, 4, 5, 6)) == {"merge_enlargement"}


def test_wide_reflection_is_not_merged() -> None:
    net = nn.Sequential(nn.Upsample(scale_factor=2), nn.ReflectionPad2d(2), nn.Conv2d(4, 5, 5))
    assert kinds_of(net, image(1, 4, 5, 6)) == {"concat_pad"}


def test_enlargement_moves_behind_a_pointwise_convolution() -> None:
    net = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 5, 1), nn.Conv2d(5, 9, 1))
    assert kinds_of(net, image(1, 4, 5, 6), "onnx") >= {"enlarge_after_pointwise"}


@pytest.mark.parametrize(
    "size", [(4, 3), (8, 6), (5, 9), (11, 2), (16, 12), (13, 13), (8, 24)], ids=str
)
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_resizing(size: tuple[int, int], mode: str) -> None:
    kinds_of(nn.Upsample(size, mode=mode), image(1, 3, 8, 12), tolerance=0)


@pytest.mark.parametrize("factor", [0.5, 0.25, 0.4, 1.5])
def test_nearest_resizing_by_a_factor(factor: float) -> None:
    net = nn.Upsample(scale_factor=factor)
    assert kinds_of(net, image(1, 3, 8, 20), tolerance=0) == {"slice_nearest"}


def test_equal_steps_cover_the_picks() -> None:
    assert equal_steps([0, 2, 4, 6]) == [(0, 7, 2)]
    assert equal_steps([0, 0, 1, 1]) == [(0, 1, 1), (0, 2, 1), (1, 2, 1)]


def test_functions_are_rewritten_like_layers() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect")))
            x = F.dropout(self.conv_again(x), 0.5, self.training)
            return F.interpolate(x, scale_factor=0.5, mode="nearest").tanh()

        def conv_again(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(F.pad(x, (1, 1, 1, 1))[:, :3])

    found = kinds_of(Functional(), image(1, 3, 8, 8))
    assert {"concat_pad", "slice_nearest", "merge_zero_padding"} - found == {"merge_zero_padding"}


@pytest.mark.parametrize(("kernel", "padding"), [(3, 0), (7, 0), (3, 1), (9, 4)])
def test_strided_head(kernel: int, padding: int) -> None:
    x = image(1, 6, 8 + kernel - 1 - 2 * padding, 10 + kernel - 1 - 2 * padding)
    net = nn.Sequential(nn.Conv2d(6, 3, kernel, padding=padding), nn.Tanh())
    assert kinds_of(net, x) == {"strided_head", "activate_in_phases"}


def test_pixel_shuffle() -> None:
    net = nn.Sequential(nn.Conv2d(4, 20, 3, padding=1), nn.PixelShuffle(2))
    assert kinds_of(net, image(1, 4, 5, 6)) == {"block_shuffle"}


@pytest.mark.parametrize(
    "layer", [nn.PReLU(4), nn.PReLU(), nn.GELU(), nn.SiLU(), nn.ELU(), nn.Mish()], ids=repr
)
def test_activation(layer: nn.Module) -> None:
    assert kinds_of(layer, image(1, 4, 5, 6) * 3) == {"channel_last_activation"}


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 6, 1, groups=2, bias=False),
        nn.ConvTranspose2d(4, 6, 4, 2, 1),
        nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2, bias=False),
    ],
    ids=repr,
)
def test_batch_norm_behind_and_before(conv: nn.Module) -> None:
    behind = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels))
    assert kinds_of(behind, image(1, 4, 7, 8), "onnx") == {"fuse_batch_norm"}
    if isinstance(conv, nn.Conv2d):
        before = nn.Sequential(nn.BatchNorm2d(4), conv)
        assert kinds_of(before, image(1, 4, 7, 8), "onnx") == {"fold_batch_norm_forward"}
    padded = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1))
    assert kinds_of(padded, image(1, 4, 7, 8)) == {"explicit_batch_norm"}


def test_a_shared_convolution_keeps_its_other_call() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(torch.relu(self.norm(self.conv(x))))

    assert kinds_of(Shared(), image(1, 4, 5, 6)) == {"fuse_batch_norm"}


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        (nn.Conv2d(4, 16, 1), nn.Conv2d(16, 4, 3), True),
        (nn.Conv2d(4, 16, 1, bias=False), nn.Conv2d(16, 4, 3, padding=1), True),
        (nn.Conv2d(4, 16, 1), nn.Conv2d(16, 4, 3, padding=1), False),
        (nn.Conv2d(4, 16, 3, stride=2, padding=1), nn.Conv2d(16, 4, 1), True),
        (nn.Conv2d(16, 2, 3), nn.Conv2d(2, 16, 3), False),
        (nn.ConvTranspose2d(8, 8, 2, 2), nn.Conv2d(8, 2, 2), True),
        (nn.Conv2d(12, 12, 3, stride=2, padding=1), nn.Conv2d(12, 12, 3, padding=1), False),
    ],
)
def test_linear_pairs_merge_where_exact_and_cheaper(
    first: nn.Conv2d, second: nn.Conv2d, merged: bool
) -> None:
    x = image(1, first.in_channels, 9, 10)
    found = kinds_of(nn.Sequential(first, second), x, "onnx")
    assert found == {"merge_linear_pair" if merged else "equalise_linear_pair"}


def test_merged_kernel_by_hand() -> None:
    """[1 2] after [3 4]: 3, 4 + 6, 8."""
    first, second = nn.Conv2d(1, 1, (1, 2), bias=False), nn.Conv2d(1, 1, (1, 2), bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[[[3.0, 4.0]]]]))
        second.weight.copy_(torch.tensor([[[[1.0, 2.0]]]]))
    assert merge(first, second).weight.flatten().tolist() == [3.0, 10.0, 8.0]


FAMILIES = {
    "resnet dense": ("resnet", ResnetSpec.from_ngf(8, 2), (32, 40)),
    "resnet batch": (
        "resnet",
        ResnetSpec.from_ngf(8, 2, block="separable", norm="batch"),
        (32, 40),
    ),
    "resnet affine": (
        "resnet",
        ResnetSpec.from_ngf(8, 2, block="separable", norm="instance_affine", dropout=0.5),
        (32, 40),
    ),
    "resnet antialiased": (
        "resnet",
        ResnetSpec.from_ngf(8, 2, halvings=3, halving="blurred", doubling="blurred"),
        (32, 40),
    ),
    "unet": ("unet", UnetSpec.from_ngf(8, 5), (32, 64)),
    "unet instance": ("unet", UnetSpec.from_ngf(8, 4, norm="instance"), (32, 64)),
    "spade": ("spade", SpadeSpec.from_ngf(2, classes=5), (64, 128)),
    "spade instance": (
        "spade",
        SpadeSpec.from_ngf(2, classes=5, upsampling="normal", norm="instance"),
        (64, 64),
    ),
    "cartoon": (
        "cartoon",
        CartoonSpec(stem=8, down1=(12, 16), down2=(20, 24), inner=(16,), up1=(12, 10), up2=(8, 8)),
        (32, 40),
    ),
    "transformer": (
        "transformer_net",
        TransformerSpec(stem=8, down=16, trunk=24, inner=(24, 24), up=(16, 8)),
        (32, 40),
    ),
    "anime": (
        "animegan",
        AnimeSpec(stem=8, half=(16, 16), quarter=(24, 24, 24), expanded=(32, 48), trunk=32),
        (32, 40),
    ),
    "sngan": ("sngan", SnganSpec(latent=16, stem=24, width=(24, 16), inner=(16, 24)), (16, 16)),
}
EXPECTED = {
    "resnet dense": {"concat_pad", "split_transposed", "strided_head", "channel_last_norm"},
    "resnet batch": {"fuse_batch_norm", "split_transposed", "activate_in_phases"},
    "resnet affine": {"fold_affine_into_pointwise", "scale_only_norm", "drop_no_op"},
    "resnet antialiased": {"channel_last_norm", "drop_bias_before_norm"},
    "unet": {"fuse_batch_norm", "split_transposed", "activate_before_concat"},
    "unet instance": {"drop_bias_before_norm", "channel_last_norm"},
    "spade": {"fold_constant", "slice_nearest", "explicit_batch_norm"},
    "spade instance": {"drop_bias_before_norm", "channel_last_norm"},
    "cartoon": {"equalise_linear_pair", "split_transposed"},
    "transformer": {"merge_enlargement", "strided_head"},
    "anime": {"channel_last_norm", "concat_pad"},
    "sngan": {"absorb_pre_activation_norm", "enlarge_after_pointwise", "merge_enlargement"},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_whole_nets_stay_equal(name: str) -> None:
    """The passes for ONNX are the first of those for TFLite."""
    family, spec, size = FAMILIES[name]
    torch.manual_seed(1)
    module = build(family, spec)
    x = golden_inputs(1, size, describe_io(spec)[0])
    assert kinds_of(module, x) >= EXPECTED[name]


def test_rewrites_can_be_left_out() -> None:
    module = randomise(ResnetGenerator(ResnetSpec.from_ngf(8, 1)))
    with torch.no_grad():
        graph, records = rewrite(module, image(1, 3, 16, 16), "tflite", ["concat_pad"])
    assert "concat_pad" not in {record.rewrite for record in records}
    assert any(isinstance(layer, nn.ReflectionPad2d) for layer in graph.modules())


def test_original_is_untouched() -> None:
    module = randomise(ResnetGenerator(ResnetSpec.from_ngf(8, 1, norm="batch")))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    rewrite(module, image(1, 3, 16, 16), "tflite")
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_control_flow_on_values_is_refused_by_name() -> None:
    class Switch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.mean() > 0 else -x

    with pytest.raises(ConfigError, match="'1' of Sequential cannot be traced"):
        rewrite(nn.Sequential(nn.ReLU(), Switch()), image(1, 3, 8, 8), "tflite")


class Indexed(nn.Module):
    """A table of positions read by index, perhaps through a mask that is written, and a view, beside a convolution."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.table = nn.Parameter(torch.randn(4, 7))
        self.register_buffer("index", torch.arange(64).reshape(8, 8) % 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.zeros_like(self.table)
        if self.masked:
            mask[:, 2:4] = 1.0
        y = self.conv(x) + 2 * (self.table * (1 - mask))[:, self.index]
        return y.view(y.shape[0], -1).view(y.shape)


def test_what_depends_on_weights_alone_is_computed_once() -> None:
    module, x = Indexed(masked=False).eval(), image(1, 3, 8, 8)
    kinds_of(module, x)
    kinds_of(Indexed(masked=True), x)
    graph, _ = rewrite(module, x, "tflite")
    targets = [str(node.target) for node in graph.graph.nodes]
    assert not [name for name in targets if "mul" in name or name == "view"]
    assert sum("_computed" in name for name in targets) == 1


def test_noise_on_weights_is_not_computed_once() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(1, 3, 8, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand_like(self.table)

    graph, _ = rewrite(Noisy().eval(), image(1, 3, 8, 8), "tflite")
    assert any("rand_like" in str(node.target) for node in graph.graph.nodes)


@pytest.mark.parametrize("size", [8, 6])
def test_adaptive_maximum_where_the_sizes_divide(size: int) -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool = nn.Conv2d(3, 3, 1), nn.AdaptiveMaxPool2d(size)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows, columns = x.shape[2] // 2, x.shape[3] // 4
            y = F.adaptive_max_pool2d(self.conv(x), (rows, columns))
            return F.interpolate(y, size=(size, size)) + self.pool(x)

    module, x = Pooled().eval(), image(1, 3, 16, 16)
    kinds_of(module, x)
    graph, _ = rewrite(module, x, "tflite")
    pools = [type(layer) for layer in graph.modules() if "MaxPool" in type(layer).__name__]
    assert sorted(set(pools), key=str) == (
        [nn.MaxPool2d] if size == 8 else [nn.AdaptiveMaxPool2d, nn.MaxPool2d]
    )


def test_a_layer_called_by_keywords_alone() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.attend = nn.Conv2d(3, 4, 1), nn.MultiheadAttention(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = self.conv(x).flatten(2).permute(2, 0, 1)
            return (
                self.attend(query=rows, key=rows, value=rows)[0].permute(1, 2, 0).view(1, 4, 4, 4)
            )

    kinds_of(Attention().eval(), image(1, 3, 4, 4))
