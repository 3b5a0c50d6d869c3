"""The files that are spoilt: a small finished run with all it needs, and the commands that read each of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from edgegan.files import sha256_file
from support.commands import SIZE, edgegan, make_pictures

IMPORT = "import {} -o made --size 32"
INSPECT = "inspect package"
APPLY = "run package pictures -o made"
DRY = "compress recipe.yaml -o made --dry-run"
REPORT = "report run"
ONNX, TFLITE = "run/export/student_fp32.onnx", "run/export/student_int8.tflite"
RUN_ONNX, RUN_TFLITE = (f"run {path} pictures/picture0.png -o made" for path in (ONNX, TFLITE))
BENCH = "bench {} --seconds 0.1 --no-peak -o made"
BENCH_ONNX, BENCH_TFLITE = (BENCH.format(path) for path in (ONNX, TFLITE))
LINT_ONNX, LINT_TFLITE = (f"lint {path}" for path in (ONNX, TFLITE))
EXPORT_RUN = "export run --target onnx --precision fp32 -o made"
EXPORT = "export package --target onnx --precision fp32 -o made"
BUNDLE = "bundle run --target android --into app --overwrite"
EVALUATE = "evaluate run/student package --images pictures --bootstrap 0"
JUDGE = "evaluate pictures others --bootstrap 0"
DEVICES = "devices list"


@dataclass(frozen=True)
class Spoilt:
    """A file of the workspace, its kind, and how often which command reads it; costs in seconds are rough."""

    path: str
    kind: str
    commands: Mapping[str, float]
    weight: float = 1.0


TARGETS = (
    Spoilt("package/config.json", "json", {INSPECT: 6, APPLY: 1, EVALUATE: 0.5, DRY: 0.5, EXPORT: 0.3}, 3),
    Spoilt("package/model.safetensors", "safetensors", {APPLY: 3, INSPECT: 1, EXPORT: 0.2}, 2),
    Spoilt("package/golden.safetensors", "safetensors", {EXPORT: 0.2, INSPECT: 1}, 0.5),
    Spoilt("net_G.pth", "pth", {IMPORT.format("net_G.pth"): 1}, 3),
    Spoilt("net_G.safetensors", "safetensors", {IMPORT.format("net_G.safetensors"): 1}, 2),
    Spoilt("recipe.yaml", "yaml", {DRY: 1}, 4),
    Spoilt("run/run.json", "json", {"inspect run": 1, REPORT: 2, BUNDLE: 0.5, EXPORT_RUN: 0.3}, 3),
    Spoilt("run/export/export.json", "json", {REPORT: 1, BUNDLE: 0.5, BENCH.format("run"): 0.2}, 1.5),
    Spoilt(f"{ONNX}.model.json", "json", {RUN_ONNX: 2, LINT_ONNX: 2, BENCH_ONNX: 0.3, REPORT: 1}, 3),
    Spoilt(f"{TFLITE}.model.json", "json", {RUN_TFLITE: 2, LINT_TFLITE: 2, BENCH_TFLITE: 0.3, BUNDLE: 0.5}, 3),
    Spoilt(ONNX, "onnx", {LINT_ONNX: 3, RUN_ONNX: 2, BENCH_ONNX: 0.2}, 3),
    Spoilt(TFLITE, "tflite", {LINT_TFLITE: 3, RUN_TFLITE: 2, BENCH_TFLITE: 0.2}, 3),
    Spoilt("run/bench/host__student_int8.tflite.json", "json", {REPORT: 1}, 2),
    Spoilt("run/stages/teacher_cache/cache.json", "json", {REPORT: 1, BUNDLE: 0.3}, 1),
    Spoilt("run/stages/teacher_cache/validation_input.npy", "npy", {REPORT: 1, BUNDLE: 0.5}, 1),
    Spoilt("run/stages/teacher_cache/validation_output.npy", "npy", {REPORT: 1}, 1),
    Spoilt("run/metrics.jsonl", "jsonl", {REPORT: 1}, 1),
    Spoilt("run/evaluate.json", "json", {REPORT: 1}, 1),
    Spoilt("run/student/golden.safetensors", "safetensors", {BENCH_ONNX: 0.3, REPORT: 0.3}, 0.4),
    Spoilt("pictures/picture0.png", "png", {APPLY: 2, JUDGE: 1, DRY: 0.3, EVALUATE: 0.5}, 3),
    Spoilt("pictures/photo.jpg", "jpeg", {APPLY: 2, JUDGE: 1}, 2),
    Spoilt("rows.npy", "npy", {"train rows.yaml -o made": 1}, 2),
    Spoilt("rows.npz", "npz", {"train packed.yaml -o made": 1}, 2),
    Spoilt("config/edgegan/devices.json", "json", {DEVICES: 1}, 1.5),
    Spoilt("answers.jsonl", "answer", {RUN_ONNX: 1, BENCH_ONNX: 0.3}, 2),
)  # fmt: skip


def make_place(folder: Path, run: Path, checkpoint: Path) -> Path:
    """Whole inputs of every kind, beside a finished run."""
    folder.mkdir(parents=True)
    shutil.copytree(run, folder / "run", ignore=shutil.ignore_patterns(".lock"))
    shutil.copy(checkpoint, folder / "net_G.pth")
    make_pictures(folder / "pictures", 2)
    make_pictures(folder / "others", 2)
    for name in ("pictures", "others"):
        Image.open(folder / name / "picture0.png").save(folder / name / "photo.jpg")
    edgegan("import", "net_G.pth", "-o", "package", "--size", SIZE, cwd=folder)
    save_again(folder)
    recipe = {
        "name": "tiny",
        "teacher": "package",
        "data": {"train": "pictures", "size": [SIZE, SIZE], "crops": 4},
        "distill": {"steps": 4, "terms": {}},
        "student": {"scale": 0.5, "widths": {"stem": 8}},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    rows = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3), dtype=np.uint8)
    np.save(folder / "rows.npy", rows)
    np.savez(folder / "rows.npz", images=rows)
    for name, file in (("rows", "rows.npy"), ("packed", "rows.npz")):
        learning = {"name": name, "data": {"kind": "noise", "train": file, "size": [8, 8]}}
        learning["train"] = {"method": "sngan", "steps": 1, "spec": SNGAN, "ndf": 4, "batch": 2}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(learning))
    book = folder / "config/edgegan/devices.json"
    book.parent.mkdir(parents=True)
    devices = {"pi": "ssh://pi@board", "phone": "adb://0123456789"}
    book.write_text(json.dumps({"schema_version": 1, "devices": devices}))
    write_answers(folder)
    return folder


SNGAN = {"latent": 8, "bottom": 4, "stem": 8, "width": [8], "inner": [8]}


def save_again(folder: Path) -> None:
    """The checkpoint as safetensors, and an evaluation in the run."""
    import torch
    from safetensors.torch import save_file

    save_file(torch.load(folder / "net_G.pth", weights_only=True), folder / "net_G.safetensors")
    edgegan("evaluate", "run", "--bootstrap", "0", cwd=folder)


def write_answers(folder: Path) -> None:
    """What an honest worker answers to load and run, a line each; `worker` says the lines of answers.jsonl."""
    tensor = {"shape": [1, 3, SIZE, SIZE], "dtype": "tensor(float)"}
    load = {
        "load_ms": 1.5,
        "inputs": [{"name": "input", **tensor}],
        "outputs": [{"name": "output", **tensor}],
        "version": "1.0",
        "outside_xnnpack": None,
    }
    timed = {"samples_ms": [1.5], "peak_rss_bytes": 1_000_000, "count": 1}
    lines = [json.dumps(each) for each in (load, timed, timed, timed)]
    (folder / "answers.jsonl").write_text("\n".join(lines) + "\n")
    script = folder / "worker"
    script.write_text(
        "#!/bin/sh\nwhile IFS= read -r line; do read -r _ <&3 || exit 0; printf '%s\\n' \"$line\"; done"
    )
    script.write_text(
        "#!/bin/sh\nexec 4<answers.jsonl\n"
        'while read -r _; do IFS= read -r line <&4 || exit 0; printf "%s\\n" "$line"; done\n'
    )
    script.chmod(0o755)


def copy_place(source: Path, target: Path) -> None:
    """The same files again, none of them shared: a run's journal is written where it is."""
    shutil.copytree(source, target)


def restamp(folder: Path, before: str, after: str) -> None:
    """Writes the new hash of a spoilt file into every manifest, and those of the manifests into others, as if it had
    been made so."""
    waiting = [(before, after)]
    while waiting:
        old, new = waiting.pop()
        for path in folder.rglob("*.json"):
            text = path.read_bytes()
            if old.encode() in text:
                own = sha256_file(path)
                path.unlink()
                path.write_bytes(text.replace(old.encode(), new.encode()))
                waiting.append((own, sha256_file(path)))
