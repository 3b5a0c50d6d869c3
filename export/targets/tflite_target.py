"""TFLite, for LiteRT and its older interpreters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgegan.deployment.runtimes import LOADERS
from edgegan.errors import ConfigError
from edgegan.export.targets.target import Target

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from edgegan.export.int8_maker import Int8Maker, Int8Request
    from edgegan.export.lint import Finding
    from edgegan.export.rewrites.edits import Pass
    from edgegan.export.signature import Boundary, Example, Sizes


class TfliteTarget(Target):
    """See `Target`."""

    name = "tflite"
    suffix = ".tflite"
    layout = "NHWC"
    modules = ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")
    runtimes = LOADERS[".tflite"].runtimes
    precisions = ("fp32", "fp16", "int8")

    def passes(self) -> Mapping[str, Pass]:
        from edgegan.export.rewrites.passes import CHANNEL_LAST, COMMON

        return {**COMMON, **CHANNEL_LAST}

    def convert(
        self,
        boundaries: Sequence[tuple[Boundary, Example]],
        path: Path,
        sizes: Sizes,  # noqa: ARG002
    ) -> list[str]:
        from edgegan.export import to_tflite

        return to_tflite.convert_fp32(boundaries, path)

    def to_fp16(self, source: Path, path: Path) -> None:
        from edgegan.export import to_tflite

        to_tflite.to_fp16(source, path)

    def int8_policy(self, asked: str, module: nn.Module) -> str:
        from edgegan.deployment.picture_norms import litert_policy

        return litert_policy(module) if asked == "auto" else asked

    def check_int8_sizes(self, policy: str) -> None:
        if policy != "dynamic":
            raise ConfigError(
                f"--int8 {policy} calibrates one size: export each --size into a folder of its own, "
                "or use --int8 dynamic"
            )

    def int8_maker(self, request: Int8Request) -> Int8Maker:
        from edgegan.export.int8_tflite import TfliteInt8

        return TfliteInt8(request)

    def finisher(self, source: Path, weights: Mapping[str, np.ndarray]) -> Callable[[Path], None]:
        from edgegan.export.finish_tflite import finish, short_names

        names = short_names(source, dict(weights))
        # Last of all: the quantizer does not know the operation DEPTH_TO_SPACE.
        return lambda path: finish(path, names)

    def describe(self, path: Path) -> dict[str, Any]:
        from edgegan.export import to_tflite

        return to_tflite.describe(path)

    def lint(self, path: Path) -> list[Finding]:
        from edgegan.export.flatbuffer import read_operations
        from edgegan.export.lint_tflite import lint_tflite

        return lint_tflite(read_operations(path))
