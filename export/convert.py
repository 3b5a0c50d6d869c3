"""A converter's child process: `python -m edgegan.export.convert JOB.json`. Its log is kept by the parent."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgegan.export import to_onnx, to_tflite
from edgegan.export.int8 import make_int8
from edgegan.export.lint import lint
from edgegan.export.rewrite import rewrite

from edgegan.files import read_json, write_json
from edgegan.models.zoo import load_generator


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
    _, module = load_generator(Path(job["package"]))
    samples = torch.from_numpy(np.load(job["samples"]))
    example = samples[:1]
    with torch.no_grad():
        graph, records = rewrite(module, samples, target)
        fp32 = output / f"fp32.{target}"
        (to_tflite if target == "tflite" else to_onnx).convert_fp32(graph, example, fp32)
    quantization: dict[str, str] = {}
    described: dict[str, Any] = {}
    int8: dict[str, Any] = {}
    for precision in job["precisions"]:
        path = output / f"{precision}.{target}"
        sys.stdout.write(f"{precision}\n")
        sys.stdout.flush()
        if precision == "int8":
            int8 = make_int8(target, fp32, path, job["int8"], graph)
            quantization[precision] = int8["quantization"]
        else:
            quantization[precision] = convert_precision(target, precision, fp32, path)
        described[precision] = (to_tflite if target == "tflite" else to_onnx).describe(path)
        described[precision]["lint"] = [each.as_dict() for each in lint(path)]
    rewrites = [record.as_dict() for record in records]
    result = {"rewrites": rewrites, "quantization": quantization, "described": described}
    result["int8"] = int8
    write_json(output / "result.json", result)


def convert_precision(target: str, precision: str, fp32: Path, path: Path) -> str:
    """Derives one float precision from the fp32 artefact; returns how its numbers are held."""
    if precision == "fp32":
        return "none"
    (to_tflite if target == "tflite" else to_onnx).to_fp16(fp32, path)
    return "float16"


if __name__ == "__main__":
    main()
