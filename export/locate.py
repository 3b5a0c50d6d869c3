"""Which layer a conversion fails at or gets wrong: prefixes of the rewritten generator are converted, halving the rest.

Runs in a converter's child process, only after a failure, and takes about seven small conversions.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from edgegan.artefact import TensorInfo
from edgegan.export.rewrite import rewrite
from edgegan.export.rewrites.edits import layer_of
from edgegan.export.signature import Boundary, Example, Sizes
from edgegan.export.targets import TARGETS
from edgegan.export.targets.target import Target
from edgegan.runtime.worker import open_session
from edgegan.tensors import to_artefact

WRONG_SHARE = 1e-3  # of a layer's largest value


@dataclass(frozen=True)
class Culprit:
    """The first layer whose output cannot be made, or is wrong; `kind` is its class or function."""

    layer: str
    kind: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """For result.json."""
        return asdict(self)

    def __str__(self) -> str:
        return f"layer {self.layer} ({self.kind}): {self.reason}"


def locate(
    module: nn.Module,
    samples: torch.Tensor,
    target: str,
    takes: TensorInfo,
    without: Collection[str] = (),
) -> Culprit | None:
    """The culprit of a fp32 conversion of `module` on samples (N, ...), or None when every prefix is right."""
    with torch.no_grad():
        graph, _ = rewrite(module, samples, target, without)
        expected = module(samples[:1])
        if is_wrong(graph(samples[:1]), expected):
            return wrong_rewrite(module, samples, target, expected)
        nodes = [node for node in graph.graph.nodes if node.op.startswith("call_")]
        # A prefix must end in a picture.
        outputs = Shapes(graph).record(samples[:1])
        nodes = [node for node in nodes if outputs.get(node.name) == 4]
        reasons: dict[str, str] = {}

        def is_bad(index: int) -> bool:
            part = prefix(graph, nodes[index])
            try:
                made = convert_and_run(part, samples[:1], TARGETS[target], takes)
            except Exception as error:  # whatever a converter raises is what we look for
                reasons[nodes[index].name] = first_line(error)
                return True
            reasons[nodes[index].name] = "its output differs from PyTorch's"
            return is_wrong(torch.from_numpy(made), part(samples[:1]))

        low, high = 0, len(nodes) - 1
        if not nodes or not is_bad(high):
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if is_bad(middle) else (middle + 1, high)
        node = nodes[low]
        layer = layer_of(graph, node)
        kind = type(layer).__name__ if layer is not None else getattr(node.target, "__name__", "")
        return Culprit(str(node.target if layer else node.name), kind, reasons[node.name])


def wrong_rewrite(
    module: nn.Module, samples: torch.Tensor, target: str, expected: torch.Tensor
) -> Culprit:
    """The rewrite without which the graph gives what the generator gives."""
    for name in TARGETS[target].passes():
        graph, _ = rewrite(module, samples, target, [name])
        if not is_wrong(graph(samples[:1]), expected):
            _, records = rewrite(module, samples, target)
            places = [record.layer for record in records if record.rewrite == name]
            return Culprit(places[0], f"rewrite {name}", "it changes the result")
    return Culprit(type(module).__name__, "rewrites", "several together change the result")


def is_wrong(made: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two results differ in shape or by more than rounding."""
    if made.shape != expected.shape:
        return True
    return bool((made - expected).abs().max() > WRONG_SHARE * expected.abs().max().clamp_min(1e-6))


class Shapes(fx.Interpreter):
    """Numbers of dimensions of every node's output."""

    def record(self, example: torch.Tensor) -> dict[str, int]:
        """Runs the graph once; {node name: dimensions}."""
        self.found: dict[str, int] = {}
        self.run(example)
        return self.found

    def run_node(self, n: fx.Node) -> Any:
        """One node's result, noted."""
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            self.found[n.name] = result.dim()
        return result


def prefix(graph: fx.GraphModule, last: fx.Node) -> fx.GraphModule:
    """The graph up to one node, which becomes its output."""
    part = fx.GraphModule(graph, copy.deepcopy(graph.graph))
    for node in reversed(list(part.graph.nodes)):
        if node.op == "output":
            end = next(each for each in part.graph.nodes if each.name == last.name)
            node.args = (end,)
    part.graph.eliminate_dead_code()
    part.recompile()
    return part


def convert_and_run(
    part: nn.Module, x: torch.Tensor, target: Target, takes: TensorInfo
) -> np.ndarray:
    """The result (N, C, H, W) of a graph's artefact, in this process."""
    n, channels, *size = part(x).shape
    gives = TensorInfo(
        name="output",
        shape=[n, *size, channels] if target.layout == "NHWC" else [n, channels, *size],
        layout=target.layout,
        colour="other",
        range=(-1.0, 1.0),
    )
    tensor = to_artefact(x.numpy(), takes)
    boundaries = [(Boundary(part, takes, gives), Example(torch.from_numpy(tensor), (0, 0)))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"prefix{target.suffix}"
        target.convert(boundaries, path, Sizes())
        runner = open_session(str(target.loading(path).entry), target.runtimes[0], 1)
        runner.set_input(tensor)
        runner.invoke()
        made = np.array(runner.output())
    return made.transpose(0, 3, 1, 2) if gives.layout == "NHWC" else made


def first_line(error: Exception) -> str:
    """What an error says first, shortened."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160] if lines else 'no message'}"
