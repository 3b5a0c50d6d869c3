"""What one image costs. One MAC is one multiply-add of a convolution or a Linear; norms and activations are none."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgegan.files import optional_import


@dataclass(frozen=True)
class LayerCost:
    """One layer at one input size."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    macs_published: int


@dataclass(frozen=True)
class Complexity:
    """A generator's costs for one image.

    `macs` are true MACs; `macs_output_sized` counts a transposed convolution at its output's resolution (stride**2
    times too much: newer published figures); `macs_published` adds one for every InstanceNorm element as well
    (torchprofile 0.0.1, the GAN Compression tables). `macs_fvcore` is fvcore's own count of convolution and linear
    operators (None on the meta device, where fvcore cannot trace) and `macs_torch` that of torch's FlopCounterMode, two
    independent checks of `macs`. `macs_convolution` is `macs` without Linear layers. Bytes are those of
    the weights: four each, or in int8 one for each weight of a convolution or Linear and four for everything else
    (biases are int32 there, norms stay float).
    """

    size: tuple[int, int]
    parameters: int
    macs: int
    macs_output_sized: int
    macs_published: int
    macs_fvcore: int | None
    macs_torch: int | None
    macs_convolution: int
    bytes_fp32: int
    bytes_int8: int
    layers: list[LayerCost] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """Everything but the layers, for manifests."""
        return {key: value for key, value in asdict(self).items() if key != "layers"}

    def by_module(self) -> dict[str, tuple[int, int]]:
        """Parameters and true MACs of each direct child of the generator, in the order it runs."""
        totals: dict[str, tuple[int, int]] = {}
        for layer in self.layers:
            child = layer.name.split(".")[0]
            parameters, macs = totals.get(child, (0, 0))
            totals[child] = (parameters + layer.parameters, macs + layer.macs)
        return totals


def layer_macs(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[int, int]:
    """True MACs of a layer, and MACs with a transposed convolution counted at its output."""
    if isinstance(layer, nn.ConvTranspose2d):
        per_element = layer.weight.shape[1] * layer.kernel_size[0] * layer.kernel_size[1]
        true = x[0].numel() * per_element
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        return true, y[0].numel() * (layer.in_channels // layer.groups) * kernel
    if isinstance(layer, nn.Conv2d):
        true = y[0].numel() * layer.weight[0].numel()
        return true, true
    if isinstance(layer, nn.Linear):
        true = y[0].numel() * layer.in_features
        return true, true
    return 0, 0


class Recorder:
    """Hooks on the leaves of a generator that note what each costs, in the order they run."""

    def __init__(self) -> None:
        self.layers: list[LayerCost] = []
        self.norm_elements = 0
        self.output_sized = 0
        self.seen: set[int] = set()

    @contextlib.contextmanager
    def on(self, module: nn.Module) -> Iterator[None]:
        """The generator watched."""
        leaves = [each for each in module.named_modules() if not list(each[1].children())]
        handles = [layer.register_forward_hook(self.hook(name)) for name, layer in leaves]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def hook(
        self, name: str
    ) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        """The hook of one leaf; its parameters count the first time it is called."""

        def record(
            layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
        ) -> None:
            true, published = layer_macs(layer, inputs[0], output)
            self.output_sized += published
            if isinstance(layer, nn.InstanceNorm2d):
                self.norm_elements += output[0].numel()
                published += output[0].numel()
            first_call = id(layer) not in self.seen
            self.seen.add(id(layer))
            parameters = sum(p.numel() for p in layer.parameters()) if first_call else 0
            kind, shape = type(layer).__name__, tuple(output.shape)
            self.layers.append(LayerCost(name, kind, shape, parameters, true, published))

        return record


def measure(module: nn.Module, example: torch.Tensor, *, cross_check: bool = True) -> Complexity:
    """Counts parameters and MACs of a generator for `example`: (1, C, H, W) images or labels, or (1, dimension) noise.

    Without `cross_check` the two independent counts are left out (None), which saves a second.
    Nothing is computed when module and example are on the meta device. `size` is that of the images made.
    """
    recorder = Recorder()
    counter = FlopCounterMode(display=False) if cross_check else None
    fvcore_macs = None
    was_training = module.training
    module.eval()
    with recorder.on(module), torch.no_grad(), counter or contextlib.nullcontext():
        made = module(example)
    if cross_check and not example.is_meta:
        fvcore_macs = count_with_fvcore(module, example)
    module.train(was_training)
    layers = recorder.layers
    parameters = sum(p.numel() for p in module.parameters())
    weights = sum(
        layer.weight.numel()
        for layer in module.modules()
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    )
    return Complexity(
        size=(made.shape[2], made.shape[3]),
        parameters=parameters,
        macs=sum(layer.macs for layer in layers),
        macs_output_sized=recorder.output_sized,
        macs_published=recorder.output_sized + recorder.norm_elements,
        macs_fvcore=fvcore_macs,
        macs_torch=counter.get_total_flops() // 2 if counter else None,
        macs_convolution=sum(layer.macs for layer in layers if layer.kind != "Linear"),
        bytes_fp32=4 * parameters,
        bytes_int8=weights + 4 * (parameters - weights),
        layers=layers,
    )


NORMS = tuple(f"aten::{kind}_norm" for kind in ("batch", "group", "layer", "instance"))  # uncounted


def count_with_fvcore(module: nn.Module, example: torch.Tensor) -> int | None:
    """fvcore's count of convolution and linear operators (its total adds norms, which are not MACs); None where an
    operator has a form that fvcore does not know, such as a product of vectors."""
    fvcore = optional_import("fvcore.nn", "train")
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    analysis = (
        fvcore.FlopCountAnalysis(module, example)
        .unsupported_ops_warnings(False)
        .uncalled_modules_warnings(False)
        .set_op_handle(**dict.fromkeys(NORMS, lambda *_: 0))
    )
    try:
        counts = analysis.by_operator()
    except (AssertionError, IndexError):
        return None
    return int(sum(counts.get(name, 0) for name in ("conv", "linear", "addmm", "matmul", "bmm")))


def format_macs(macs: float) -> str:
    """MACs as 54.38 G or 12.3 M."""
    return f"{macs / 1e9:.2f} G" if macs >= 1e9 else f"{macs / 1e6:.1f} M"
