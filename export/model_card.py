"""The model.json of an artefact that was made and proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from edgegan.artefact import ModelManifest, Parity, combined_hash
from edgegan.deployment.whole_picture import try_out
from edgegan.export.keeping import describe_files
from edgegan.export.planning import Plan, converter_versions
from edgegan.export.sources import smallest_size
from edgegan.models.zoo import parse_spec, trial_size
from edgegan.package import package_hash

TASKS = {"image": "image-to-image", "label_map": "labels-to-image", "noise": "noise-to-image"}


def model_id(name: str, role: str, precision: str) -> str:
    """What an artefact is known by, in every target."""
    return f"{name}_{role}_{precision}"


def describe_model(
    plan: Plan, precision: str, path: Path, result: dict[str, Any], parity: Parity
) -> ModelManifest:
    """What is known of an artefact at `path` before it is compared with its teacher."""
    source, config, target = plan.source, plan.config, plan.target
    name = plan.name(precision)
    files = describe_files(path, name)
    described = result["described"][precision]
    int8 = result["int8"] if precision == "int8" else {}
    dynamic = plan.sizes.dynamic
    parent = source.parent_name if source.role == "student" else None
    return ModelManifest.model_validate(
        {
            "id": model_id(config.name, source.role, precision),
            "title": f"{config.name} {source.role} {precision}",
            "task": TASKS[config.input.kind],
            "role": source.role,
            "family": config.family,
            "target": target.name,
            "precision": precision,
            "quantization": result["quantization"][precision],
            "file": name,
            "bytes": sum(info.bytes for info in files.values()),
            "sha256": combined_hash(files),
            "files": files,
            "entry": f"{name}/{target.entry}" if target.entry else None,
            "runs_in": list(target.runtimes),
            "inputs": [plan.takes],
            "outputs": [plan.gives],
            "sizes": [size for size, _ in plan.proofs],
            "signatures": result["signatures"],
            "size_multiple": plan.sizes.multiple,
            "size_smallest": smallest_size(config) if dynamic else 1,
            "enlarges": parse_spec(config.family, config.spec).ratio.as_integer_ratio(),
            "sees_whole_picture": sees_whole(plan),
            "parameters": plan.complexity.parameters,
            "macs": plan.complexity.macs,
            "complexity": plan.complexity.summary(),
            "parent": model_id(parent, "teacher", "fp32") if parent else None,
            "parity": parity,
            "operations": described["operations"],
            "computed_in": described["computed_in"],
            "lint": described["lint"],
            "rewrites": result["rewrites"],
            "float_layers": int8.get("float_layers", []),
            "sensitivity": int8.get("ranking", []),
            "int8_forms": int8.get("forms", []),
            "licence": config.licence,
            "converter": converter_versions(target),
            "package_sha256": package_hash(source.folder),
        }
    )


def sees_whole(plan: Plan) -> bool:
    """Whether every pixel of what is made depends on the whole picture."""
    config = plan.config
    if config.input.kind == "noise":
        return False
    size = trial_size(parse_spec(config.family, config.spec))
    return try_out(plan.module, torch.zeros(1, config.input.channels, *size)).sees_whole
