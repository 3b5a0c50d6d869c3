"""One int8 artefact from its fp32 one: by policy, measured against it, the worst layers left float where a quality is
asked for. Runs in a converter's child process."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from edgegan.artefact import TensorInfo
from edgegan.console import say
from edgegan.export.calibrate import Learned
from edgegan.export.int8_onnx import OnnxInt8
from edgegan.export.int8_tflite import TfliteInt8
from edgegan.export.policy import STORED_AS
from edgegan.export.sensitivity import Effect, all_operations, keep_worst_float, rank_layers
from edgegan.metrics.quality import psnr
from edgegan.tensors import to_artefact

ENOUGH_DB = 40.0  # a conversion that close to fp32 cannot be told from it by eye
GATE_MARGIN_DB = 1.0
PROOF_IMAGES = 8


def make_int8(
    target: str, fp32: Path, path: Path, job: dict[str, Any], graph: nn.Module
) -> dict[str, Any]:
    """Writes the int8 artefact at `path`; returns how it was made: quantization, layers left float, ranking, forms.

    job: policy, method, sensitivity, max_drop_db, gate_db, paths of proof and calibration images, and for a run's
    student of its validation pictures and the teacher's outputs there.
    """
    maker = (TfliteInt8 if target == "tflite" else OnnxInt8)(
        fp32,
        job["policy"],
        layer_weights(graph),
        np.load(job["calibration"], mmap_mode="r") if job.get("calibration") else None,  # type: ignore[arg-type]
        job["method"],
        TensorInfo.model_validate(job["takes"]),
        TensorInfo.model_validate(job["gives"]),
        learned_of(job),
    )
    proof = np.load(job["proof"], mmap_mode="r")[:PROOF_IMAGES]
    reference = maker.run(fp32, proof)
    made: dict[str, Any] = {
        "float_layers": [],
        "ranking": [],
        "forms": [],
        "fp32_to_teacher_db": None,
    }
    policy = job["policy"]
    if isinstance(maker, OnnxInt8) and policy == "auto":
        made["forms"] = maker.choose(proof, reference, ENOUGH_DB)
        policy = "static"
        say_forms(made["forms"])
    made["quantization"], made["method"] = STORED_AS[policy], maker.method
    trial = path.with_name(f"trial{path.suffix}")

    def build(keep_float: tuple[str, ...]) -> Path:
        return maker.build(trial, keep_float)

    def to_fp32_db(artefact: Path) -> float:
        return psnr(maker.run(artefact, proof), reference)

    plain_db = to_fp32_db(build(()))
    limit = job["gate_db"] + GATE_MARGIN_DB
    kept: list[Effect] = []
    ranking: list[Effect] = []
    if job["sensitivity"] or plain_db < job["gate_db"]:
        ranking = rank_layers(build, to_fp32_db, maker.layers, plain_db)
    if job["max_drop_db"] is None:
        is_short = bool(made["forms"]) and plain_db < limit
    else:
        kept, ranking, made["fp32_to_teacher_db"] = hold_drop(
            maker, job, fp32, build, to_fp32_db, plain_db, ranking
        )
        reached_db = to_fp32_db(build(all_operations(kept))) if kept else plain_db
        is_short = reached_db < job["gate_db"]
    if is_short:
        ranking = ranking or rank_layers(build, to_fp32_db, maker.layers, plain_db)
        kept, _ = keep_worst_float(build, to_fp32_db, ranking, maker.layers, limit, plain_db)
    maker.build(path, all_operations(kept))
    trial.unlink(missing_ok=True)
    made["float_layers"] = [each.layer for each in kept]
    made["ranking"] = [asdict(each) for each in ranking]
    return made


def learned_of(job: dict[str, Any]) -> Learned | None:
    """What training learned of ranges, where the job goes by it."""
    if "learned" not in job:
        return None
    golden = to_artefact(np.load(job["golden"]), TensorInfo.model_validate(job["takes"]))
    return Learned(job["learned"], golden)


def hold_drop(
    maker: TfliteInt8 | OnnxInt8,
    job: dict[str, Any],
    fp32: Path,
    build: Any,
    to_fp32_db: Any,
    plain_db: float,
    ranking: list[Effect],
) -> tuple[list[Effect], list[Effect], float]:
    """The layers to keep float so that the student is at most max_drop_db further from its teacher, the ranking, and
    what fp32 reaches."""
    pictures = np.load(job["validation"], mmap_mode="r")
    teacher = np.load(job["teacher_outputs"], mmap_mode="r")

    def to_teacher_db(artefact: Path) -> float:
        outputs = maker.run(artefact, pictures)
        return float(np.mean([psnr(a, b) for a, b in zip(outputs, teacher, strict=True)]))

    fp32_db = to_teacher_db(fp32)
    limit = fp32_db - job["max_drop_db"]
    reached = to_teacher_db(build(()))
    say(f"  max-drop: fp32 {fp32_db:.2f} dB to the teacher, plain int8 {reached:.2f} dB")
    if reached >= limit:
        return [], ranking, fp32_db
    ranking = ranking or rank_layers(build, to_fp32_db, maker.layers, plain_db)
    kept, _ = keep_worst_float(build, to_teacher_db, ranking, maker.layers, limit, reached)
    return kept, ranking, fp32_db


def say_forms(forms: list[dict[str, Any]]) -> None:
    """One line a form, for the log and the terminal."""
    for form in forms:
        say(
            f"  int8 {form['form']}: {form['int8_layers']} convolutions, {form['psnr_db']:.1f} dB to fp32, "
            f"{form['latency_ms']:.1f} ms against {form['fp32_latency_ms']:.1f} ms"
            f"{' (chosen)' if form.get('chosen') else ''}"
        )


def layer_weights(graph: nn.Module) -> dict[str, np.ndarray]:
    """Weights of the rewritten graph's layers by dotted name."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    return {
        name: layer.weight.detach().numpy()
        for name, layer in graph.named_modules()
        if isinstance(layer, kinds)
    }
