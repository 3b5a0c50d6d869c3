"""A converter's child process: `python -m edgegan.export.convert JOB.json`. Its log is kept by the parent."""

from __future__ import annotations

import os
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgegan.errors import ConfigError
from edgegan.export.artefact_files import copy_artefact
from edgegan.export.int8 import layer_weights, make_int8
from edgegan.export.rewrite import rewrite
from edgegan.export.rewrites.edits import Rewrite
from edgegan.export.signature import Boundary, Example, Signature, Sizes
from edgegan.export.targets import TARGETS
from edgegan.export.targets.target import Target
from edgegan.files import read_json, write_json
from edgegan.models.zoo import load_generator, made_size
from edgegan.tensors import to_artefact


def end_with_parent() -> None:
    """Ends this process when the parent's end of stdin closes, so that a killed export leaves no converter behind."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Converts one package to one target in the job's precisions; writes files and result.json into job["output"]."""
    end_with_parent()
    warnings.filterwarnings("ignore")
    job = read_json(Path(sys.argv[1]))
    output, target = Path(job["output"]), TARGETS[job["target"]]
    write_json(output / "result.json", answer(job, output, target))


def answer(job: dict[str, Any], output: Path, target: Target) -> dict[str, Any]:
    """What result.json holds: how the artefacts were made, or {"culprit"} where that was asked, or {"refused"} when the
    generator has what the target has not."""
    if job.get("locate"):
        return {"culprit": find_culprit(job, target)}
    source = output / f"source{target.suffix}"
    try:
        graph, records, signatures = convert_fp32(job, target, source)
    except ConfigError as error:
        return {"refused": str(error)}
    except OSError:  # of a file, for which no layer is to blame
        raise
    except Exception:
        traceback.print_exc()
        culprit = find_culprit(job, target)
        if culprit is None:
            raise
        reason = f"{culprit['layer']} ({culprit['kind']}) cannot be converted: {culprit['reason']}"
        return {"refused": reason}
    result = derive(job, target, source, layer_weights(graph))
    return {
        **result,
        "rewrites": [record.as_dict() for record in records],
        "signatures": signatures,
    }


def derive(
    job: dict[str, Any], target: Target, source: Path, weights: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Makes the artefact of each of the job's precisions from the fp32 one; returns how numbers are held in each, what
    each is made of, and how int8 was made."""
    quantization: dict[str, str] = {}
    described: dict[str, Any] = {}
    int8: dict[str, Any] = {}
    finish = target.finisher(source, weights)
    for precision in job["precisions"]:
        path = source.with_name(f"{precision}{target.suffix}")
        sys.stdout.write(f"{precision}\n")
        sys.stdout.flush()
        if precision == "int8":
            int8 = make_int8(target, source, path, job["int8"], weights)
            quantization[precision] = int8["quantization"]
        elif precision == "fp16":
            target.to_fp16(source, path)
            quantization[precision] = "float16"
        else:
            copy_artefact(source, path)
            quantization[precision] = "none"
        finish(path)
        described[precision] = target.describe(path)
        described[precision]["lint"] = [each.as_dict() for each in target.lint(path)]
    return {"quantization": quantization, "described": described, "int8": int8}


def convert_fp32(
    job: dict[str, Any], target: Target, path: Path
) -> tuple[nn.Module, list[Rewrite], list[str]]:
    """Rewrites the package's generator for every size and writes the fp32 artefact; returns the first size's graph, its
    rewrites, and the names of the signatures."""
    config, module = load_generator(Path(job["package"]))
    signature = Signature.model_validate(job["signature"])
    boundaries: list[tuple[Boundary, Example]] = []
    kept: list[tuple[nn.Module, list[Rewrite]]] = []
    for size, file in job["samples"]:
        samples = torch.from_numpy(np.load(file))
        with torch.no_grad():
            graph, records = rewrite(module, samples, target.name, job.get("without", ()))
        same = [entry for entry in kept if entry[1] == records]
        kept.append(same[0] if same else (graph, records))
        takes = signature.input_info(config.input, size)
        gives = signature.image_info("output", config.output, made_size(config, size))
        tensor = torch.from_numpy(to_artefact(samples[:1].numpy(), takes))
        boundaries.append((Boundary(kept[-1][0], takes, gives), Example(tensor, tuple(size))))
    with torch.no_grad():
        names = target.convert(boundaries, path, Sizes(job["dynamic"], job["multiple"]))
    return *kept[0], names


def find_culprit(job: dict[str, Any], target: Target) -> dict[str, str] | None:
    """The layer that the fp32 conversion fails at or gets wrong, at the first size."""
    from edgegan.export.locate import locate

    config, module = load_generator(Path(job["package"]))
    size, file = job["samples"][0]
    takes = Signature.model_validate(job["signature"]).input_info(config.input, size)
    culprit = locate(
        module, torch.from_numpy(np.load(file)), target.name, takes, job.get("without", ())
    )
    return None if culprit is None else culprit.as_dict()


if __name__ == "__main__":
    main()
