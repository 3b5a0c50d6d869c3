"""What an int8 artefact is made from, and what every maker of them can do. Runs in a converter's child process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from edgegan.artefact import TensorInfo
from edgegan.export.calibrate import Learned
from edgegan.export.sensitivity import Layer
from edgegan.runtime.worker import open_session
from edgegan.tensors import from_artefact, to_artefact

THREADS = 2


@dataclass(frozen=True)
class Int8Request:
    """The fp32 artefact to quantise and how. `weights` are those of the generator's layers by dotted name,
    `calibration` is (N, ...) in edgegan's own form, None for policies that need no ranges."""

    source: Path
    policy: str
    method: str
    weights: Mapping[str, np.ndarray]
    calibration: np.ndarray | None
    takes: TensorInfo
    gives: TensorInfo
    learned: Learned | None = None


class Int8Maker:
    """Quantises one fp32 artefact again and again. `layers` are those that int8 can leave alone; `method` says how
    ranges were found."""

    runtime: ClassVar[str]
    layers: list[Layer]
    method: str

    def __init__(self, request: Int8Request) -> None:
        self.source, self.policy = request.source, request.policy
        self.takes, self.gives = request.takes, request.gives

    def build(self, path: Path, keep_float: tuple[str, ...] = ()) -> Path:
        """Writes the int8 artefact with these operations float."""
        raise NotImplementedError

    def settle(
        self,
        proof: np.ndarray,  # noqa: ARG002
        reference: np.ndarray,  # noqa: ARG002
        enough_db: float,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Chooses between forms by measuring, where the policy leaves a choice; returns every form tried."""
        return []

    def run(self, path: Path, images: np.ndarray) -> np.ndarray:
        """(N, ...) inputs in edgegan's own form through an artefact, in this process; returns (N, C, H, W)."""
        runner = open_session(str(path), self.runtime, THREADS)
        outputs = []
        for image in images:
            runner.set_input(to_artefact(image[None], self.takes))
            runner.invoke()
            outputs.append(from_artefact(np.array(runner.output()), self.gives))
        return np.concatenate(outputs)
