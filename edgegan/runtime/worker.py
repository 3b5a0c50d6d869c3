"""One artefact in one runtime, in a process of its own: loads, runs, times. Only standard library, numpy, the runtime.

This file is also what is pushed to a device. It reads a JSON request a line on stdin and answers a line on stdout:
  {"op": "load", "model": PATH, "runtime": NAME, "threads": N, "signature": NAME or null,
   "cpus": [..] or null}                      -> {"load_ms", "inputs", "outputs", "version", "outside_xnnpack"}
  {"op": "run", "input": NPY, "output": NPY}  -> {"count"}        NPY: (N, ...) one item an inference
  {"op": "time", "runs": N, "input": NPY}     -> {"samples_ms", "peak_rss_bytes"}
  {"op": "count", "runs": N}                  -> {"runs"}         each inference between two marker system calls
  {"op": "batch", "models": [PATH], "runs": N, "count": BOOL}     -> {"samples_ms": [[..]]}  N inferences of each
  {"op": "profile", "model", "runtime", "threads", "runs"}        -> {"rows": [[NAME, MEAN_MS]], "note"}
Errors answer {"error": TEXT}. Output of the runtimes goes to stderr.

The process ends, whatever it is doing, when stdin closes (the connection is gone) and after DEADLINE_S seconds
(`worker.py DEADLINE_S`), so that nothing of it stays behind on a device.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

MARK_SYSCALL = 0x7ED6  # unused: the emulator's plugin sees it, a real kernel answers ENOSYS
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

    def set_zeros(self) -> None:
        for details in self.interpreter.get_input_details():
            self.interpreter.set_tensor(
                details["index"], np.zeros(details["shape"], details["dtype"])
            )

    def outside_xnnpack(self) -> list[str] | None:
        """Operators that no delegate took, or None where the runtime does not tell its plan.

        A delegate's node names only its outer tensors; what it replaced leads from those it reads to those it writes.
        """
        list_operators = getattr(self.interpreter, "_get_ops_details", None)
        if list_operators is None:
            return None
        operators = list_operators()
        builtin = [op for op in operators if op["op_name"] != "DELEGATE"]
        maker = {int(out): op for op in builtin for out in op["outputs"]}
        taken: set[int] = set()
        for delegate in operators:
            if delegate["op_name"] != "DELEGATE":
                continue
            known = {int(index) for index in delegate["inputs"]}
            wanted = [int(index) for index in delegate["outputs"]]
            while wanted:
                op = maker.get(wanted.pop())
                if op is not None and op["index"] not in taken:
                    taken.add(op["index"])
                    wanted += [int(i) for i in op["inputs"] if int(i) not in known]
        return [op["op_name"] for op in builtin if op["index"] not in taken]

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

    def set_zeros(self) -> None:
        self.feed = {v["name"]: np.zeros(v["shape"], np.float32) for v in self.inputs}

    def outside_xnnpack(self) -> list[str] | None:
        return None

    def invoke(self) -> None:
        self.result = self.session.run(None, self.feed)[0]

    def output(self) -> np.ndarray:
        return self.result


SESSIONS: dict[str, Any] = {**dict.fromkeys(LITERT_MODULES, LiteRT), "onnxruntime": OnnxRuntime}


def describe(details: dict[str, Any]) -> dict[str, Any]:
    """A LiteRT tensor as JSON."""
    return {
        "name": details["name"],
        "shape": [int(v) for v in details["shape"]],
        "dtype": np.dtype(details["dtype"]).name,
    }


def runtime_version(runtime: str) -> str:
    """The installed version of a runtime."""
    package = {"litert": "ai-edge-litert", "torchscript": "torch"}.get(runtime, runtime)
    return metadata.version(package)


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
        if request.get("cpus"):
            os.sched_setaffinity(0, request["cpus"])
        began = time.perf_counter()
        if request["runtime"] == "torchscript":  # a file beside this one, which no device has
            self.session = importlib.import_module("torchscript").TorchScript(request)
        else:
            given = [request[key] for key in ("model", "runtime", "threads", "signature")]
            self.session = open_session(*given)
        return {
            "load_ms": (time.perf_counter() - began) * 1e3,
            "inputs": self.session.inputs,
            "outputs": self.session.outputs,
            "version": runtime_version(request["runtime"]),
            "outside_xnnpack": self.session.outside_xnnpack(),
        }

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("together"):
            return dict(self.session.run(request))
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

    def count(self, request: dict[str, Any]) -> dict[str, Any]:
        for _ in range(request["runs"]):
            marked(self.session.invoke)
        return {"runs": request["runs"]}

    def batch(self, request: dict[str, Any]) -> dict[str, Any]:
        """Times, or marks, `runs` inferences of each model after one to warm up, on zeros."""
        found = []
        for model in request["models"]:
            session = open_session(model, request["runtime"], request["threads"])
            session.set_zeros()
            session.invoke()
            samples = []
            for _ in range(request["runs"]):
                if request["count"]:
                    marked(session.invoke)
                else:
                    began = time.perf_counter()
                    session.invoke()
                    samples.append((time.perf_counter() - began) * 1e3)
            found.append(samples)
        return {"samples_ms": found}

    def profile(self, request: dict[str, Any]) -> dict[str, Any]:
        kind = onnx_profile if request["runtime"] == "onnxruntime" else litert_profile
        return kind(request)


def open_session(model: str, runtime: str, threads: int, signature: str | None = None) -> Any:
    """The model loaded in the runtime; of several signatures the named one, or the first."""
    return SESSIONS[runtime](model, runtime, threads, signature)


def marked(work: Any) -> None:
    """Calls work between two marker system calls."""
    mark = ctypes.CDLL(None).syscall
    mark(ctypes.c_long(MARK_SYSCALL), ctypes.c_long(1), ctypes.c_long(0))
    work()
    mark(ctypes.c_long(MARK_SYSCALL), ctypes.c_long(2), ctypes.c_long(0))


def onnx_profile(request: dict[str, Any]) -> dict[str, Any]:
    """Mean milliseconds of every node, by ONNX Runtime's own profiler."""
    module = importlib.import_module("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        options = module.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = module.InferenceSession(
            request["model"], options, providers=["CPUExecutionProvider"]
        )
        feed = {v.name: np.zeros(v.shape, np.float32) for v in session.get_inputs()}
        for _ in range(request["runs"]):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    spent: dict[str, float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = f"{event['args']['op_name']} {event['name'].removesuffix('_kernel_time')}"
            spent[name] = spent.get(name, 0.0) + event["dur"] / 1e3
    rows = [[name, total / request["runs"]] for name, total in spent.items()]
    return {"rows": rows, "note": "ONNX Runtime's profiler"}


PROFILED_LITERT = ("2.3.",)  # versions whose C structures and argument lists were checked


def litert_profile(request: dict[str, Any]) -> dict[str, Any]:
    """Mean milliseconds of every operator, through the C API that the ai-edge-litert wheel exports.

    Another runtime or version answers no rows and a note that says so: the C API is not a stable one.
    """
    version = runtime_version(request["runtime"])
    if request["runtime"] != "litert" or not version.startswith(PROFILED_LITERT):
        known = ", ".join(f"{start}x" for start in PROFILED_LITERT)
        return {
            "rows": [],
            "note": f"no profile: {request['runtime']} {version} exposes none; ai-edge-litert {known} does",
        }
    package = importlib.import_module("ai_edge_litert")
    library = ctypes.CDLL(str(Path(next(iter(package.__path__))) / "libLiteRt.so"))
    pointer, by_ref, size = ctypes.c_void_p, ctypes.byref, ctypes.c_size_t

    def call(name: str, *arguments: Any) -> None:
        status = getattr(library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} answered status {status}")

    environment, model, options, extra = pointer(), pointer(), pointer(), pointer()
    compiled, profiler, signature = pointer(), pointer(), pointer()
    call("LiteRtCreateEnvironment", 0, None, by_ref(environment))
    call("LiteRtCreateModelFromFile", environment, request["model"].encode(), by_ref(model))
    call("LiteRtCreateOptions", by_ref(options))
    call("LiteRtSetOptionsHardwareAccelerators", options, 1)
    text = ctypes.create_string_buffer(b"enable_profiling = true\n")
    release = ctypes.CFUNCTYPE(None, pointer)(lambda _: None)
    call("LiteRtCreateOpaqueOptions", b"runtime_options_string", text, release, by_ref(extra))
    call("LiteRtAddOpaqueOptions", options, extra)
    call("LiteRtCreateCompiledModel", environment, model, options, by_ref(compiled))
    call("LiteRtCompiledModelGetProfiler", compiled, by_ref(profiler))
    call("LiteRtGetModelSignature", model, size(0), by_ref(signature))
    buffers = []
    for side in ("Input", "Output"):
        tensor, needs, buffer = pointer(), pointer(), pointer()
        kind = ctypes.create_string_buffer(1024)
        call(f"LiteRtGetSignature{side}TensorByIndex", signature, size(0), by_ref(tensor))
        call("LiteRtGetRankedTensorType", tensor, kind)
        get_needs = f"LiteRtGetCompiledModel{side}BufferRequirements"
        call(get_needs, compiled, size(0), size(0), by_ref(needs))
        create = "LiteRtCreateManagedTensorBufferFromRequirements"
        call(create, environment, kind, needs, by_ref(buffer))
        buffers.append((pointer * 1)(buffer))
    run = ("LiteRtRunCompiledModel", compiled, size(0), size(1), buffers[0], size(1), buffers[1])
    for _ in range(3):
        call(*run)
    call("LiteRtStartProfiler", profiler)
    for _ in range(request["runs"]):
        call(*run)
    call("LiteRtStopProfiler", profiler)
    summary = ctypes.c_char_p()
    call("LiteRtGetProfileSummary", profiler, compiled, by_ref(summary))
    rows = profile_rows((summary.value or b"").decode(), request["runs"])
    return {"rows": rows, "note": f"C API of ai-edge-litert {version}, the default thread count"}


def profile_rows(text: str, runs: int) -> list[list[Any]]:
    """Name and milliseconds an inference of every row of the "Run Order" table of LiteRT's profile summary."""
    rows: list[list[Any]] = []
    for line in text.split("Top by Computation Time")[0].splitlines():
        # [node type] [start] [first] [avg ms] [%] [cdf%] [mem KB] [times called] [Name]
        parts = line.strip().rsplit(None, 8)
        if len(parts) == 9 and parts[4].endswith("%") and parts[5].endswith("%"):
            outside = " (outside XNNPACK)" if parts[8].startswith("[Builtin]") else ""
            rows.append([parts[0].strip() + outside, float(parts[3]) * int(parts[7]) / runs])
    return rows


def read_requests(requests: queue.Queue[str]) -> None:
    """Hands lines on; when stdin closes the process ends at once, also in the middle of an inference."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def main() -> None:
    """Serves requests until stdin closes. Answers go to a private copy of stdout, which no runtime can garble."""
    if len(sys.argv) > 1:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker()
    operations = {
        "load": worker.load,
        "run": worker.run,
        "time": worker.time,
        "count": worker.count,
        "batch": worker.batch,
        "profile": worker.profile,
    }
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=read_requests, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        try:
            answer = operations[request["op"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
