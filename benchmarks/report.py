"""`edgegan report`: one HTML file that opens offline: headline ratios, tables, curves, before and after pictures."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from edgegan.benchmarks.record import BenchRecord, of_one_device, read_records
from PIL import Image

from edgegan.artefact import ModelManifest, exported_models
from edgegan.data.images import from_stored, to_pixels
from edgegan.errors import InputError
from edgegan.files import make_folder, read_json, write_atomic
from edgegan.run import Run, now
from edgegan.runtime import Session
from edgegan.tensors import from_artefact, to_artefact

GALLERY_IMAGES = 8
NEAR_GATE_DB = 0.25


@dataclass(frozen=True)
class Headline:
    """One figure that matters."""

    value: str
    label: str
    detail: str


def report(folder: Path, output: Path | None = None) -> tuple[Path, list[Headline]]:
    """Writes the report of a run that was exported (and benched, for latency); returns its path and its headline."""
    run = Run.open(folder)
    if "distill" not in run.manifest["stages"]:
        raise InputError(
            f"{folder} has no finished student; run the same edgegan compress command again"
        )
    models = {model.file: (path, model) for path, model in exported_models(folder / "export")}
    records = {record.artefact: record for record in of_one_device(read_records(folder / "bench"))}
    stale = [
        name
        for name, record in records.items()
        if name in models and models[name][1].sha256 != record.sha256
    ]
    records = {
        name: record for name, record in records.items() if name in models and name not in stale
    }
    quality = run.figures("distill")
    headline = make_headline(models, records, quality)
    page = (
        environment()
        .get_template("report.html")
        .render(
            name=run.manifest["recipe"]["name"],
            description=run.manifest["recipe"]["description"],
            headline=headline,
            rows=[
                table_row(model, records.get(name))
                for name, (_, model) in sorted(models.items(), key=order_key)
            ],
            records=list(records.values()),
            quality=quality,
            curve=curve(folder / "metrics.jsonl"),
            gallery=gallery(folder, models),
            warnings=warnings(models, records, stale, quality),
            recipe=run.manifest["recipe"],
            stages=run.manifest["stages"],
            command=run.manifest["command"],
            commands=commands(folder, records),
            environment=run.manifest["environment"],
            written=now(),
        )
    )
    path = output or folder / "report.html"
    make_folder(path.parent)
    write_atomic(path, page.encode())
    return path, headline


def environment() -> jinja2.Environment:
    """Templates with every name escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("edgegan.benchmarks", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters["megabytes"] = lambda value: f"{value / 1e6:.2f}"
    return made


def order_key(item: tuple[str, tuple[Path, ModelManifest]]) -> tuple[str, str, int]:
    """Teachers first, then by target, then by precision."""
    model = item[1][1]
    return (
        "0" if model.role == "teacher" else "1",
        model.target,
        ("fp32", "fp16", "int8").index(model.precision),
    )


def ratio(value: float) -> str:
    """12.3x or 7.41x."""
    return f"{value:.0f}x" if value >= 100 else f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"


def make_headline(
    models: dict[str, Any], records: dict[str, BenchRecord], quality: dict[str, float]
) -> list[Headline]:
    """The five figures that matter; those that were not measured are left out."""
    found: list[Headline] = []
    teacher = next((m for _, m in models.values() if m.role == "teacher"), None)
    student = next((m for _, m in models.values() if m.role == "student"), None)
    if teacher and student:
        found.append(
            Headline(
                ratio(teacher.macs / student.macs),
                "fewer MACs",
                f"{teacher.macs / 1e9:.2f} G to {student.macs / 1e9:.2f} G",
            )
        )
    big, small = models.get("teacher_fp32.tflite"), models.get("student_int8.tflite")
    if big and small:
        found.append(
            Headline(
                ratio(big[1].bytes / small[1].bytes),
                "smaller",
                f"{big[1].bytes / 1e6:.2f} MB fp32 to {small[1].bytes / 1e6:.2f} MB int8 .tflite",
            )
        )
    slow, fast = records.get("teacher_fp32.tflite"), records.get("student_int8.tflite")
    if slow and fast:
        found.append(
            Headline(
                ratio(slow.latency["median_ms"] / fast.latency["median_ms"]),
                "faster, measured",
                f"{slow.latency['median_ms']:.1f} ms fp32 to {fast.latency['median_ms']:.1f} ms int8, "
                f"{slow.device}, {slow.runtime}, {slow.threads} thread{'s' if slow.threads > 1 else ''}",
            )
        )
    beside = (
        f"untouched input {quality['identity_psnr_db']:.2f} dB, "
        if "identity_psnr_db" in quality
        else ""
    )
    found.append(
        Headline(
            f"{quality['psnr_to_teacher_db']:.2f} dB",
            "PSNR to teacher",
            f"{beside}SSIM {quality['ssim_to_teacher']:.3f}, {quality['validation_images']} validation images, fp32",
        )
    )
    if small and small[1].psnr_to_teacher_db is not None:
        drop = quality["psnr_to_teacher_db"] - small[1].psnr_to_teacher_db
        found.append(
            Headline(
                f"{drop:.2f} dB",
                "lost to int8",
                f"int8 .tflite: {small[1].psnr_to_teacher_db:.2f} dB to teacher",
            )
        )
    return found


def table_row(model: ModelManifest, record: BenchRecord | None) -> dict[str, Any]:
    """One artefact in the main table."""
    return {
        "model": model,
        "record": record,
        "gmacs_per_s": model.macs / record.latency["median_ms"] / 1e6 if record else None,
    }


def warnings(
    models: dict[str, Any],
    records: dict[str, BenchRecord],
    stale: list[str],
    quality: dict[str, float],
) -> list[str]:
    """What a reader must know before believing a number."""
    found = []
    if not records:
        found.append("Nothing was benched: run edgegan bench to get latency.")
    found += [
        f"{name}: benched before it was exported again; its latency is left out. Run edgegan bench."
        for name in stale
    ]
    found += [
        f"{r.artefact}: {r.verdict}, the last third took {r.drift:.2f} times the first; measure on a quieter machine."
        for r in records.values()
        if r.verdict != "STABLE"
    ]
    fp32 = quality["psnr_to_teacher_db"]
    for name, (_, model) in models.items():
        if (
            model.precision == "int8"
            and model.psnr_to_teacher_db is not None
            and fp32 - model.psnr_to_teacher_db > 1 - NEAR_GATE_DB
        ):
            found.append(
                f"{name}: int8 loses {fp32 - model.psnr_to_teacher_db:.2f} dB to the teacher; the gate is 1 dB."
            )
    identity = quality.get("identity_psnr_db")
    if identity is not None and fp32 < identity + 1:
        found.append(
            "The student is hardly nearer to the teacher than the untouched input: train longer or widen it."
        )
    return found


def curve(metrics: Path) -> dict[str, Any]:
    """Loss and validation PSNR over steps as polylines in a 600 x 160 box."""
    import json

    entries = (
        [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
        if metrics.is_file()
        else []
    )
    lines = {}
    for key, label in (
        ("loss", "training loss"),
        ("validation_psnr_db", "validation PSNR to teacher, dB"),
        ("cost", "cost after each cut, in the budget's unit"),
        ("allowed", "cost that the schedule allowed"),
    ):
        points = [(entry["step"], entry[key]) for entry in entries if key in entry]
        if len(points) >= 2:
            steps, values = zip(*points, strict=True)
            low, high = min(values), max(values)
            top = max(steps)
            shape = " ".join(
                f"{600 * step / top:.1f},{150 - 140 * (value - low) / max(high - low, 1e-9):.1f}"
                for step, value in points
            )
            lines[label] = {
                "points": shape,
                "first": f"{values[0]:.3g}",
                "last": f"{values[-1]:.4g}",
                "low": f"{low:.3g}",
                "high": f"{high:.3g}",
                "steps": top,
            }
    return lines


def commands(folder: Path, records: dict[str, BenchRecord]) -> list[str]:
    """The commands that made the run, as typed."""
    found = [read_json(folder / "export" / "export.json")["command"]]
    found += sorted({record.command for record in records.values()})
    return found


def data_uri(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 as an inline JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def gallery(folder: Path, models: dict[str, Any]) -> list[dict[str, str]]:
    """Validation pictures: input, teacher, student fp32 and student int8 as the artefacts make them."""
    cache = folder / "stages" / "teacher_cache"
    stored = np.load(cache / "validation_input.npy", mmap_mode="r")
    count = min(GALLERY_IMAGES, len(stored))
    chosen = np.linspace(0, len(stored) - 1, count).round().astype(int)
    inputs = np.array(stored[chosen])
    columns = {"input": from_stored(inputs)}
    columns["teacher"] = np.load(cache / "validation_output.npy", mmap_mode="r")[chosen].astype(
        np.float32
    )
    for column, name in (("fp32", "student_fp32"), ("int8", "student_int8")):
        model = models.get(f"{name}.tflite") or models.get(f"{name}.onnx")
        if model is None:
            continue
        if model[1].sizes[0] != inputs.shape[2:]:
            continue
        with Session(model[0], threads=2) as session:
            made = session.run(to_artefact(columns["input"], model[1].inputs[0]))
            columns[column] = from_artefact(made, model[1].outputs[0])
    names = read_json(cache / "cache.json")["validation"]
    return [
        {
            "name": names[index],
            **{column: data_uri(to_pixels(values[row])) for column, values in columns.items()},
        }
        for row, index in enumerate(chosen)
    ]
