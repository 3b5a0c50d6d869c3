"""ONNX, for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgegan.deployment.runtimes import LOADERS
from edgegan.errors import ConfigError
from edgegan.export.targets.target import Target

if TYPE_CHECKING:
    from torch import nn

    from edgegan.export.int8_maker import Int8Maker, Int8Request
    from edgegan.export.lint import Finding
    from edgegan.export.signature import Boundary, Example, Sizes


class OnnxTarget(Target):
    """See `Target`. int8 under the policy `auto` is chosen while converting, by measuring."""

    name = "onnx"
    suffix = ".onnx"
    layout = "NCHW"
    modules = ("onnx", "onnxruntime", "onnxsim", "onnxscript")
    runtimes = LOADERS[".onnx"].runtimes
    precisions = ("fp32", "fp16", "int8")
    takes_any_size = True

    def convert(
        self, boundaries: Sequence[tuple[Boundary, Example]], path: Path, sizes: Sizes
    ) -> list[str]:
        from edgegan.export import to_onnx

        to_onnx.convert_fp32(boundaries[0], path, sizes)
        return []

    def to_fp16(self, source: Path, path: Path) -> None:
        from edgegan.export import to_onnx

        to_onnx.to_fp16(source, path)

    def int8_policy(self, asked: str, module: nn.Module) -> str:  # noqa: ARG002
        if asked == "int16x8":
            raise ConfigError(
                "--int8 int16x8: ONNX Runtime has no convolution of that kind; use --target tflite"
            )
        return asked

    def int8_maker(self, request: Int8Request) -> Int8Maker:
        from edgegan.export.int8_onnx import OnnxInt8

        return OnnxInt8(request)

    def describe(self, path: Path) -> dict[str, Any]:
        from edgegan.export import to_onnx

        return to_onnx.describe(path)

    def lint(self, path: Path) -> list[Finding]:
        from edgegan.export.lint_onnx import lint_onnx

        return lint_onnx(path)
