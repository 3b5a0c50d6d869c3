"""Proving one artefact: every size, every installed runtime, against the PyTorch generator on the same inputs."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgegan.artefact import Loading, Parity, TensorInfo
from edgegan.console import say
from edgegan.errors import DeviceError, MissingDependency
from edgegan.export.parity import compare
from edgegan.metrics.quality import psnr
from edgegan.runtime.session import Session, installed_runtimes
from edgegan.tensors import from_artefact, to_artefact

Size = tuple[int, int]


@dataclass(frozen=True)
class Check:
    """Inputs of one size (N, ...) in edgegan's own form, what PyTorch makes of them, and the artefact's signature.

    Where the artefact gives bytes, `reference` is rounded to them and `exact` is not.
    """

    size: Size
    inputs: np.ndarray
    reference: np.ndarray
    signature: str | None = None
    exact: np.ndarray | None = None


def make_checks(
    module: nn.Module, proofs: list[tuple[Size, np.ndarray]], takes: TensorInfo, gives: TensorInfo
) -> list[Check]:
    """References from PyTorch, one input at a time; where the artefact holds bytes, of and as bytes."""
    checks = []
    for size, inputs in proofs:
        if takes.kind == "image":
            inputs = from_artefact(to_artefact(inputs, takes), takes)
        with torch.inference_mode():
            reference = torch.cat([module(torch.from_numpy(item[None])) for item in inputs]).numpy()
        exact = None
        if gives.dtype == "uint8":
            exact, reference = reference, from_artefact(to_artefact(reference, gives), gives)
        checks.append(Check(size, inputs, reference, exact=exact))
    return checks


def in_double(module: nn.Module, checks: list[Check]) -> tuple[list[Check], float] | None:
    """The checks with references of the same module in float64, and how far its float32 is from them; None where it
    cannot run in float64 or the artefact gives bytes."""
    if any(each.exact is not None for each in checks):
        return None
    try:
        double = copy.deepcopy(module).double()
        found = []
        with torch.inference_mode():
            for each in checks:
                inputs = torch.from_numpy(each.inputs).double()
                made = [double(item[None]) for item in inputs]
                found.append(replace(each, reference=torch.cat(made).float().numpy()))
    except (RuntimeError, TypeError, ValueError):
        return None
    noise = max(
        float(np.abs(before.reference - after.reference).max())
        for before, after in zip(checks, found, strict=True)
    )
    return found, noise


def with_signatures(checks: list[Check], names: list[str]) -> list[Check]:
    """Each check with the name of its size's signature in a file that has several."""
    if len(names) < 2:
        return checks
    return [replace(check, signature=name) for check, name in zip(checks, names, strict=True)]


@dataclass(frozen=True)
class Candidate:
    """An artefact that is not kept yet: where it is, how it is loaded, its tensors."""

    path: Path
    how: Loading
    takes: TensorInfo
    gives: TensorInfo

    def run(
        self, inputs: np.ndarray, *, runtime: str | None = None, signature: str | None = None
    ) -> np.ndarray:
        """(N, ...) in edgegan's own form through it -> pictures (N, C, H, W) in [-1, 1]."""
        with Session(
            self.path, runtime=runtime, threads=2, signature=signature, how=self.how
        ) as session:
            return from_artefact(session.run(to_artefact(inputs, self.takes)), self.gives)


def prove(candidate: Candidate, precision: str, checks: list[Check]) -> Parity:
    """The worst parity over sizes and runtimes. A runtime that cannot load the file is named, unless it is the only
    one: then its own error is raised."""
    found: list[Parity] = []
    runtimes: dict[str, float] = {}
    names = installed_runtimes(candidate.how.runtimes)
    for position, runtime in enumerate(names):
        worst = []
        try:
            for check in checks:
                output = candidate.run(check.inputs, runtime=runtime, signature=check.signature)
                worst.append(compare(output, check.reference, precision, check.exact))
        except (DeviceError, MissingDependency) as error:
            if not runtimes and position == len(names) - 1:
                raise
            say(f"  {candidate.path.name} not checked in {runtime}: {error}")
            continue
        runtimes[runtime] = min(parity.psnr_db for parity in worst)
        found += worst
    return found[0].model_copy(
        update={
            "inputs": sum(parity.inputs for parity in found[: len(checks)]),
            "max_abs": max(parity.max_abs for parity in found),
            "psnr_db": min(parity.psnr_db for parity in found),
            "runtimes": runtimes,
        }
    )


def fidelity(candidate: Candidate, pictures: np.ndarray, teacher_outputs: np.ndarray) -> float:
    """Mean PSNR of an artefact to the teacher over pictures."""
    outputs = candidate.run(pictures)
    return float(np.mean([psnr(a, b) for a, b in zip(outputs, teacher_outputs, strict=True)]))


def larger_proof(inputs: np.ndarray, multiple: int) -> tuple[Size, np.ndarray]:
    """The inputs grown by reflection, one step in height and two in width: a second size for a dynamic artefact."""
    height, width = inputs.shape[2] + multiple, inputs.shape[3] + 2 * multiple
    rows = np.pad(np.arange(inputs.shape[2]), (0, multiple), mode="reflect")
    columns = np.pad(np.arange(inputs.shape[3]), (0, 2 * multiple), mode="reflect")
    return (height, width), np.ascontiguousarray(inputs[:, :, rows][:, :, :, columns])
