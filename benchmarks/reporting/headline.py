"""The five figures that matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.record import BenchRecord, why_unsteady
from edgegan.metrics.gain import no_gain

Models = Mapping[str, tuple[Path, ModelManifest]]


@dataclass(frozen=True)
class Headline:
    """One figure that matters."""

    value: str
    label: str
    detail: str


def pick(models: Models, **wanted: str) -> tuple[Path, ModelManifest] | None:
    """The first artefact whose manifest says this: role="student", precision="int8", target="tflite"."""
    return next(
        (
            (path, model)
            for path, model in models.values()
            if all(getattr(model, key) == value for key, value in wanted.items())
        ),
        None,
    )


def ratio(value: float) -> str:
    """12.3x or 7.41x."""
    return f"{value:.0f}x" if value >= 100 else f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"


def make_headline(
    models: Models, records: Mapping[str, BenchRecord], quality: Mapping[str, float]
) -> list[Headline]:
    """The five figures that matter; those that were not measured are left out."""
    found: list[Headline] = []
    first = [pick(models, role=role) for role in ("teacher", "student")]
    if first[0] and first[1]:
        teacher, student = first[0][1], first[1][1]
        found.append(
            Headline(
                ratio(teacher.macs / student.macs),
                "fewer MACs",
                f"{macs(teacher.macs)} to {macs(student.macs)} multiply-adds a picture",
            )
        )
    big = pick(models, role="teacher", precision="fp32", target="tflite")
    small = pick(models, role="student", precision="int8", target="tflite")
    if big and small and small[1].bytes:
        found.append(
            Headline(
                ratio(big[1].bytes / small[1].bytes),
                "smaller",
                f"{big[1].bytes / 1e6:.2f} MB fp32 to {small[1].bytes / 1e6:.2f} MB int8 .tflite",
            )
        )
    pair = divided(models, records)
    found += [faster(*pair)] if pair else []
    beside = ""
    if "identity_psnr_db" in quality:
        nearer = " is as near or nearer" if no_gain(quality) else ""
        beside = f"untouched input {quality['identity_psnr_db']:.2f} dB{nearer}, "
    found.append(
        Headline(
            f"{quality['psnr_to_teacher_db']:.2f} dB",
            "PSNR to teacher",
            f"{beside}SSIM {quality['ssim_to_teacher']:.3f}, {quality['validation_images']} validation images, fp32",
        )
    )
    if small and small[1].psnr_to_teacher_db is not None:
        drop = round(quality["psnr_to_teacher_db"] - small[1].psnr_to_teacher_db, 2) + 0.0
        found.append(
            Headline(
                f"{drop:.2f} dB",
                "lost to int8",
                f"int8 .tflite: {small[1].psnr_to_teacher_db:.2f} dB to teacher",
            )
        )
    return found


def divided(
    models: Models, records: Mapping[str, BenchRecord]
) -> tuple[BenchRecord, BenchRecord] | tuple[()]:
    """The two records whose latencies the headline divides: the teacher's in fp32 and the student's in int8."""
    big = pick(models, role="teacher", precision="fp32", target="tflite")
    small = pick(models, role="student", precision="int8", target="tflite")
    slow = records.get(big[1].file) if big else None
    fast = records.get(small[1].file) if small else None
    return (slow, fast) if slow and fast else ()


def faster(slow: BenchRecord, fast: BenchRecord) -> Headline:
    """How much faster; UNSTABLE, and why, where one of the two latencies is."""
    shaky = [
        f"{record.artefact} is UNSTABLE ({why_unsteady(record)})"
        for record in (slow, fast)
        if record.verdict != "STABLE"
    ]
    threads = f"{slow.threads} thread{'s' if slow.threads > 1 else ''}"
    times = (
        f"{slow.latency['median_ms']:.1f} ms fp32 to {fast.latency['median_ms']:.1f} ms int8, "
        f"{slow.device}, {slow.runtime}, {threads}"
    )
    value = ratio(slow.latency["median_ms"] / fast.latency["median_ms"])
    return Headline(
        f"{value} UNSTABLE" if shaky else value, "faster, measured", "; ".join([*shaky, times])
    )


def macs(count: float) -> str:
    """12.3 G, 12.3 M or 12 k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return f"{count:.0f}"
