"""Shared pieces of test_bad_inputs: the command line in this process, and a workspace of valid inputs to spoil."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from edgegan.cli import main
from edgegan.files import sha256_file
from edgegan.models.packaging import card, golden_inputs, import_to_package
from edgegan.models.spade.network import SpadeGenerator, SpadeSpec
from edgegan.models.zoo import describe_io, make_golden
from edgegan.package import write_package
from edgegan.recipe.loading import parse_recipe
from edgegan.run import Run
from support.commands import make_pictures

SIZE = 32


@dataclass(frozen=True)
class Bad:
    """One bad input: what is spoilt in a fresh workspace, the command, the exit code, words of the message."""

    name: str
    command: str
    words: str
    spoil: Callable[[Path], object] | None = None
    code: int = 2


def run_command(arguments: list[str]) -> tuple[int, str, str]:
    """`edgegan ARGUMENTS` in this process: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["edgegan", *arguments]
    code: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = before
    assert isinstance(code, int), code
    return code, out.getvalue(), err.getvalue()


def message(err: str) -> str:
    """The one error message on stderr: from the line that begins with `edgegan: ` or `Error` to the end."""
    found = re.search(r"^(edgegan: |Error).*", err, re.M | re.S)
    return found[0].strip() if found else err.strip()


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below, with its bytes."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and path.name != ".lock"
        if path.name != ".lock":
            found[str(path.relative_to(folder))] = path.read_bytes() if plain else None
    return found


def make_label_maps(folder: Path) -> None:
    """Two label maps of three classes, 64x64."""
    folder.mkdir()
    for index in range(2):
        labels = np.random.default_rng(index).integers(0, 3, (4, 4), dtype=np.uint8)
        Image.fromarray(np.kron(labels, np.ones((16, 16), np.uint8))).save(folder / f"{index}.png")


def make_spade(folder: Path) -> None:
    """A narrow label-map generator."""
    folder.mkdir()
    widths = {"trunk": 8, "up": (8, 8, 8, 8), "inner": (8,) * 7, "hidden": (8,) * 7}
    spec = SpadeSpec(classes=3, instance_edge=False, **widths)  # type: ignore[arg-type]
    module = SpadeGenerator(spec).eval()
    taken, made = describe_io(spec)
    config = {
        "family": "spade",
        "spec": spec.model_dump(mode="json"),
        "size": (64, 64),
        "input": taken,
        "output": made,
        "parameters": 1,
    }
    golden = make_golden(module, golden_inputs(1, (64, 64), taken))
    write_package(folder, config, module.state_dict(), golden, card("spade", "spade", 1, "", []))


def make_artefact(folder: Path) -> None:
    """An export folder with an .onnx of one operation and its manifests."""
    import onnx
    from onnx import TensorProto, helper

    folder.mkdir()
    shape = [1, 3, SIZE, SIZE]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "student_fp32.onnx"))
    tensor = {"shape": shape, "layout": "NCHW", "colour": "rgb", "range": [-1, 1]}
    manifest = {
        "id": "tiny",
        "title": "tiny",
        "role": "student",
        "family": "resnet",
        "target": "onnx",
        "precision": "fp32",
        "quantization": "none",
        "file": "student_fp32.onnx",
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
        "parameters": 1,
        "macs": 1,
        "complexity": dict.fromkeys(("macs_published", "macs_output_sized", "macs_fvcore"), 1),
        "parity": {"inputs": 1, "max_abs": 0, "psnr_db": 200, "gate": "none"},
        "operations": {},
        "computed_in": {},
        "rewrites": [],
        "licence": "",
        "converter": {},
        "package_sha256": "",
    }
    (folder / "student_fp32.onnx.model.json").write_text(json.dumps(manifest))
    restamp(folder)


def restamp(folder: Path) -> None:
    """Writes the artefact's true hash and size into the manifests, as if it had been exported so."""
    artefact = folder / "student_fp32.onnx"
    about = folder / "student_fp32.onnx.model.json"
    digest = sha256_file(artefact)
    manifest = json.loads(about.read_text())
    manifest |= {"sha256": digest, "bytes": artefact.stat().st_size}
    about.write_text(json.dumps(manifest))
    listed = {"schema_version": 1, "artefacts": {artefact.name: {"sha256": digest}}}
    (folder / "export.json").write_text(json.dumps(listed))


def make_workspace(folder: Path, checkpoint: Path) -> Path:
    """Valid inputs of every kind: pictures, label maps, a checkpoint, packages, a run, an artefact, a recipe."""
    make_pictures(folder / "pictures", 3)
    make_label_maps(folder / "labels")
    shutil.copy(checkpoint, folder / "net_G.pth")
    import_to_package(checkpoint, folder / "package", size=(SIZE, SIZE))
    make_spade(folder / "spade")
    recipe = {
        "name": "tiny",
        "teacher": "package",
        "data": {"train": "pictures", "size": [SIZE, SIZE], "crops": 2},
        "distill": {"steps": 2},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    Run.start(folder / "run", parse_recipe(recipe, "test"), overwrite=False)
    shutil.copytree(folder / "package", folder / "run" / "student")
    make_artefact(folder / "run" / "export")
    torch.save({"layer.weight": torch.ones(2)}, folder / "weights.pth")
    return folder
