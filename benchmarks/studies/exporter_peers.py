"""What other exporters make of a package, for `make bench-exporters`: plain litert-torch, its quantizer's defaults, and
the raw torch.onnx file. Each runs as a process: exporter_peers.py KIND PACKAGE OUTPUT [CALIBRATION.npy].

litert-torch 0.10 does not convert a 3x3 stride-2 transposed convolution with output padding; the smallest change that
makes it convert is the same layer with its kernel extended by a zero row and column.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgegan.models.zoo import load_generator
from edgegan.package import read_tensors


def extend_transposed(module: nn.Module) -> None:
    """Writes every 3x3 stride-2 transposed convolution with output padding as a 4x4 one without."""
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.ConvTranspose2d) and layer.output_padding == (1, 1):
                wider = nn.ConvTranspose2d(
                    layer.in_channels,
                    layer.out_channels,
                    4,
                    stride=2,
                    padding=1,
                    bias=layer.bias is not None,
                )
                with torch.no_grad():
                    wider.weight.zero_()
                    wider.weight[:, :, :3, :3] = layer.weight
                    if layer.bias is not None and wider.bias is not None:
                        wider.bias.copy_(layer.bias)
                setattr(parent, name, wider)


def plain_litert(module: nn.Module, example: torch.Tensor, path: Path) -> None:
    """litert-torch as its documentation shows it."""
    import litert_torch

    extend_transposed(module)
    litert_torch.convert(module.eval(), (example,)).export(str(path))


def plain_int8(source: Path, path: Path, calibration: np.ndarray, static: bool) -> None:
    """ai-edge-quantizer's default recipe on the plain file: static where norms fold, dynamic where they do not."""
    from ai_edge_quantizer import quantizer, recipe

    made = quantizer.Quantizer(str(source))
    made.load_quantization_recipe(recipe.static_wi8_ai8() if static else recipe.dynamic_wi8_afp32())
    ranges = None
    if static:
        samples = [{"args_0": image[None]} for image in calibration]
        ranges = made.calibrate({"serving_default": samples}, num_threads=1)
    made.quantize(ranges).export_model(str(path), overwrite=True)


def raw_onnx(module: nn.Module, example: torch.Tensor, path: Path) -> None:
    """torch.onnx.export and nothing else."""
    torch.onnx.export(module, (example,), str(path), dynamo=True, external_data=False)


def main() -> None:
    """Converts one package one way."""
    kind, package, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    config, module = load_generator(package)
    example = read_tensors(package, config, "golden.safetensors")["input"][:1]
    if kind == "litert":
        plain_litert(module, example, output)
    elif kind == "litert-int8":
        static = not any(isinstance(each, nn.InstanceNorm2d) for each in module.modules())
        plain_int8(Path(sys.argv[5]), output, np.load(sys.argv[4]), static)
    else:
        raw_onnx(module, example, output)


if __name__ == "__main__":
    main()
