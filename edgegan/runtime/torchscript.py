"""TorchScript in a worker: a language of its own without Python, but with operations that write files.

A file of the worker's, imported by it alone: no other part of the project loads TorchScript. Its "load" may name a
"guard", the one file that outputs go to: the worker opens it, and from then on ends at its first attempt to write any
other, since an operation that cannot write a file may be silent about it. Its "run" may say "together".
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np


class TorchScript:
    """An archive in PyTorch, on the CPU: one tensor in, one tensor out."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(request["threads"])
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        self.made: IO[bytes] | None = None
        if request.get("guard"):
            self.made = Path(request["guard"]).open("w+b")  # noqa: SIM115 - it stays open
            importlib.import_module("confine").refuse_writes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.module = self.torch.jit.load(request["model"], map_location="cpu").eval()

    def outside_xnnpack(self) -> list[str] | None:
        return None

    def set_input(self, x: np.ndarray) -> None:
        self.x = self.torch.from_numpy(x)

    def invoke(self) -> None:
        with self.torch.inference_mode():
            self.result = self.module(self.x)

    def output(self) -> np.ndarray:
        if not isinstance(self.result, self.torch.Tensor):
            raise TypeError(f"it gives a {type(self.result).__name__}; it must give one tensor")
        made = self.result.detach().cpu()
        known = made.float() if made.dtype == self.torch.bfloat16 else made
        return np.ascontiguousarray(known.numpy())

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """All items in one inference."""
        self.set_input(np.load(request["input"]))
        self.invoke()
        made = self.output()
        if self.made is None:
            np.save(request["output"], made)
        else:
            self.made.seek(0)
            self.made.truncate()
            np.save(self.made, made)
            self.made.flush()
        return {"count": len(made) if made.ndim else 0}
