"""A converter's child process: `python -m edgegan.export.convert JOB.json`. Its log is kept by the parent."""

from __future__ import annotations

import os
import shutil
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
from edgegan.export import to_onnx, to_tflite
from edgegan.export.finish_tflite import finish, short_names
from edgegan.export.int8 import layer_weights, make_int8
from edgegan.export.lint import lint
from edgegan.export.rewrite import rewrite
from edgegan.export.rewrites.edits import Rewrite
from edgegan.export.signature import Boundary, Example, Signature
from edgegan.files import read_json, write_json
from edgegan.models.zoo import load_generator
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
    output, target = Path(job["output"]), job["target"]
    if job.get("locate"):
        write_json(output / "result.json", {"culprit": find_culprit(job)})
        return
    source = output / f"source.{target}"
    try:
        graph, records, signatures = convert_fp32(job, source)
    except ConfigError as error:
        write_json(output / "result.json", {"refused": str(error)})
        return
    except Exception:
        traceback.print_exc()
        culprit = find_culprit(job)
        if culprit is None:
            raise
        reason = f"{culprit['layer']} ({culprit['kind']}) cannot be converted: {culprit['reason']}"
        write_json(output / "result.json", {"refused": reason})
        return
    quantization: dict[str, str] = {}
    described: dict[str, Any] = {}
    int8: dict[str, Any] = {}
    names = short_names(source, layer_weights(graph)) if target == "tflite" else {}
    for precision in job["precisions"]:
        path = output / f"{precision}.{target}"
        sys.stdout.write(f"{precision}\n")
        sys.stdout.flush()
        if precision == "int8":
            int8 = make_int8(target, source, path, job["int8"], graph)
            quantization[precision] = int8["quantization"]
        else:
            quantization[precision] = convert_precision(target, precision, source, path)
        if target == "tflite":  # last: the quantizer does not know the operation
            finish(path, names)
        described[precision] = (to_tflite if target == "tflite" else to_onnx).describe(path)
        described[precision]["lint"] = [each.as_dict() for each in lint(path)]
    rewrites = [record.as_dict() for record in records]
    result = {"rewrites": rewrites, "quantization": quantization, "described": described}
    result["signatures"] = signatures
    result["int8"] = int8
    write_json(output / "result.json", result)


def convert_fp32(job: dict[str, Any], path: Path) -> tuple[nn.Module, list[Rewrite], list[str]]:
    """Rewrites the package's generator for every size and writes the fp32 artefact; returns the first size's graph, its
    rewrites, and the names of the signatures."""
    config, module = load_generator(Path(job["package"]))
    signature = Signature.model_validate(job["signature"])
    boundaries: list[tuple[Boundary, Example]] = []
    kept: list[tuple[nn.Module, list[Rewrite]]] = []
    for size, file in job["samples"]:
        samples = torch.from_numpy(np.load(file))
        with torch.no_grad():
            graph, records = rewrite(module, samples, job["target"], job.get("without", ()))
        same = [entry for entry in kept if entry[1] == records]
        kept.append(same[0] if same else (graph, records))
        takes = signature.input_info(config.input, size)
        gives = signature.image_info("output", config.output, size)
        tensor = torch.from_numpy(to_artefact(samples[:1].numpy(), takes))
        boundaries.append((Boundary(kept[-1][0], takes, gives), Example(tensor, tuple(size))))
    with torch.no_grad():
        if job["target"] == "tflite":
            names = to_tflite.convert_fp32(boundaries, path)
        else:
            names = to_onnx.convert_fp32(
                boundaries, path, multiple=job["multiple"], dynamic=job["dynamic"]
            )
    return *kept[0], names


def find_culprit(job: dict[str, Any]) -> dict[str, str] | None:
    """The layer that the fp32 conversion fails at or gets wrong, at the first size."""
    from edgegan.export.locate import locate

    config, module = load_generator(Path(job["package"]))
    size, file = job["samples"][0]
    takes = Signature.model_validate(job["signature"]).input_info(config.input, size)
    culprit = locate(
        module, torch.from_numpy(np.load(file)), job["target"], takes, job.get("without", ())
    )
    return None if culprit is None else culprit.as_dict()


def convert_precision(target: str, precision: str, source: Path, path: Path) -> str:
    """Derives one float precision from what was converted; returns how its numbers are held."""
    if precision == "fp32":
        shutil.copyfile(source, path)
        return "none"
    (to_tflite if target == "tflite" else to_onnx).to_fp16(source, path)
    return "float16"


if __name__ == "__main__":
    main()
