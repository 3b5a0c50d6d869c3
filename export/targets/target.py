"""What a target is: everything that export, proof, lint and bundles ask about one format of artefacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from edgegan.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from edgegan.artefact import Loading
    from edgegan.export.int8_maker import Int8Maker, Int8Request
    from edgegan.export.lint import Finding
    from edgegan.export.rewrites.edits import Pass
    from edgegan.export.signature import Boundary, Example, Sizes


class Target:
    """One format of artefacts. A target of your own is a subclass in a file here and its line in listed_targets.

    Packages that only some people have, and torch, are imported inside the methods: the table is read by commands that
    need neither. An artefact is a file or, where there are several, a folder.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    layout: ClassVar[Literal["NHWC", "NCHW"]]
    """Of pictures, unless --layout asks for another."""
    modules: ClassVar[tuple[str, ...]] = ()
    """Python packages that conversion needs; `edgegan[name]` installs them."""
    converters: ClassVar[tuple[str, ...]] = ()
    """Python packages whose versions model.json tells beside those of ONNX and TFLite."""
    runtimes: ClassVar[tuple[str, ...]]
    """Names in `edgegan.deployment.runtimes`, best first."""
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    entry: ClassVar[str | None] = None
    """In an artefact that is a folder, what a runtime is given; None: the artefact itself."""
    takes_any_size: ClassVar[bool] = False
    """Whether one graph takes any height and width; else a graph for each size, with a signature each."""

    def file_name(self, role: str, precision: str) -> str:
        """The artefact's name in an export folder."""
        return f"{role}_{precision}{self.suffix}"

    def loading(self, path: Path) -> Loading:
        """How an artefact of this target is loaded."""
        from edgegan.artefact import Loading

        return Loading(self.name, path / self.entry if self.entry else path, self.runtimes)

    def check_precision(self, precision: str) -> None:
        """Raises ConfigError for a precision that the target does not have."""
        if precision not in self.precisions:
            raise ConfigError(
                f"--precision {precision}: {self.name} has {', '.join(self.precisions)}"
            )

    def passes(self) -> Mapping[str, Pass]:
        """The rewrites its graphs get, in order."""
        from edgegan.export.rewrites.passes import COMMON

        return COMMON

    def convert(
        self, boundaries: Sequence[tuple[Boundary, Example]], path: Path, sizes: Sizes
    ) -> list[str]:
        """Writes the fp32 artefact of a graph for each size; returns the names of its signatures, if it has any."""
        raise NotImplementedError

    def to_fp16(self, source: Path, path: Path) -> None:
        """Derives the float16 artefact from the fp32 one."""
        raise NotImplementedError

    def int8_policy(self, asked: str, module: nn.Module) -> str:  # noqa: ARG002
        """The policy to quantise a generator by; raises ConfigError for one that the target does not have."""
        return asked

    def check_int8_sizes(self, policy: str) -> None:
        """Raises ConfigError when an int8 artefact of several sizes cannot be calibrated by this policy."""

    def int8_maker(self, request: Int8Request) -> Int8Maker:
        """What quantises the fp32 artefact."""
        raise NotImplementedError

    def finisher(
        self,
        source: Path,  # noqa: ARG002
        weights: Mapping[str, np.ndarray],  # noqa: ARG002
    ) -> Callable[[Path], None]:
        """The last hand at every artefact that is made from `source`; values do not change. `weights` are those of the
        rewritten graph's layers by dotted name."""
        return lambda path: None  # noqa: ARG005

    def describe(self, path: Path) -> dict[str, Any]:
        """{"operations": counts by kind, "computed_in": counts by number type}."""
        raise NotImplementedError

    def lint(self, path: Path) -> list[Finding]:  # noqa: ARG002
        """What in an artefact is slow or wrong on devices."""
        return []
