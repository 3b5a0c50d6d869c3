"""What a reader must know before believing a number: gates that were nearly failed, timings that were not steady."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.record import AnyRecord, BenchRecord, of_one_device, why_unsteady
from edgegan.benchmarks.reporting.headline import Models, divided
from edgegan.metrics.gain import no_gain

NEAR_DROP = 0.75  # of the largest drop that passes
NEAR_PSNR_DB = 3.0  # above a parity gate
NEAR_DIFFERENCE = 0.5  # of a parity gate
MOST_NAMED = 4  # unsteady artefacts in one warning
LEAST_GAIN_DB = 1.0  # of the student over the untouched input


def warning_texts(
    models: Models,
    records: Iterable[AnyRecord],
    stale: Iterable[str],
    quality: Mapping[str, float],
) -> list[str]:
    """Warnings in the order of what they put in doubt: latency, conversion, int8, training."""
    measured = [record for record in records if isinstance(record, BenchRecord)]
    found = []
    if not measured:
        found.append("Nothing was benched: run edgegan bench to get latency.")
    found += [
        f"{name}: benched before it was exported again; its latency is left out. Run edgegan bench."
        for name in stale
    ]
    first = divided(models, {record.artefact: record for record in of_one_device(measured)})
    shaky = [record for record in measured if record.verdict != "STABLE"]
    found += unsteady(sorted(shaky, key=lambda record: record not in first))
    found += sorted({f"{r.device}: {text}" for r in measured for text in r.warnings})
    for _, model in models.values():
        found += near_parity(model)
        found += near_drop(model, quality["psnr_to_teacher_db"])
    return found + little_gain(quality)


def little_gain(quality: Mapping[str, float]) -> list[str]:
    """A warning when the student is no nearer to its teacher than the untouched input, or hardly."""
    wrong, identity = no_gain(quality), quality.get("identity_psnr_db")
    if wrong:
        return [f"{wrong[0].upper()}{wrong[1:]}. Train longer or widen it."]
    if identity is not None and quality["psnr_to_teacher_db"] < identity + LEAST_GAIN_DB:
        return [
            "The student is hardly nearer to the teacher than the untouched input: train longer or widen it."
        ]
    return []


def unsteady(records: Iterable[BenchRecord]) -> list[str]:
    """Why latencies are not to be trusted, one text for each device and number of threads, in the order given."""
    places: dict[str, list[str]] = {}
    for record in records:
        reasons = why_unsteady(record)
        where = f"{record.device}, {record.threads} thread{'s' if record.threads > 1 else ''}"
        places.setdefault(where, []).append(f"{record.artefact} {record.verdict} ({reasons})")
    return [
        f"Unsteady latency on {where}: {', '.join(each[:MOST_NAMED])}{more(len(each))}. Measure on a quieter machine."
        for where, each in places.items()
    ]


def more(count: int) -> str:
    """What follows the first few of `count` names."""
    return f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""


def near_parity(model: ModelManifest) -> list[str]:
    """A warning when a conversion passed its gate narrowly."""
    parity = model.parity
    if parity.limit is None:
        return []
    if parity.metric == "max_abs":
        near = parity.max_abs > NEAR_DIFFERENCE * parity.limit
        figure = f"largest difference to PyTorch {parity.max_abs:.1e}"
    else:
        near = parity.psnr_db < parity.limit + NEAR_PSNR_DB
        figure = f"PSNR to PyTorch {parity.psnr_db:.1f} dB"
    return [f"{model.file}: {figure}, near its gate ({parity.gate})."] if near else []


def near_drop(model: ModelManifest, fp32_db: float) -> list[str]:
    """A warning when int8 lost nearly as much as the gate it was exported with allows."""
    if model.drop_limit_db is None or model.psnr_to_teacher_db is None:
        return []
    drop = fp32_db - model.psnr_to_teacher_db
    if drop <= NEAR_DROP * model.drop_limit_db:
        return []
    return [
        f"{model.file}: int8 loses {drop:.2f} dB to the teacher; the gate is {model.drop_limit_db:g} dB."
    ]
