"""One int8 artefact from its fp32 one: by policy, measured against it, the worst layers left float where a quality is
asked for. Runs in a converter's child process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from edgegan.artefact import TensorInfo
from edgegan.console import say
from edgegan.export.artefact_files import remove_artefact
from edgegan.export.calibrate import Learned
from edgegan.export.int8_maker import Int8Maker, Int8Request
from edgegan.export.policy import STORED_AS
from edgegan.export.sensitivity import (
    Effect,
    Measure,
    all_operations,
    keep_worst_float,
    rank_layers,
)
from edgegan.export.targets.target import Target
from edgegan.metrics.quality import psnr
from edgegan.tensors import to_artefact

ENOUGH_DB = 40.0  # a conversion that close to fp32 cannot be told from it by eye
GATE_MARGIN_DB = 1.0
PROOF_IMAGES = 8


class Trials:
    """Int8 artefacts of one maker, written over each other and measured against fp32 on the proof images."""

    def __init__(self, maker: Int8Maker, trial: Path, proof: np.ndarray) -> None:
        self.maker, self.trial, self.proof = maker, trial, proof
        self.reference = maker.run(maker.source, proof)

    def build(self, keep_float: tuple[str, ...]) -> Path:
        """The artefact with these operations float."""
        return self.maker.build(self.trial, keep_float)

    def to_fp32_db(self, artefact: Path) -> float:
        """Its PSNR to fp32."""
        return psnr(self.maker.run(artefact, self.proof), self.reference)

    def rank(self, plain_db: float) -> list[Effect]:
        """Every layer by what leaving it float gains."""
        return rank_layers(self.build, self.to_fp32_db, self.maker.layers, plain_db)

    def keep_worst(
        self, measure: Measure, ranking: list[Effect], limit_db: float, plain_db: float
    ) -> list[Effect]:
        """The layers that stay float so that `measure` reaches a limit."""
        layers = self.maker.layers
        return keep_worst_float(self.build, measure, ranking, layers, limit_db, plain_db)[0]


def make_int8(
    target: Target, fp32: Path, path: Path, job: dict[str, Any], weights: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Writes the int8 artefact at `path`; returns how it was made: quantization, layers left float, ranking, forms.

    job: policy, method, sensitivity, max_drop_db, gate_db, paths of proof and calibration images, and for a run's
    student of its validation pictures and the teacher's outputs there.
    """
    maker = target.int8_maker(
        Int8Request(
            source=fp32,
            policy=job["policy"],
            method=job["method"],
            weights=weights,
            calibration=np.load(job["calibration"], mmap_mode="r")
            if job.get("calibration")
            else None,
            takes=TensorInfo.model_validate(job["takes"]),
            gives=TensorInfo.model_validate(job["gives"]),
            learned=learned_of(job),
        )
    )
    proof = np.load(job["proof"], mmap_mode="r")[:PROOF_IMAGES]
    trials = Trials(maker, path.with_name(f"trial{path.suffix}"), proof)
    forms = maker.settle(proof, trials.reference, ENOUGH_DB)
    say_forms(forms)
    kept, ranking, fp32_db = choose_float(trials, job, is_settled=bool(forms))
    maker.build(path, all_operations(kept))
    remove_artefact(trials.trial)
    return {
        "quantization": STORED_AS[maker.policy],
        "method": maker.method,
        "forms": forms,
        "float_layers": [each.layer for each in kept],
        "ranking": [asdict(each) for each in ranking],
        "fp32_to_teacher_db": fp32_db,
    }


def choose_float(
    trials: Trials, job: dict[str, Any], *, is_settled: bool
) -> tuple[list[Effect], list[Effect], float | None]:
    """The layers to leave float so that the artefact passes its gate, or is as near its teacher as --max-drop asks; the
    ranking, where one was made; and what fp32 reaches against the teacher, where that was measured.

    `is_settled`: forms were measured, and the best of them may miss the gate.
    """
    plain_db = trials.to_fp32_db(trials.build(()))
    limit = job["gate_db"] + GATE_MARGIN_DB
    kept: list[Effect] = []
    ranking: list[Effect] = []
    fp32_db = None
    if job["sensitivity"] or plain_db < job["gate_db"]:
        ranking = trials.rank(plain_db)
    if job["max_drop_db"] is None:
        is_short = is_settled and plain_db < limit
    else:
        kept, ranking, fp32_db = hold_drop(trials, job, plain_db, ranking)
        reached_db = trials.to_fp32_db(trials.build(all_operations(kept))) if kept else plain_db
        is_short = reached_db < job["gate_db"]
    if is_short:
        ranking = ranking or trials.rank(plain_db)
        kept = trials.keep_worst(trials.to_fp32_db, ranking, limit, plain_db)
    return kept, ranking, fp32_db


def learned_of(job: dict[str, Any]) -> Learned | None:
    """What training learned of ranges, where the job goes by it."""
    if "learned" not in job:
        return None
    golden = to_artefact(np.load(job["golden"]), TensorInfo.model_validate(job["takes"]))
    return Learned(job["learned"], golden)


def hold_drop(
    trials: Trials, job: dict[str, Any], plain_db: float, ranking: list[Effect]
) -> tuple[list[Effect], list[Effect], float]:
    """The layers to keep float so that the student is at most max_drop_db further from its teacher, the ranking, and
    what fp32 reaches."""
    pictures = np.load(job["validation"], mmap_mode="r")
    teacher = np.load(job["teacher_outputs"], mmap_mode="r")

    def to_teacher_db(artefact: Path) -> float:
        outputs = trials.maker.run(artefact, pictures)
        return float(np.mean([psnr(a, b) for a, b in zip(outputs, teacher, strict=True)]))

    fp32_db = to_teacher_db(trials.maker.source)
    limit = fp32_db - job["max_drop_db"]
    reached = to_teacher_db(trials.build(()))
    say(f"  max-drop: fp32 {fp32_db:.2f} dB to the teacher, plain int8 {reached:.2f} dB")
    if reached >= limit:
        return [], ranking, fp32_db
    ranking = ranking or trials.rank(plain_db)
    return trials.keep_worst(to_teacher_db, ranking, limit, reached), ranking, fp32_db


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
