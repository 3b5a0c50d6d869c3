"""One artefact in one runtime, in a process of its own: loads, runs, times. Only standard library, numpy, the runtime.

This file is also what is pushed to a device. It reads a JSON request a line on stdin and answers a line on stdout:
  {"op": "load", "model": PATH, "runtime": NAME, "threads": N, "signature": NAME or null}
                                                                -> {"load_ms", "inputs", "outputs", "version"}
  {"op": "run", "input": NPY, "output": NPY}                    -> {"count"}        NPY: (N, ...) one item an inference
  {"op": "time", "runs": N, "input": NPY}                       -> {"samples_ms", "peak_rss_bytes"}
Errors answer {"error": TEXT}. Output of the runtimes goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

LITERT_MODULES = {
    "litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}


class LiteRT:
    """A .tflite in ai-edge-litert, tflite-runtime or tensorflow's interpreter."""

    def __init__(
        self, model: str, runtime: str, threads: int, signature: str | None = None
    ) -> None:
        module = importlib.import_module(LITERT_MODULES[runtime])
        self.interpreter = module.Interpreter(model_path=model, num_threads=threads)
        self.runner: Any = None
        if signature is not None:
            self.runner = self.interpreter.get_signature_runner(signature)
            self.inputs = [describe(d) for d in self.runner.get_input_details().values()]
            self.outputs = [describe(d) for d in self.runner.get_output_details().values()]
            return
        self.interpreter.allocate_tensors()
        self.inputs = [describe(d) for d in self.interpreter.get_input_details()]
        self.outputs = [describe(d) for d in self.interpreter.get_output_details()]
        self.input_index = self.interpreter.get_input_details()[0]["index"]
        self.output_index = self.interpreter.get_output_details()[0]["index"]

    def set_input(self, x: np.ndarray) -> None:
        if self.runner is None:
            self.interpreter.set_tensor(self.input_index, x)
        else:
            self.x = x

    def invoke(self) -> None:
        if self.runner is None:
            self.interpreter.invoke()
        else:
            self.result = self.runner(input=self.x)["output"]

    def output(self) -> np.ndarray:
        if self.runner is None:
            return self.interpreter.get_tensor(self.output_index)
        return self.result


class OnnxRuntime:
    """An .onnx in ONNX Runtime's CPU provider."""

    def __init__(
        self, model: str, runtime: str, threads: int, signature: str | None = None
    ) -> None:
        module = importlib.import_module(runtime)
        if signature is not None:
            raise ValueError("an .onnx has no signatures")
        options = module.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = [
            {"name": v.name, "shape": v.shape, "dtype": v.type} for v in self.session.get_inputs()
        ]
        self.outputs = [
            {"name": v.name, "shape": v.shape, "dtype": v.type} for v in self.session.get_outputs()
        ]
        self.result: Any = None
        self.feed: dict[str, np.ndarray] = {}

    def set_input(self, x: np.ndarray) -> None:
        self.feed = {self.inputs[0]["name"]: x}

    def invoke(self) -> None:
        self.result = self.session.run(None, self.feed)[0]

    def output(self) -> np.ndarray:
        return self.result


def describe(details: dict[str, Any]) -> dict[str, Any]:
    """A LiteRT tensor as JSON."""
    return {
        "name": details["name"],
        "shape": [int(v) for v in details["shape"]],
        "dtype": np.dtype(details["dtype"]).name,
    }


def runtime_version(runtime: str) -> str:
    """The installed version of a runtime."""
    from importlib import metadata

    return metadata.version({"litert": "ai-edge-litert"}.get(runtime, runtime))


def peak_rss_bytes() -> int | None:
    """The largest resident size of this process so far (Linux), or None."""
    try:
        with Path("/proc/self/status").open(encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


class Worker:
    """Answers requests; keeps the loaded model."""

    def __init__(self) -> None:
        self.session: Any = None

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        kind = OnnxRuntime if request["runtime"] == "onnxruntime" else LiteRT
        began = time.perf_counter()
        self.session = kind(
            request["model"], request["runtime"], request["threads"], request.get("signature")
        )
        load_ms = (time.perf_counter() - began) * 1e3
        version = runtime_version(request["runtime"])
        return {
            "load_ms": load_ms,
            "inputs": self.session.inputs,
            "outputs": self.session.outputs,
            "version": version,
        }

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        results = []
        for item in np.load(request["input"]):
            self.session.set_input(np.ascontiguousarray(item[None]))
            self.session.invoke()
            results.append(np.array(self.session.output()[0]))
        np.save(request["output"], np.stack(results))
        return {"count": len(results)}

    def time(self, request: dict[str, Any]) -> dict[str, Any]:
        if "input" in request:
            self.session.set_input(np.ascontiguousarray(np.load(request["input"])[:1]))
        samples = []
        for _ in range(request["runs"]):
            began = time.perf_counter()
            self.session.invoke()
            samples.append((time.perf_counter() - began) * 1e3)
        return {"samples_ms": samples, "peak_rss_bytes": peak_rss_bytes()}


def main() -> None:
    """Serves requests until stdin closes. Answers go to a private copy of stdout, which no runtime can garble."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker()
    operations = {"load": worker.load, "run": worker.run, "time": worker.time}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = operations[request["op"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
