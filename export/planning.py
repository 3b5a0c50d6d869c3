"""What the export of one package to one target will do, settled before anything is converted."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgegan.artefact import TensorInfo
from edgegan.export.keeping import is_current
from edgegan.export.policy import Int8Options
from edgegan.export.proof import larger_proof
from edgegan.export.request import ExportOptions
from edgegan.export.signature import Signature, Sizes
from edgegan.export.sources import Source, size_multiple
from edgegan.export.targets.target import Target
from edgegan.files import optional_import, sha256_bytes
from edgegan.metrics.complexity import Complexity, measure
from edgegan.models.zoo import load_generator, made_size
from edgegan.package import PackageConfig, input_shape, package_hash

CONVERTERS = ("torch", "litert-torch", "ai-edge-quantizer", "onnx", "onnxruntime", "onnxsim")


@dataclass(frozen=True)
class Plan:
    """One package, one target. `wanted` are the precisions to make; `inputs` by precision are what export.json
    recognises an artefact by; `int8` has the policy that stands for `auto`; `proofs` are sizes with inputs (N, ...)."""

    source: Source
    folder: Path
    target: Target
    wanted: list[str]
    inputs: dict[str, dict[str, Any]]
    int8: Int8Options
    config: PackageConfig
    module: nn.Module
    signature: Signature
    sizes: Sizes
    takes: TensorInfo
    gives: TensorInfo
    proofs: list[tuple[tuple[int, int], np.ndarray]]
    complexity: Complexity

    def name(self, precision: str) -> str:
        """The artefact's name in the export folder."""
        return self.target.file_name(self.source.role, precision)


def check_installed(target: Target) -> None:
    """Raises MissingDependency in the first second when a converter's package is absent, without importing it."""
    for module in target.modules:
        if importlib.util.find_spec(module) is None:
            optional_import(module, target.name)


def converter_versions(target: Target) -> dict[str, str]:
    """Versions of what makes artefacts."""
    versions = {}
    for name in (*CONVERTERS, *target.converters):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def make_plan(
    source: Source, folder: Path, target: Target, precisions: list[str], options: ExportOptions
) -> Plan | None:
    """The plan, or None when every artefact is there and up to date; raises OutputError when one is another's."""
    config, module = load_generator(source.folder)
    int8 = options.int8
    if "int8" in precisions:
        int8 = replace(int8, policy=target.int8_policy(int8.policy, module))
    signature = options.signature.resolved(target.layout)
    dynamic = target.takes_any_size and (options.dynamic or bool(source.others))
    inputs = inputs_of(source, target, signature, dynamic=dynamic)
    keyed = {p: {**inputs, "int8": int8.as_dict()} if p == "int8" else inputs for p in precisions}
    wanted = [
        p
        for p in precisions
        if options.overwrite or not is_current(folder, target.file_name(source.role, p), keyed[p])
    ]
    if "int8" in wanted and source.others:
        target.check_int8_sizes(int8.policy)
    if not wanted:
        return None
    sizes = Sizes(dynamic, size_multiple(config, source.folder, dynamic=dynamic))
    free = (-1, -1) if dynamic else source.size
    proofs = source.proofs
    if dynamic and len(proofs) == 1:
        proofs = [*proofs, larger_proof(source.images, sizes.multiple)]
    return Plan(
        source=source,
        folder=folder,
        target=target,
        wanted=wanted,
        inputs=keyed,
        int8=int8,
        config=config,
        module=module,
        signature=signature,
        sizes=sizes,
        takes=signature.input_info(config.input, free),
        gives=signature.image_info("output", config.output, made_size(config, free)),
        proofs=proofs,
        complexity=measure(module, torch.zeros(input_shape(config.input, source.size))),
    )


def inputs_of(
    source: Source, target: Target, signature: Signature, *, dynamic: bool
) -> dict[str, Any]:
    """What an artefact is made from, for export.json; int8 adds its options."""
    calibration = source.calibration
    return {
        "package": package_hash(source.folder),
        "size": [list(size) for size, _ in source.proofs],
        "signature": signature.model_dump(mode="json"),
        "dynamic": dynamic,
        "calibration": "" if calibration is None else sha256_bytes(calibration.tobytes()),
        "versions": converter_versions(target),
    }
